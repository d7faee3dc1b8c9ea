"""The registry: nothing that was committed is lost, no reader waits, damage is found, and a run never depends on it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from forge.cli.main import main
from forge.config.schema import RegistryParams
from forge.errors import ForgeError
from forge.files import atomic_write_json, write_manifest
from forge.pipeline.handoff.publish import describe_published_model
from forge.pipeline.registry import store
from forge.pipeline.registry.models import find_model, list_models
from forge.pipeline.registry.sessions import Session, delete_old_registry_sessions, list_sessions, mark_killed_sessions
from forge.pipeline.registry.store import (
    MIGRATIONS,
    put,
    reading_registry,
    registry_path,
    salvage_registry,
    select_registry_rows,
    set_registry_aside,
    validate_registry_store,
    writing_registry,
)

ROOT = Path(__file__).resolve().parents[3]
KEEP = RegistryParams(keep_days=30, keep_failed_days=7, keep_sessions=100)
PRINT = "0123456789abcdef" * 4
DAY = 86400.0


def session(stage: str = "edge") -> Session:
    made = Session(stage, PRINT, "smoke")
    made.start(KEEP, resumed=False)
    return made


def publish_model(path: str, value: float = 1.0, **facts: Any) -> Path:
    """A published model of one weight."""
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    save_file({"w": np.full((3, 4), value, np.float32)}, directory / "model.safetensors")
    describe_published_model(directory, phase=directory.name, branch=None, session=PRINT, parents=["t"], facts=facts)
    write_manifest(directory)
    return directory


# ---- many writers ----

WRITER = """
import sys, time
from forge.config.schema import RegistryParams
from forge.pipeline.registry.sessions import Session
name = sys.argv[1]
run = Session(name, "ab" * 32, "smoke")
run.start(RegistryParams(keep_days=30, keep_failed_days=7, keep_sessions=100), resumed=False)
outcome = {"source": "a", "target": "b", "passed": True, "breach": None}
number = 0
while number < 40 or name.startswith("victim"):
    run.handoff({**outcome, "models": [f"{name}-{number}"]})
    print(number, flush=True)
    number += 1
run.end("done", number, number, "")
"""


def test_six_writers_of_which_two_are_killed_lose_nothing(project: Path) -> None:
    names = ["victim-0", "victim-1", "writer-0", "writer-1", "writer-2", "writer-3"]
    writers = {
        name: subprocess.Popen(
            [sys.executable, "-c", WRITER, name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for name in names
    }
    for name in names[:2]:  # kill them in mid-stream, whatever they are doing
        for _ in range(5):
            assert writers[name].stdout.readline()  # type: ignore[union-attr]
        writers[name].kill()
    said = {name: process.communicate(timeout=120) for name, process in writers.items()}
    assert [err for _, err in said.values()] == [""] * 6
    assert [writers[name].returncode for name in names] == [-signal.SIGKILL] * 2 + [0] * 4
    assert validate_registry_store() == []
    with reading_registry() as connection:
        kept = {row["models"][0] for row in select_registry_rows(connection, "SELECT models FROM handoffs")}
    for name, (out, _) in said.items():
        acknowledged = [int(line) for line in out.split()]
        if name in names[:2]:
            acknowledged += list(range(5))
        assert {f"{name}-{number}" for number in acknowledged} <= kept, "acknowledged, so it must be there"
    assert sum(name.startswith("writer") for name in kept) == 4 * 40
    session("after")
    states = {row["stage"]: row["status"] for row in list_sessions()}
    assert states == {**dict.fromkeys(names[:2], "killed"), **dict.fromkeys(names[2:], "done"), "after": "running"}


def test_readers_neither_wait_nor_make_wait(project: Path) -> None:
    run = session()
    with writing_registry() as connection:
        connection.execute("UPDATE sessions SET note = 'half-way'")
        assert [row["note"] for row in list_sessions()] == [""], "what is not committed is not seen"
    with reading_registry() as connection:
        before = select_registry_rows(connection, "SELECT * FROM sessions")
        run.end("done", 3, 3, "over")
        assert before[0]["status"] == "running"
    assert [row["status"] for row in list_sessions()] == ["done"]


def test_a_failed_transaction_leaves_nothing(project: Path) -> None:
    session()
    with pytest.raises(ZeroDivisionError), writing_registry() as connection:
        connection.execute("DELETE FROM sessions")
        _ = 1 / 0
    assert len(list_sessions()) == 1
    with pytest.raises(sqlite3.IntegrityError), writing_registry() as connection:
        put(connection, "events", store.registry_event_row("e", "nobody", 0.0, "k", "s", "n"))


def test_settings_are_those_that_survive_a_power_cut(project: Path) -> None:
    with writing_registry() as connection:
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        assert found == ["wal", 2]
        assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    assert not list(registry_path().parent.glob(".registry*")), "drafts are removed"


# ---- migrations ----


def test_an_old_registry_is_brought_up_to_date_with_its_rows(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store, "MIGRATIONS", MIGRATIONS[:1])
        session()
        with sqlite3.connect(registry_path()) as old, pytest.raises(sqlite3.OperationalError):
            old.execute("SELECT * FROM versions")
    assert list_models() == [], "a reader brings it up to date"
    assert len(list_sessions()) == 1
    with reading_registry() as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
        assert select_registry_rows(connection, "SELECT * FROM versions") == []


def test_a_migration_that_fails_changes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session()
    broken = (*MIGRATIONS, ("CREATE TABLE extra (a)", "CREATE TABLE sessions (a)"))
    with monkeypatch.context() as patch:
        patch.setattr(store, "MIGRATIONS", broken)
        with pytest.raises(sqlite3.OperationalError, match="already exists"), writing_registry():
            pytest.fail("the block must not run")
    assert len(list_sessions()) == 1
    with sqlite3.connect(registry_path()) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'extra'").fetchone() == (0,)


def test_a_newer_registry_is_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = session()
    with sqlite3.connect(registry_path()) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ForgeError, match=r"made by a newer Agent Forge \(schema 99"):
        list_sessions()
    run.end("done", 1, 1, "")
    assert "not recorded" in capsys.readouterr().err


# ---- damage ----


def filled() -> Path:
    """A registry with rows in every table that runs write."""
    run = session()
    for number in range(20):
        run.handoff({"source": "a", "target": "b", "models": [f"m{number}"], "passed": False, "breach": "x" * 50})
    publish_model("models/edge")
    run.published(Path("models/edge"))
    run.end("done", 5, 5, "")
    return registry_path()


@pytest.mark.parametrize("where", ["header", "page", "text", "cut", "empty"])
def test_damage_is_found_and_the_sound_rows_are_saved(
    project: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = filled()
    assert validate_registry_store() == []
    blob = bytearray(path.read_bytes())
    if where == "header":
        blob[3] ^= 1
    if where == "page":  # the type of a b-tree page
        place = blob.index(b"x" * 50) // 4096 * 4096
        blob[place] ^= 0xFF
    if where == "text":  # still a sound file for SQLite
        blob[blob.rindex(b"x" * 50)] ^= 1
    if where == "cut":
        del blob[len(blob) // 2 :]
    if where == "empty":
        blob.clear()
    path.write_bytes(blob)
    assert validate_registry_store()
    run = session("later")  # a run goes on, whatever it meets
    run.end("done", 1, 1, "")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == (0 if where in ("text", "page") else 1), said
    assert all("later: not recorded in" in line and "models reindex" in line for line in said)
    aside = set_registry_aside(path)
    saved = salvage_registry(aside, path)
    assert validate_registry_store() == []
    with reading_registry() as connection:
        kept = {table: len(select_registry_rows(connection, f"SELECT * FROM {table}")) for table in saved}
    assert kept == saved
    if where == "text":
        assert saved["handoffs"] == 19
        assert saved["sessions"] == 2


def test_flipped_bytes_anywhere_are_found_or_change_nothing(project: Path) -> None:
    """The rows that are read back are the rows that were written, or `faults` speaks."""
    path = filled()
    with reading_registry() as connection:
        before = {table: select_registry_rows(connection, f"SELECT * FROM {table}") for table in store.KEYS}
    sound = path.read_bytes()
    generator = np.random.default_rng(7)
    found = 0
    for place in generator.integers(0, len(sound), 300):
        blob = bytearray(sound)
        blob[place] ^= int(generator.integers(1, 256))
        path.write_bytes(blob)
        if validate_registry_store():
            found += 1
            continue
        with reading_registry() as connection:
            assert {
                table: select_registry_rows(connection, f"SELECT * FROM {table}") for table in store.KEYS
            } == before, place
    assert found > 10


@pytest.mark.parametrize("value", [b"\xff", "'soon'", "1e999", "NULL"], ids=repr)
@pytest.mark.parametrize(("table", "column"), [("models", "metrics"), ("models", "bytes"), ("sessions", "started")])
def test_a_row_of_another_hand_is_told_where_it_is_read(
    project: Path, table: str, column: str, value: bytes | str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes in place of text, words in place of times: a flipped bit of the file's own types is enough."""
    path = filled()
    with sqlite3.connect(path) as connection:
        # Past the constraints, as damage is.
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(f"UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = '{table}'")
    with sqlite3.connect(path) as connection:
        given = f"x'{value.hex()}'" if isinstance(value, bytes) else value
        connection.execute(f"UPDATE {table} SET {column} = {given}")
    assert main(["models", "list" if table == "models" else "sessions"]) == 1
    said = capsys.readouterr().err
    assert f"{table}: row" in said
    assert "was changed from outside" in said
    assert "agent-forge models reindex" in said
    assert validate_registry_store()


def test_no_registry_is_said_plainly(project: Path) -> None:
    assert validate_registry_store() == []
    assert list_models() == []
    assert list_sessions() == []
    with pytest.raises(ForgeError, match="no registry yet"):
        find_model("edge")
    assert not registry_path().exists(), "who only looks makes nothing"


def test_a_full_disk_or_a_stuck_writer_never_stops_a_run(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = session()
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.05)
    with writing_registry():  # somebody holds the lock
        run.progress(1, 9, "")
        run.handoff({"source": "a", "target": "b", "models": [], "passed": True, "breach": None})
    run.end("done", 9, 9, "")
    assert [row["status"] for row in list_sessions()] == ["done"], "it tries again at the end"
    (line,) = capsys.readouterr().err.splitlines()
    assert "edge: not recorded in" in line
    assert "locked" in line
    (project / ".forge").rename(project / ".other")
    (project / ".forge").write_text("no directory can be made here")
    Session("trunk", PRINT, "smoke").end("failed", 0, 0, "")
    assert "trunk: not recorded in" in capsys.readouterr().err


# ---- sessions ----


def add(connection: sqlite3.Connection, name: str, status: str, days: float, now: float) -> None:
    row = {
        "id": name,
        "stage": "edge",
        "session_id": "s",
        "scale": "smoke",
        "experiment": None,
        "status": status,
        "step": 0,
        "total": 0,
        "note": "",
        "pid": os.getpid(),
        "process_started": 0.0,
        "started": now - days * DAY,
        "updated": now - days * DAY,
        "ended": None if status == "running" else now - days * DAY,
    }
    put(connection, "sessions", row)
    put(connection, "events", store.registry_event_row(f"e-{name}", name, now, "started", "edge", ""))


def test_old_failed_and_surplus_sessions_are_forgotten_with_their_events(project: Path) -> None:
    now = time.time()
    with writing_registry() as connection:
        for name, status, days in (
            ("done-29", "done", 29.0),
            ("done-31", "done", 31.0),
            ("paused-6", "paused", 6.0),
            ("failed-6", "failed", 6.0),
            ("failed-8", "failed", 8.0),
            ("killed-8", "killed", 8.0),
            ("running-90", "running", 90.0),
        ):
            add(connection, name, status, days, now)
        delete_old_registry_sessions(connection, KEEP, now)
    kept = {"done-29", "paused-6", "failed-6", "running-90"}
    assert {row["id"] for row in list_sessions()} == kept
    with writing_registry() as connection:
        assert {row["session"] for row in select_registry_rows(connection, "SELECT * FROM events")} == kept
        delete_old_registry_sessions(connection, RegistryParams(keep_days=30, keep_failed_days=7, keep_sessions=2), now)
        left = {row["id"] for row in select_registry_rows(connection, "SELECT id FROM sessions")}
    assert left in ({"running-90", "paused-6"}, {"running-90", "failed-6"}), "the running one and the newest other"


def test_a_session_whose_process_is_gone_was_killed(project: Path) -> None:
    session()
    with writing_registry() as connection:
        add(connection, "ghost", "running", 1.0, time.time())  # our number, but another time of birth
    assert [row["id"] for row in list_sessions(status="killed")] == ["ghost"]
    with writing_registry() as connection:
        mark_killed_sessions(connection)
        states = {row["id"]: row["status"] for row in select_registry_rows(connection, "SELECT * FROM sessions")}
    assert states.pop("ghost") == "killed"
    assert list(states.values()) == ["running"]


def test_progress_is_recorded_but_not_at_every_step(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = session()
    run.progress(1, 10, "loss 1")
    assert list_sessions()[0]["step"] == 0
    monkeypatch.setattr("forge.pipeline.registry.sessions.PROGRESS_SECONDS", 0.0)
    run.progress(2, 10, "loss 0.5")
    (found,) = list_sessions("edge", "running")
    assert (found["step"], found["total"], found["note"]) == (2, 10, "loss 0.5")
    assert list_sessions("trunk") == []


def test_phases_find_their_branches(project: Path) -> None:
    for stage in ("cognate@reasoning", "cognate@memory_integration", "edge"):
        session(stage)
    assert len(list_sessions("cognate")) == 2
    assert len(list_sessions("cognate@reasoning")) == 1
    assert [*list_sessions("cognat_"), *list_sessions("%"), *list_sessions("cognate@")] == []


# ---- models ----


def test_models_are_found_by_name_id_path_and_words(project: Path) -> None:
    (project / "dvc.yaml").write_text("artifacts:\n  edge: {path: models/edge}\n  trunk: {path: models/trunk}\n")
    run = session()
    atomic_write_json("results/edge/metrics.json", {"quality": {"tool_success_rate": 0.5}})
    for value in (1.0, 2.0):
        run.published(publish_model("models/edge", value))
    run.published(publish_model("models/trunk", 3.0, tags=["first"]))
    run.handoff(
        {
            "source": "edge",
            "target": "compress",
            "passed": True,
            "breach": None,
            "models": [find_model("models/edge")["model_id"]],
        }
    )
    assert [model["artifact"] for model in list_models()] == ["trunk", "edge", "edge"]
    assert [model["artifact"] for model in list_models(phase="edge")] == ["edge", "edge"]
    assert [model["artifact"] for model in list_models(tag="first")] == ["trunk"]
    assert len(list_models(query="TOOL_success")) == 2
    assert list_models(query="nothing like it") == []
    newest = find_model("edge")
    assert newest["metrics"] == {"quality": {"tool_success_rate": 0.5}}
    assert [handoff["target"] for handoff in newest["handoffs"]] == ["compress"]
    assert [made["stage"] for made in newest["sessions"]] == ["edge"]
    publish_model("models/edge", 1.0)  # an earlier one is restored: the name means what is in the workspace
    older = find_model("edge")
    assert older["manifest_sha256"] != newest["manifest_sha256"]
    for ref in ("models/edge", older["model_id"], older["manifest_sha256"][:20]):
        assert find_model(ref) == older
    for ref, words in (
        ("edge_", "2 models begin like that"),
        ("nope", "no model 'nope'"),
        ("x" * 5000, "no model 'xxx"),
        ("a\0b", "no model"),
    ):
        with pytest.raises(ForgeError, match=words):
            find_model(ref)
    publish_model("models/edge", 9.0)
    with pytest.raises(ForgeError, match="not in the registry; fix it with"):
        find_model("models/edge/model.safetensors")


def test_rows_survive_json_round_trips(project: Path) -> None:
    filled()
    (model,) = list_models()
    assert model["parents"] == ["t"]
    assert json.loads(json.dumps(model)) == model
