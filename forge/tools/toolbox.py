"""The five tools behind one `execute(call)`."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from forge.errors import ForgeError
from forge.tools.calculator import CalculatorError, calculate
from forge.tools.code_executor import CodeExecutor
from forge.tools.database_query import Database
from forge.tools.file_reader import read_start
from forge.tools.search import SearchIndex
from forge.tools.workspace import build_workspace

TOOL_NAMES = ("calculator", "code_executor", "search", "file_reader", "database_query")
MAX_RESULT = 200


class Toolbox:
    """Executes calls such as `calculator 3+4` and answers with one short line.

    `workspace` is a folder with documents.jsonl, files/ and company.db; without one the built-in workspace is
    written to a temporary folder. `timeout_s` is the wall-clock limit of a snippet and of a query.
    `unsafe_code=True` lets code run on systems without Landlock, with resource limits only.
    Raises `ForgeError` if a given workspace is incomplete.
    """

    def __init__(self, workspace: Path | None = None, timeout_s: float = 2.0, *, unsafe_code: bool = False) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if workspace is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="workspace-", ignore_cleanup_errors=True)
            workspace = Path(self._temporary.name)
            build_workspace(workspace)
        self._files = workspace / "files"
        try:
            self._index = SearchIndex.load(workspace / "documents.jsonl")
            self._database = Database(workspace / "company.db", timeout_s)
        except sqlite3.Error as error:
            raise ForgeError(f"cannot open {workspace / 'company.db'}: {error}") from error
        self._code = CodeExecutor(timeout_s, unsafe=unsafe_code)
        self._tools: dict[str, Callable[[str], str]] = {
            "calculator": _calculator,
            "code_executor": self._code.run,
            "search": self._index.answer,
            "file_reader": lambda name: read_start(self._files, name),
            "database_query": self._database.query,
        }

    def execute(self, call: str) -> str:
        """Result of one call, at most 200 characters on one line; `error: ...` for every bad call."""
        name, _, argument = call.strip().partition(" ")
        tool = self._tools.get(name)
        if tool is None:
            return _short(f"error: unknown tool {name[:40]}")
        if not argument.strip():
            return f"error: {name} needs an argument"
        return _short(tool(argument.strip()))

    def close(self) -> None:
        """Stop the sandbox, close the database and remove a temporary workspace."""
        self._code.close()
        self._database.close()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def __enter__(self) -> Toolbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _calculator(expression: str) -> str:
    try:
        return calculate(expression)
    except CalculatorError as error:
        return f"error: {error}"


def _short(text: str) -> str:
    """One line, printable, at most 200 characters; lone surrogates would not survive a JSON file."""
    line = " ".join(text.split()).encode("utf-8", "replace").decode("utf-8")
    return line if len(line) <= MAX_RESULT else line[: MAX_RESULT - 3] + "..."
