"""`agent-forge eval --questions`: shares, answers, and options that do not go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forge.evals.free_questions import read_free_questions
from forge.evals.verdicts import VERDICTS
from forge.model.engine import Generation
from tests.support.toy_agent import build_toy


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy(tmp_path_factory.mktemp("models"))


@pytest.fixture
def calculating(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that calls the calculator whatever it is asked, and tells what it gave."""

    def scripted(model: Any, prompts: list[list[int]], **options: Any) -> list[Generation]:
        call = "calculator 17*23"
        return [Generation([1], [(call, options["execute"](call))], text="391") for _ in prompts]

    monkeypatch.setattr("forge.model.engine.generate", scripted)


def test_shares_are_printed_and_answers_shown(home: Path, call: Any, calculating: None) -> None:
    told = call("eval", home / "toy", "--questions", "choose")
    assert "wrong 0." in told.out
    assert "junk or empty 0.000" in told.out
    assert "whats 17 times 23" not in told.out
    shown = call("eval", home / "toy", "--questions", "choose", "--show").out
    assert "right   whats 17 times 23\n        calculator 17*23 -> 391\n        391\n" in shown
    assert all(" / ".join(question.turns) in shown for question in read_free_questions("choose"))


def test_json_has_shares_intervals_and_with_show_every_answer(home: Path, call: Any, calculating: None) -> None:
    found = call("eval", home / "toy", "--questions", "report", "--json").json
    assert set(found) == {"questions", "n", "shares", "ci95", "junk_or_empty", "failed_calls", "kinds"}
    assert (found["questions"], found["n"]) == ("report", len(read_free_questions("report")))
    assert list(found["shares"]) == list(VERDICTS)
    assert sum(found["shares"].values()) == pytest.approx(1.0)
    assert all(low <= found["shares"][name] <= high for name, (low, high) in found["ci95"].items())
    answers = call("eval", home / "toy", "--questions", "report", "--show", "--json").json["answers"]
    assert [answer["id"] for answer in answers] == [question.id for question in read_free_questions("report")]
    assert answers[0]["calls"] == [["calculator 17*23", "391"]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--questions", "choose", "--tasks", "gcd"), "--tasks"),
        (("--questions", "choose", "--no-tools"), "--tools"),
        (("--questions", "choose", "--workspace", "."), "--workspace"),
        (("--questions", "secret"), "'choose', 'report'"),
        (("--show",), "--questions"),
    ],
)
def test_options_that_do_not_go_together(home: Path, call: Any, options: tuple[str, ...], words: str) -> None:
    told = call("eval", home / "toy", *options)
    assert told.code == 2
    assert words in told.err
