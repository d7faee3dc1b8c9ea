"""The log of a run, the samples of the system, room on the disk."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forge.config import load_params
from forge.errors import ForgeError, Interrupted
from forge.files import atomic_write_text, read_json
from forge.host import disk
from forge.host.disk import check_host_disk_room, is_disk_full
from forge.host.sampling import GpuProbe, SystemSampler, find_host_probes
from forge.pipeline.layout.disk import run_bytes_in_layout, stage_bytes
from forge.pipeline.layout.phases import STAGES
from forge.pipeline.lifecycle.stage import stage_lifecycle
from forge.pipeline.records.logs import follow_run_logs, latest_lines, logging_to

ROOT = Path(__file__).resolve().parents[3]
LOG = logging.getLogger("forge.test")


# ---- the log -----------------------------------------------------------------------------------------------


def test_a_line_is_a_json_object_and_warnings_reach_the_person(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_to("edge") as log:
        LOG.info("a\nb", extra={"step": 3})
        LOG.warning("of %d", 5)
        LOG.debug("not this")
        logging.getLogger("urllib3").info("nor this")
        logging.getLogger("urllib3").warning("but this")
        LOG.info("elsewhere", extra={"stage": "data"})
    LOG.warning("after")
    (path,) = (project / ".forge/logs").iterdir()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(x["level"], x["stage"], x["message"], x.get("step")) for x in lines] == [
        ("info", "edge", "a b", 3),
        ("warning", "edge", "of 5", None),
        ("warning", "edge", "but this", None),
        ("info", "data", "elsewhere", None),
    ]
    assert all(set(line) <= {"time", "level", "stage", "message", "step"} for line in lines)
    assert log.warnings == 2
    assert "edge: of 5\n" in capsys.readouterr().err


def write_log(folder: Path, name: str, *lines: dict[str, Any], tail: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)


def line(second: int, stage: str = "data") -> dict[str, Any]:
    return {"time": f"2025-01-01T00:00:{second:02d}.000Z", "level": "info", "stage": stage, "message": str(second)}


def test_the_latest_lines_come_from_all_files_in_order(tmp_path: Path) -> None:
    assert latest_lines(tmp_path / "none", 5) == []
    write_log(tmp_path, "20250101T000001Z-data-1.jsonl", line(1), line(30), tail='{"half')
    write_log(tmp_path, "20250101T000002Z-cognate@reasoning-2.jsonl", line(2, "cognate@reasoning"), tail="[]\n")
    write_log(tmp_path, "20250101T000003Z-data-3.jsonl", line(3), line(4))
    told = [entry["message"] for entry in latest_lines(tmp_path, 3)]
    assert told == ["3", "4", "30"], "a long run's late lines count, though its file is the oldest"
    assert [entry["message"] for entry in latest_lines(tmp_path, 9)] == ["1", "2", "3", "4", "30"]
    for phase in ("cognate", "cognate@reasoning"):
        assert [entry["message"] for entry in latest_lines(tmp_path, 9, phase)] == ["2"]
    assert latest_lines(tmp_path, 9, "edge") == []


def test_following_shows_new_lines_of_new_files_too(tmp_path: Path) -> None:
    write_log(tmp_path, "a.jsonl", line(1))
    rounds = iter(range(4))

    def stop() -> bool:
        turn = next(rounds)
        if turn == 1:
            with open(tmp_path / "a.jsonl", "a") as stream:
                stream.write(json.dumps(line(2)) + '\n{"time": "2025')
            write_log(tmp_path, "b.jsonl", line(3), line(4, "edge"))
        if turn == 2:
            with open(tmp_path / "a.jsonl", "a") as stream:
                stream.write('-01-01", "stage": "data", "message": "whole now"}\n')
        return turn == 3

    seen = [entry["message"] for entry in follow_run_logs(tmp_path, "data", stop=stop, poll=0.0)]
    assert seen == ["2", "3", "whole now"]


# ---- samples -----------------------------------------------------------------------------------------------


def test_samples_are_lines_with_mean_and_peak_at_the_end(tmp_path: Path) -> None:
    sampler = SystemSampler(tmp_path, interval=0.01)
    sampler.start()
    while sampler.samples < 4:
        time.sleep(0.005)
    summary = sampler.stop()
    rows = [json.loads(text) for text in (tmp_path / "system.jsonl").read_text().splitlines()]
    assert len(rows) == sampler.samples >= 4
    assert {"time", "cpu_percent", "process_cpu_percent", "rss_gb", "ram_used_gb"} <= set(rows[0])
    assert summary["rss_gb_peak"] == max(row["rss_gb"] for row in rows) > 0.01
    assert summary["rss_gb_mean"] == pytest.approx(sum(row["rss_gb"] for row in rows) / len(rows), abs=1e-3)
    assert sampler.stop() == summary
    assert "system-sampler" not in {thread.name for thread in threading.enumerate()}
    again = SystemSampler(tmp_path, resumed=True, interval=60)
    again.start()
    assert again.stop()["ram_used_gb_peak"] > 0
    assert len((tmp_path / "system.jsonl").read_text().splitlines()) > len(rows)


def test_a_gpu_is_read_where_there_is_one() -> None:
    nvml = SimpleNamespace(
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=40 + 20 * handle),
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=3e9),
    )
    assert GpuProbe(nvml)() == {"gpu_utilization": 50, "vram_used_gb": 6.0}
    assert "cpu_percent" in find_host_probes()[0]()


def test_what_cannot_be_written_ends_the_samples_and_not_the_stage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sampler = SystemSampler(tmp_path / "gone")
    sampler.start()
    assert sampler.stop() == {}
    assert "the system is no longer sampled" in caplog.text


def publish(run: Any) -> None:
    for target in ("data/prepared", "data/workspace"):
        with run.building(target) as draft:
            atomic_write_text(draft / "f.txt", "x")
    run.record(headline={"rows": 1})


def test_a_stage_leaves_log_samples_and_their_summary(project: Path) -> None:
    with stage_lifecycle("data") as run:
        LOG.warning("beware", extra={"step": 1})
        publish(run)
    facts = read_json("results/data/run.json")
    assert facts["warnings"] == 1
    assert facts["system"]["rss_gb_peak"] > 0
    assert (project / ".forge/runs/data/system.jsonl").is_file()
    assert read_json(project / ".forge/runs/data/summary.json")["system/cpu_percent_mean"] >= 0
    told = [entry["message"] for entry in latest_lines(project / ".forge/logs", 9, "data")]
    assert told[:2] == ["started at scale smoke", "beware"]
    assert told[2].startswith("done in ")
    held = {p.name: p.read_bytes() for p in Path("data/prepared").iterdir()}
    assert set(held) == {"f.txt", "manifest.json"}
    assert b"rss" not in b"".join(held.values())


@pytest.mark.parametrize(
    "error", [ForgeError("no"), Interrupted(1, 2), RuntimeError("x"), KeyboardInterrupt()], ids=repr
)
def test_every_way_out_ends_the_samples(project: Path, error: BaseException) -> None:
    with pytest.raises((SystemExit, RuntimeError, KeyboardInterrupt)), stage_lifecycle("data"):
        raise error
    assert "system-sampler" not in {thread.name for thread in threading.enumerate()}
    assert logging.getLogger("forge").level == logging.NOTSET
    last = latest_lines(project / ".forge/logs", 1)[0]
    assert last["level"] == ("info" if isinstance(error, Interrupted) else "error")


SIGNALLED = textwrap.dedent(
    """
    import sys, time
    from forge.errors import Interrupted
    from forge.pipeline.lifecycle.stage import stage_lifecycle
    with stage_lifecycle("data") as run:
        print("ready", flush=True)
        while not run.stop_requested:
            time.sleep(0.01)
        raise Interrupted(3, 9)
    """
)


def test_a_signal_ends_a_stage_that_is_sampled(project: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SIGNALLED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1] == "data: paused at step 3 of 9; go on with: agent-forge run"
    assert (project / ".forge/runs/data/system.jsonl").read_text().endswith("\n")


# ---- disk --------------------------------------------------------------------------------------------------


def test_every_stage_asks_for_room_before_it_begins(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = load_params()
    needs = [stage_bytes(stage, params) for stage in STAGES]
    assert min(needs) > 0
    assert max(needs) < run_bytes_in_layout(params)
    usage = shutil.disk_usage(project)._replace(free=2**20)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(SystemExit) as refused, stage_lifecycle("data"):
        pytest.fail("it began")
    assert refused.value.code == 1
    assert "data needs 0.1 GiB free on the disk of" in capsys.readouterr().err
    with pytest.raises(ForgeError, match=r"scale smoke needs 0\.6 GiB free .* there are 0\.0; free some"):
        check_host_disk_room(run_bytes_in_layout(params), "scale smoke", project / "not" / "there" / "yet")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "w.bin"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
    ids=repr,
)
def test_a_disk_that_fills_up_is_told_in_one_line_and_leaves_no_half(
    project: Path, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert is_disk_full(error)
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))
    with pytest.raises(SystemExit) as ended, stage_lifecycle("data") as run, run.building("data/prepared") as draft:
        (draft / "half").write_text("x")
        raise error
    assert ended.value.code == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("data: the disk is full")
    assert "nothing half-written was kept" in message
    assert sorted(p.name for p in Path("data").iterdir()) == ["own"]


FILLING = textwrap.dedent(
    """
    from forge.files import atomic_write_bytes
    from forge.pipeline.lifecycle.stage import stage_lifecycle
    with stage_lifecycle("data") as run, run.building("data/prepared") as draft:
        for i in range(1000):
            run.progress(i, 1000)
            atomic_write_bytes(draft / f"f{i}", b"x" * 2_000_000)
    """
)
SMALL_DISK = "mount -t tmpfs -o size=110m none here && cp params.yaml here && cd here && mkdir -p data/own && "


@pytest.mark.skipif(
    subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode != 0
    if shutil.which("unshare")
    else True,
    reason="a small disk needs namespaces",
)
def test_a_small_disk_that_really_fills_up(project: Path) -> None:
    Path("here").mkdir()
    command = f"{SMALL_DISK} {sys.executable} -c '{FILLING}'; echo $?; find . -type f | sort"
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("data: the disk is full")
    code, *files = done.stdout.splitlines()
    assert code == "1"
    assert [f for f in files if not f.startswith("./.forge/")] == ["./params.yaml"]
    assert "./.forge/runs/data/status.json" in files


def test_a_full_disk_under_the_records_is_told_all_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status and log cannot be written either, and still the one line comes out."""

    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(SystemExit) as ended, stage_lifecycle("data") as run:
        monkeypatch.setattr(run.recording.tracker, "status", full)
        monkeypatch.setattr(run._log._stream, "write", full)
        run.progress(1, 2)
    assert ended.value.code == 1
    err = capsys.readouterr().err
    assert "data: the disk is full" in err
    assert "Traceback" not in err


def test_no_log_can_be_opened_on_a_full_disk(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    atomic_write_text(project / ".forge", "a file where the folder should be")
    with logging_to("data"):
        LOG.warning("still said")
    err = capsys.readouterr().err
    assert "data: no log is kept" in err
    assert "data: still said" in err
