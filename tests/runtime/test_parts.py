"""Questions that ask for several things, put to the committed agent: a part is answered as if it were asked alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.evals.answering import PARTED
from forge.runtime.agent import Agent
from forge.runtime.load import load_agent

pytestmark = pytest.mark.long
AGENT = Path(__file__).resolve().parents[2] / "agents" / "tiny.forge"


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    with load_agent(AGENT) as loaded:
        yield loaded


def _asked(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    ("first", "second", "joint"),
    [
        ("what is 17 times 23", "how much is the lamp?", " and "),
        ("12 times 12", "15 times 15", " and also "),
        ("spell lemon backwards", "read todo.txt", ", then "),
    ],
)
def test_a_part_is_answered_as_if_it_were_asked_alone(agent: Agent, first: str, second: str, joint: str) -> None:
    parts = [agent.reply(_asked(text)) for text in (first, second)]
    whole = agent.reply(_asked(first + joint + second))
    assert [call.text for part in parts for call in part.calls] == [call.text for call in whole.calls]
    assert whole.text == PARTED.join(part.text for part in parts)
    assert whole.tokens == sum(part.tokens for part in parts)
    assert [call.confidence for part in parts for call in part.calls] == [call.confidence for call in whole.calls]


def test_pieces_behind_the_last_call_are_the_text(agent: Agent) -> None:
    heard: list[tuple[str, str]] = []
    reply = agent.reply(
        _asked("what is 17 times 23 and how much is the lamp?"), listen=lambda *told: heard.append(told)
    )
    last = max(place for place, (kind, _) in enumerate(heard) if kind == "result")
    assert "".join(piece for kind, piece in heard[last + 1 :] if kind == "text") == reply.text == "391 / 25"
    assert [text for kind, text in heard if kind == "call"] == [call.text for call in reply.calls]
    assert not any(kind == "text" for kind, _ in heard[:last])


def test_a_part_that_fails_leaves_the_others(agent: Agent) -> None:
    reply = agent.reply(_asked("what is 5/0 and then what is 3*4"))
    assert reply.text == f"I could not do that: division by zero.{PARTED}12"


def test_what_the_caller_runs_is_not_cut(agent: Agent) -> None:
    reply = agent.reply(_asked("what is 17 times 23 and how much is the lamp?"), run=False)
    assert (len(reply.calls), reply.finish) == (1, "call")
