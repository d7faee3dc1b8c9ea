"""An agent's calls: of the tools that are allowed, as sure as its metadata say, asked about where they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forge.errors import ForgeError
from forge.model.calling import Calibration
from forge.model.engine import Generation
from forge.runtime.agent import Agent
from forge.runtime.chat import ChatSession
from forge.runtime.load import load_agent
from tests.support.toy_agent import build_toy

ASK: list[Any] = [{"role": "user", "content": "What is 12+30?"}]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("name", ["toy", "agent.forge"])
def test_a_due_call_is_one_of_the_tools_that_are_allowed(home: Path, name: str) -> None:
    with load_agent(home / name) as agent:
        heard: list[str] = []
        for seed, allowed in enumerate((["calculator"], ["search"], ["search", "file_reader"])):
            reply = agent.reply(
                ASK,
                must_call=True,
                tools=allowed,
                max_new_tokens=1000,
                temperature=1.5,
                seed=seed,
                listen=lambda kind, text: heard.append(text) if kind == "call" else None,
            )
            assert reply.calls
            assert {call.name for call in reply.calls} <= set(allowed)
            assert all(0 <= call.confidence <= 1 for call in reply.calls)
            assert [call.text for call in reply.calls] == heard
            heard.clear()


def test_a_call_that_is_not_sure_enough_is_asked_about(home: Path) -> None:
    with load_agent(home / "toy") as agent:
        reply = agent.reply(ASK, must_call=True, max_new_tokens=1000, ask_below=1.0, temperature=1.5)
        assert reply.calls == []
        assert reply.asked is not None
        assert reply.text == f"Did you mean: {reply.asked.text}?"
        assert reply.asked.name in agent.tools


def test_tools_that_the_agent_does_not_have_are_refused(home: Path) -> None:
    with load_agent(home / "toy") as agent:
        with pytest.raises(ForgeError, match="unknown tool 'oven'; the agent knows calculator"):
            agent.reply(ASK, tools=["calculator", "oven"])
        with pytest.raises(ForgeError, match="no tool"):
            agent.call_rules(allowed=[])
        assert agent.call_rules().grammar is agent.call_rules(ask_below=0.5).grammar


def test_confidence_is_calibrated_as_the_metadata_say(home: Path) -> None:
    with load_agent(home / "toy") as agent:
        assert agent.call_rules().calibration == Calibration()
    with load_agent(home / "toy") as agent:
        agent.metadata.update(Calibration(0.5, 0.25).to_metadata())
        assert agent.call_rules().calibration == Calibration(0.5, 0.25)
    with load_agent(home / "toy") as agent:
        agent.metadata["call_confidence"] = {"slope": "x"}
        with pytest.raises(ForgeError, match="toy: call_confidence"):
            agent.reply(ASK)


@pytest.fixture
def unsure(home: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    """An agent whose every call is a doubtful sum, where doubts are asked about."""

    def scripted(model: Any, prompts: Any, *, rules: Any, execute: Any, **options: Any) -> list[Generation]:
        call = "calculator 12+30"
        if rules.ask_below > 0.3:
            return [Generation([1], text=f"Did you mean: {call}?", pending=call, unsure=True, confidences=[0.3])]
        return [Generation([1], [(call, execute(call))], text="It is 42.", confidences=[0.3])]

    monkeypatch.setattr("forge.model.engine.generate", scripted)
    return load_agent(home / "toy")


@pytest.mark.parametrize("word", ["yes", "Yes.", "OK", "yes, please!"])
def test_yes_in_a_chat_makes_the_call_that_was_asked_about(unsure: Agent, word: str) -> None:
    session = ChatSession(unsure, ask_below=0.5)
    assert session.ask("What is 12+30?").text == "Did you mean: calculator 12+30?"
    reply = session.ask(word)
    assert (reply.text, [(call.text, call.result) for call in reply.calls]) == (
        "It is 42.",
        [("calculator 12+30", "42")],
    )
    assert [turn[0]["content"] for turn in session.turns] == ["What is 12+30?"]
    assert session.ask(word).asked  # there was nothing to agree to: it is a question of its own
    unsure.close()


def test_another_answer_than_yes_is_a_new_question(unsure: Agent) -> None:
    session = ChatSession(unsure, ask_below=0.5)
    session.ask("What is 12+30?")
    assert session.ask("no").asked
    assert [turn[0]["content"] for turn in session.turns] == ["What is 12+30?", "no"]
    assert ChatSession(unsure).ask("What is 12+30?").text == "It is 42."
    unsure.close()
