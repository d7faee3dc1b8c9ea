"""The same faults with DVC itself around the stage, from the moment it starts one: kills, and damage to DVC's own
files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forge.config import set_param
from forge.pipeline.dvc.locks import clear_dead_locks
from tests.faults.conftest import Finished, Repository
from tests.faults.lab import ORPHAN_SECONDS, Lab, Running, digests, flip
from tests.faults.torture import checkpoints, uninterrupted

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, PDEATHSIG and subreapers"),
]
STEPS = 60
# Who is started, what is sent to whom, and when: as soon as DVC says that it starts the stage (whose imports take
# seconds then), or once there is a checkpoint of so many steps.
KILLS = [
    ("dvc", "SIGKILL", "dvc", 0),
    ("agent-forge", "SIGKILL", "dvc", 0),
    ("dvc", "SIGTERM", "dvc", 10),
    ("agent-forge", "SIGINT", "dvc", 20),
    ("dvc", "SIGKILL", "group", 30),
    ("agent-forge", "SIGTERM", "dvc", 40),
]


def until(true: Callable[[], bool], run: Running, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it never happened: {run.output()[-1000:]}"
        time.sleep(0.01)


def newest(root: Path) -> int:
    return max((step for step, whole in checkpoints(root, "bitnet").get("train", {}).items() if whole), default=0)


def test_a_run_killed_again_and_again_ends_with_the_same_bytes(
    lab: Lab, finished: Finished, repository: Repository, tmp_path: Path
) -> None:
    root = repository.root
    calm = finished.copy(tmp_path / "calm")
    shutil.rmtree(calm / "models/bitnet")
    for project in (root, calm):
        set_param(project / "params.yaml", "scales.smoke.bitnet.steps", STEPS)
    reference = uninterrupted(lab, calm, "bitnet", None)
    reached = 0
    for who, name, target, step in KILLS:
        clear_dead_locks(root)  # as `agent-forge run` does: DVC may have died while it wrote the table
        words = ("run", "--json", "--phase", "bitnet") if who == "agent-forge" else ("dvc", "repro", "bitnet")
        run = repository.start(*words, WANDB_MODE="offline" if step in (20, 30) else "disabled")
        if step == 0:
            until(lambda run=run: "bitnet" in run.output(), run)  # type: ignore[misc]
        else:
            until(lambda step=step: newest(root) >= step, run)  # type: ignore[misc]
        assert run.send(name, target)
        code, told = run.wait(), f"{who}, {name} to {target} at {step}: {run.output()[-600:]}"
        assert lab.living(ORPHAN_SECONDS) == [], told
        assert not (root / "models/bitnet").exists(), told
        assert newest(root) >= reached, told
        reached = newest(root)
        assert code == 130 if who == "agent-forge" and name != "SIGKILL" else code != 0, told
        if code == 130:
            assert f"bitnet: paused at step {reached} of {STEPS}; go on with: agent-forge run" in run.output(), told
        if reached and "resuming" in run.output():
            assert "train: resuming at step" in run.output()
    last = repository.start("run", "--json", "--phase", "bitnet")
    assert last.wait() == 0, last.output()
    assert f"train: resuming at step {reached} of {STEPS}" in last.output()
    assert json.loads(last.output().splitlines()[-1])["ran"] == ["bitnet"]
    assert digests(root / "models/bitnet") == reference.outputs["models/bitnet"]
    assert checkpoints(root, "bitnet") == {}


# ---- damage to DVC's files -------------------------------------------------------------------------------------


def test_a_truncated_lock_file_is_named_and_mended_by_removing_it(repository: Repository) -> None:
    lock = repository.root / "dvc.lock"
    models = digests(repository.root / "models")
    text = lock.read_text()
    place = text.index("md5:", len(text) // 2)
    lock.write_text(text[: place + 2])  # within a key, which is no valid entry
    run = repository.start("run")
    assert run.wait() == 1
    assert "dvc.lock" in run.output().strip().splitlines()[-1], run.output()
    last_stage = [match.start() + 1 for match in re.finditer(r"\n  \S", text)][-1]
    lock.write_text(text[:last_stage])  # between two stages: a valid file that does not know all
    for repair in (lambda: None, lock.unlink):
        repair()
        again = repository.start("run", "--json", "--phase", "edge")
        assert again.wait() == 0, again.output()
        assert json.loads(again.output().splitlines()[-1])["ran"] == []
        assert digests(repository.root / "models") == models


def test_a_rotten_model_is_made_good_from_the_cache(repository: Repository) -> None:
    weights = repository.root / "models/edge/model.safetensors"
    models = digests(repository.root / "models")
    flip(weights)
    assert digests(repository.root / "models") != models
    run = repository.start("run", "--json")
    assert run.wait() == 0, run.output()
    facts = json.loads(run.output().splitlines()[-1])
    assert facts["ran"] == []
    assert digests(repository.root / "models") == models


def test_a_rotten_object_of_the_cache_does_not_pass_for_a_model(repository: Repository) -> None:
    """DVC trusts its cache and says that all is well; nobody else does."""
    root = repository.root
    model = root / "models/compress"
    agent = model / "agent.forge"
    content = agent.read_bytes()
    cached = [p for p in (root / ".dvc/cache").rglob("*") if p.is_file() and p.read_bytes() == content]
    assert len(cached) == 1
    os.chmod(cached[0], 0o444)
    flip(cached[0])
    shutil.rmtree(model)
    run = repository.start("run")
    last = run.output if run.wait() == 1 else pytest.fail(f"it passed: {run.output()}")
    assert "models/compress/agent.forge: changed since the manifest was written" in last().strip().splitlines()[-1]
