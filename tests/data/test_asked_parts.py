"""Questions that ask built-in tools for several things, cut into one for each; and what must not be cut."""

from __future__ import annotations

import random

import pytest

from forge.data.asked_forms import forms_of_training_questions
from forge.data.asked_parts import MOST_PARTS, parts_of_question
from forge.data.dialogues import talk_dialogues, tool_dialogues
from forge.data.tasks import SUITE, draw_problems
from forge.tools import Toolbox
from forge.tools.builtin import TOOLS


@pytest.fixture(scope="module")
def names() -> frozenset[str]:
    """Of things in the built-in workspace."""
    with Toolbox() as tools:
        known = [tools.words_of_call(tool.name, "") for tool in TOOLS]
    return frozenset(word.lower() for words in known if words for word in words.names if len(word) > 2)


def _parts(text: str, names: frozenset[str]) -> tuple[str, ...]:
    return parts_of_question(forms_of_training_questions(), text, names)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("what is 17 times 23 and how much is the lamp?", ("what is 17 times 23", "how much is the lamp?")),
        ("capital of Cuba? where does Ana live?", ("capital of Cuba", "where does Ana live?")),
        ("spell lemon backwards, then read todo.txt", ("spell lemon backwards", "read todo.txt")),
        ("read todo.txt, then menu.txt and diary.txt", ("read todo.txt", "menu.txt", "diary.txt")),
        ("how much are the lamp and the chair together?", ()),
        ("add 12 and 30", ()),
        ("the sum of 12, 30 and 7", ()),
        ("hello and thanks", ()),
        ("", ()),
        (" and then ", ()),
        ("5 and 6 " * 40, ()),
    ],
)
def test_cut_where_both_sides_surely_ask(text: str, parts: tuple[str, ...], names: frozenset[str]) -> None:
    assert _parts(text, names) == parts


def test_one_request_is_not_cut(names: frozenset[str]) -> None:
    asked = [row["messages"][1]["content"] for row in tool_dialogues(3000, 11, "val")]
    asked += [row["messages"][1]["content"] for row in talk_dialogues(600, 11, "val")]
    cut = [text for text in asked if _parts(text, names)]
    assert len(cut) <= 0.003 * len(asked), cut
    assert not any(_parts(item.prompt, names) for task in SUITE for item in draw_problems(task, 3, 40, "val"))


def test_two_requests_mostly_are(names: frozenset[str]) -> None:
    rows = [row for row in tool_dialogues(1200, 12, "train") if len(row["messages"]) == 5]
    rng, found = random.Random(0), []
    for _ in range(300):
        first, second = (row["messages"][1]["content"].rstrip(".?") for row in rng.sample(rows, 2))
        parts = _parts(f"{first} and {second}", names)
        found.append(len(parts) == 2)
        assert len(parts) <= MOST_PARTS
    assert sum(found) >= 0.4 * len(found)
