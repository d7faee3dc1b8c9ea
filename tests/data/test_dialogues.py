"""Dialogues: true results, disjoint splits, enough phrasings, styles that can be told apart."""

from __future__ import annotations

import itertools
import math
import random
import re
import time
from collections import Counter
from typing import get_args

import pytest

from forge.data import dialogues
from forge.data.dialogue_templates import ACTIVITIES, CONCEPTS, STYLES
from forge.data.dialogues import (
    TOOL_PROMPT,
    Split,
    persona_dialogue_answer,
    persona_dialogues,
    phrasings,
    tool_dialogue,
    tool_dialogues,
)
from forge.data.personas import PERSONA_PROMPTS, PERSONAS
from forge.data.splits import SPLITS, dataset_split_by_hash
from forge.tools import TOOL_NAMES, Toolbox
from forge.tools.builtin import TOOLS

INTENTS = [(tool, intent) for tool in TOOLS for intent in tool.intents]


def normalized(text: str) -> str:
    """Case, end marks and spacing removed; signs inside numbers and code kept."""
    return " ".join(text.lower().strip(" .?!").split())


def user_turn(dialogue: dialogues.Dialogue) -> str:
    return next(m["content"] for m in dialogue["messages"] if m["role"] == "user")


@pytest.fixture(scope="module")
def tool_draws() -> dict[str, list[dialogues.Dialogue]]:
    return {split: tool_dialogues(5000, 1, split) for split in get_args(Split)}


@pytest.fixture(scope="module")
def persona_draws() -> dict[str, list[dialogues.Dialogue]]:
    return {split: persona_dialogues(5000, 1, split) for split in get_args(Split)}


def test_prompts() -> None:
    assert all(name in TOOL_PROMPT for name in TOOL_NAMES)
    assert tuple(STYLES) == PERSONAS
    assert len(set(PERSONA_PROMPTS.values())) == 4


def test_tool_dialogues_have_the_agreed_form(tool_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    for split, rows in tool_draws.items():
        assert Counter(row["task"] for row in rows) == dict.fromkeys(TOOL_NAMES, 1000), split
        for row in rows:
            assert [m["role"] for m in row["messages"]] == ["system", "user", "call", "result", "assistant"]
            _, user, call, result, answer = (m["content"] for m in row["messages"])
            assert row["kind"] == "tool"
            assert call.split(" ", 1)[0] == row["task"]
            assert row["expected"] == result
            assert answer == dialogues.answer_after_tool_result(result)
            assert "error" not in answer, call
            assert len(answer) >= len(result) > 0 or result.startswith("error:")
            assert "{" not in user + call
            assert user == user.strip()
            assert 1 <= len(user.split()) <= 14
            assert len(result) <= 80
            assert 0 < row["difficulty"] <= 1


def test_some_calls_fail_and_the_answer_says_so_in_plain_words(tool_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    """In every split and of every tool: up to a sixth where only the name of what is not there must be copied from the
    question, else up to 9 in 100.
    """
    for split, rows in tool_draws.items():
        failed = [row for row in rows if row["expected"].startswith("error:")]
        shares = Counter(row["task"] for row in failed)
        assert set(shares) == set(TOOL_NAMES), split
        assert all(share < (167 if tool in ("search", "file_reader") else 90) for tool, share in shares.items()), shares
        for row in failed:
            reason = row["expected"].removeprefix("error: ")
            assert row["messages"][-1]["content"] == f"I could not do that: {reason}.", row


WRITTEN = {
    "a negative operand": r"-\d+ ?[-+*/×÷]|[-+*/×÷] -\d|(minus|plus|times|over) -\d",
    "×": "×",
    "÷": "÷",
    "^": r"\^",
    "a remainder": r"\d ?% ?\d",
    "a percentage": r"\d% of",
    "a minus sign": "−",
    "digit groups": r"\d,\d{3}\b",
    "a decimal comma": r"\b\d+,\d{1,2}\b(?!,)",
}


@pytest.mark.parametrize("form", list(WRITTEN))
def test_sums_are_written_as_people_write_them(form: str, tool_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    for split, rows in tool_draws.items():
        own = [row for row in rows if row["task"] == "calculator" and re.search(WRITTEN[form], user_turn(row))]
        assert len(own) >= 3, split
        if form in ("digit groups", "a decimal comma"):
            assert {row["expected"].split()[1] for row in own} == {"write"}  # how to write it


def test_a_failed_call_is_said_in_plain_words() -> None:
    assert dialogues.answer_after_tool_result("7") == "7"
    assert dialogues.answer_after_tool_result("error: division by zero") == "I could not do that: division by zero."
    assert dialogues.answer_after_tool_result("error: no such file a.") == "I could not do that: no such file a."


def test_results_are_what_the_tools_return(tool_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    with Toolbox(timeout_s=10.0) as toolbox:
        for rows in tool_draws.values():
            for row in rows[:300]:
                assert toolbox.execute(row["messages"][2]["content"]) == row["expected"], row["messages"][2]


def test_arguments_can_be_copied_from_the_user_turn(tool_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    for row in tool_draws["train"]:
        argument = row["messages"][2]["content"].split(" ", 1)[1]
        values = re.findall(r"\d+\.?\d*", argument.replace("[::-1]", "").removesuffix("/100"))  # of a percentage
        values += re.findall(r"'([A-Za-z]+)'", argument)
        if row["task"] in ("search", "file_reader"):
            values = [argument]
        user = user_turn(row)
        for value in values:
            assert value in user, (user, argument)


@pytest.mark.parametrize("kind", ["tool", "persona"])
def test_no_user_turn_is_in_two_splits(kind: str, request: pytest.FixtureRequest) -> None:
    draws = request.getfixturevalue(f"{kind}_draws")
    turns = {split: {normalized(user_turn(row)) for row in rows} for split, rows in draws.items()}
    for one, other in itertools.combinations(turns, 2):
        assert not turns[one] & turns[other]
    assert all(len(found) > 50 for found in turns.values())


def test_phrasings_are_many_and_disjoint() -> None:
    everywhere: dict[str, set[str]] = {}
    for split in SPLITS:
        everywhere[split] = set()
        for tool, intent in INTENTS:
            found = {normalized(text) for text in phrasings(tool, intent, split)}
            assert len(found) >= (12 if split == "train" else 4), (intent.name, split)
            everywhere[split] |= {f"{tool.name} {text}" for text in found}
    for one, other in itertools.combinations(SPLITS, 2):
        assert not everywhere[one] & everywhere[other]
    assert TOOL_NAMES == ("calculator", "code_executor", "search", "file_reader", "database_query")


def test_held_out_phrasings_use_words_of_training() -> None:
    def vocabulary(split: str) -> set[str]:
        texts = itertools.chain.from_iterable(phrasings(tool, intent, split) for tool, intent in INTENTS)
        return set(re.findall(r"[a-z]+", " ".join(texts).lower()))

    assert vocabulary("val") | vocabulary("test") <= vocabulary("train")


def test_frames_stay_one_sentence_shape() -> None:
    for tool, intent in INTENTS:
        for split in SPLITS:
            assert all(frame.count("{}") == 1 for frame in getattr(intent.frames or tool.frames, split)), tool.name


def test_arguments_are_held_out(tool_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    """Calculator calls of test never occur in training; nor are their words reversed or counted there."""

    def calls(split: str, tool: str) -> set[str]:
        return {row["messages"][2]["content"] for row in tool_draws[split] if row["task"] == tool}

    for tool in ("calculator", "code_executor"):
        for one, other in itertools.combinations(SPLITS, 2):
            assert not calls(one, tool) & calls(other, tool)
    shares = Counter(dataset_split_by_hash(str(number)) for number in range(5000))
    assert 0.07 < shares["test"] / 5000 < 0.13
    assert 0.07 < shares["val"] / 5000 < 0.13


def test_every_kind_of_query_is_drawn() -> None:
    rng = random.Random(5)
    (database,) = (tool for tool in TOOLS if tool.name == "database_query")
    seen = Counter(tool_dialogue(rng, database, "test")["messages"][2]["content"].split("WHERE")[0] for _ in range(600))
    assert len(seen) == 6 + 3


def test_same_seed_same_dialogues_and_other_seeds_differ() -> None:
    assert tool_dialogues(50, 3, "train") == tool_dialogues(50, 3, "train")
    assert tool_dialogues(50, 3, "train") != tool_dialogues(50, 4, "train")
    assert persona_dialogues(50, 3, "val") == persona_dialogues(50, 3, "val")
    assert persona_dialogues(50, 3, "val") != persona_dialogues(50, 4, "val")
    assert tool_dialogues(0, 0, "test") == persona_dialogues(0, 0, "test") == []


def test_generation_is_quick() -> None:
    start = time.perf_counter()
    tool_dialogues(4000, 9, "train")
    assert time.perf_counter() - start < 5  # 0.2 s on an idle machine


def test_persona_dialogues_have_the_agreed_form(persona_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    for rows in persona_draws.values():
        assert Counter(row["task"] for row in rows) == dict.fromkeys(PERSONAS, 1250)
        for row in rows:
            assert [m["role"] for m in row["messages"]] == ["system", "user", "assistant"]
            assert row["messages"][0]["content"] == PERSONA_PROMPTS[row["task"]]
            assert row["kind"] == "persona"
            assert row["difficulty"] == 0.5


def test_every_possible_answer_is_short_and_belongs_to_one_persona() -> None:
    slots = {
        "concept": [{"t": t, "T": t.capitalize(), "d": d, "f": f} for t, d, f in CONCEPTS],
        "activity": [{"a": a, "b": b} for _, a, b in ACTIVITIES],
        "greeting": [{}],
    }
    owner: dict[str, str] = {}
    for persona, styles in STYLES.items():
        for kind, style in styles.items():
            assert len(set(style.openings)) >= 6
            assert len(set(style.closings)) >= 6
            longest_first = itertools.product(style.openings, style.middles, style.closings)
            for (opening, middle, closing), values in itertools.product(longest_first, slots[kind]):
                text = (opening + middle + closing).format(**values)
                assert 6 <= len(text.split()) <= 16, text
                assert owner.setdefault(text, persona) == persona
    assert len(owner) > 5000


def test_style_is_learnable_and_not_one_keyword(persona_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    """Naive Bayes on word counts tells the personas apart on held-out topics; no single word does."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in PERSONAS}
    for row in persona_draws["train"][:2000]:
        counts[row["task"]].update(re.findall(r"\w+|[^\w\s]", row["messages"][2]["content"].lower()))

    def guess(text: str) -> str:
        tokens = re.findall(r"\w+|[^\w\s]", text.lower())
        return max(
            PERSONAS,
            key=lambda p: sum(math.log((counts[p][t] + 1) / (counts[p].total() + 1000)) for t in tokens),
        )

    rows = persona_draws["test"][:1000]
    assert sum(guess(row["messages"][2]["content"]) == row["task"] for row in rows) / len(rows) > 0.97
    for persona in PERSONAS:
        answers = [
            set(re.findall(r"\w+", row["messages"][2]["content"].lower())) for row in rows if row["task"] == persona
        ]
        others = [
            set(re.findall(r"\w+", row["messages"][2]["content"].lower())) for row in rows if row["task"] != persona
        ]
        for word in set().union(*answers):
            mine = sum(word in answer for answer in answers) / len(answers)
            theirs = sum(word in answer for answer in others) / len(others)
            assert mine - theirs < 0.75, (persona, word)


def test_topics_are_held_out() -> None:
    parts = {split: {row[0] for row in dialogues._topics(CONCEPTS + ACTIVITIES, split)} for split in SPLITS}
    assert sum(map(len, parts.values())) == len(CONCEPTS) + len(ACTIVITIES) >= 60
    for one, other in itertools.combinations(SPLITS, 2):
        assert not parts[one] & parts[other]


def test_answers_begin_with_a_capital() -> None:
    rng = random.Random(0)
    for persona in PERSONAS:
        assert persona_dialogue_answer(rng, persona, "greeting", {})[0].isupper()
