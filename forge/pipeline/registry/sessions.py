"""What a stage tells the registry while it runs, and how long that is remembered.

The registry serves the run, not the other way round: when it cannot be written (damaged, disk full, held by
somebody), the session says so in one line and the training goes on.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forge.errors import ForgeError
from forge.host.machine import process_started
from forge.pipeline.registry.models import model_row
from forge.pipeline.registry.store import (
    is_sound_registry_row,
    put,
    reading_registry,
    registry_event_row,
    registry_hint,
    registry_path,
    sound_registry_rows,
    writing_registry,
)

if TYPE_CHECKING:
    from forge.interface.params import RegistryParams

PROGRESS_SECONDS = 5.0
_DAY = 86400.0


def session_uuid(fingerprint: str) -> str:
    """The `session_id` of a run's models: the first 32 digits of its fingerprint, in the form of a UUID."""
    return str(uuid.UUID(fingerprint[:32]))


class Session:
    """One run of one stage, as the registry knows it. No method raises because of the registry.

    Args:
        stage: DVC's name of the stage.
        fingerprint: hex digest of parameters and inputs, 32 digits or more; equal runs share it.
        scale: the active scale.
    """

    def __init__(self, stage: str, fingerprint: str, scale: str) -> None:
        now = time.time()
        self._row: dict[str, Any] = {
            "id": uuid.uuid4().hex,
            "stage": stage,
            "session_id": session_uuid(fingerprint),
            "scale": scale,
            "experiment": os.environ.get("DVC_EXP_NAME"),
            "status": "running",
            "step": 0,
            "total": 0,
            "note": "",
            "pid": os.getpid(),
            "process_started": process_started(os.getpid()),
            "started": now,
            "updated": now,
            "ended": None,
        }
        self._told = False
        self._written = 0.0

    def start(self, keep: RegistryParams, *, resumed: bool) -> None:
        """Record that the stage runs, and tidy up behind earlier ones."""

        def act(connection: sqlite3.Connection) -> None:
            self._event(connection, "resumed" if resumed else "started")
            mark_killed_sessions(connection)
            delete_old_registry_sessions(connection, keep, self._row["started"])

        self._write(act)

    def progress(self, step: int, total: int, note: str) -> None:
        """Record how far the work is, at most every `PROGRESS_SECONDS`: a commit waits for the disk."""
        if self._told or time.monotonic() - self._written < PROGRESS_SECONDS:
            return
        self._row.update(step=step, total=total, note=note)
        self._write(lambda connection: None)

    def handoff(self, outcome: Mapping[str, Any]) -> None:
        """Record the outcome of a handoff check: source, target, models, passed, breach."""

        def act(connection: sqlite3.Connection) -> None:
            row = {"id": uuid.uuid4().hex, "session": self._row["id"], "time": time.time(), **outcome}
            put(connection, "handoffs", {**row, "models": json.dumps(outcome["models"]), "passed": int(row["passed"])})

        self._write(act)

    def published(self, directory: Path) -> None:
        """Record the model in a published directory, with the headline metrics of its results."""

        def act(connection: sqlite3.Connection) -> None:
            row = model_row(Path(), directory.as_posix(), recorded=time.time())
            put(connection, "models", {**row, "experiment": self._row["experiment"], "scale": self._row["scale"]})
            self._event(connection, "published", row["model_id"])

        self._write(act)

    def end(self, status: str, step: int, total: int, note: str) -> None:
        """Record how the run ended: done, paused or failed, after which step."""
        self._row.update(status=status, step=step, total=total, note=note, ended=time.time())
        self._write(lambda connection: self._event(connection, status, note=note))

    def _event(self, connection: sqlite3.Connection, kind: str, subject: str = "", note: str = "") -> None:
        subject = subject or self._row["stage"]
        put(
            connection,
            "events",
            registry_event_row(uuid.uuid4().hex, self._row["id"], time.time(), kind, subject, note),
        )

    def _write(self, act: Callable[[sqlite3.Connection], None]) -> None:
        self._row["updated"] = time.time()
        try:
            with writing_registry() as connection:
                put(connection, "sessions", self._row)
                act(connection)
        except (sqlite3.Error, OSError, UnicodeDecodeError, ForgeError) as error:
            if not self._told:
                where = f"{self._row['stage']}: not recorded in {registry_path()}"
                line = f"{where} ({error}); the run goes on; {registry_hint(error)}"
                print(line, file=sys.stderr)
            self._told = True
        self._written = time.monotonic()


def _is_session_gone(session: Mapping[str, Any]) -> bool:
    """Whether a session says that it runs though its process does not live any more."""
    if session["status"] != "running":
        return False
    return process_started(session["pid"]) != session["process_started"]


def mark_killed_sessions(connection: sqlite3.Connection) -> None:
    """Sessions that say they run though their process is gone get the status `killed`."""
    for found in connection.execute("SELECT * FROM sessions WHERE status = 'running'").fetchall():
        row = dict(found)
        if is_sound_registry_row("sessions", row) and _is_session_gone(row):
            del row["row_sha256"]
            put(connection, "sessions", {**row, "status": "killed", "ended": row["updated"]})


def delete_old_registry_sessions(connection: sqlite3.Connection, keep: RegistryParams, now: float) -> None:
    """Remove sessions that are too old or too many, with their handoffs and events; running ones stay."""
    connection.execute(
        """DELETE FROM sessions WHERE status != 'running' AND (
            ended < ? OR (status IN ('failed', 'killed') AND ended < ?) OR id NOT IN (
                SELECT id FROM sessions ORDER BY status = 'running' DESC, started DESC LIMIT ?))""",
        (now - keep.keep_days * _DAY, now - keep.keep_failed_days * _DAY, keep.keep_sessions),
    )


def list_sessions(stage: str | None = None, status: str | None = None) -> list[dict[str, Any]]:
    """Sessions, the newest first, each with the handoffs that it checked.

    Args:
        stage: only this stage (`cognate@reasoning`) or phase (`cognate`).
        status: running, paused, failed, killed or done.

    Returns:
        Rows of the registry; none while there is no registry.

    Raises:
        ForgeError: the registry is damaged.
    """
    if not os.path.lexists(registry_path()):
        return []
    with reading_registry() as connection:
        found = [
            session
            for session in sound_registry_rows(connection, "sessions", "ORDER BY started DESC")
            if stage in (None, session["stage"], session["stage"].partition("@")[0])
        ]
        for session in found:
            session["handoffs"] = sound_registry_rows(
                connection, "handoffs", "WHERE session = ? ORDER BY time", (session["id"],)
            )
            if _is_session_gone(session):  # the next run will write that down
                session.update(status="killed", ended=session["updated"])
    return [session for session in found if status in (None, session["status"])]
