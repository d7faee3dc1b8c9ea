"""What a person is told when a call failed, when a thought did not end, or when the model said nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forge.evals.answering import NO_ANSWER, RETRY_TEMPERATURE, with_tool_result_shown
from forge.model.engine import Generation
from forge.runtime.agent import Agent, Call, Reply, readable_agent_reply
from tests.support.tiny_models import tiny_tokenizer

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
    made = Generation([1], calls, text=text, confidences=[0.5] * len(calls))
    monkeypatch.setattr("forge.runtime.agent.answer_all", lambda *_, **__: [made])
    reply = _toy().reply([{"role": "user", "content": "x"}])
    tries = 2 if calls and calls[-1] == DIVIDED else 1
    assert (reply.text, [(call.text, call.result) for call in reply.calls]) == (said, calls * tries)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (Generation([2], [ADDED], text="3", confidences=[0.6]), "3"),
        (Generation([2], [DIVIDED], text="3", confidences=[0.6]), "I could not do that: division by zero."),
        (Generation([2], text="dough"), "I could not do that: division by zero."),
    ],
)
def test_a_call_that_its_tool_refuses_is_tried_once_more(
    second: Generation, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, asked = Generation([1], [DIVIDED], text="0", confidences=[0.5]), []

    def answer(*_: Any, temperature: float, seed: int, **__: Any) -> list[Generation]:
        asked.append((temperature, seed))
        return [first if len(asked) == 1 else second]

    monkeypatch.setattr("forge.runtime.agent.answer_all", answer)
    reply = _toy().reply([{"role": "user", "content": "x"}])
    assert asked == [(0.0, 0), (RETRY_TEMPERATURE, 1)]
    assert (reply.text, reply.tokens) == (said, 2)
    assert [(call.text, call.result) for call in reply.calls] == [DIVIDED, *second.calls]


def test_a_call_that_the_caller_runs_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Generation([1], [DIVIDED], text="0", confidences=[0.5])]
    monkeypatch.setattr("forge.runtime.agent.answer_all", lambda *_, **__: [made.pop()])
    _toy().reply([{"role": "user", "content": "x"}], run=False)
    assert not made


@pytest.mark.parametrize(
    ("question", "text", "calls", "said"),
    [
        ("hello", "Hello! What can I do for you?", [], "Hello! What can I do for you?"),
        ("hello", "ererappot dindel wixxle frub", [], NO_ANSWER),
        ("hello", "dough dough dough dough", [], NO_ANSWER),
        ("what is 1+2?", "ererappot dindel wixxle", [ADDED], "3"),
        ("spell 'ererappot' backwards", "toppareré ererappot", [("code_executor x", "toppareré")], None),
        ("wie hoch ist der turm in meiner stadt?", "der turm ist achtzig meter hoch", [], None),  # own data in German
        ("wie hoch ist der turm in meiner stadt?", "turm turm turm turm", [], NO_ANSWER),
    ],
)
def test_gibberish_is_never_shown(question: str, text: str, calls: list[tuple[str, str]], said: str | None) -> None:
    made = [Call("t", {}, call, 0.9, result) for call, result in calls]
    assert readable_agent_reply(Reply(text, made, "", 4, 1.0, "stop"), question).text == (
        text if said is None else said
    )


@pytest.mark.parametrize(
    ("result", "text", "said"),
    [
        ("3", "3", "3"),
        ("error: no such lamp", "lamp", "I could not do that: no such lamp."),
        ("3", "", "3"),
    ],
)
def test_a_result_that_the_caller_gives_counts_as_that_of_a_call(
    result: str, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forge.runtime.agent.answer_all", lambda *_, **__: [Generation([1], text=text)])
    turns = [("user", "x"), ("call", "calculator 1+2"), ("result", result)]
    assert _toy().reply([{"role": role, "content": content} for role, content in turns]).text == said


def _toy() -> Agent:
    return Agent(model=None, tokenizer=tiny_tokenizer(), path=Path("toy"), kind="file")


def test_an_answer_without_room_is_not_judged_by_half_a_word() -> None:
    for text, said in (
        ("Hel", "Hel"),
        ("I can calcu", "I can calcu"),
        ("dough dough dough dou", NO_ANSWER),
        ("a " + "moon" * 9, NO_ANSWER),
        ("moon" * 64, NO_ANSWER),
        ("dough\ndough\ndough\ndou", NO_ANSWER),
    ):
        assert readable_agent_reply(Reply(text, [], "", 4, 1.0, "length"), "hello").text == said


HALF = Generation([1, 2, 3])
WHOLE = Generation([1, 2, 3, 4], thought="1+2=3", text="3")
CALLED = Generation([1, 2], [ADDED], confidences=[0.5])


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


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "3"),
        ({"calls": [DIVIDED]}, "I could not do that: division by zero."),
        ({"text": "It is 3."}, "It is 3."),
        ({"calls": []}, ""),
        ({"finished": False}, ""),  # there was no room for an answer that may have been on its way
        ({"pending": "calculator 2+2"}, ""),  # a further call waits for the caller
    ],
)
def test_an_answer_that_adds_nothing_shows_the_result(changes: dict[str, Any], text: str) -> None:
    made = Generation(calls=[ADDED], finished=True)
    assert with_tool_result_shown(replace(made, **changes)).text == text
