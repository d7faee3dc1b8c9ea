"""Records of a run: JSONL, W&B offline, DVCLive, and what happens when one of them fails."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge.errors import ForgeError
from forge.files import read_json
from forge.pipeline.records import recorder
from forge.pipeline.records.recorder import consume_recorder_lines, record_dvclive_headline, thin
from forge.pipeline.records.tracking import (
    Tracker,
    drop_partial_line,
    finite_recorded_numbers,
    keep_tracking_offline,
    nest_recorded_values,
    read_recorded_status,
    read_series,
    record_all_metrics,
)


def lines(*messages: dict[str, Any]) -> list[str]:
    return [json.dumps(message) for message in messages]


def start(directory: Path) -> dict[str, Any]:
    directory.mkdir(parents=True, exist_ok=True)
    return {"event": "start", "stage": "edge", "prefix": "edge", "directory": str(directory), "config": {"a": 1}}


def finish(results: Path, curve: str | None = None, **headline: Any) -> dict[str, Any]:
    message = {"event": "finish", "summary": {"all": 1}, "headline": headline, "results": str(results)}
    return {**message, "curve": curve}


@given(st.lists(st.integers(), unique=True, max_size=400).map(sorted), st.integers(2, 50))
def test_thinning_keeps_both_ends_and_the_order(steps: list[int], limit: int) -> None:
    kept = thin(steps, limit)
    assert len(kept) <= limit
    assert kept == sorted(set(kept))
    assert set(kept) <= set(steps)
    if len(steps) <= limit:
        assert kept == steps
    elif steps:
        assert (kept[0], kept[-1], len(kept)) == (steps[0], steps[-1], limit)


@given(st.dictionaries(st.from_regex(r"[a-c]{1,2}(/[d-f]{1,2}){0,2}", fullmatch=True), st.integers()))
def test_nesting_keeps_every_value_or_refuses(flat: dict[str, int]) -> None:
    clash = any(other.startswith(name + "/") for name in flat for other in flat)
    if clash:
        with pytest.raises(ForgeError, match="metric"):
            nest_recorded_values(flat)
        return
    tree = nest_recorded_values(flat)
    for name, value in flat.items():
        node: Any = tree
        for part in name.split("/"):
            node = node[part]
        assert node == value


def test_numbers_become_plain() -> None:
    plain = finite_recorded_numbers({"a": np.float32(0.5), "b": True, "c": 3})
    assert plain == {"a": 0.5, "b": 1, "c": 3}
    assert {type(value) for value in plain.values()} == {float, int}
    with pytest.raises(ForgeError, match="'d' is not a finite number"):
        finite_recorded_numbers({"d": np.inf})


def test_the_network_is_off_unless_the_user_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    keep_tracking_offline()
    assert os.environ["WANDB_MODE"] == "offline"
    assert os.environ["HF_HUB_OFFLINE"] == "0"


def test_a_series_is_read_with_its_last_word(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    rows = [
        {"step": 2, "time": 0, "a": 1},
        {"step": 1, "time": 0, "a": 5},
        {"step": 2, "time": 1, "a": 3, "b": 4},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 3, "ti')
    drop_partial_line(path)
    assert read_series(path) == {1: {"a": 5}, 2: {"a": 3, "b": 4}}
    drop_partial_line(tmp_path / "absent.jsonl")
    (tmp_path / "only").write_text("half a line")
    drop_partial_line(tmp_path / "only")
    assert (tmp_path / "only").read_bytes() == b""


def test_headline_and_curves_are_written(tmp_path: Path) -> None:
    series = {step: {"train/loss": 1.0 / (step + 1), "noise": 1.0} for step in range(1000)}
    record_dvclive_headline(finish(tmp_path / "r", "train/loss", quality={"x": 1}), series)
    rows = (tmp_path / "r/plots/metrics/train/loss.tsv").read_text().strip().split("\n")
    assert len(rows) == 1 + recorder.MAX_POINTS
    assert rows[-1].startswith("999\t")
    assert not list((tmp_path / "r").rglob("noise*"))
    assert read_json(tmp_path / "r/metrics.json")["quality"] == {"x": 1}


def test_a_running_mean_is_kept_in_place_of_single_batches(tmp_path: Path) -> None:
    series = {step: {"train/loss": float(step % 2), "train/loss_avg_100": 0.5, "val/loss": 1.0} for step in range(4)}
    record_dvclive_headline(finish(tmp_path / "r", "train/loss"), series)
    kept = sorted(path.name for path in (tmp_path / "r/plots").rglob("*.tsv"))
    assert kept == ["loss.tsv", "loss_avg_100.tsv"]
    assert (tmp_path / "r/plots/metrics/val/loss.tsv").is_file()


def test_a_missing_curve_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    run = tmp_path / "runs" / "edge"
    text = "\n".join(lines(start(run), finish(tmp_path / "r", "train/loss")))
    (run / "metrics.jsonl").write_text('{"step": 0, "time": 0, "other": 1}\n')
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    monkeypatch.setattr(signal, "signal", lambda *args: None)
    monkeypatch.setattr(os, "chdir", lambda path: None)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert recorder.main() == 1
    assert "'train/loss' was never logged" in capsys.readouterr().out


def test_the_recorder_ends_with_its_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(signal, "signal", lambda *args: None)
    monkeypatch.setattr(os, "chdir", lambda path: None)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for text in ("", json.dumps(start(tmp_path / "runs/edge"))):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        assert recorder.main() == 0


def fake_wandb(monkeypatch: pytest.MonkeyPatch, fail_at: str = "") -> list[tuple[str, Any]]:
    """A W&B that notes what it is told (axes apart) and raises at one of its calls."""
    told: list[tuple[str, Any]] = []
    axes: list[tuple[str, str | None]] = []

    class Summary(dict[str, Any]):
        pass

    class FakeRun:
        summary = Summary()

        def define_metric(self, name: str, step_metric: str | None = None) -> None:
            axes.append((name, step_metric))

        def log(self, metrics: dict[str, Any]) -> None:
            told.append(("log", metrics))
            if fail_at == "log":
                raise OSError("disk full")

        def finish(self, exit_code: int) -> None:
            told.append(("finish", exit_code))
            if fail_at == "finish":
                raise OSError("disk full")

    def init(**options: Any) -> FakeRun:
        told.append(("init", options))
        if fail_at == "init":
            raise OSError("disk full")
        return FakeRun()

    fake = types.SimpleNamespace(init=init, Settings=lambda **options: options, axes=axes, summary=FakeRun.summary)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setenv("WANDB_MODE", "offline")
    return told


def log_line(step: int) -> dict[str, Any]:
    return {"event": "log", "step": step, "metrics": {"a": step}}


@pytest.mark.parametrize("fail_at", ["", "init", "log", "finish"])
def test_wandb_failing_does_not_fail_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fail_at: str
) -> None:
    told = fake_wandb(monkeypatch, fail_at)
    run = tmp_path / "runs" / "edge"
    messages = lines(start(run), log_line(0), log_line(1), finish(tmp_path / "r", quality=1))
    (run / "metrics.jsonl").write_text("")
    consume_recorder_lines(messages)
    assert read_json(tmp_path / "r/metrics.json")["quality"] == 1
    assert ("disk full" in capsys.readouterr().err) is bool(fail_at)
    expected = {"init": 1, "log": 2, "finish": 4, "": 4}[fail_at]
    assert len(told) == expected, "after its first failure it is left alone"
    assert told[0][1]["mode"] == "offline"
    assert Path(told[0][1]["dir"]) == tmp_path


def test_names_carry_the_phase_and_have_an_axis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, run = fake_wandb(monkeypatch), tmp_path / "runs" / "cognate@reasoning"
    begin = {**start(run), "prefix": "cognate/model_1"}
    (run / "metrics.jsonl").write_text("")
    consume_recorder_lines(lines(begin, log_line(7), finish(tmp_path / "r")))
    fake = sys.modules["wandb"]
    assert fake.axes == [("cognate/model_1/global_step", None), ("cognate/model_1/*", "cognate/model_1/global_step")]
    assert told[1] == ("log", {"cognate/model_1/a": 7, "cognate/model_1/global_step": 7})
    assert fake.summary == {"cognate/model_1/all": 1}


def test_all_metrics_are_an_object_of_a_line_each(tmp_path: Path) -> None:
    """No list, which `dvc plots` would draw."""
    path, values = tmp_path / "all.json", {"b/x": np.float32(0.5), "a": True, "name": "cpu", "ladder": [1], "map": {}}
    record_all_metrics(path, "edge", values)
    wanted = {"edge/a": 1, "edge/b/x": 0.5, "edge/name": "cpu"}
    assert list(read_json(path).items()) == list(wanted.items())
    assert len(path.read_text().splitlines()) == 2 + len(wanted)
    before = path.read_bytes()
    record_all_metrics(path, "edge", dict(reversed(values.items())))
    assert path.read_bytes() == before
    with pytest.raises(ForgeError, match="'late' is not a finite number"):
        record_all_metrics(path, "edge", {"late": float("nan")})
    assert path.read_bytes() == before
    record_all_metrics(path, "edge", {})
    assert read_json(path) == {}


def test_an_unfinished_run_is_marked_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = fake_wandb(monkeypatch)
    consume_recorder_lines(lines(start(tmp_path / "runs" / "edge"), log_line(0)))
    assert told[-1] == ("finish", 1)
    assert not (tmp_path / "r").exists()


def test_wandb_really_records_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    tracker = Tracker("edge", tmp_path / ".forge/runs/edge", config={"steps": 1}, resumed=False)
    tracker.log(0, {"train/loss": 0.5, "detail/x": 1})
    tracker.finish({"detail/y": 2}, {"quality/x": 3}, tmp_path / "results/edge", "train/loss")
    (log,) = (tmp_path / ".forge/wandb").glob("offline-run-*/*.wandb")
    content = log.read_bytes()
    assert b"edge/detail/x" in content
    assert b"edge/detail/y" in content
    assert b"edge/global_step" in content
    kept = read_json(tmp_path / "results/edge/all_metrics.json")
    assert kept == {"edge/train/loss": 0.5, "edge/detail/x": 1, "edge/detail/y": 2}
    assert read_json(tmp_path / "results/edge/metrics.json")["quality"] == {"x": 3}


def test_a_dead_recorder_costs_the_plots_not_the_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = Tracker("edge", tmp_path / "runs/edge", config={}, resumed=False)
    process = tracker._recorder
    assert process is not None
    process.kill()
    process.wait()
    for step in range(3):
        tracker.log(step, {"a": step})
    assert capsys.readouterr().err.count("recorder has died") == 1
    assert len(read_series(tmp_path / "runs/edge/metrics.jsonl")) == 3
    with pytest.raises(ForgeError, match="recorder died before it could write"):
        tracker.finish({}, {}, tmp_path / "r", None)
    tracker.abandon("failed", note="n")


def test_the_recorder_ignores_the_terminals_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = Tracker("edge", tmp_path / "runs/edge", config={}, resumed=False)
    process = tracker._recorder
    assert process is not None
    while b"recorder" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
        time.sleep(0.01)
    deadline = time.monotonic() + 20
    ignored = 0
    while not ignored & (1 << (signal.SIGTERM - 1)):
        assert time.monotonic() < deadline
        text = Path(f"/proc/{process.pid}/status").read_text()
        ignored = int(next(x for x in text.splitlines() if x.startswith("SigIgn")).split()[1], 16)
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    tracker.finish({}, {"a": 1}, tmp_path / "r", None)
    assert read_json(tmp_path / "r/metrics.json")["a"] == 1


def test_status_tells_pace_and_is_written_twice_a_second_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    clock = types.SimpleNamespace(now=1000.0, day=1.7e9)
    monkeypatch.setattr(
        "forge.pipeline.records.tracking.time",
        types.SimpleNamespace(time=lambda: clock.day, monotonic=lambda: clock.now),
    )
    tracker = Tracker("edge", tmp_path / "e", config={}, resumed=False)
    clock.now += 10
    clock.day -= 7200  # somebody sets it back: what is told goes on
    tracker.status("running", 5, 25, throttle=True)
    clock.now += 0.1
    tracker.status("running", 6, 25, throttle=True)
    first = read_recorded_status(tmp_path / "e")
    assert first is not None
    assert (first["step"], first["seconds_left"]) == (5, None)
    clock.now += 9.9
    tracker.status("running", 10, 25, throttle=True)
    second = read_recorded_status(tmp_path / "e")
    assert second is not None
    assert (second["step"], second["seconds_left"]) == (10, pytest.approx(30.0))
    clock.now += 50
    tracker.status("running", 2, 100, throttle=True)  # the next loop of the stage has a pace of its own
    clock.now += 10
    tracker.status("running", 4, 100, throttle=True)
    third = read_recorded_status(tmp_path / "e")
    assert third is not None
    assert third["seconds_left"] == pytest.approx(10 / 2 * 96)
    tracker.abandon("paused", 10, 25, "n")
    assert read_recorded_status(tmp_path / "nowhere") is None


@pytest.mark.parametrize("text", ["[]", "{}", "5", '{"state": 1}', '{"state": "running", "pid": "x"}', "[[["])
def test_a_status_of_another_form_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "status.json").write_text(text)
    with pytest.raises(ForgeError, match=r"status\.json: not"):
        read_recorded_status(tmp_path)


def test_with_nobody_left_the_recorder_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracker = Tracker("edge", tmp_path / "e", config={}, resumed=False)
    recorder = tracker._recorder
    assert recorder is not None
    with monkeypatch.context() as patch:
        patch.setattr(recorder, "communicate", lambda: pytest.fail("waited"))
        tracker.abandon("paused", 1, 2, "n", wait=False)
    status = read_recorded_status(tmp_path / "e")
    assert status is not None
    assert status["state"] == "paused"
    assert recorder.stdout is not None
    recorder.stdout.close()
    assert recorder.wait(timeout=60) == 0, "it ends with its pipe"
