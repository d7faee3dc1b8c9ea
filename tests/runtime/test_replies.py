"""What a reply holds: calls with their arguments, text as it is written, and where it ends."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import forge
from forge.data.render import tokenize_text
from forge.errors import ForgeError
from forge.runtime.agent import Agent
from forge.runtime.writing import AnswerText
from forge.tools.declared.schema import DeclaredTool
from tests.support.scripted import script_engine, tiny_agent
from tests.support.tiny_models import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
QUESTION = [{"role": "user", "content": "What is 12 + 30?"}]


@pytest.fixture
def agent() -> Iterator[Agent]:
    with tiny_agent() as made:
        yield made


def test_a_call_has_a_name_arguments_a_confidence_and_a_result(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    script_engine(monkeypatch, "[call]", "calculator 12+30", "[result]", "42", "[end]")
    reply = agent.reply(QUESTION)
    (call,) = reply.calls
    assert (call.name, call.arguments, call.result) == ("calculator", {"expression": "12+30"}, "42")
    assert 0 < call.confidence < 1
    assert (reply.text, reply.finish) == ("42", "stop")


def test_a_call_can_be_left_to_the_caller_who_gives_its_result(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    script_engine(monkeypatch, "[call]", "calculator 12+30", "[result]", "forty-two", "[end]")
    reply = agent.reply(QUESTION, run=False)
    assert [(call.text, call.result) for call in reply.calls] == [("calculator 12+30", None)]
    assert (reply.text, reply.finish) == ("", "call")
    turns = [{"role": "call", "content": reply.calls[0].text}, {"role": "result", "content": "42"}]
    assert agent.reply([*QUESTION, *turns], run=False).text == "forty-two"


def test_a_call_that_must_be_made_is_made_of_a_tool_that_is_allowed(agent: Agent) -> None:
    for seed in range(2):
        options: dict[str, Any] = {"run": False, "temperature": 1.5, "seed": seed, "max_new_tokens": 400}
        (named,) = agent.reply(QUESTION, must_call="search", **options).calls
        assert (named.name, list(named.arguments)) == ("search", ["query"])
        (any_of,) = agent.reply(QUESTION, tools=["calculator", "file_reader"], must_call=True, **options).calls
        assert any_of.name in ("calculator", "file_reader")
        assert agent.reply(QUESTION, tools=False, **options).calls == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tools": ["dice"]}, "unknown tool 'dice'; the agent knows calculator, "),
        ({"tools": False, "must_call": True}, "a call is wanted of a tool that is not allowed"),
        ({"tools": ["search"], "must_call": "calculator"}, "a call is wanted of a tool that is not allowed"),
    ],
)
def test_tools_that_cannot_be_called_are_refused(agent: Agent, options: Any, words: str) -> None:
    with pytest.raises(ForgeError, match=words):
        agent.reply(QUESTION, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        *(
            ({"temperature": value}, "temperature .* is neither 0 nor")
            for value in (1e-40, -1.0, 1e9, math.inf, math.nan)
        ),
        *(({"seed": value}, "seed .* is not from 0 to") for value in (-1, 2**32, 2**64)),
    ],
)
def test_a_temperature_or_seed_out_of_bounds_is_refused(agent: Agent, options: Any, words: str) -> None:
    with pytest.raises(ForgeError, match=words):
        agent.reply(QUESTION, **options)


@pytest.mark.parametrize("stop", [(), ("a", "th")])
def test_the_pieces_that_are_told_are_the_text(agent: Agent, stop: tuple[str, ...]) -> None:
    shortened = 0
    asked = [{"role": "user", "content": "Hm"}]  # nothing that plainly needs a call
    for seed in range(6):
        heard: list[tuple[str, str]] = []
        options: dict[str, Any] = {"temperature": 1.0, "seed": seed, "max_new_tokens": 30, "thoughts": "off"}
        reply = agent.reply(asked, stop=stop, listen=lambda *told, heard=heard: heard.append(told), **options)
        last = max((i + 1 for i, (kind, _) in enumerate(heard) if kind == "result"), default=0)
        assert "".join(piece for _, piece in heard[last:]) == reply.text
        quiet = agent.reply(asked, **options)
        places = [quiet.text.find(end) for end in stop if end in quiet.text]
        assert reply.text == (quiet.text[: min(places)] if places else quiet.text)
        shortened += bool(places)
    assert (shortened > 0) == bool(stop)


def test_what_the_model_makes_of_a_failed_call_is_not_told(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = ("[call]", "calculator 1/0", "[result]", "dough", "[end]")
    script_engine(monkeypatch, *refused, *refused)
    heard: list[tuple[str, str]] = []
    reply = agent.reply(QUESTION, listen=lambda *told: heard.append(told))
    assert reply.text == "I could not do that: division by zero."
    assert [told for kind, told in heard if kind == "text"] == [reply.text]


def test_an_answer_can_be_ended(agent: Agent) -> None:
    asked: list[int] = []
    reply = agent.reply(QUESTION, tools=False, thoughts="off", ended=lambda: asked.append(1) or len(asked) == 3)
    assert reply.tokens <= 3


def test_characters_are_told_whole_whatever_tokens_they_are_made_of() -> None:
    """Against decoding all ids at once: bytes of characters, broken ones too, in all orders."""
    rng = random.Random(5)
    choices = [tokenize_text(TOKENIZER, text) for text in ("é", "日本", "😀", "cat", " ", "\n", "12")]
    ids = [token for part in choices for token in part]
    for _ in range(300):
        written = [token for part in rng.choices(choices, k=3) for token in part]
        written = written if rng.random() < 0.5 else rng.choices(ids, k=6)
        pieces: list[str] = []
        text = AnswerText(TOKENIZER, pieces.append)
        for size in range(1, len(written) + 1):
            text.watch(written[:size])
        assert all(not piece.endswith("\ufffd") for piece in pieces)
        text.finish()
        whole = TOKENIZER.decode(written)
        assert text.text == whole
        assert "".join(pieces) == (whole if whole.strip() else "")


def test_the_package_gives_load_agent_and_stays_light() -> None:
    code = (
        "import sys, forge; light = 'torch' not in sys.modules; from forge import load_agent;"
        "print(light, load_agent.__module__, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "forge.runtime.load", "False"]
    with pytest.raises(AttributeError, match="load_agents"):
        _ = forge.load_agents


def test_a_call_that_is_too_unsure_is_asked_about(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    script_engine(monkeypatch, "[call]", "calculator 12+30", "[result]")
    reply = agent.reply(QUESTION, ask_below=1.0)
    assert (reply.calls, reply.text, reply.finish) == ([], "Did you mean: calculator 12+30?", "stop")
    assert reply.asked is not None
    assert (reply.asked.arguments, reply.asked.result) == ({"expression": "12+30"}, None)


def test_calls_whose_tools_only_acknowledge_are_left_together(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"properties": {"name": {"type": "string", "enum": ["hall", "desk"]}}, "required": ["name"]}
    light = DeclaredTool.model_validate({"name": "light", "parameters": schema})
    level = DeclaredTool.model_validate({"name": "level", "parameters": schema, "results": ["42 percent"]})
    with Agent(agent.model, TOKENIZER, agent.path, "directory", declared=(light, level)) as own:
        for first, left in ((light, ["hall", "desk"]), (level, ["hall"])):
            calls = [f'{first.name} {{"name":"{name}"}}' for name in ("hall", "desk")]
            for several, expected in ((True, left), (False, left[:1])):
                script_engine(monkeypatch, *(part for call in calls for part in ("[call]", call, "[result]")), "[end]")
                heard: list[tuple[str, str]] = []
                reply = own.reply(QUESTION, run=False, several=several, listen=lambda *told, to=heard: to.append(told))
                monkeypatch.undo()
                assert [(call.arguments["name"], call.result) for call in reply.calls] == [(n, None) for n in expected]
                assert (reply.text, reply.finish, heard) == ("", "call", [])
