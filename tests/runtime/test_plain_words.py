"""What a person is told when a call failed, when a thought did not end, or when the model said nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forge.evals.answering import NO_ANSWER
from forge.model.engine import Generation
from forge.runtime.agent import Agent

DIVIDED = ("calculator 1/0", "error: division by zero")
ADDED = ("calculator 1+2", "3")


@pytest.mark.parametrize(
    ("text", "calls", "said"),
    [
        ("3", [ADDED], "3"),
        ("Hello!", [], "Hello!"),
        ("dddivis 0 zer", [DIVIDED], "I could not do that: division by zero."),
        ("", [DIVIDED], "I could not do that: division by zero."),
        ("3", [DIVIDED, ADDED], "3"),  # the second attempt went well
        ("3", [ADDED, DIVIDED], "I could not do that: division by zero."),
        ("", [ADDED], "3"),  # no room was left to repeat the result
        ("", [], NO_ANSWER),
        (" \n\t", [], NO_ANSWER),
    ],
)
def test_an_answer_is_never_empty_and_says_what_failed(
    text: str, calls: list[tuple[str, str]], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forge.runtime.agent.answer_all", lambda *_, **__: [Generation([1], calls, text=text)])
    reply = _toy().reply([{"role": "user", "content": "x"}])
    assert (reply.text, reply.calls) == (said, calls)


def _toy() -> Agent:
    return Agent(model=None, tokenizer=None, path=Path("toy"), kind="file")  # type: ignore[arg-type]


HALF = Generation([1, 2, 3])
WHOLE = Generation([1, 2, 3, 4], thought="1+2=3", text="3")
CALLED = Generation([1, 2], [ADDED])


@pytest.mark.parametrize(
    ("thoughts", "first", "asked", "said", "thought"),
    [
        ("auto", WHOLE, ["auto"], "3", "1+2=3"),
        ("on", WHOLE, ["on"], "3", "1+2=3"),
        ("off", HALF, ["off"], NO_ANSWER, ""),
        ("auto", HALF, ["auto", "off"], "4", ""),
        ("on", HALF, ["on", "off"], "4", ""),
        ("on", CALLED, ["on"], "3", ""),  # what a tool found is an answer
    ],
)
def test_half_a_thought_is_no_answer(
    thoughts: Any, first: Generation, asked: list[str], said: str, thought: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, wanted = [first, Generation([1], text="4")], []

    def answer(*_: Any, thoughts: str, **__: Any) -> list[Generation]:
        wanted.append(thoughts)
        return [answers[len(wanted) - 1]]

    monkeypatch.setattr("forge.runtime.agent.answer_all", answer)
    reply = _toy().reply([{"role": "user", "content": "x"}], thoughts=thoughts)
    assert (wanted, reply.text, reply.thought) == (asked, said, thought)
