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
    fact_dialogues,
    persona_dialogue_answer,
    persona_dialogues,
    talk_dialogues,
    tool_dialogue,
    tool_dialogues,
)
from forge.data.held_out import holds_held_out_text
from forge.data.personas import PERSONA_PROMPTS, PERSONAS
from forge.data.render import render_answer_after_tool_result
from forge.data.splits import SPLITS, dataset_split_by_hash
from forge.data.talk import TALK_ANSWERS
from forge.evals.answer_grading import is_plain_refusal
from forge.evals.gibberish import is_gibberish
from forge.tools import TOOL_NAMES, Toolbox
from forge.tools.builtin import TOOLS


def normalized(text: str) -> str:
    """Case, end marks and spacing removed; signs inside numbers and code kept."""
    return " ".join(text.lower().strip(" .?!").split())


def user_turn(dialogue: dialogues.Dialogue) -> str:
    return next(m["content"] for m in dialogue["messages"] if m["role"] == "user")


@pytest.fixture(scope="module")
def tool_draws() -> dict[str, list[dialogues.Dialogue]]:
    return {split: tool_dialogues(5000, 1, split) for split in get_args(Split)}


@pytest.fixture(scope="module")
def talk_draws() -> dict[str, list[dialogues.Dialogue]]:
    return {split: talk_dialogues(2000, 1, split) for split in get_args(Split)}


@pytest.fixture(scope="module")
def persona_draws() -> dict[str, list[dialogues.Dialogue]]:
    return {split: persona_dialogues(5000, 1, split) for split in get_args(Split)}


def test_prompts() -> None:
    assert all(name in TOOL_PROMPT for name in TOOL_NAMES)
    assert tuple(STYLES) == PERSONAS
    assert len(set(PERSONA_PROMPTS.values())) == 4


CALLED = ["user", "call", "result", "assistant"]


def test_tool_dialogues_have_the_agreed_form(tool_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    for split, rows in tool_draws.items():
        assert Counter(row["task"] for row in rows) == dict.fromkeys(TOOL_NAMES, 1000), split
        for row in rows:
            roles = [m["role"] for m in row["messages"]]
            assert roles in (["system", *CALLED], ["system", *CALLED, *CALLED])
            assert row["kind"] == "tool"
            assert row["expected"] == row["messages"][-2]["content"]
            assert 0 < row["difficulty"] <= 1
            for place in range(1, len(roles), 4):
                user, call, result, answer = (m["content"] for m in row["messages"][place : place + 4])
                assert call.split(" ", 1)[0] == row["task"]
                assert answer == render_answer_after_tool_result(result)
                assert "error" not in answer, call
                assert len(answer) >= len(result) > 0 or result.startswith("error:")
                assert not re.search(r"\{|\[\w+\||  ", user.replace("'  ", "'")), user  # print('  lamp '.strip())
                assert user == user.strip()
                assert 1 <= len(user.split()) <= 22
                assert len(result) <= 90


def test_some_dialogues_go_on_for_a_second_turn(tool_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    for rows in tool_draws.values():
        longer = [row for row in rows if len(row["messages"]) > 5]
        assert 0.01 < len(longer) / len(rows) < 0.08
        assert {row["task"] for row in longer} == set(TOOL_NAMES)
        assert all(row["messages"][2] != row["messages"][6] for row in longer)
        sums = [row for row in longer if row["task"] == "calculator"]
        assert all(row["messages"][3]["content"] in row["messages"][6]["content"] for row in sums)


def test_some_calls_fail_and_the_answer_says_so_in_plain_words(tool_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    """In every split and of every tool: up to a sixth where only the name of what is not there must be copied from the
    question, else up to 9 in 100.
    """
    for split, rows in tool_draws.items():
        failed = [row for row in rows if row["expected"].startswith("error:")]
        shares = Counter(row["task"] for row in failed)
        assert set(shares) == set(TOOL_NAMES), split
        assert all(share < (200 if tool in ("search", "file_reader") else 90) for tool, share in shares.items()), shares
        for row in failed:
            reason = row["expected"].removeprefix("error: ")
            assert row["messages"][-1]["content"] == f"I could not do that: {reason}.", row


def test_talk_needs_no_call(talk_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    for rows in talk_draws.values():
        answers = Counter(row["messages"][-1]["content"] for row in rows)
        assert set(answers) == set(TALK_ANSWERS.values())
        assert answers[TALK_ANSWERS["cannot"]] > 100
        for row in rows:
            assert [m["role"] for m in row["messages"]] == ["system", "user", "assistant"]
            assert (row["kind"], row["task"]) == ("tool", "talk")


def test_what_cannot_be_answered_is_refused_in_plain_words() -> None:
    for sort, answer in TALK_ANSWERS.items():
        refused = sort in ("cannot", "changes", "unknown", "statement", "nonsense")
        assert is_plain_refusal(answer) == refused
        assert not is_gibberish(answer)


WRITTEN = {
    "a negative operand": r"-\d+ ?[-+*/×÷]|[-+*/×÷] ?-\d|(minus|plus|times|over) -\d",
    "×": "×",
    "÷": "÷",
    "^": r"\^",
    "a remainder": r"\d ?% ?\d",
    "a percentage": r"\d% of",
    "a minus sign": "−",
    "digit groups": r"\d,\d{3}\b",
    "a decimal comma": r"\b\d+,\d{1,2}\b(?!,)",
    "decimals": r"\d\.\d",
    "money": r"[$€]\d|\d ?(euros|dollars|bucks|pounds|eur|€)",
    "words": r"\b(two|three|four|five|six|seven|eight|nine|ten|twelve)\b",
    "units": r"\d (hours|minutes|km|m|kg|cm|days|weeks|feet)\b",
    "nothing but a sum": r"^-?\d+ ?[-+*x/] ?-?\d+( =)?\??$",
}


@pytest.fixture(scope="module")
def sums() -> dict[str, list[dialogues.Dialogue]]:
    rng = random.Random(7)
    return {split: [tool_dialogue(rng, TOOLS[0], split) for _ in range(12000)] for split in get_args(Split)}


@pytest.mark.parametrize("form", list(WRITTEN))
def test_sums_are_written_as_people_write_them(form: str, sums: dict[str, list[dialogues.Dialogue]]) -> None:
    own = {split: [row for row in rows if re.search(WRITTEN[form], user_turn(row))] for split, rows in sums.items()}
    assert len(own["train"]) >= 10
    assert own["test"]
    assert own["val"] or form == "nothing but a sum"  # of one frame, which one held-out split has
    for row in itertools.chain.from_iterable(own.values()):
        if form == "digit groups":  # are understood
            assert not row["messages"][3]["content"].startswith("error: write")
        if form == "a decimal comma":  # how to write it
            assert row["messages"][3]["content"].startswith("error: write")


def test_a_failed_call_is_said_in_plain_words() -> None:
    assert render_answer_after_tool_result("7") == "7"
    assert render_answer_after_tool_result("error: division by zero") == "I could not do that: division by zero."
    assert render_answer_after_tool_result("error: no such file a.") == "I could not do that: no such file a."


def test_results_are_what_the_tools_return(tool_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    with Toolbox(timeout_s=10.0) as toolbox:
        for rows in tool_draws.values():
            for row in rows[:500]:
                calls = [m["content"] for m in row["messages"] if m["role"] == "call"]
                results = [m["content"] for m in row["messages"] if m["role"] == "result"]
                assert [toolbox.execute(call) for call in calls] == results, calls


ABROAD = {"candle": "chandelle", "chair": "chaise"}


def _without_own_words(code: str) -> str:
    """A line of Python without the words that are its own."""
    return re.sub(r"'(?:aeiou|calendar|odd|even|_)'", "", code)


def test_words_and_names_can_be_copied_from_the_user_turn(tool_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    """Words of code as they are; names of the database and the documents up to capitals and the plural."""
    for row in tool_draws["train"]:
        user, argument = user_turn(row), row["messages"][2]["content"].split(" ", 1)[1]
        if row["task"] == "code_executor":
            assert all(word in user for word in re.findall(r"'(\w+)'", _without_own_words(argument)))
        elif row["task"] == "database_query":
            stems = [name.lower().removesuffix("f") for name in re.findall(r"'(\w+)'", argument)]
            said = user.lower()
            assert all(stem in said or ABROAD.get(stem, "?") in said for stem in stems), (user, argument)
        elif row["expected"] == "error: nothing found":
            assert argument.lower() in user.lower()


@pytest.mark.parametrize("kind", ["tool", "talk", "persona"])
def test_no_user_turn_is_in_two_splits(kind: str, request: pytest.FixtureRequest) -> None:
    draws = request.getfixturevalue(f"{kind}_draws")
    turns = {split: {normalized(user_turn(row)) for row in rows} for split, rows in draws.items()}
    for one, other in itertools.combinations(turns, 2):
        assert not turns[one] & turns[other]
    assert all(len(found) > 40 for found in turns.values())


def test_arguments_are_held_out(tool_draws: dict[str, list[dialogues.Dialogue]]) -> None:
    """Calculator calls of test never occur in training; nor are their words reversed or counted there."""

    def calls(split: str, tool: str) -> set[str]:
        return {row["messages"][2]["content"] for row in tool_draws[split] if row["task"] == tool}

    for tool in ("calculator", "code_executor"):
        for one, other in itertools.combinations(SPLITS, 2):
            both = calls(one, tool) & calls(other, tool)
            # `print('LAMP'.lower())` is a word put into small letters, and a line of code to run.
            assert all(".lower())" in call and "train" not in (one, other) for call in both), both
    shares = Counter(dataset_split_by_hash(str(number)) for number in range(5000))
    assert 0.07 < shares["test"] / 5000 < 0.13
    assert 0.07 < shares["val"] / 5000 < 0.13


def test_every_intent_is_drawn_in_training_and_nearly_all_in_test() -> None:
    asked = {tool.name: {intent.argument for intent in tool.intents} for tool in TOOLS}
    for split, least in (("train", 1.0), ("test", 0.9)):
        for tool in TOOLS:
            rng = random.Random(5)
            calls = [tool_dialogue(rng, tool, split)["messages"][2]["content"] for _ in range(3000)]
            seen = {
                argument
                for argument in asked[tool.name]
                for pattern in [re.sub(r"\\\{\w+\\\}", ".+", re.escape(f"{tool.name} {argument}"))]
                if any(re.fullmatch(pattern, call) for call in calls)
            }
            assert len(seen) >= least * len(asked[tool.name]), asked[tool.name] - seen


def test_same_seed_same_dialogues_and_other_seeds_differ() -> None:
    assert tool_dialogues(50, 3, "train") == tool_dialogues(50, 3, "train")
    assert tool_dialogues(50, 3, "train") != tool_dialogues(50, 4, "train")
    assert talk_dialogues(50, 3, "train") == talk_dialogues(50, 3, "train") != talk_dialogues(50, 4, "train")
    assert persona_dialogues(50, 3, "val") == persona_dialogues(50, 3, "val")
    assert persona_dialogues(50, 3, "val") != persona_dialogues(50, 4, "val")
    assert tool_dialogues(0, 0, "test") == persona_dialogues(0, 0, "test") == []


def test_generation_is_quick() -> None:
    tool_dialogues(5, 9, "train")  # patterns are expanded and words are read once
    start = time.perf_counter()
    tool_dialogues(4000, 9, "train")
    assert time.perf_counter() - start < 5  # 0.5 s on an idle machine


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


def test_every_topic_is_told_in_plain_words() -> None:
    told = {tuple(message["content"] for message in row["messages"]) for row in fact_dialogues(3000, 1)}
    answers = {answer for _, _, answer in told}
    assert {system for system, _, _ in told} == {TOOL_PROMPT}
    assert answers >= {"Probability is a measure of chance.", "Practice three chords, then play slow songs."}
    assert len(answers) == len(CONCEPTS) + len(ACTIVITIES)
    assert not any(holds_held_out_text(user) for _, user, _ in told)
