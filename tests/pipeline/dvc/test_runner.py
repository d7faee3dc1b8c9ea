"""`run_pipeline`: DVC's lines as events, refusals before any work, signals passed on."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from forge.config import load_params, set_param
from forge.errors import ForgeError
from forge.files import atomic_write_json
from forge.pipeline.dvc import runner
from forge.pipeline.dvc.runner import RunEvent, _Parser, run_pipeline
from forge.pipeline.records.logs import latest_lines

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]
STAGE = """
import sys, time
from forge.errors import ForgeError, Interrupted
from forge.files import atomic_write_json, atomic_write_text, read_json
from forge.pipeline.lifecycle.stage import stage_lifecycle
with stage_lifecycle("data") as run:
    if open("mode").read() == "fail":
        raise ForgeError("the disk is made of cheese")
    if open("mode").read() == "full":
        raise OSError(28, "No space left on device", "w.bin")
    for step in range(400):
        run.progress(step, 400)
        if open("mode").read() == "fast":
            break
        time.sleep(0.05)
        if open("mode").read() == "deaf" and run.stop_requested:
            break
        if run.stop_requested:
            raise Interrupted(step, 400)
    for target in ("data/prepared", "data/workspace"):
        with run.building(target) as draft:
            atomic_write_text(draft / "f.txt", "x")
    run.record(headline={"rows": 1})
"""
DVC_YAML = """
stages:
  data:
    cmd: exec python -m slow
    deps: [slow.py, mode]
    params: [seed]
    outs: [data/prepared, data/workspace]
    metrics:
      - results/data/metrics.json: {cache: false}
      - results/data/run.json: {cache: false}
  edge:
    cmd: python -c "open('edge.txt', 'w').write(open('data/prepared/f.txt').read())"
    deps: [data/prepared]
    params: [edge]
    outs: [edge.txt]
"""


@pytest.fixture(params=["/bin/bash", None], ids=["bash", "no SHELL"])
def any_shell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC starts stages by $SHELL, or by /bin/sh where there is none; the first replaces itself by a single command,
    the second stays between DVC and the stage."""
    if request.param is None:
        monkeypatch.delenv("SHELL", raising=False)
    else:
        monkeypatch.setenv("SHELL", request.param)


@pytest.fixture
def dvc_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two stages, the first with the real lifecycle, in a repository of its own."""
    shutil.copytree(ROOT / ".dvc", project / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    (project / "slow.py").write_text(STAGE)
    (project / "mode").write_text("fast")
    (project / "dvc.yaml").write_text(DVC_YAML)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(project / ".site"))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(project / ".global"))
    subprocess.run(["git", "init", "-q"], check=True)
    return project


def kinds(events: list[RunEvent]) -> list[tuple[str, str | None]]:
    return [(event.kind, event.stage) for event in events if event.kind != "output"]


def test_runs_skips_and_restores(dvc_project: Path) -> None:
    events: list[RunEvent] = []
    result = run_pipeline(on_event=events.append)
    assert result.exit_code == 0, result.message
    assert kinds(events) == [("start", "data"), ("done", "data"), ("start", "edge"), ("done", "edge")]
    assert any(event.line.startswith("> exec python -m slow") and event.stage == "data" for event in events)
    assert result.ran == ["data", "edge"]

    events.clear()
    again = run_pipeline(on_event=events.append)
    assert (again.ran, again.skipped) == ([], ["data", "edge"])
    assert kinds(events) == [("skip", "data"), ("skip", "edge")]

    before = Path("params.yaml").read_text()
    set_param("params.yaml", "edge.prune_ratio", 0.123)
    assert run_pipeline().ran == ["edge"]
    Path("params.yaml").write_text(before)
    assert run_pipeline().cached == ["edge"]
    assert run_pipeline("data", force=True).ran == ["data"]


def test_works_without_git(dvc_project: Path) -> None:
    shutil.rmtree(dvc_project / ".git")
    assert run_pipeline("data").exit_code == 0
    assert "no_scm" in (dvc_project / ".dvc/config.local").read_text()


def test_a_failed_stage_is_told_in_its_own_words(dvc_project: Path) -> None:
    Path("mode").write_text("fail")
    events: list[RunEvent] = []
    result = run_pipeline(on_event=events.append)
    assert result.exit_code == 1
    assert result.message == "data: the disk is made of cheese"
    assert kinds(events) == [("start", "data"), ("failed", "data")]


def test_dvcs_own_faults_are_told(dvc_project: Path) -> None:
    Path("dvc.yaml").write_text(DVC_YAML.replace("deps: [slow.py, mode]", "deps: [slow.py, gone]"))
    result = run_pipeline()
    assert result.exit_code == 1
    assert "gone" in result.message


@pytest.mark.usefixtures("any_shell")
def test_a_run_beside_another_is_refused_in_one_line(dvc_project: Path) -> None:
    Path("mode").write_text("slow")
    first = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.DEVNULL)
    dvc_pid = parent_of(wait_for_step(dvc_project, 1))
    second = run_pipeline()
    assert (second.exit_code, second.ran) == (1, [])
    assert second.message == f"another run is at work here (process {dvc_pid}); wait for it or stop it"
    first.terminate()
    assert first.wait(timeout=60) == 130


def test_a_lock_of_the_living_stays(project: Path) -> None:
    table = project / ".dvc/tmp/rwlock"
    runner.clear_dead_locks(project)
    table.parent.mkdir(parents=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    gone(dead.pid)  # dead, and a zombie until it is waited for
    for holders, stays in (([dead.pid], False), ([dead.pid, os.getpid()], True), ([2**22 + 1], False)):
        reads = [{"pid": pid, "cmd": "x"} for pid in holders]
        table.write_text(json.dumps({"read": {"a": reads}, "write": {"b": reads[0]}}))
        runner.clear_dead_locks(project)
        assert table.exists() is stays
    dead.wait()
    for half in ('{"write": {"models/edge": {"pid": 1', ""):
        table.write_text(half)
        runner.clear_dead_locks(project)
        assert not table.exists(), "its writer was killed"


def test_a_stop_at_the_end_of_a_stage_begins_no_other(dvc_project: Path) -> None:
    """A stage that is about to end when it is told to stop ends well; DVC by itself would go on with the next."""
    Path("mode").write_text("deaf")
    run = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True)
    wait_for_step(dvc_project, 1)
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 130, output
    assert Path("data/prepared").is_dir()
    assert not Path("edge.txt").exists()
    assert run_pipeline().ran == ["edge"]


def test_the_scale_is_written_into_the_file(dvc_project: Path) -> None:
    assert load_params().scale == "smoke"
    assert run_pipeline("data", scale="tiny").exit_code == 0
    assert load_params().scale == "tiny"
    assert "# The one dial" in Path("params.yaml").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "nope"}, "no stage named 'nope'"),
        ({"target": "cognate@nope"}, "no stage named 'cognate@nope'"),
        ({"target": "edge@reasoning"}, "no stage named 'edge@reasoning'"),
        ({"scale": "huge"}, "scale: 'huge' is not one of"),
    ],
)
def test_refusals_come_before_any_work(
    dvc_project: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], message: str
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **kwargs: pytest.fail("nothing may start"))
    before = Path("params.yaml").read_bytes()
    with pytest.raises(ForgeError, match=message):
        run_pipeline(**options)  # type: ignore[arg-type]
    assert Path("params.yaml").read_bytes() == before


def test_a_run_that_is_refused_for_want_of_room_leaves_the_scale_as_it_was(
    dvc_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **kwargs: pytest.fail("nothing may start"))
    monkeypatch.setattr(runner, "run_bytes_in_layout", lambda params: 2**60 if params.scale == "spec" else 0)
    before = Path("params.yaml").read_bytes()
    with pytest.raises(ForgeError, match="scale spec needs"):
        run_pipeline(scale="spec")
    assert Path("params.yaml").read_bytes() == before


@pytest.mark.parametrize("want", ["room", "right"])
def test_a_run_without_room_writes_no_scale(dvc_project: Path, monkeypatch: pytest.MonkeyPatch, want: str) -> None:
    before = Path("params.yaml").read_bytes()
    if want == "room":
        usage = shutil.disk_usage(dvc_project)._replace(free=2**20)
        monkeypatch.setattr("forge.host.disk.shutil.disk_usage", lambda path: usage)
    else:
        monkeypatch.setattr("forge.host.disk.os.access", lambda path, mode: False)
    with pytest.raises(ForgeError, match=r"scale tiny (needs|cannot write to)"):
        run_pipeline("data", scale="tiny")
    assert Path("params.yaml").read_bytes() == before


def test_another_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match=r"dvc\.yaml is missing"):
        run_pipeline(root=tmp_path)


def wait_for_step(project: Path, step: int) -> int:
    """Wait until the stage is that far; its process id."""
    status = project / ".forge/runs/data/status.json"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if status.exists():
            seen = json.loads(status.read_text())
            if seen["state"] == "running" and seen["step"] >= step:
                return int(seen["pid"])
        time.sleep(0.05)
    pytest.fail("the stage never got going")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


RUN = textwrap.dedent(
    """
    import sys
    from forge.pipeline.dvc.runner import run_pipeline
    result = run_pipeline()
    print(result.message)
    sys.exit(result.exit_code)
    """
)


@pytest.mark.usefixtures("any_shell")
@pytest.mark.skipif(sys.platform != "linux", reason="/proc and PDEATHSIG are Linux's")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_a_stopped_run_leaves_a_paused_stage_and_no_process(dvc_project: Path, number: int, code: int) -> None:
    Path("mode").write_text("slow")
    process = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True)
    stage_pid = wait_for_step(dvc_project, 2)
    dvc_pid = parent_of(stage_pid)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert gone(stage_pid)
    assert gone(dvc_pid)
    status = json.loads((dvc_project / ".forge/runs/data/status.json").read_text())
    assert status["state"] == "paused"
    if number != signal.SIGKILL:
        assert output.strip() == f"data: {status['note']}"
    Path("mode").write_text("fast")
    assert run_pipeline("data").exit_code == 0, "the next run must not trip over what the killed one left"


@pytest.mark.usefixtures("any_shell")
def test_a_killed_dvc_is_told_as_a_pause(dvc_project: Path) -> None:
    Path("mode").write_text("slow")

    def kill() -> None:
        os.kill(parent_of(wait_for_step(dvc_project, 1)), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    result = run_pipeline("data")
    killer.join()
    assert (result.exit_code, result.failed) == (130, "data")
    assert "paused at step" in result.message


def test_a_killed_stage_is_told_with_its_step_and_goes_on(dvc_project: Path) -> None:
    Path("mode").write_text("slow")
    killer = threading.Thread(target=lambda: os.kill(wait_for_step(dvc_project, 1), signal.SIGKILL))
    killer.start()
    result = run_pipeline("data")
    killer.join()
    assert (result.exit_code, result.failed) == (1, "data")
    assert re.match(r"data: killed at step \d+ of 400, by hand or by the system for want of memory", result.message)
    assert result.message.endswith("go on with: agent-forge run")


def test_a_full_disk_is_told_and_logged(dvc_project: Path) -> None:
    Path("mode").write_text("full")
    result = run_pipeline("data")
    assert (result.exit_code, result.failed) == (1, "data")
    assert result.message.startswith("data: the disk is full (No space left on device: w.bin); nothing")
    lines = latest_lines(dvc_project / ".forge/logs", 9)
    assert [line["stage"] for line in lines if line["level"] == "error"] == ["data"]
    assert lines[-1]["message"] == result.message
    parser = _Parser(lambda event: None)
    parser.feed("ERROR: unexpected error - [Errno 28] No space left on device: 'models/x'")
    runner._conclude_dvc_run(parser, 255, False, dvc_project, {})
    assert parser.result.message.startswith("pipeline: the disk is full")


def test_the_reason_is_told_whatever_the_clock_says(project: Path) -> None:
    """The clock was set back while the stage trained: what it said last is older than the beginning of the run."""
    file = project / ".forge/runs/edge/status.json"
    told = {"stage": "edge", "step": 3, "total": 9, "note": "", "pid": 1, "started": 5.0, "updated": 5.0}
    for state, note, stopped, message in (
        ("failed", "the loss is nan", False, "edge: the loss is nan"),
        ("paused", "paused at step 3 of 9", True, "edge: paused at step 3 of 9"),
        ("paused", "paused at step 3 of 9", False, "edge: paused at step 3 of 9"),
    ):
        atomic_write_json(file, {**told, "state": state, "note": note})
        parser = _Parser(lambda event: None)
        for line in ("Running stage 'edge':", "ERROR: failed to reproduce 'edge': exited with 1"):
            parser.feed(line)
        runner._conclude_dvc_run(parser, 255, stopped, project, {"edge": b"of an earlier run"})
        assert parser.result.message == message
        runner._conclude_dvc_run(parser, 255, False, project, {"edge": file.read_bytes()})
        assert "exited with 1" in parser.result.message, "that is what an earlier run said"


def test_lines_of_dvc_are_understood() -> None:
    events: list[RunEvent] = []
    parser = _Parser(events.append)
    for line in (
        "'data/raw.dvc' didn't change, skipping",
        "Stage 'a' didn't change, skipping",
        "Running stage 'cognate@reasoning':",
        "loss 1.0",
        "Running stage 'sub/dvc.yaml:b':",
        "Stage 'c' is cached - skipping run, checking out outputs",
        "Running stage 'd':",
        "ERROR: failed to reproduce 'd': failed to run: x, exited with 1",
    ):
        parser.feed(line)
    assert kinds(events) == [
        ("skip", "a"),
        ("start", "cognate@reasoning"),
        ("done", "cognate@reasoning"),
        ("start", "b"),
        ("done", "b"),
        ("cached", "c"),
        ("start", "d"),
        ("failed", "d"),
    ]
    assert [event.stage for event in events if event.line == "loss 1.0"] == ["cognate@reasoning"]
