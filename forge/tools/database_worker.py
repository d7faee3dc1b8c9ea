"""The process that runs queries on one SQLite file (`database_query.py` starts it as a bare script).

Three locks, each enough on its own against writing: the file is opened with `mode=ro`, an authorizer lets only SELECT,
column reads and a list of functions through, and one statement is run per request.

Nothing interrupts a function of SQLite, and some take the product of two lengths (eight nested `trim` of a long text:
22 s). So the clock is a signal that ends the process, whatever it is at; memory is limited for the process too, and a
file that makes SQLite crash takes this process alone with it.

Frames on the pipes: 4 bytes length + UTF-8 text, in both directions. An empty request asks what the database holds
(`describe_database`).
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sqlite3
import sys
from pathlib import Path

MAX_ROWS = 5
MAX_VALUE_BYTES = 100_000
MAX_SQL_BYTES = 100_000
MAX_COLUMNS = 100
MAX_SHOWN = 1000  # characters of a value and of an answer; a person is shown 200
MAX_ADDRESS_SPACE = 256 * 2**20
# What is told of a database, so that it can be asked about: tables, columns of each, rows that are looked at, different
# texts of each column, characters of a name or of a text.
TOLD_TABLES, TOLD_COLUMNS, TOLD_ROWS, TOLD_VALUES, TOLD_LENGTH = 20, 20, 10_000, 300, 60
_FUNCTIONS_TEXT = (
    "abs avg coalesce count group_concat ifnull instr length like lower ltrim max min nullif "
    "replace round rtrim substr substring sum total trim upper"
)
_TABLES = (
    "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite%' AND sql NOT LIKE 'CREATE VIRTUAL%'"
)
_FUNCTIONS = frozenset(_FUNCTIONS_TEXT.split())


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and second in _FUNCTIONS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def open_tool_database_read_only(path: Path) -> sqlite3.Connection:
    """A connection that can only read. Raises `sqlite3.Error` if there is no such file."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")  # a big sort would fill the disk with temporary files
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, MAX_SQL_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, MAX_COLUMNS)
    connection.set_authorizer(_authorize)
    return connection


def answer_query(connection: sqlite3.Connection, sql: str) -> str:
    """Values joined by `, `, rows by `; `, at most five rows; `error: ...` otherwise."""
    try:
        cursor = connection.execute(sql)
        rows = cursor.fetchmany(MAX_ROWS)
        cursor.close()
    except MemoryError:
        return "error: the query takes too much memory"
    except (sqlite3.Error, sqlite3.Warning, UnicodeError, ValueError) as error:
        return f"error: {error}"
    if not rows:
        return "error: nothing found"
    return "; ".join(", ".join(map(_format_database_value, row)) for row in rows)


def describe_database(connection: sqlite3.Connection) -> str:
    """JSON: {table: {column: [declared type, different texts]}}, in the order of their creation; texts are none where
    one is longer than a name is or there are too many. What cannot be read is left out."""
    connection.set_authorizer(_authorize_description)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        names = [str(name) for (name,) in connection.execute(_TABLES).fetchmany(TOLD_TABLES)]
        found = {name: _describe_table(connection, name) for name in names if len(name) <= TOLD_LENGTH}
        return json.dumps(found)
    finally:
        connection.text_factory = str
        connection.set_authorizer(_authorize)


def _authorize_description(action: int, first: str | None, second: str | None, *rest: str | None) -> int:
    told = action == sqlite3.SQLITE_PRAGMA and first == "table_info"
    told |= action == sqlite3.SQLITE_FUNCTION and second == "typeof"
    return sqlite3.SQLITE_OK if told else _authorize(action, first, second, *rest)


def _describe_table(connection: sqlite3.Connection, table: str) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    source = table.replace('"', '""')
    with contextlib.suppress(sqlite3.Error):
        for _, name, kind, *_ in connection.execute(f'PRAGMA table_info("{source}")').fetchmany(TOLD_COLUMNS):
            if len(str(name)) <= TOLD_LENGTH:  # a name that is cut would be read as a text
                found[str(name)] = [str(kind), []]
        for name, (_, texts) in found.items():
            column = name.replace('"', '""')
            rows = f'SELECT "{column}" AS told FROM "{source}" LIMIT {TOLD_ROWS}'
            query = f"SELECT DISTINCT told FROM ({rows}) WHERE typeof(told)='text'"
            values = [str(value) for (value,) in connection.execute(query).fetchmany(TOLD_VALUES + 1)]
            if len(values) <= TOLD_VALUES and all(len(value) <= TOLD_LENGTH for value in values):
                texts.extend(values)  # type: ignore[attr-defined]
    return found


def _format_database_value(value: str | float | bytes | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return "(binary)"
    return format(value, ".12g") if isinstance(value, float) else str(value)[:MAX_SHOWN]


def main(path: Path, timeout_s: float) -> None:
    """Answer requests until the end of file; die of SIGALRM in one that takes longer than `timeout_s`."""
    with contextlib.suppress(ValueError, OSError):  # not everywhere there is such a limit
        resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    connection = None
    while len(head := sys.stdin.buffer.read(4)) == 4:
        sql = sys.stdin.buffer.read(int.from_bytes(head, "big")).decode("utf-8")
        signal.setitimer(signal.ITIMER_REAL, max(timeout_s, 0.001))  # 0 would be no limit
        try:
            connection = connection or open_tool_database_read_only(path)
            text = answer_query(connection, sql)[:MAX_SHOWN] if sql else describe_database(connection)
        except sqlite3.Error as error:
            text = f"error: {error}"
        signal.setitimer(signal.ITIMER_REAL, 0)
        answer = text.encode("utf-8", "replace")
        sys.stdout.buffer.write(len(answer).to_bytes(4, "big") + answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
