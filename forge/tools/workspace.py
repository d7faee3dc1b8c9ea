"""The folder that the tools see (documents.jsonl, files/, company.db): writing the built-in one, with the same bytes
every time, and examining any other before a tool reads it."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from forge.errors import ForgeError
from forge.files import atomic_write_bytes, atomic_write_text
from forge.tools.content import CARDS, FILES, TABLES
from forge.tools.search import read_documents_of_search_tool

_PARTS = ("documents.jsonl", "files", "company.db")
# SQLite opens these beside a database by itself.
_DATABASE_COMPANIONS = ("company.db-journal", "company.db-wal", "company.db-shm")


def set_up_tool_workspace(path: Path) -> None:
    """Write the default workspace into the folder `path`, creating it; existing files are replaced."""
    (path / "files").mkdir(parents=True, exist_ok=True)
    rows = (json.dumps({"title": title, "text": text}, ensure_ascii=False) for title, text in CARDS)
    atomic_write_text(path / "documents.jsonl", "".join(f"{row}\n" for row in rows))
    for name, text in FILES.items():
        atomic_write_text(path / "files" / name, text + "\n")
    atomic_write_bytes(path / "company.db", _serialize_tool_database())


def _serialize_tool_database() -> bytes:
    """The database built in memory: no journal, no page left over from an earlier file."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for table, (columns, rows) in TABLES.items():
            declared = ", ".join(f"{name} {kind}" for name, kind in columns)
            connection.execute(f"CREATE TABLE {table} ({declared})")
            marks = ", ".join("?" * len(columns))
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        connection.commit()
        return connection.serialize()


def examine_tool_workspace(path: Path) -> None:
    """Look through a workspace before a tool reads it.

    A pipe would keep its reader waiting, a device has no end, and a link out of the folder would show what its owner
    never put there, so none of them is opened.

    Raises:
        ForgeError: none of its parts is there; names what is no regular file (`files`: no folder) or leads out of the
            workspace, and the line of a document or the database that cannot be read.
    """
    if not path.is_dir():
        raise ForgeError(f"{path}: no such workspace folder")
    there = [name for name in _PARTS if (path / name).is_symlink() or (path / name).exists()]
    if not there:
        raise ForgeError(f"{path}: no workspace; it has one of {', '.join(_PARTS)}, or several")
    for name in there:
        _check_workspace_part(path, name, folder=name == "files")
    if "documents.jsonl" in there:
        read_documents_of_search_tool(path / "documents.jsonl")
    if "company.db" in there:
        for name in _DATABASE_COMPANIONS:
            if (path / name).is_symlink() or (path / name).exists():
                _check_workspace_part(path, name)
        _check_tool_database(path / "company.db")


def _check_workspace_part(path: Path, name: str, *, folder: bool = False) -> None:
    part = path / name
    try:
        real = part.resolve(strict=True)
        mode = real.stat().st_mode
    except (OSError, RuntimeError) as error:  # a link to nothing, or a loop of links
        raise ForgeError(f"{part}: leads nowhere") from error
    if not real.is_relative_to(path.resolve()):
        raise ForgeError(f"{part}: leads out of the workspace, to {real}")
    if not (stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)):
        raise ForgeError(f"{part}: not a {'folder' if folder else 'regular file'}")


def _check_tool_database(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise ForgeError(f"{path}: not readable as an SQLite database ({error})") from error
