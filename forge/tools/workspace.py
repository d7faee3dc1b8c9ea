"""Writes the built-in workspace (documents.jsonl, files/, company.db) with the same bytes every time."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from forge.files import atomic_write_bytes, atomic_write_text
from forge.tools.content import CARDS, FILES, TABLES


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
