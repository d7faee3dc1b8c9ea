"""Read-only SQL over one SQLite file.

Three locks, each enough on its own against writing: the file is opened with `mode=ro`, an authorizer lets
only SELECT, column reads and a list of functions through, and one statement is run per call. Endless
queries (cross joins, recursion) are stopped by a progress handler, big values by `SQLITE_LIMIT_LENGTH`.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

MAX_ROWS = 5
MAX_VALUE_BYTES = 100_000
_STEPS = 1000  # virtual machine steps between two looks at the clock
_FUNCTIONS_TEXT = (
    "abs avg coalesce count group_concat ifnull instr length like lower ltrim max min nullif "
    "replace round rtrim substr substring sum total trim upper"
)
_FUNCTIONS = frozenset(_FUNCTIONS_TEXT.split())


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and second in _FUNCTIONS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


class Database:
    """One read-only connection; `query` never raises on bad SQL."""

    def __init__(self, path: Path, timeout_s: float = 2.0) -> None:
        self._timeout_s = timeout_s
        self._deadline = 0.0
        uri = f"{path.resolve().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        self._connection.set_authorizer(_authorize)
        self._connection.set_progress_handler(self._too_late, _STEPS)

    def _too_late(self) -> bool:
        return time.monotonic() > self._deadline

    def query(self, sql: str) -> str:
        """Values joined by `, `, rows by `; `, at most five rows; `error: ...` otherwise."""
        self._deadline = time.monotonic() + self._timeout_s
        try:
            cursor = self._connection.execute(sql)
            rows = cursor.fetchmany(MAX_ROWS)
            cursor.close()
        except sqlite3.OperationalError as error:
            late = "interrupted" in str(error)
            return "error: the query took too long" if late else f"error: {error}"
        except (sqlite3.Error, sqlite3.Warning, UnicodeError, ValueError) as error:
            return f"error: {error}"
        if not rows:
            return "error: no rows"
        return "; ".join(", ".join(map(_format_database_value, row)) for row in rows)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _format_database_value(value: str | float | bytes | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return "(binary)"
    return format(value, ".12g") if isinstance(value, float) else str(value)
