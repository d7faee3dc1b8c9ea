"""`agent-forge run`: what it tells before, during and after, and how it ends."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forge.cli import run, run_progress
from forge.cli.run_progress import Watcher
from forge.files import atomic_write_json
from forge.pipeline.dvc.runner import RunEvent, RunResult
from forge.pipeline.dvc.states import StageState
from forge.pipeline.report.overview import overview_last_stage_seconds

ROOT = Path(__file__).resolve().parents[2]


def _scripted_run(events: list[RunEvent], result: RunResult) -> Callable[..., RunResult]:
    def run_pipeline(target: str | None, scale: str | None, on_event: Callable[[RunEvent], None]) -> RunResult:
        for event in events:
            on_event(event)
        return result

    return run_pipeline


def test_run_tells_what_is_skipped_what_runs_and_how_to_talk(
    unrun: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    atomic_write_json(unrun / "results" / "trunk" / "run.json", {"stage": "trunk", "scale": "tiny", "seconds": 90})
    agent = unrun / "models" / "compress" / "agent.forge"
    events = [
        RunEvent("skip", "data"),
        RunEvent("start", "trunk"),
        RunEvent("output", "trunk", "> exec python -m stages.trunk"),
        RunEvent("output", "trunk", "step 5"),
        RunEvent("done", "trunk", seconds=61.0),
        RunEvent("cached", "evomerge"),
    ]
    result = RunResult(ran=["trunk"], skipped=["data"], cached=["evomerge", "compress"], seconds=65.0)

    def run_pipeline(*arguments: Any) -> RunResult:
        agent.parent.mkdir(parents=True, exist_ok=True)
        agent.write_bytes(b"x")
        return _scripted_run(events, result)(*arguments)

    monkeypatch.setattr("forge.pipeline.dvc.runner.run_pipeline", run_pipeline)
    told = call("run")
    assert told.code == 0
    assert "[2/16] data: skipped, nothing that it reads has changed" in told.out
    assert "[4/16] trunk: running (never ran here)" in told.out
    assert "    step 5\n" in told.out
    assert "python -m stages" not in told.out
    assert "[4/16] trunk: done in 1 min 01 s" in told.out
    assert "evomerge: skipped, restored" in told.out
    assert told.out.splitlines()[-1] == "talk to the agent: agent-forge chat models/compress/agent.forge"
    found = call("run", "--json").json
    assert found == {
        "ran": ["trunk"],
        "skipped": ["data", "evomerge", "compress"],
        "failed": None,
        "seconds": 65.0,
        "agent": "models/compress/agent.forge",
    }


def test_an_agent_is_recommended_that_this_run_made_and_that_can_answer(
    unrun: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = unrun / "models" / "compress" / "agent.forge"
    agent.parent.mkdir(parents=True)
    agent.write_bytes(b"x")
    monkeypatch.setattr("forge.pipeline.dvc.runner.run_pipeline", _scripted_run([], RunResult(ran=["trunk"])))
    assert "agent.forge" not in call("run", "--phase", "cognate").out
    assert call("run", "--phase", "cognate", "--json").json["agent"] is None
    assert "of an earlier run" in call("status").out
    monkeypatch.setattr("forge.pipeline.dvc.runner.run_pipeline", _scripted_run([], RunResult(skipped=["compress"])))
    told = call("run", "--scale", "smoke").out
    assert "talk to" not in told
    assert "agent.forge is of scale smoke" in told


@pytest.mark.parametrize("code", [1, 130])
def test_a_failed_run_says_why_and_keeps_its_exit_code(
    unrun: Path, call: Any, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    events = [RunEvent("start", "data"), RunEvent("failed", "data", seconds=2.0)]
    result = RunResult(exit_code=code, ran=["data"], failed="data", message="data: no room")
    monkeypatch.setattr("forge.pipeline.dvc.runner.run_pipeline", _scripted_run(events, result))
    told = call("run", "--json")
    assert (told.code, told.err) == (code, "agent-forge: data: no room\n")
    assert told.json["failed"] == "data"
    assert told.json["agent"] is None
    assert "data: stopped after 2 s" in told.out


def test_run_refuses_an_unknown_phase_before_anything_starts(unrun: Path, call: Any) -> None:
    told = call("run", "--phase", "nine")
    assert told.code == 1
    assert "no phase 'nine'" in told.err


def test_a_phase_ends_the_plan_and_branches_belong_to_their_phase() -> None:
    states = [StageState(name, "new") for name in ("data", "cognate@a", "cognate@b", "evomerge")]
    assert [s.name for s in run._stages_planned_by_command(states, "cognate")] == ["data", "cognate@a", "cognate@b"]
    assert [s.name for s in run._stages_planned_by_command(states, "cognate@a")] == ["data", "cognate@a"]
    assert run._stages_planned_by_command(states, None) == states


def test_time_left_comes_from_earlier_runs_at_the_same_scale(tmp_path: Path) -> None:
    for stage, scale, seconds in (("a", "tiny", 10), ("b", "tiny", 20), ("c", "spec", 999)):
        path = tmp_path / "results" / stage / "run.json"
        atomic_write_json(path, {"stage": stage, "scale": scale, "seconds": seconds})
    assert overview_last_stage_seconds(tmp_path, "tiny") == {"a": 10.0, "b": 20.0}
    said: list[str] = []
    states = [StageState("a", "stale", "x"), StageState("b", "stale", "x"), StageState("f", "fresh")]
    watcher = Watcher(states, {"a": 10.0, "b": 20.0}, said.append)
    assert watcher.seconds_left() == 30.0
    watcher.on_event(RunEvent("start", "a"))
    assert watcher.seconds_left() == pytest.approx(30.0, abs=1.0)
    watcher.on_event(RunEvent("done", "a", seconds=12.0))
    assert watcher.seconds_left() == 20.0
    assert said[-1] == "[1/3] a: done in 12 s, about 20 s left"
    assert Watcher(states, {"a": 10.0}, said.append).seconds_left() is None
    watcher.on_event(RunEvent("start", "g"))
    assert said[-1] == "[1/3] g: running"


def test_the_terminal_shows_steps_and_time_left(unrun: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from rich.console import Console

    states = [StageState("data", "fresh"), StageState("trunk", "new", "never ran here")]
    watcher = Watcher(states, {"trunk": 300.0}, print)
    status = {"state": "running", "step": 5, "total": 40, "note": "loss 2.5"}
    atomic_write_json(unrun / ".forge" / "runs" / "trunk" / "status.json", status)
    shown: list[str] = []

    def run_pipeline(target: Any, scale: Any, on_event: Callable[[RunEvent], None]) -> RunResult:
        on_event(RunEvent("skip", "data"))
        on_event(RunEvent("start", "trunk"))
        console = Console(width=120, file=io.StringIO(), record=True)
        console.print(run_progress.terminal_progress_line(watcher, "tiny"))
        shown.append(console.export_text())
        on_event(RunEvent("done", "trunk", seconds=1.0))
        return RunResult(ran=["trunk"])

    monkeypatch.setattr("forge.pipeline.dvc.runner.run_pipeline", run_pipeline)
    assert run._run_on_terminal(None, None, watcher, "tiny").ran == ["trunk"]
    assert "about 5 min 00 s left" in shown[0]
    assert "5/40 loss 2.5" in shown[0]
    assert "trunk: done in 1 s" in capsys.readouterr().out
    assert "unknown" in _rendered(Watcher(states, {}, print))


def _rendered(watcher: Watcher) -> str:
    from rich.console import Console

    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(run_progress.terminal_progress_line(watcher, "tiny"))
    return console.export_text()
