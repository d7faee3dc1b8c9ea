"""Phrasings: patterns, disjoint splits, variety, and what is typed."""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter

import pytest

from forge.data import phrasing
from forge.data.dialogues import talk_dialogues, tool_dialogues
from forge.data.held_out import HELD_OUT, held_out_hashes, holds_held_out_text
from forge.data.phrasing import (
    expand_pattern,
    phrasing_key,
    phrasings,
    tool_phrasings,
    type_out_phrasing,
    weighted_texts,
)
from forge.data.splits import SPLITS
from forge.data.talk import TALK
from forge.evals.free_questions import read_free_questions
from forge.evals.verdicts import QUESTION_SETS
from forge.tools.builtin import TOOLS

ASKED = (*TOOLS, TALK)
# Phrasings in training that differ by more than courtesy, at least.
VARIETY = {
    "calculator": 2500,
    "code_executor": 900,
    "search": 1000,
    "file_reader": 800,
    "database_query": 800,
    "talk": 300,
}


def test_patterns() -> None:
    assert expand_pattern("[what is|whats] {a} [|now]?") == [
        "what is {a}?",
        "what is {a} now?",
        "whats {a}?",
        "whats {a} now?",
    ]
    weights = weighted_texts(("a", "[b|c]", "d"))
    assert sum(weights.values()) == pytest.approx(1.0)
    assert weights["a"] == pytest.approx(2**0.5 * (weights["b"] + weights["c"]))
    assert weights["b"] == weights["c"]


def test_a_phrasing_is_told_by_its_words() -> None:
    alike = (
        "What's the price of {e}?",
        "whats price of {e}",
        "please, what is the price of the {e}",
        "what is price of {e}",
    )
    assert len({phrasing_key(text) for text in alike}) == 1
    assert phrasing_key("{a}+{b}") == phrasing_key("{a} + {b}") != phrasing_key("{a} * {b}")


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.name)
def test_splits_share_no_phrasing_and_training_has_many(asked: phrasing.Asked) -> None:
    keys = {
        split: {phrasing_key(text) for intent in asked.intents for text in phrasings(asked, intent, split)}
        for split in SPLITS
    }
    for one, other in itertools.combinations(SPLITS, 2):
        assert not keys[one] & keys[other]
    assert len(keys["train"]) >= VARIETY[asked.name]
    assert min(len(keys["val"]), len(keys["test"])) >= VARIETY[asked.name] // 12
    for intent in asked.intents:
        assert phrasings(asked, intent, "train"), intent.name


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.name)
def test_no_phrasing_has_a_slot_that_is_not_drawn(asked: phrasing.Asked) -> None:
    rng = random.Random(3)
    for intent in asked.intents:
        slots = intent.draw(rng)[0]
        for split in SPLITS:
            for template in phrasings(asked, intent, split):
                assert "{" not in template.format(**slots)
                assert not re.search(r"[\[\]|]", template), template
        assert "{" not in intent.argument.format(**slots)


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.name)
def test_no_phrasing_of_a_tool_crowds_out_the_others(asked: phrasing.Asked) -> None:
    total = sum(intent.weight for intent in asked.intents)
    shares: Counter[str] = Counter()
    for intent in asked.intents:
        found = tool_phrasings(asked, intent, "train")
        sums = (0.0, *found.sums)
        for text, (low, high) in zip(found.templates, itertools.pairwise(sums), strict=True):
            shares[phrasing_key(text)] += intent.weight / total * (high - low) / sums[-1]
    assert sum(shares.values()) == pytest.approx(1.0)
    assert max(shares.values()) < (0.1 if asked.name == "file_reader" else 0.08), shares.most_common(3)


def test_what_is_said_most_is_learned() -> None:
    """Of every intent the phrasing with the largest share of its turns, unless all of them are rare."""
    for asked in ASKED:
        for intent in asked.intents:
            shares: Counter[str] = Counter()
            for text, share in phrasing.all_dialogue_phrasings(asked, intent).items():
                shares[phrasing_key(text)] += share
            (most, share), *_ = shares.most_common(1)
            learned = {phrasing_key(text) for text in phrasings(asked, intent, "train")}
            assert most in learned or share <= phrasing.EVERYDAY, (intent.name, most)


def test_most_turns_are_typed_without_care() -> None:
    rows = tool_dialogues(3000, 2, "train")
    typed = [row["messages"][1]["content"] for row in rows]
    wordy = [text for text in typed if re.match(r"[A-Za-z]", text) and "print(" not in text]
    assert 0.55 < sum(text[0].islower() for text in wordy) / len(wordy) < 0.85
    assert 0.25 < sum(text[-1] in ".?" for text in wordy) / len(wordy) < 0.65
    assert 0.02 < sum("please" in text.lower() or "pls" in text for text in typed) / len(typed) < 0.15
    short = [text for text in typed if re.search(r"\b(whats|whos|pls|thx|plz|hows)\b", text.lower())]
    assert len(short) / len(typed) > 0.02
    assert sum(len(text.split()) <= 4 for text in typed) / len(typed) > 0.2


def test_a_typo_changes_one_word_and_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEAT", "PREFIXED", "SUFFIXED", "QUESTION_MARK"):
        monkeypatch.setattr(phrasing, name, 0.0)
    monkeypatch.setattr(phrasing, "TYPO", 1.0)
    template, slots = "reverse the letters of {w} {n} times", {"w": "lantern", "n": "1234"}
    seen = {type_out_phrasing(random.Random(seed), template, slots) for seed in range(200)}
    right = template.format(**slots).split()
    assert len(seen) > 20
    for text in seen:
        changed = [(a, b) for a, b in zip(text.split(), right, strict=True) if a != b]
        assert len(changed) <= 1  # two letters alike change places
        assert all(abs(len(a) - len(b)) <= 1 and b in ("reverse", "letters", "times") for a, b in changed)


def test_code_keeps_its_end() -> None:
    made = {type_out_phrasing(random.Random(n), "run {code}", {"code": "print(3)"}, verbatim=True) for n in range(300)}
    assert all(text.endswith(" print(3)") for text in made)
    assert len(made) > 5


# ---- what is held out of training ----


def test_the_hashes_are_those_of_the_questions() -> None:
    turns = [turn for name in QUESTION_SETS for question in read_free_questions(name) for turn in question.turns]
    wanted = held_out_hashes(turns)
    assert wanted == HELD_OUT, f"forge/data/held_out.py should hold:\n{' '.join(sorted(wanted))}"


def test_a_question_is_known_and_so_is_a_part_of_it() -> None:
    turns = [turn for question in read_free_questions("choose") for turn in question.turns if len(turn.split()) > 7]
    assert len(turns) > 50
    for turn in turns:
        assert holds_held_out_text(turn.upper())
        assert holds_held_out_text(f"Well, {turn} thanks")
    assert not holds_held_out_text("what is the price of a zeppelin in the shop")


def test_no_dialogue_holds_a_question() -> None:
    for rows in (tool_dialogues(3000, 6, "train"), talk_dialogues(2000, 6, "train")):
        turns = [m["content"] for row in rows for m in row["messages"] if m["role"] == "user"]
        assert not any(holds_held_out_text(turn) for turn in turns)
