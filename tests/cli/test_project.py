"""Commands find their project from any folder in it, say so outside of one, and leave nothing behind by looking."""

from __future__ import annotations

import errno
import resource
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from forge.cli import project as finding
from forge.cli.main import main
from forge.config.schema import RegistryParams
from forge.evals.ledger import ledger_deployable_files
from forge.files import atomic_write_json, write_manifest
from forge.pipeline.handoff.publish import describe_published_model
from forge.pipeline.layout.phases import phase_in_layout
from forge.pipeline.registry.sessions import Session

ROOT = Path(__file__).resolve().parents[2]
LOOKING = (
    ("status",), ("phases",), ("config", "show"), ("config", "validate"), ("models", "list"), ("models", "sessions"),
    ("metrics",), ("logs",), ("clean", "--dry-run"), ("doctor", "--quick"), ("monitor", "--json"),
)  # fmt: skip


@pytest.fixture
def place(project: Path) -> Path:
    """A project that Git does not know, with the real stages."""
    (project / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    (project / "data/own/deep").mkdir()
    return project


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_looking_from_a_subfolder_shows_the_project_and_leaves_nothing(
    place: Path, call: Any, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    there = call(*command)
    monkeypatch.chdir(place / "data/own/deep")
    below = call(*command)
    assert (below.code, below.out, below.err) == (there.code, there.out, there.err)
    assert Path.cwd() == place / "data/own/deep"
    assert sorted(path.name for path in place.rglob(".forge")) == []


@pytest.mark.parametrize(
    "command",
    [*LOOKING[:3], *LOOKING[4:9], LOOKING[10], ("run",), ("report",), ("compare", "--all"), ("models", "reindex")],
    ids=" ".join,
)
def test_outside_of_a_project_nothing_is_answered(
    tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    told = call(*command, "--json")
    assert (told.code, told.out) == (1, "")
    assert "no project, neither here nor above" in told.err
    assert len(told.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    assert call(*command, "--help").code == 0


def test_paths_begin_where_a_person_stands(place: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    below = place / "data/own/deep"
    (below / "mine.yaml").write_text("scale: nothing else\n")
    monkeypatch.chdir(below)
    assert "mine.yaml: " in call("config", "validate", "mine.yaml").err
    assert call("config", "validate").code == 0

    @finding.in_project
    def tell(path: str) -> tuple[Path, Path, str]:
        return finding.given_path(Path(path)), finding.given_file(Path(path)), finding.command_line_ref(path)

    assert tell("mine.yaml") == (Path("data/own/deep/mine.yaml"),) * 2 + ("data/own/deep/mine.yaml",)
    assert tell("edge@v0.0.1")[2] == "edge@v0.0.1"
    assert tell("dvc.yaml")[1] == Path("dvc.yaml"), "the project's, where there is none here"
    assert tell(str(below / "mine.yaml"))[0] == below / "mine.yaml"
    assert finding.given_path(Path("x")) == Path("x"), "outside of a command nothing is moved"


def test_a_model_of_the_project_is_found_from_its_folders(
    place: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "models/edge").mkdir(parents=True)
    monkeypatch.chdir(place / "data/own")
    assert finding.model_in_project("models/edge") == "../../models/edge"
    assert finding.model_in_project("models/nowhere") == "models/nowhere"
    assert finding.model_in_project("/models/edge") == "/models/edge"
    told = call("size", "models/edge")
    assert (told.code, "../../models/edge" in told.err) == (1, True), "it is found, and has no weights"
    (place / "data/own/models/edge").mkdir(parents=True)
    assert finding.model_in_project("models/edge") == "models/edge"


def test_neither_a_stray_file_nor_another_pipeline_hides_the_project(
    place: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = call("models", "list", "--json").out
    below = place / "ablations"
    below.mkdir()
    for marks in (("params.yaml",), ("dvc.yaml",), ("params.yaml", "dvc.yaml")):
        for name in marks:
            shutil.copy(ROOT / "ablations" / name, below)
        monkeypatch.chdir(below)
        assert finding.find_project(below) == place
        assert call("models", "list", "--json").out == there
        assert {path.name for path in below.iterdir()} == set(marks), "looking leaves nothing"
        monkeypatch.chdir(place)
        shutil.rmtree(below)
        below.mkdir()


def test_a_folder_that_is_gone_is_told(place: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = place / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    told = call("status")
    monkeypatch.chdir(place)
    assert (told.code, "does not exist any more" in told.err) == (1, True)


# ---- models list, models show ----


def published(path: str, value: float, scale: str, session: str) -> Path:
    """A model with the files that its phase deploys, recorded by a session."""
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("model.safetensors", "packed.safetensors"):
        save_file({"w": np.full(300, value, np.float32)}, directory / name)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        (directory / name).write_text("{}")
    describe_published_model(directory, phase="edge", branch=None, session=session, parents=[], facts={})
    write_manifest(directory)
    run = Session("edge", session, scale)
    run.start(RegistryParams(keep_days=1, keep_failed_days=1, keep_sessions=9), resumed=False)
    run.published(directory)
    return directory


def test_the_list_tells_what_lies_here_from_trials(place: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic_write_json("results/edge/metrics.json", {"latency_ms": 3.7087135314941406, "parameters": 1234567})
    monkeypatch.setenv("DVC_EXP_NAME", "wide")
    published("models/edge", 1.0, "smoke", "12" * 32)
    monkeypatch.delenv("DVC_EXP_NAME")
    directory = published("models/edge", 2.0, "tiny", "34" * 32)
    out = call("models", "list").out
    assert [line.split()[:3] for line in out.splitlines()[1:2]] == [["edge", "models/", "tiny"]]
    assert "not shown: 1 that earlier runs and experiments have made (agent-forge models list --all)" in out
    lines = call("models", "list", "--all").out.splitlines()
    assert [line.split()[1:3] for line in lines[1:]] == [["models/", "tiny"], ["wide", "smoke"]]
    size = sum(p.stat().st_size for p in ledger_deployable_files(phase_in_layout("edge").deployed, directory))
    assert f"{size:,}" in out, "the ledger's bytes"
    newest, oldest = call("models", "list", "--json").json["models"]
    assert (newest["bytes"], newest["scale"], newest["present"]) == (size, "tiny", True)
    assert (oldest["scale"], oldest["experiment"], oldest["present"]) == ("smoke", "wide", False)
    shown = call("models", "show", "edge").out
    assert "latency_ms: 3.70871\n" in shown
    assert "parameters: 1,234,567\n" in shown
    assert f"bytes: {size:,}\n" in shown
    assert "scale: tiny\n" in shown
    assert "MiB" not in out + shown


# ---- a full or read-only disk ----


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_fault_of_the_disk_is_no_fault_of_the_program(
    place: Path, call: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuses(*arguments: Any) -> None:
        raise OSError(number, "no", "params.yaml")

    monkeypatch.setattr("forge.config.load_params", refuses)
    told = call("config", "validate")
    assert (told.code, told.out, len(told.err.splitlines())) == (1, "", 1)
    assert "fault of the program" not in told.err
    assert "params.yaml" in told.err
    with pytest.raises(OSError, match="no"):
        main(["config", "validate", "--debug"])


@pytest.mark.parametrize(
    "command",
    [
        ("config", "edit"),
        ("run", "--scale", "tiny"),
        ("merge", "--method", "linear", "--model", "a", "--model", "b", "-o", "out"),
    ],
    ids=" ".join,
)
def test_with_no_byte_left_a_command_ends_in_one_line(
    place: Path, call: Any, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    for name in ("a", "b"):
        Path(name).mkdir()
        save_file({"w": np.ones(3, np.float32)}, Path(name) / "model.safetensors")
        Path(name, "config.json").write_text("{}")
    before = Path("params.yaml").read_bytes()
    (place / ".dvc").mkdir()
    monkeypatch.setenv("EDITOR", "true")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        told = call(*command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (told.code, len(told.err.splitlines())) == (1, 1), told
    assert "the disk is full" in told.err
    assert Path("params.yaml").read_bytes() == before
    assert not Path("out").exists()
    assert not list(place.glob("*.draft*"))
