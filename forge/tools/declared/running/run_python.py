"""Python functions as tools, in a process of their own that keeps their modules, and what these remember, loaded.

A process of its own, because a function may print, take for ever, or end its interpreter, and because a module of the
user's may bear the name of one of ours. It is not a sandbox: it may do what the user may.
"""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from forge.errors import ForgeError
from forge.tools.declared.running import python_worker
from forge.tools.declared.running.run_command import kill_tool_process_group

MOST_ANSWER = 4 << 20  # bytes; a description of a module is the longest


class PythonWorker:
    """Imports modules as a script in `folder` would, and calls their functions one at a time.

    The process starts with the first request, and anew after one that it did not survive: what its modules remembered
    is then lost, and the error says so.
    """

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder = folder
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, function: str, arguments: Mapping[str, Any]) -> str:
        """The result of `module:function` as text.

        Raises:
            ForgeError: the module cannot be imported, the function raises or takes too long, or the process ends.
        """
        return str(self._ask({"call": function, "arguments": dict(arguments)}))

    def describe(self, module: str, path: Path | None) -> list[dict[str, Any]]:
        """Name, description, JSON Schema of the parameters and notes of each public function of a module.

        Args:
            module: its dotted name.
            path: where it has to be, if that is known.

        Raises:
            ForgeError: as `call`, or another module has its name.
        """
        found = self._ask({"describe": module, "path": None if path is None else str(path)})
        assert isinstance(found, list)
        return found

    def _ask(self, request: dict[str, Any]) -> Any:
        line = json.dumps(request).encode() + b"\n"
        try:
            answer = self._exchange(line)
        except OSError as error:
            self.close()
            raise ForgeError(f"Python cannot be asked: {error.strerror or error}") from error
        if "error" in answer:
            raise ForgeError(answer["error"])
        return answer["result"]

    def _exchange(self, line: bytes) -> dict[str, Any]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-B", python_worker.__file__, str(self._folder.resolve())],
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: the end of its output says so
            stdin.write(line)
            stdin.flush()
        data, deadline = b"", time.monotonic() + self._timeout_s
        while not data.endswith(b"\n"):
            if not select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                self.close()
                raise ForgeError(f"the function took longer than {self._timeout_s:g} s; what it remembered is lost")
            block = stdout.read1(1 << 16)  # type: ignore[attr-defined]
            data += block
            if not block or len(data) > MOST_ANSWER:
                self.close()
                raise ForgeError("the function ended its process; what it remembered is lost")
        answer: dict[str, Any] = json.loads(data)
        return answer

    def close(self) -> None:
        """End the process. Safe to call twice."""
        if self._process is None:
            return
        process, self._process = self._process, None
        kill_tool_process_group(process)
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):  # what it was asked last may still lie in the buffer
                stream.close()  # type: ignore[union-attr]

    def __enter__(self) -> PythonWorker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
