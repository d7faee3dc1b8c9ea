"""Which turns of a conversation a model is shown."""

from __future__ import annotations

import pytest

from forge.evals.answering import Message, turns_that_matter
from forge.model.calling import CallRules


class _Leans:
    """A grammar that knows which last turns lean on others."""

    def leans(self, asked: str) -> bool:
        return asked.splitlines()[-1].startswith("and")


RULES = CallRules(_Leans())  # type: ignore[arg-type]


def _talk(*said: str) -> list[Message]:
    """A system prompt, and turns of user and assistant in turn."""
    roles = ("user", "assistant")
    return [
        {"role": "system", "content": "Be brief."},
        *({"role": roles[n % 2], "content": t} for n, t in enumerate(said)),
    ]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (("hi",), ("hi",)),
        (("a?", "1", "b?"), ("b?",)),
        (("a?", "1", "and b?"), ("a?", "1", "and b?")),
        (("a?", "1", "b?", "2", "and c?"), ("b?", "2", "and c?")),
        (("a?", "1", "and b?", "2", "and c?"), ("a?", "1", "and b?", "2", "and c?")),
        (("lock", "Which one?", "the shed"), ("lock", "Which one?", "the shed")),
        (("hi", "What can I do?", "tell me what nine times nine is"), ("tell me what nine times nine is",)),
    ],
)
def test_a_model_sees_the_turn_that_the_last_one_leans_on(said: tuple[str, ...], shown: tuple[str, ...]) -> None:
    assert [m["content"] for m in turns_that_matter(_talk(*said), RULES)] == ["Be brief.", *shown]


def test_without_rules_all_turns_are_shown_and_a_result_belongs_to_its_turn() -> None:
    talk = _talk("a?", "1", "b?")
    assert turns_that_matter(talk, None) == turns_that_matter(talk, CallRules()) == talk
    called = [*talk, {"role": "call", "content": "search b"}, {"role": "result", "content": "2"}]
    assert [m["content"] for m in turns_that_matter(called, RULES)] == ["Be brief.", "b?", "search b", "2"]
