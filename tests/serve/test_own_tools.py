"""A user's own tools behind the API: run here, or left to the client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from forge.cli.main import main
from forge.runtime.agent import Agent
from forge.tools.declared.reading import read_tools_file
from forge.tools.declared.schema import DeclaredPersona, DeclaredTool
from tests.support.scripted import script_engine, tiny_agent
from tests.support.served_agent import serving

HOUSE = Path(__file__).resolve().parents[2] / "examples" / "home" / "tools.yaml"
BELL = DeclaredTool.model_validate({"name": "bell"})
PIRATE = DeclaredPersona.model_validate(
    {"name": "pirate", "prompt": "Talk like a pirate.", "examples": [{"say": "hi", "answer": "ahoy"}]}
)
HALL = 'set_light {"name":"hall light","brightness":30}'
ASK: Any = [{"role": "user", "content": "x"}]


@pytest.fixture(scope="module")
def house() -> Iterator[Agent]:
    """Trained on the tools of the house, which run, and on a bell, which nothing rings."""
    file = read_tools_file(HOUSE)
    with replace(tiny_agent(), declared=(*file.tools, BELL), personas=(PIRATE,), tool_files=(file,)) as agent:
        yield agent


def _post(address: str, **body: Any) -> Any:
    client = OpenAI(base_url=address, api_key="none", max_retries=0, timeout=60)
    return client.chat.completions.create(model="toy", messages=ASK, max_tokens=200, **body)


def test_calls_of_own_tools_are_run_here(house: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [part for call in (HALL, "bell {}", "calculator 2+3") for part in ("[call]", call, "[result]")]
    for stream in (False, True):
        script_engine(monkeypatch, *parts, "Done.", "[end]")
        with serving(house, run_tools=True) as service:
            answer = _post(service.address, stream=stream)
            message = list(answer)[-1].choices[0].delta if stream else answer.choices[0].message
        assert stream or message.content == "Done."
        assert [(call["name"], call["result"]) for call in message.executed_calls] == [
            ("set_light", "hall light at 30 percent"),
            ("bell", None),
            ("calculator", "5"),
        ]
        assert json.loads(message.executed_calls[0]["arguments"]) == {"name": "hall light", "brightness": 30}
        monkeypatch.undo()


def test_a_call_that_nothing_here_runs_is_the_clients(house: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    script_engine(monkeypatch, "[call]", "calculator 2+3", "[result]", "[call]", HALL, "[result]", "[end]")
    with replace(house, tool_files=()) as unrun, serving(unrun, run_tools=True) as service:
        choice = _post(service.address).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert [call.function.name for call in choice.message.tool_calls] == ["set_light"]
    assert [call["result"] for call in choice.message.executed_calls] == ["5"]


def test_a_persona_of_the_users_is_known(house: Agent) -> None:
    with serving(house) as service:
        plain, persona = (_post(service.address, extra_body=body) for body in ({}, {"persona": "pirate"}))
        assert persona.usage.prompt_tokens > plain.usage.prompt_tokens
        with pytest.raises(openai.BadRequestError, match=r"unknown persona 'cat'; known: .*teacher, pirate"):
            _post(service.address, extra_body={"persona": "cat"})


def test_a_tools_file_is_for_calls_that_are_run(capsys: Any) -> None:
    assert main(["serve", "gone", "--tools-file", str(HOUSE)]) == 2
    assert "--tools-file goes with --run-tools" in capsys.readouterr().err
