"""The registry: what ran, what it made, what was handed on; one SQLite file under `.forge/` of the main repository.

Git's tags, `dvc.lock` and the manifests are the truth about models; this file is an index of them that answers at
once, and the only memory of sessions, handoffs and events. It is never an input or output of a stage: no result
may depend on it, and `agent-forge models reindex` rebuilds it.

Many processes write at the same time and any of them may be killed. Hence WAL (readers never wait and never make
a writer wait), `BEGIN IMMEDIATE` with a busy timeout (writers queue up instead of failing half-way),
`synchronous=FULL` (what was committed survives a power cut) and a file that appears whole or not at all. SQLite
has no checksum of its pages, so every row carries one of its own: a flipped byte is found wherever it lands.

https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.pipeline.layout.paths import layout_state_dir

BUSY_SECONDS = 10.0
# What SQLite says of the disk, of rights and of other processes; everything else it says is about the file.
_ELSEWHERE = {
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
_NO_ROOM = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY}
_COMPANIONS = ("-wal", "-shm", "")
_ADDED_LATER = ("scale", "bytes")  # columns of `models`: an older row, which lacks them, keeps its digest
FIX_HINT = "fix it with: agent-forge models reindex"
LOOK_HINT = "it may be whole: look for room on the disk, for the right to write here, and for who else uses it"
KEYS = {
    "sessions": "id",
    "models": "manifest_sha256",
    "versions": "tag",
    "handoffs": "id",
    "events": "id",
}

# One entry a version of the schema, in order; entries are never edited, only added.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE sessions (
            id TEXT PRIMARY KEY,
            stage TEXT NOT NULL,
            session_id TEXT NOT NULL,
            scale TEXT NOT NULL,
            experiment TEXT,
            status TEXT NOT NULL CHECK (status IN ('running', 'paused', 'failed', 'killed', 'done')),
            step INTEGER NOT NULL,
            total INTEGER NOT NULL,
            note TEXT NOT NULL,
            pid INTEGER NOT NULL,
            process_started REAL NOT NULL,
            started REAL NOT NULL,
            updated REAL NOT NULL,
            ended REAL,
            row_sha256 TEXT NOT NULL)""",
        """CREATE TABLE models (
            manifest_sha256 TEXT PRIMARY KEY,
            model_id TEXT NOT NULL,
            artifact TEXT,
            path TEXT NOT NULL,
            phase TEXT NOT NULL,
            model_name TEXT NOT NULL,
            specialization TEXT,
            session_id TEXT NOT NULL,
            experiment TEXT,
            parameters INTEGER NOT NULL,
            size_mb REAL NOT NULL,
            tags TEXT NOT NULL,
            parents TEXT NOT NULL,
            metrics TEXT NOT NULL,
            recorded REAL NOT NULL,
            row_sha256 TEXT NOT NULL)""",
        "CREATE INDEX models_by_id ON models (model_id)",
        """CREATE TABLE handoffs (
            id TEXT PRIMARY KEY,
            session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
            time REAL NOT NULL,
            source TEXT NOT NULL,
            target TEXT NOT NULL,
            models TEXT NOT NULL,
            passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
            breach TEXT,
            row_sha256 TEXT NOT NULL)""",
        "CREATE INDEX handoffs_by_session ON handoffs (session)",
        """CREATE TABLE events (
            id TEXT PRIMARY KEY,
            session TEXT REFERENCES sessions (id) ON DELETE CASCADE,
            time REAL NOT NULL,
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            note TEXT NOT NULL,
            row_sha256 TEXT NOT NULL)""",
        "CREATE INDEX events_by_session ON events (session)",
    ),
    (
        """CREATE TABLE versions (
            tag TEXT PRIMARY KEY,
            artifact TEXT NOT NULL,
            version TEXT NOT NULL,
            manifest_sha256 TEXT REFERENCES models (manifest_sha256) ON DELETE CASCADE,
            git_commit TEXT NOT NULL,
            registered REAL NOT NULL,
            stages TEXT NOT NULL,
            facts TEXT NOT NULL,
            row_sha256 TEXT NOT NULL)""",
        "CREATE INDEX versions_by_model ON versions (manifest_sha256)",
    ),
    ("ALTER TABLE models ADD COLUMN scale TEXT", "ALTER TABLE models ADD COLUMN bytes INTEGER"),
)


def registry_path() -> Path:
    """`<main repository>/.forge/registry.db`."""
    return layout_state_dir() / "registry.db"


def _schema_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the schema up to date in one transaction, however many processes try at once."""
    if _schema_version(connection) == len(MIGRATIONS):
        return
    with _transaction(connection):
        version = _schema_version(connection)
        if version > len(MIGRATIONS):
            raise ForgeError(f"{path}: made by a newer Agent Forge (schema {version}, known {len(MIGRATIONS)})")
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _configure_registry(connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    # Bytes that are no UTF-8 any more must not end a search for damage; their row fails its digest.
    connection.text_factory = lambda blob: blob.decode("utf-8", "replace")


def _open_registry(path: Path) -> sqlite3.Connection:
    """A connection that may write, with our settings."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    _configure_registry(connection)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def draft_registry(path: Path) -> Path:
    """A new, empty registry beside another, to be filled before it takes the other's place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        _open_registry(draft).close()
    except BaseException:
        discard_registry_draft(draft)
        raise
    return draft


def discard_registry_draft(draft: Path) -> None:
    """Remove a draft and its companions, as far as they are there."""
    for suffix in _COMPANIONS:
        draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def _create(path: Path) -> None:
    """Make an empty registry that appears whole: built under another name, then linked, so that of several
    processes one wins.
    """
    draft = draft_registry(path)
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        discard_registry_draft(draft)


class RegistryDamaged(ForgeError):
    """The registry is not as this program wrote it; `agent-forge models reindex` makes it anew."""


def is_registry_damage(error: BaseException) -> bool:
    """Whether a fault met at the registry lies in the file, and not in a disk, its rights, or another process."""
    if isinstance(error, sqlite3.Error):
        return _registry_error_kind(error) not in _ELSEWHERE
    return isinstance(error, UnicodeDecodeError | RegistryDamaged)


def _registry_error_kind(error: sqlite3.Error) -> int | None:
    """SQLite's word for a fault, without its details; None for one that we found ourselves."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def registry_hint(error: BaseException) -> str:
    """What to do about a fault met at the registry. A sound one must not be made anew because the disk is full."""
    return FIX_HINT if is_registry_damage(error) else LOOK_HINT


def _require_registry_file(path: Path) -> None:
    if not path.is_file():
        raise sqlite3.DatabaseError("it is no file")
    if path.stat().st_size == 0:
        raise sqlite3.DatabaseError("the file is empty")


@contextmanager
def writing_registry(path: Path | None = None) -> Iterator[sqlite3.Connection]:
    """A write transaction: all of the block is recorded, or nothing.

    Raises:
        sqlite3.Error, OSError: damaged, locked for longer than `BUSY_SECONDS`, disk full.
        ForgeError: made by a newer version of this program.
    """
    path = path or registry_path()
    if not os.path.lexists(path):
        _create(path)
    _require_registry_file(path)
    connection = _open_registry(path)
    try:
        with _transaction(connection):
            yield connection
    finally:
        connection.close()


@contextmanager
def reading_registry(path: Path | None = None) -> Iterator[sqlite3.Connection]:
    """A consistent view that keeps nobody waiting.

    Raises:
        RegistryDamaged: it is damaged.
        ForgeError: there is no registry, it was made by a newer version, or it cannot be read for a reason that lies
            elsewhere (no room, no right, somebody holds it).
    """
    path = path or registry_path()
    if not os.path.lexists(path):
        raise ForgeError(f"{path}: no registry yet; a run makes one, and so does: agent-forge models reindex")
    connection: sqlite3.Connection | None = None
    try:
        _require_registry_file(path)
        connection = _connect_to_read(path)
        if _schema_version(connection) != len(MIGRATIONS):
            with writing_registry(path):  # migrates, or says that it cannot
                pass
        yield connection
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        kind = RegistryDamaged if is_registry_damage(error) else ForgeError
        raise kind(f"{path}: cannot be read ({error}); {registry_hint(error)}") from error
    finally:
        if connection is not None:
            connection.close()


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that only reads.

    It takes shared memory in a file beside the registry, which needs room and the right to write. Where there is
    neither, and no log of changes beside it, the file alone is the whole registry and can be read as it is.
    """
    log = path.with_name(f"{path.name}-wal")
    for option in ("", "&immutable=1"):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro{option}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
        )
        try:
            _configure_registry(connection)
            _schema_version(connection)
            break
        except sqlite3.Error as error:
            connection.close()
            if option or _registry_error_kind(error) not in _NO_ROOM or (log.is_file() and log.stat().st_size):
                raise
    return connection


def registry_row_digest(table: str, row: Mapping[str, Any]) -> str:
    """Hex SHA-256 of a row's values; numbers count by value, since SQLite may turn an integer into a float.

    Bytes, which only damage puts there, have a digest too: one that no row was written with.
    """
    plain = {
        key: float(value) if isinstance(value, int | float) else value
        for key, value in row.items()
        if key != "row_sha256" and not (value is None and table == "models" and key in _ADDED_LATER)
    }
    return hashlib.sha256(json.dumps([table, plain], sort_keys=True, default=repr).encode()).hexdigest()


def is_sound_registry_row(table: str, row: Mapping[str, Any]) -> bool:
    """Whether a row is as this program wrote it."""
    return bool(row.get("row_sha256") == registry_row_digest(table, row))


def put(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    """Insert a row, or bring the one with its key up to date; every write goes through here."""
    values = {**row, "row_sha256": registry_row_digest(table, row)}
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    # Not INSERT OR REPLACE: that deletes the old row first, and with it whatever refers to it.
    changes = ", ".join(f"{name} = excluded.{name}" for name in values)
    connection.execute(
        f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT ({KEYS[table]}) DO UPDATE SET {changes}",
        values,
    )


def select_registry_rows(
    connection: sqlite3.Connection, query: str, values: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """The rows of a query as dicts, columns of JSON parsed, without their digests."""
    found = []
    for row in connection.execute(query, values):
        plain = {key: row[key] for key in row.keys() if key != "row_sha256"}  # noqa: SIM118 (sqlite3.Row)
        for key in ("tags", "parents", "metrics", "models", "stages", "facts"):
            if isinstance(plain.get(key), str):
                try:
                    plain[key] = json.loads(plain[key])
                except ValueError as error:
                    raise sqlite3.DatabaseError(f"column {key} is damaged") from error
        found.append(plain)
    return found


def sound_registry_rows(
    connection: sqlite3.Connection, table: str, rest: str = "", values: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """The rows of a table, `rest` being what follows its name in the query, as `select_registry_rows` gives them.

    Raises:
        sqlite3.DatabaseError: one of them is not as this program wrote it.
    """
    query = f"SELECT * FROM {table} {rest}"
    for row in connection.execute(query, values):
        if not is_sound_registry_row(table, dict(row)):
            raise sqlite3.DatabaseError(f"{table}: row {row[KEYS[table]]} was changed from outside")
    return select_registry_rows(connection, query, values)


def registry_event_row(
    identity: str, session: str | None, time: float, kind: str, subject: str, note: str
) -> dict[str, Any]:
    """A row of `events`: something that happened to a session, a model or the registry itself."""
    return {"id": identity, "session": session, "time": time, "kind": kind, "subject": subject, "note": note}


def validate_registry_store(path: Path | None = None) -> list[str]:
    """What is damaged in the registry, one line each; empty if it is sound or does not exist.

    Raises:
        ForgeError: it cannot be examined, for a reason that lies elsewhere or because it is a newer version's.
    """
    path = path or registry_path()
    if not os.path.lexists(path):
        return []
    try:
        with reading_registry(path) as connection:
            found = _registry_faults_in(connection)
    except RegistryDamaged as error:
        return [f"{path}: {str(error).removeprefix(f'{path}: ')}"]
    return [f"{path}: {line}" for line in found]


def _registry_faults_in(connection: sqlite3.Connection) -> list[str]:
    found = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    for row in connection.execute("PRAGMA foreign_key_check"):
        found.append(f"{row[0]}: a row refers to nothing in {row[2]}")
    # A damaged definition may still be one: compare it with what we would make.
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    with sqlite3.connect(":memory:") as model:
        for statement in (statement for statements in MIGRATIONS for statement in statements):
            model.execute(statement)
        if list(map(tuple, connection.execute(schema))) != list(map(tuple, model.execute(schema))):
            return [*found, "the definition of a table was changed from outside"]
    for table, key in KEYS.items():
        for row in connection.execute(f"SELECT * FROM {table}"):
            if not is_sound_registry_row(table, dict(row)):
                found.append(f"{table}: row {row[key]} was changed from outside")
    return found


def set_registry_aside(path: Path) -> Path:
    """Move a damaged registry and its companions out of the way; returns its new name."""
    target = path.with_name(f"{path.name}.damaged-{uuid.uuid4().hex[:8]}")
    for suffix in _COMPANIONS:
        source = path.with_name(path.name + suffix)
        if os.path.lexists(source):
            source.rename(target.with_name(target.name + suffix))
    return target


def salvage_registry(damaged: Path, path: Path) -> dict[str, int]:
    """Copy from a damaged registry every sound row of what only it knows; returns rows saved by table.

    A row counts if SQLite can still read it and its digest holds.
    """
    saved = dict.fromkeys(("sessions", "handoffs", "events"), 0)
    with writing_registry(path) as connection:
        for table in saved:
            for row in _readable_registry_rows(damaged, table):
                session = row.get("session")
                known = connection.execute("SELECT 1 FROM sessions WHERE id = ?", (session,)).fetchone()
                if session is None or known is not None:
                    put(connection, table, {key: row[key] for key in row if key != "row_sha256"})
                    saved[table] += 1
    return saved


def _readable_registry_rows(damaged: Path, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if not damaged.is_file():
        return found
    try:
        with closing(_connect_to_read(damaged)) as connection:
            for row in connection.execute(f"SELECT * FROM {table}"):
                if is_sound_registry_row(table, dict(row)):
                    found.append(dict(row))
    except (sqlite3.Error, UnicodeDecodeError) as error:
        if not is_registry_damage(error):  # the rest may well be sound
            raise
    return found  # what came before the damage
