"""Read-only SQL over one SQLite file, in a process of its own: `database_worker.py` says why."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from forge.tools import database_worker


class Database:
    """A process that is started by the first query and again after one that it did not survive."""

    def __init__(self, path: Path, timeout_s: float = 2.0) -> None:
        self._command = [
            os.path.realpath(sys.executable),
            "-I",
            "-S",
            "-B",
            database_worker.__file__,
            str(path.resolve()),
        ]
        self._command.append(str(timeout_s))
        self._process: subprocess.Popen[bytes] | None = None

    def query(self, sql: str) -> str:
        """Values joined by `, `, rows by `; `, at most five rows; `error: ...` otherwise, never an exception."""
        return self._answer(sql.encode("utf-8", "replace")) if sql.strip() else "error: a query is needed"

    def describe(self) -> dict[str, dict[str, tuple[str, list[str]]]]:
        """Of every column, by table: its declared type, and the different texts in it
        (`database_worker.describe_database`). Empty where the database cannot be read in time."""
        answer = self._answer(b"")
        found = {} if answer.startswith("error:") else json.loads(answer)
        return {table: {name: (kind, texts) for name, (kind, texts) in own.items()} for table, own in found.items()}

    def _answer(self, payload: bytes) -> str:
        try:
            answer = self._ask(len(payload).to_bytes(4, "big") + payload)
        except OSError as error:
            self.close()
            return f"error: the database cannot be asked: {error}"
        if answer is not None:
            return answer.decode("utf-8", "replace")
        ended = self._process.wait() if self._process is not None else 0
        self.close()
        return "error: the query took too long" if ended == -signal.SIGALRM else "error: the database stopped"

    def _ask(self, frame: bytes) -> bytes | None:
        """The answer; None if the process ended instead."""
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # an interrupt from the keyboard is for the agent
            )
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(frame)
            stdin.flush()
        except BrokenPipeError:
            return None
        head = stdout.read(4)
        size = int.from_bytes(head, "big")
        answer = stdout.read(size) if len(head) == 4 else b""
        return answer if len(head) == 4 and len(answer) == size else None

    def close(self) -> None:
        """End the process. Safe to call twice."""
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(BrokenPipeError):  # what it was asked last may still lie in the buffer
                self._process.communicate()
            self._process = None
