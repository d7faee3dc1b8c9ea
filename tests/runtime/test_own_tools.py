"""A user's own tools in use: what a model's metadata declare, what a tools file runs, and what becomes of the rest."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forge.cli.main import main
from forge.errors import ForgeError
from forge.runtime.agent import Agent
from forge.runtime.chat import ChatSession
from forge.runtime.load import load_agent
from forge.tools.declared.reading import read_tools_file
from forge.tools.declared.schema import DeclaredTool
from tests.support.scripted import script_engine
from tests.support.toy_agent import build_toy, declare_in_metadata

HOUSE = Path(__file__).resolve().parents[2] / "examples" / "home" / "tools.yaml"
PIRATE = {"name": "pirate", "prompt": "Talk like a pirate.", "examples": [{"say": "hi", "answer": "ahoy"}]}
ASK: list[Any] = [{"role": "user", "content": "x"}]
HALL = 'set_light {"name":"hall light","brightness":30}'


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that were trained on the tools of the house, and on two that say nothing."""
    folder = tmp_path_factory.mktemp("models")
    quiet = [DeclaredTool.model_validate({"name": name}) for name in ("bell", "horn")]
    told = declare_in_metadata(*read_tools_file(HOUSE).tools, *quiet)
    return build_toy(folder, **told, declared_personas=[PIRATE])


@pytest.fixture(params=["toy", "agent.forge"])
def house(models: Path, request: pytest.FixtureRequest) -> Iterator[Agent]:
    with load_agent(models / request.param, tools=HOUSE) as agent:
        yield agent


@pytest.fixture
def unrun(models: Path) -> Iterator[Agent]:
    with load_agent(models / "toy") as agent:
        yield agent


def _call(*calls: str) -> list[str]:
    return [part for call in calls for part in ("[call]", call, "[result]")]


# ---- run ----


def test_calls_change_the_simulated_house(house: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = (
        'set_thermostat {"room":"study","temperature":17.5}',
        'read_temperature {"room":"study"}',
        "calculator 2+3",
        HALL,
    )
    script_engine(monkeypatch, *_call(*calls), "Done.", "[end]")
    reply = house.reply(ASK)
    assert [(call.text, call.result) for call in reply.calls] == [
        (calls[0], "study at 17.5 degrees"),
        (calls[1], "study: 17.5 degrees"),
        (calls[2], "5"),
        (calls[3], "hall light at 30 percent"),
    ]
    assert reply.calls[3].arguments == {"name": "hall light", "brightness": 30}
    assert (reply.text, reply.finish) == ("Done.", "stop")


def test_what_was_not_said_is_asked_for(house: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a model that carries no sentences, only what narrows its calls."""
    heard: list[tuple[str, str]] = []
    script_engine(monkeypatch, "[call]")
    asked: list[Any] = [{"role": "user", "content": "make the light 40 percent bright"}]
    reply = house.reply(asked, tools=["set_light"], listen=lambda kind, text: heard.append((kind, text)))
    assert (reply.text, reply.calls, reply.asked, reply.finish) == ("Which light?", [], None, "stop")
    assert heard == [("text", "Which light?")]


@pytest.mark.parametrize("seed", range(5))
def test_a_call_holds_what_was_said_whatever_the_model_would_write(
    house: Agent, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    script_engine(monkeypatch, "[call]")
    asked: list[Any] = [{"role": "user", "content": "make the hall light 40 percent bright"}]
    reply = house.reply(asked, tools=["set_light"], run=False, temperature=1.5, seed=seed, max_new_tokens=400)
    (call,) = reply.calls
    assert call.arguments == {"name": "hall light", "brightness": 40}


def test_an_answer_has_four_calls_at_most(house: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    script_engine(monkeypatch, *_call(*["calculator 1+1"] * 4), "Done.", "[end]")
    assert len(house.reply(ASK).calls) == 4


def test_a_chat_runs_calls_and_shows_them(models: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    script_engine(
        monkeypatch,
        *_call("add_to_list rye bread"),
        "Done.",
        "[end]",
        *_call("remove_from_list rye bread"),
        "off the list: rye bread",
        "[end]",
        *_call("remove_from_list rye bread"),
        "[end]",
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO("add rye bread\ntake it off\ntake it off again\n"))
    assert main(["chat", str(models / "agent.forge"), "--tools-file", str(HOUSE)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  [call] add_to_list rye bread",
        "  [result] on the list: rye bread",
        "agent> Done.",
        "  [call] remove_from_list rye bread",
        "  [result] off the list: rye bread",
        "agent> off the list: rye bread",
        "  [call] remove_from_list rye bread",
        "  [result] error: rye bread is not on the list",
        "agent> I could not do that: rye bread is not on the list.",
    ]


FAILING = """
import os

def bell():
    raise ValueError("no\\nbell")

def horn():
    os._exit(3)
"""


def test_a_tool_that_fails_is_one_plain_sentence(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loud.py").write_text(FAILING)
    (tmp_path / "a.yaml").write_text("tools: [{name: bell, run: {python: 'loud:bell'}}]")
    (tmp_path / "b.yaml").write_text("tools: [{name: horn, run: {python: 'loud:horn'}}]")
    for call, words in (("bell {}", "no bell"), ("horn {}", "ended")):
        with load_agent(models / "toy", tools=tmp_path) as agent:
            script_engine(monkeypatch, *_call(call), "All is well.", "[end]")
            reply = agent.reply(ASK)
            monkeypatch.undo()
        assert reply.text.startswith("I could not do that: ")
        assert words in reply.text
        assert "\n" not in reply.text


def test_tools_of_an_mcp_server_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One from PyPI, imported by the command, run by an agent that was trained on what the import wrote."""
    pytest.importorskip("mcp_server_time")
    file = tmp_path / "time.yaml"
    assert main(["tools", "import", "mcp:python -m mcp_server_time", "-o", str(file)]) == 0
    toy = build_toy(tmp_path, **declare_in_metadata(*read_tools_file(file).tools)) / "agent.forge"
    times = '{"source_timezone":"Asia/Tokyo","time":"12:00","target_timezone":"Asia/Kolkata"}'
    with load_agent(toy, tools=file) as agent:
        script_engine(
            monkeypatch, *_call(f"convert_time {times}", "get_current_time Mars"), "Half past eight.", "[end]"
        )
        reply = agent.reply(ASK, max_new_tokens=1000)
    first, second = reply.calls
    assert "T08:30:00+05:30" in str(first.result)
    assert str(second.result).startswith("error: ")
    assert reply.text.startswith("I could not do that: ")


# ---- not run ----


def test_without_a_tools_file_a_call_is_the_product(unrun: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    script_engine(monkeypatch, *_call("bell {}", "horn {}"), "Done.", "[end]")
    heard: list[tuple[str, str]] = []
    reply = unrun.reply(ASK, listen=lambda *told: heard.append(told))
    assert [(call.text, call.result) for call in reply.calls] == [("bell {}", None), ("horn {}", None)]
    assert (reply.text, reply.finish) == ("Done.", "stop")
    assert heard[:2] == [("call", "bell {}"), ("call", "horn {}")]
    assert {kind for kind, _ in heard[2:]} == {"text"}
    assert "".join(piece for _, piece in heard[2:]) == "Done."


def test_a_call_whose_result_only_its_tool_knows_ends_the_answer(unrun: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    script_engine(monkeypatch, *_call("calculator 2+3", HALL), "Done.", "[end]")
    reply = unrun.reply(ASK)
    assert [(call.name, call.result) for call in reply.calls] == [("calculator", "5"), ("set_light", None)]
    assert (reply.text, reply.finish) == ("", "call")
    assert unrun.execute("bell {}") == "ok"
    assert unrun.execute("calculator 2+3") == "5"


def test_a_chat_shows_calls_that_are_not_run(models: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    script_engine(monkeypatch, *_call("bell {}"), "Rung.", "[end]", *_call(HALL))
    monkeypatch.setattr(sys, "stdin", io.StringIO("ring\nlight\n"))
    assert main(["chat", str(models / "toy"), "--history", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["  [call] bell {}", "agent> Rung.", f"  [call] {HALL}"]
    script_engine(monkeypatch, *_call(HALL))
    assert main(["generate", str(models / "toy"), "light", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["text"], told["calls"][0]["call"], told["calls"][0]["result"]) == ("", HALL, None)


def test_what_was_not_run_is_remembered_as_done(unrun: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    script_engine(monkeypatch, *_call(HALL))
    session = ChatSession(unrun, history=2)
    session.ask("light")
    assert [message["content"] for message in session.turns[0]] == ["light", HALL, "ok", "ok"]
    session.ask("and now?")


# ---- files that do not fit ----


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tools: [{name: honk}]", r"t\.yaml:1: \S+toy was not trained to call honk; it knows set_light, set_lock, "),
        (
            "tools:\n- name: bell\n  parameters: {properties: {n: {type: integer}}}",
            r"t\.yaml:3: bell: \S+toy was trained on other parameters",
        ),
        ("tools: [{name: calculator}]", "calculator is a built-in tool"),
        ("tools: []", "holds no tools"),
    ],
)
def test_tools_that_the_model_was_not_trained_on_are_refused(
    models: Path, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(ForgeError, match=words):
        load_agent(models / "toy", tools=tmp_path / "t.yaml")


def test_descriptions_may_differ(models: Path, tmp_path: Path) -> None:
    text = HOUSE.read_text().replace("type: integer, ", "description: A number., type: integer, ")
    (tmp_path / "t.yaml").write_text(text)
    with load_agent(models / "toy", tools=tmp_path) as agent:
        assert "set_light" not in agent.unrun
        assert agent.unrun == {"bell", "horn"}


def test_a_folder_without_tools_files_and_a_model_without_own_tools(tmp_path: Path) -> None:
    toy = build_toy(tmp_path / "m") / "toy"
    with pytest.raises(ForgeError, match="was not trained to call set_light; nor any other of your own"):
        load_agent(toy, tools=HOUSE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ForgeError, match="no tools file"):
        load_agent(toy, tools=tmp_path / "empty")
    with load_agent(toy) as agent:
        assert agent.declared == ()


# ---- personas ----


def test_a_users_persona_is_its_prompt(
    unrun: Agent, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    known = "helpful, researcher, technical, teacher, pirate"
    prompt: list[Any] = [{"role": "system", "content": PIRATE["prompt"]}]
    assert unrun.count_prompt_tokens(ASK, "pirate") == unrun.count_prompt_tokens([*prompt, *ASK])
    session = ChatSession(unrun)
    assert session.command("/persona") == f"no persona; there are: {known}"
    assert session.command("/persona pirate") == "persona is pirate"
    script_engine(monkeypatch, "Ahoy!", "[end]")
    assert main(["generate", str(models / "toy"), "hi", "--persona", "pirate"]) == 0
    assert capsys.readouterr().out == "Ahoy!\n"
    monkeypatch.setattr("forge.runtime.load.load_agent", None)  # an unknown one is refused before anything is loaded
    for command in (["chat"], ["generate", "--", "hi"]):
        assert main([command[0], "--persona", "cat", str(models / "toy"), *command[2:]]) == 2
        assert (
            "unknown persona 'cat'; known: helpful, researcher, technical, teacher, pirate" in capsys.readouterr().err
        )


# ---- scores ----


def test_own_tools_are_scored_beside_the_words(models: Path, capsys: Any) -> None:
    line = ["eval", str(models / "agent.forge"), "--own-tools", str(HOUSE), "--n", "12", "--seed", "3"]
    assert main([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["n"], told["seed"], told["trained"], len(told["tools"])) == (12, 3, True, 15)
    assert told["model"].keys() == told["word_matcher"].keys() == {"categories", "calls", "idle"}
    assert sum(part["n"] for part in told["model"]["categories"].values()) == 12
    assert main(line) == 0
    table = capsys.readouterr().out
    assert "word matcher" in table
    assert "15 tools, 12 held-out rows, seed 3" in table
    for option in (["--no-tools"], ["--tasks", "gcd"], ["--questions", "choose"], ["--ask-below", "0.5"]):
        assert main([*line, *option]) == 2
        assert f"{option[0].replace('no-', '')} does not go with --own-tools" in capsys.readouterr().err
