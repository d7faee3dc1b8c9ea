"""Rotten bytes and full disks: found, named in one line, fixed or refused; no wrong model passes a handoff."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from forge.files import directory_files
from forge.interface.phase import Stage
from forge.pipeline.layout.phases import STAGES, layout_input_paths
from tests.faults.conftest import Finished
from tests.faults.lab import Lab, Running, Trap, flip
from tests.faults.server import NOT_ALLOWED
from tests.faults.torture import Victim, checkpoints

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, PDEATHSIG and subreapers"),
]
READERS = [phase for phase in STAGES if phase.name not in ("data", "tools", "report")]


def one_line(run: Running) -> str:
    """The only line that a refused stage prints, its exit code being 1."""
    assert run.wait() == 1
    assert run.lab.living() == []
    lines = run.output().strip().splitlines()
    assert "Traceback" not in run.output(), run.output()
    return lines[-1]


def damage(file: Path, how: str) -> None:
    if how == "flipped":
        flip(file)
    elif how == "cut short":
        data = file.read_bytes()
        file.unlink()
        file.write_bytes(data[:-1])
    elif how == "gone":
        file.unlink()
    else:
        (file.parent / "extra.safetensors").write_bytes(b"x")


# ---- what a stage reads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS, ids=lambda phase: phase.name)
def test_a_stage_refuses_damaged_inputs(lab: Lab, finished: Finished, tmp_path: Path, reader: Stage) -> None:
    """Any kind of file of any directory that it reads, one a directory; four ways to be wrong. No work begins."""
    branch = "reasoning" if reader.branched else None
    victim = finished.victim(lab, tmp_path / "project", reader.name, branch)
    victim.clear()
    ways = ["flipped", "cut short", "gone", "one too many"]
    for number, path in enumerate(layout_input_paths(reader)):
        files = [file for file in directory_files(victim.project / path) if file.stat().st_size]
        file = files[(number * 7 + READERS.index(reader)) % len(files)]
        good, how = file.read_bytes(), ways[number % len(ways)] if file.name != "manifest.json" else "flipped"
        damage(file, how)
        line = one_line(lab.start(victim.project, reader.name, branch))
        assert line.startswith(f"{victim.name}: "), (path, how, line)
        assert path in line, (path, how, line)
        assert victim.outputs() == {}, "something was published from damaged inputs"
        assert not list((victim.project / ".forge" / "checkpoints").glob("*/*/*")), "work began"
        file.unlink(missing_ok=True)
        file.write_bytes(good)
        (file.parent / "extra.safetensors").unlink(missing_ok=True)


# ---- checkpoints -----------------------------------------------------------------------------------------------


def interrupted(victim: Victim, share: float) -> dict[str, dict[int, bool]]:
    """Kill the stage when that share of it is done; its checkpoints."""
    victim.clear()
    event = int(victim.reference.events * share)
    run = victim.lab.start(victim.project, victim.phase.name, victim.branch, Trap(event, "SIGKILL", "stage"))
    assert run.wait() == 137
    assert victim.lab.living() == []
    return checkpoints(victim.project, victim.name)


@pytest.mark.parametrize("phase", ["trunk", "evomerge", "baking"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    lab: Lab, finished: Finished, tmp_path: Path, phase: str
) -> None:
    """Training, evolution, sampling. Afterwards both are damaged, and the stage starts from nothing."""
    victim = finished.victim(lab, tmp_path / "project", phase)
    loop = {"trunk": "train", "evomerge": "evolution", "baking": "trajectories"}[phase]
    share = {"trunk": 0.42, "evomerge": 0.8, "baking": 0.4}[phase]  # the trunk has one before and one after
    for spoiled in (1, 2):
        whole = sorted(step for step, good in interrupted(victim, share)[loop].items() if good)
        assert len(whole) in (2, 3), "three where it was killed between writing one and removing another"
        home = victim.project / ".forge" / "checkpoints" / victim.name
        for step in whole[-spoiled:]:
            (file,) = home.glob(f"*/{loop}/step-{step:08d}/state.safetensors")
            flip(file, 0.9)
        before = [step for step, good in checkpoints(victim.project, victim.name)[loop].items() if good]
        assert before == whole[:-spoiled]
        run = lab.start(victim.project, phase, None, Trap(10**9, "SIGKILL", "stage"))
        assert run.wait() == 0
        assert f"checkpoint step-{whole[-1]:08d} is damaged" in run.output()
        assert victim.outputs() == victim.reference.outputs
        if loop == "train":
            begun = [int(begin) for name, begin, _ in run.lines("loop") if name == loop]
            assert begun[0] == (before[-1] if before else 0)


# ---- space -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["data", "trunk", "compress"])
def test_a_file_that_cannot_be_written_stops_the_stage(
    lab: Lab, finished: Finished, tmp_path: Path, phase: str
) -> None:
    victim = finished.victim(lab, tmp_path / "project", phase)
    victim.clear()
    line = one_line(lab.start(victim.project, phase, file_limit=40_000))
    assert line.startswith(f"{phase}: "), line
    assert "File too large" in line
    assert victim.outputs() == {}
    blow = victim.finish()
    assert not blow.faults, blow


@pytest.mark.parametrize(("directory", "kib"), [("models", 100), (".forge/checkpoints", 400), (".forge", 400)])
def test_a_full_disk_stops_the_stage(lab: Lab, finished: Finished, tmp_path: Path, directory: str, kib: int) -> None:
    """A small file system where models, checkpoints or everything that a run remembers goes."""
    victim = finished.victim(lab, tmp_path / "project", "trunk")
    victim.clear()
    small = {"directory": str(victim.project / directory), "kib": kib}
    run = lab.start(victim.project, "trunk", small_disk=small)
    if run.wait() == NOT_ALLOWED:
        pytest.skip("mounting is not allowed here")
    line = one_line(run)
    assert line.startswith("trunk: "), line
    assert "No space left on device" in line or "GiB free on the disk of" in line
    assert victim.outputs() == {}
    blow = victim.finish()
    assert not blow.faults, blow
