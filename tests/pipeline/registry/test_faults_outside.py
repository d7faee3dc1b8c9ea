"""What is no damage of the registry: a full disk, a missing right, a newer program. And what looks like none and is."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from forge.config.schema import RegistryParams
from forge.errors import ForgeError
from forge.pipeline.registry import index, store
from forge.pipeline.registry.index import reindex
from forge.pipeline.registry.models import list_models
from forge.pipeline.registry.sessions import Session, list_sessions
from forge.pipeline.registry.store import (
    MIGRATIONS,
    is_registry_damage,
    put,
    reading_registry,
    registry_path,
    select_registry_rows,
    validate_registry_store,
    writing_registry,
)
from forge.pipeline.upkeep.doctor import apply_fixes, diagnose_registry
from forge.pipeline.upkeep.integrity import verify_integrity

KEEP = RegistryParams(keep_days=30, keep_failed_days=7, keep_sessions=100)


@pytest.fixture
def registry(project: Path) -> Path:
    """The registry of a project that has run two stages."""
    (project / "dvc.yaml").write_text("artifacts: {}\n")
    for stage in ("trunk", "edge"):
        Session(stage, "ab" * 32, "smoke").start(KEEP, resumed=False)
    return registry_path()


def nothing_is_lost(path: Path) -> bool:
    return len(list_sessions()) == 2 and files_beside(path) == [path.name]


def files_beside(path: Path) -> list[str]:
    """All but what SQLite itself keeps beside a registry."""
    return [p.name for p in path.parent.iterdir() if not p.name.endswith(("-shm", "-wal"))]


def without_room_beside(path: Path) -> Path:
    """The file of changes beside it, which SQLite needs even to read, cannot be made."""
    blocked = path.with_name(f"{path.name}-wal")
    blocked.unlink(missing_ok=True)
    blocked.mkdir()
    return blocked


def test_a_registry_is_read_where_nothing_can_be_written(registry: Path) -> None:
    before = registry.read_bytes()
    blocked = without_room_beside(registry)
    assert len(list_sessions()) == 2
    assert validate_registry_store() == []
    with pytest.raises(ForgeError, match=r"cannot be written .* nothing was changed"):
        reindex(Path())
    blocked.rmdir()
    assert registry.read_bytes() == before
    assert nothing_is_lost(registry)


@pytest.fixture
def held(registry: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Somebody holds it for himself alone."""
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.01)
    with closing(sqlite3.connect(registry, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        yield registry


def test_one_that_cannot_be_read_now_is_not_made_anew(held: Path) -> None:
    before = held.read_bytes()
    for look in (list_models, list_sessions, validate_registry_store, lambda: reindex(Path())):
        with pytest.raises(ForgeError, match="it may be whole") as told:
            look()
        assert "reindex" not in str(told.value)
    (finding,) = [f for f in doctor_findings() if f.state == "wrong"]
    assert finding.apply is None
    assert held.read_bytes() == before
    assert files_beside(held) == [held.name]


def doctor_findings() -> list[Any]:
    from forge.pipeline.upkeep import doctor

    return doctor._run_doctor_check(diagnose_registry, Path.cwd())


def test_a_full_disk_is_told_without_the_advice_to_reindex(
    registry: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = store._open_registry

    def full(path: Path) -> sqlite3.Connection:
        connection = opened(path)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(store, "_open_registry", full)
        Session("edge", "ab" * 32, "smoke").end("failed", 0, 0, "x" * 200_000)
    (line,) = capsys.readouterr().err.splitlines()
    assert "database or disk is full" in line
    assert "it may be whole" in line
    assert "reindex" not in line
    assert nothing_is_lost(registry)


@pytest.mark.parametrize(
    ("code", "damage"),
    [
        (sqlite3.SQLITE_FULL, False),
        (sqlite3.SQLITE_IOERR | 3 << 8, False),  # with SQLite's details
        (sqlite3.SQLITE_BUSY, False),
        (sqlite3.SQLITE_READONLY | 8 << 8, False),
        (sqlite3.SQLITE_CORRUPT, True),
        (sqlite3.SQLITE_CORRUPT | 2 << 8, True),
        (sqlite3.SQLITE_NOTADB, True),
        (sqlite3.SQLITE_ERROR, True),
        (None, True),
    ],
)
def test_damage_is_told_from_other_faults(code: int | None, damage: bool) -> None:
    error = sqlite3.DatabaseError("x")
    if code is not None:
        error.sqlite_errorcode = code
    assert is_registry_damage(error) is damage
    assert not is_registry_damage(OSError(28, "No space left on device"))


def test_a_new_one_is_whole_before_the_damaged_one_goes(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.write_bytes(registry.read_bytes()[:3000])
    before = registry.read_bytes()

    def fails(*arguments: Any, **options: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(index, "_enter_in_registry", fails)
        with pytest.raises(ForgeError, match=r"No space left on device.*nothing was changed"):
            reindex(Path())
    assert registry.read_bytes() == before
    assert files_beside(registry) == [registry.name]
    assert reindex(Path())["damaged"]
    assert validate_registry_store() == []
    assert list_models() == []


def test_a_newer_one_is_left_alone_by_all(registry: Path) -> None:
    with sqlite3.connect(registry) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for look in (lambda: reindex(Path()), validate_registry_store):
        with pytest.raises(ForgeError, match="made by a newer Agent Forge"):
            look()
    assert [finding.apply for finding in doctor_findings()] == [None]
    assert [p.name for p in registry.parent.iterdir() if "damaged" in p.name] == []


@pytest.mark.parametrize("kind", ["directory", "pipe", "link to nowhere"])
def test_what_is_no_file_is_found_and_moved_aside(registry: Path, kind: str) -> None:
    registry.unlink()
    if kind == "directory":
        (registry / "inside").mkdir(parents=True)
    elif kind == "pipe":
        os.mkfifo(registry)
    else:
        registry.symlink_to("nowhere")
    with pytest.raises(ForgeError, match=r"it is no file.*reindex"):
        list_sessions()
    (finding,) = doctor_findings()
    assert (finding.state, "it is no file" in finding.what) == ("wrong", True)
    assert [done.state for done in apply_fixes([finding])] == ["fixed"]
    assert list_models() == []
    assert len([p for p in registry.parent.iterdir() if "damaged" in p.name]) == 1


def test_a_folder_that_is_none_is_told(project: Path) -> None:
    (project / ".forge").write_text("no folder")
    (finding,) = doctor_findings()
    assert (finding.state, "is no folder" in finding.what) == ("wrong", True)


def test_integrity_goes_on_past_a_registry_that_cannot_be_read(
    held: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forge.pipeline.upkeep import integrity

    (project / "dvc.lock").write_text("schema: '2.0'\n")
    (project / "cache").mkdir()
    monkeypatch.setattr(integrity.Cache, "of", lambda root: integrity.Cache(project / "cache"))
    (damage,) = verify_integrity(project)["damaged"]
    assert "it may be whole" in damage["what"]


def test_rows_of_an_older_program_stay_sound_and_get_their_scale(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "manifest_sha256": "m", "model_id": "edge_1", "artifact": "edge", "path": "models/edge", "phase": "edge",
        "model_name": "x", "specialization": None, "session_id": "abababab-abab-abab-abab-abababababab",
        "experiment": None, "parameters": 5, "size_mb": 0.5, "tags": "[]", "parents": "[]", "metrics": "{}",
        "recorded": 1.0,
    }  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(store, "MIGRATIONS", MIGRATIONS[:2])
        Session("edge", "ab" * 32, "smoke").start(KEEP, resumed=False)
        with writing_registry() as connection:
            put(connection, "models", row)
    assert validate_registry_store() == []
    (model,) = list_models()
    assert (model["scale"], model["bytes"], model["present"]) == ("smoke", 2**19, False)
    with writing_registry() as connection:
        connection.execute("UPDATE models SET scale = 'tiny'")
    assert "was changed from outside" in validate_registry_store()[0]
    with reading_registry() as connection:
        assert select_registry_rows(connection, "SELECT scale FROM models") == [{"scale": "tiny"}]
