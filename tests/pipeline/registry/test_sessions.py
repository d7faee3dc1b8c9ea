"""What the registry learns from a stage's life, and that a stage lives on when the registry does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from forge.errors import Interrupted
from forge.files import atomic_write_json, read_json, verify_manifest
from forge.pipeline.layout.paths import layout_main_root
from forge.pipeline.lifecycle.stage import Run, stage_lifecycle
from forge.pipeline.registry.models import find_model, list_models
from forge.pipeline.registry.sessions import list_sessions
from forge.pipeline.registry.store import reading_registry, registry_path, select_registry_rows, validate_registry_store

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]


def finish(run: Run, **facts: Any) -> None:
    run.log(0, **{"train/loss": 1.0, "fitness/best": 1.0})
    save_file({"w": np.full(3, run.seed, np.float32)}, run.out_dir / "model.safetensors")
    run.publish(facts)
    run.record(headline={"quality/bpb": 1.5})


def events() -> list[tuple[str, str]]:
    with reading_registry() as connection:
        return [
            (e["kind"], e["subject"]) for e in select_registry_rows(connection, "SELECT * FROM events ORDER BY time")
        ]


def test_a_run_is_a_session_and_its_model_is_found(prepared: Path) -> None:
    with stage_lifecycle("trunk") as run:
        (session,) = list_sessions()
        assert (session["status"], session["pid"]) == ("running", os.getpid())
        run.progress(3, 3)
        finish(run)
    (session,) = list_sessions()
    assert (session["stage"], session["status"], session["step"], session["total"]) == ("trunk", "done", 3, 3)
    assert session["ended"] >= session["started"]
    model = find_model("models/trunk")
    assert model["model_id"] == read_json("models/trunk/metadata.json")["model_id"]
    assert model["metrics"]["quality"] == {"bpb": 1.5}
    assert [made["id"] for made in model["sessions"]] == [session["id"]]
    assert events() == [("started", "trunk"), ("published", model["model_id"]), ("done", "trunk")]


def test_a_pause_and_a_resumption_are_two_sessions(prepared: Path) -> None:
    with pytest.raises(SystemExit), stage_lifecycle("trunk") as run:
        run.progress(4, 9)
        atomic_write_json(run.checkpoint_dir / "state.json", {})
        raise Interrupted(4, 9)
    (session,) = list_sessions()
    assert (session["status"], session["step"], session["total"]) == ("paused", 4, 9)
    assert session["note"] == "paused at step 4 of 9; go on with: agent-forge run"
    with stage_lifecycle("trunk") as run:
        finish(run)
    assert [row["status"] for row in list_sessions("trunk")] == ["done", "paused"]
    assert [kind for kind, _ in events()] == ["started", "paused", "resumed", "published", "done"]


def test_handoffs_are_recorded_whether_they_pass_or_not(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stage_lifecycle("trunk") as run:
        finish(run, seed=1)
    with pytest.raises(SystemExit), stage_lifecycle("evomerge"):
        pytest.fail("there are no branches")
    (session,) = list_sessions("evomerge")
    (handoff,) = session["handoffs"]
    assert (handoff["source"], handoff["target"], handoff["passed"]) == ("cognate", "evomerge", 0)
    assert session["status"] == "failed"
    assert session["note"] == handoff["breach"]
    assert handoff["breach"] in capsys.readouterr().err
    assert list_sessions("trunk")[0]["handoffs"] == [], "the first model is handed on without a contract"


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0 and then nothing", None])
def test_a_training_survives_a_registry_that_does_not(
    prepared: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    if content is None:  # nothing can be made there, as on a full or read-only disk
        registry_path().mkdir(parents=True)
    else:
        registry_path().parent.mkdir(parents=True)
        registry_path().write_bytes(content)
    with stage_lifecycle("trunk") as run:
        run.progress(1, 1)
        finish(run)
    verify_manifest("models/trunk")
    assert read_json("results/trunk/metrics.json")["quality"] == {"bpb": 1.5}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("trunk: not recorded in ")
    assert "the run goes on; fix it with: agent-forge models reindex" in line


def test_an_experiment_in_a_copy_records_in_the_main_repository(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))
    monkeypatch.setenv("DVC_EXP_NAME", "wide")
    with stage_lifecycle("trunk") as run:
        finish(run)
    assert layout_main_root() == tmp_path / "main"
    assert not (prepared / ".forge/registry.db").exists()
    assert [row["experiment"] for row in list_sessions()] == ["wide"]
    assert [row["experiment"] for row in list_models(query="wide")] == ["wide"]
    assert validate_registry_store() == []


def test_listing_models_starts_nothing_heavy(prepared: Path) -> None:
    with stage_lifecycle("trunk") as run:
        finish(run)
    code = (
        "import sys\n"
        "from forge.cli.main import main\n"
        "commands = (['list'], ['list', '--json'], ['show', 'models/trunk'], ['sessions'])\n"
        "codes = [main(['models', *command]) for command in commands]\n"
        "heavy = {'torch', 'transformers', 'dvc', 'gto', 'numpy', 'git', 'ruamel'}\n"
        "print(codes, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "[0, 0, 0, 0] []", done.stderr
    assert "trunk" in done.stdout
