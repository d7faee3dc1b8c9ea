"""The doctor: every fault is found, told with its fix, and fixed where that is safe."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from forge.config import load_params
from forge.errors import ForgeError
from forge.files import atomic_write_json, atomic_write_text, write_manifest
from forge.host import disk
from forge.pipeline.dvc import locks
from forge.pipeline.dvc.lockfile import Cache, dvc_md5_of_file
from forge.pipeline.dvc.runner import run_pipeline
from forge.pipeline.dvc.states import stage_states
from forge.pipeline.layout.phases import find_stage_in_layout
from forge.pipeline.lifecycle.checkpoints import CheckpointHome, stage_checkpoint_key
from forge.pipeline.registry.store import put, registry_event_row, registry_path, writing_registry
from forge.pipeline.upkeep import doctor
from forge.pipeline.upkeep.doctor import apply_fixes, examine
from forge.pipeline.upkeep.findings import Finding
from tests.support.rot import flip
from tests.support.toy_project import foreign_repository

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]
STAGES = """
stages:
  data:
    cmd: python -c "import os; os.mkdir('out'); open('out/a', 'w').write('a'); open('out/b', 'w').write('b')"
    params: [seed]
    outs: [out]
  edge:
    cmd: python -c "open('edge.txt', 'w').write(open('out/a').read() * 3)"
    deps: [out]
    outs: [edge.txt]
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose two stages have run; tests copy it."""
    root = tmp_path_factory.mktemp("finished")
    text = (ROOT / "params.yaml").read_text().replace("\nscale: tiny\n", "\nscale: smoke\n")
    (root / "params.yaml").write_text(text)
    (root / "dvc.yaml").write_text(STAGES)
    (root / "data" / "own").mkdir(parents=True)
    shutil.copytree(ROOT / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        result = run_pipeline(root=root)
    assert result.exit_code == 0, result.message
    return root


@pytest.fixture
def here(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(finished, tmp_path / "p", symlinks=True)
    monkeypatch.chdir(tmp_path / "p")
    for name in ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, "CHECKS", tuple(c for c in doctor.CHECKS if c is not doctor.diagnose_packages))
    return tmp_path / "p"


def wrong(root: Path, check: str | None = None) -> list[Finding]:
    return [f for f in examine(root) if f.state == "wrong" and check in (None, f.check)]


def fixed(root: Path) -> list[str]:
    """Fix everything; what was done. Nothing is wrong afterwards."""
    done = [finding.fix for finding in apply_fixes(examine(root)) if finding.state == "fixed"]
    assert wrong(root) == []
    return done


def test_a_sound_project_has_nothing_wrong(here: Path) -> None:
    found = examine(here)
    assert {finding.state for finding in found} == {"ok"}
    assert {"device", "parameters", "disk", "dvc.lock", "rwlock", "experiments", "checkpoints", "cache", "git"} == {
        finding.check for finding in found
    }
    assert apply_fixes(found) == found


# ---- dvc.lock ----------------------------------------------------------------------------------------------


def test_a_truncated_lock_file_is_refused_and_restored_without_running_anything(here: Path) -> None:
    lock = here / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[: 2 * len(whole) // 3])
    for start in (lambda: run_pipeline(root=here), lambda: stage_states(here)):
        with pytest.raises(ForgeError, match=r"dvc\.lock is damaged, .*; fix it with: agent-forge doctor --fix"):
            start()
    assert [finding.check for finding in wrong(here)] == ["dvc.lock"]
    done = [finding.fix for finding in apply_fixes(examine(here)) if finding.state == "fixed"]
    assert done == ["removed dvc.lock; the next run restores it from DVC's run-cache: agent-forge run"]
    result = run_pipeline(root=here)
    assert (result.exit_code, result.ran, result.cached) == (0, [], ["data", "edge"])
    assert lock.read_bytes() == whole


def test_the_committed_lock_file_is_taken_where_there_is_one(here: Path) -> None:
    whole = (here / "dvc.lock").read_text()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "dvc.lock"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], check=True, cwd=here)
    (here / "dvc.lock").write_text("")
    assert fixed(here) == ["took the committed dvc.lock; go on with: agent-forge run"]
    assert (here / "dvc.lock").read_text() == whole


# ---- locks, experiments, queue -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"write": {"out": {"pi',
        "[]",
        '{"write": {"out": {}}}',
        '{"write": {"out": {"pid": 1e999}}}',
        pytest.param("[" * 100_000, id="nested"),
    ],
)
def test_a_corrupt_lock_table_is_named_and_removed_unless_dvc_runs(
    here: Path, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = here / ".dvc/tmp/rwlock"
    monkeypatch.setattr(locks, "TABLE_SECONDS", 0.1)
    table.write_text(text)
    (finding,) = wrong(here)
    assert (finding.check, finding.meaning) == ("rwlock", "DVC refuses to work")
    assert fixed(here) == [f"removed {table}"]
    table.write_text(text)
    with monkeypatch.context() as patch:
        patch.setattr(locks, "dvc_processes_in", lambda root: [77])
        with pytest.raises(ForgeError, match=r"rwlock is damaged, .*; end process 77, then: agent-forge doctor --fix"):
            locks.clear_dead_locks(here)
    locks.clear_dead_locks(here)
    assert not table.exists()
    assert capsys.readouterr().err.startswith("removed DVC's lock table, which a killed process left damaged: ")


def test_locks_of_the_dead_go_and_of_the_living_stay(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = here / ".dvc/tmp/rwlock"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid, state in ((dead.pid, "wrong"), (os.getpid(), "ok")):
        table.write_text(json.dumps({"write": {"out": {"pid": pid, "cmd": "dvc repro"}}, "read": {}}))
        assert [f.state for f in examine(here, quick=True) if f.check == "rwlock"] == [state]
        apply_fixes(examine(here, quick=True))
        assert table.exists() is (state == "ok")
    table.write_text("{")
    monkeypatch.setattr(locks, "dvc_processes_in", lambda root: [77])
    (finding,) = wrong(here, "rwlock")
    assert finding.apply is None
    assert "wait for process 77" in finding.fix


def test_a_process_of_dvc_in_the_project_is_seen(here: Path) -> None:
    assert locks.dvc_processes_in(here) == []
    sleeper = subprocess.Popen(
        [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()", "stages.data"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=here / "data",
    )
    assert sleeper.stdout is not None
    sleeper.stdout.readline()
    assert locks.dvc_processes_in(here) == [sleeper.pid]
    sleeper.communicate()


def test_copies_of_killed_experiments_are_removed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = [here / ".dvc/tmp/exps/standalone/tmpabc", here / ".dvc/tmp/exps/tmpdef"]
    for copy in copies:
        atomic_write_text(copy / "params.yaml", "x")
    with monkeypatch.context() as patch:
        patch.setattr(locks, "dvc_processes_in", lambda root: [77])
        assert wrong(here, "experiments") == []
    assert len(wrong(here, "experiments")) == 2
    assert len(fixed(here)) == 2
    assert not any(copy.exists() for copy in copies)


def test_a_task_whose_worker_died_is_marked_as_failed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue's own side (what DVC calls active, what kill does) needs a worker to be killed; here it is replaced."""
    (here / ".dvc/tmp/exps/celery").mkdir(parents=True)
    (here / ".dvc/config.local").unlink()
    subprocess.run(["git", "init", "-q"], check=True, cwd=here)
    tasks, workers = [SimpleNamespace(name="wide-net", stash_rev="abc")], {"worker": []}
    queue = SimpleNamespace(
        iter_active=lambda: iter(tasks),
        worker_status=lambda: workers,
        kill=lambda names: tasks.clear() if names == ["wide-net"] else pytest.fail(str(names)),
    )
    monkeypatch.setattr("dvc.repo.experiments.Experiments.celery_queue", queue)
    assert wrong(here, "queue") == []
    workers.clear()
    (finding,) = wrong(here, "queue")
    assert "task wide-net is called running" in finding.what
    assert fixed(here) == ["marked task wide-net as failed; queue it again, its checkpoints are kept"]


# ---- cache -------------------------------------------------------------------------------------------------


def object_of(root: Path, path: str) -> Path:
    return Cache(root / ".dvc/cache/files/md5").object(dvc_md5_of_file(root / path))


def test_a_flipped_byte_in_the_cache_is_mended_from_the_workspace(here: Path) -> None:
    for path in ("out/a", "edge.txt"):
        flip(object_of(here, path))
    found = wrong(here)
    assert [finding.check for finding in found] == ["cache", "cache"]
    assert any("(it is out/a)" in finding.what for finding in found)
    assert all("put " in line and "in its place" in line for line in fixed(here))
    (here / "edge.txt").unlink()
    result = run_pipeline(root=here)
    assert (result.exit_code, result.ran) == (0, [])
    assert (here / "edge.txt").read_text() == "aaa"


def test_a_flipped_byte_everywhere_is_removed_and_made_again(here: Path) -> None:
    victim = object_of(here, "edge.txt")
    flip(victim)
    flip(here / "edge.txt")
    assert fixed(here) == ["removed it; make it again with: agent-forge run"]
    assert not victim.exists()
    result = run_pipeline(root=here)
    assert (result.exit_code, result.ran) == (0, ["edge"])
    assert (here / "edge.txt").read_text() == "aaa"


def test_a_rotten_listing_and_half_written_objects_are_found(here: Path) -> None:
    (listing,) = (here / ".dvc/cache/files/md5").glob("*/*.dir")
    flip(listing)
    half = listing.parent / ".Xy12.tmp"
    half.write_bytes(b"half")
    assert len(wrong(here, "cache")) == 2
    assert len(fixed(here)) == 2
    assert not half.exists()
    assert run_pipeline(root=here).exit_code == 0
    assert wrong(here) == []


# ---- what runs leave ---------------------------------------------------------------------------------------


def checkpoint(stage: str, key: str) -> Path:
    home = CheckpointHome(stage, key)
    folder = home.open() / "train" / "step-00000004"
    atomic_write_text(folder / "state.safetensors", "tensors")
    write_manifest(folder)
    home.close()
    return folder


def test_checkpoints_are_orphans_when_nothing_would_resume_from_them(here: Path) -> None:
    live = checkpoint("bitnet", stage_checkpoint_key(find_stage_in_layout("bitnet"), None, load_params()))
    checkpoint("bitnet", "ab" * 32)
    (note,) = [f for f in examine(here, quick=True) if f.check == "checkpoints"]
    assert (note.state, note.what.split(",")[0], note.fix) == ("note", "1 orphans", "agent-forge clean")
    flip(live / "state.safetensors")
    half = live.with_name("step-00000008")
    half.mkdir()
    assert sorted(f.what.split(":")[0] for f in wrong(here, "checkpoints")) == ["damaged", "half-written"]
    assert len(fixed(here)) == 2
    assert not half.exists()
    assert not live.exists()


def test_drafts_and_killed_stages_are_told(here: Path) -> None:
    for path in ("models/.edge.building/f", "data/.prepared.building/f", "results/edge/.run.json.abc.tmp"):
        atomic_write_text(here / path, "x")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    status = {"stage": "forge", "state": "running", "step": 3, "total": 9, "pid": dead.pid}
    atomic_write_json(here / ".forge/runs/forge/status.json", status)
    notes = [f.what for f in examine(here, quick=True) if f.state == "note"]
    assert notes == ["forge: its process was killed at step 3 of 9"]
    assert len(wrong(here, "drafts")) == 3
    assert len(fixed(here)) == 3


def test_a_damaged_registry_is_made_anew_with_what_is_sound_in_it(here: Path) -> None:
    event = registry_event_row("a" * 32, None, 1.0, "indexed", "edge", "x" * 40)
    with writing_registry() as connection:
        put(connection, "events", event)
        put(connection, "events", {**event, "id": "b" * 32})
    path = registry_path()
    assert [f.state for f in examine(here, quick=True) if f.check == "registry"] == ["ok"]
    with sqlite3.connect(path) as outside:  # SQLite itself finds nothing wrong with this
        outside.execute("UPDATE events SET note = 'y' WHERE id LIKE 'b%'")
    outside.close()
    (finding,) = wrong(here, "registry")
    assert "was changed from outside" in finding.what
    (done,) = fixed(here)
    assert done.endswith("from the old one were saved 0 sessions, 0 handoffs, 1 events")
    assert len(list(path.parent.glob("registry.db.damaged-????????"))) == 1
    path.write_bytes(b"nothing like it" * 99)
    assert "cannot be read" in wrong(here, "registry")[0].what
    assert len(fixed(here)) == 1


# ---- the rest ----------------------------------------------------------------------------------------------


def test_packages_parameters_and_disk(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "requirements.lock").write_text("torch==0.1\nno-such-package==1.0\n# comment\n")
    (finding,) = [f for f in doctor.diagnose_packages(here) if f.state == "wrong"]
    assert "torch 2" in finding.what
    assert "instead of 0.1, no-such-package absent instead of 1.0" in finding.what
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (9, 0))
    assert "make PYTHON=python3.11" in next(iter(doctor.diagnose_packages(here))).fix
    usage = shutil.disk_usage(here)._replace(free=2**20)
    with monkeypatch.context() as patch:
        patch.setattr(disk.shutil, "disk_usage", lambda path: usage)
        assert [f.check for f in wrong(here)] == ["disk"]
    (here / "params.yaml").write_text("scale: [")
    assert {f.check for f in wrong(here)} == {"parameters", "checkpoints"}


def test_a_mend_that_fails_says_so(here: Path) -> None:
    def fails() -> str:
        raise OSError("read-only")

    (after,) = apply_fixes([Finding("x", "wrong", "w", "m", "do it", fails)])
    assert (after.state, after.fix) == ("wrong", "do it (tried, in vain: read-only)")


def test_a_folder_that_is_no_project_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert {"parameters", "cache"} <= {finding.check for finding in wrong(tmp_path)}


def test_a_lock_file_stays_while_git_refuses_to_say_what_was_committed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the fix for a damaged lock file would remove the one that Git has a sound copy of."""
    subprocess.run(["git", "init", "-q"], check=True, cwd=here)
    foreign_repository(monkeypatch)
    (here / "dvc.lock").write_text("sche")
    found = {finding.check: finding for finding in examine(here, quick=True) if finding.state == "wrong"}
    assert "dubious ownership" in found["git"].what
    (after,) = apply_fixes([found["dvc.lock"]])
    assert (after.state, "tried, in vain" in after.fix) == ("wrong", True)
    assert (here / "dvc.lock").read_text() == "sche"
