"""What a person is told when a call failed, or when the model said nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from forge.runtime.agent import NO_ANSWER, Agent

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
    made = SimpleNamespace(text=text, calls=calls, ids=[1], steps=1.0)
    monkeypatch.setattr("forge.runtime.agent.answer_all", lambda *_, **__: [made])
    agent = Agent(model=None, tokenizer=None, path=Path("toy"), kind="file")  # type: ignore[arg-type]
    reply = agent.reply([{"role": "user", "content": "x"}])
    assert (reply.text, reply.calls) == (said, calls)
