"""Commands as tools: the arguments as one line of JSON on standard input, the result on standard output. No shell."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forge.errors import ForgeError

MOST_OUTPUT = 1 << 16  # bytes read of either stream; a result has 200 characters
_GLANCE_S = 0.05  # how long an ended command's children may keep its output open without a word


def tool_program_words(command: Sequence[str]) -> list[str]:
    """A command's words; `python` is the Python that this program runs in, wherever that is."""
    return [sys.executable if command[0] in ("python", "python3") else command[0], *command[1:]]


def run_tool_command(command: Sequence[str], text: str, folder: Path, timeout_s: float) -> str:
    """What a command prints, at most 64 KiB of it.

    Args:
        command: program and arguments, as they are.
        text: its standard input.
        folder: where it runs.
        timeout_s: seconds after which it is killed, with all that it started.

    Raises:
        ForgeError: it cannot be started, takes too long, or ends with another code than 0.
    """
    with tempfile.TemporaryFile() as given:  # a file, not a pipe: who does not read his input keeps nobody waiting
        given.write(text.encode("utf-8", "replace"))
        given.seek(0)
        try:
            process = subprocess.Popen(
                tool_program_words(command),
                cwd=folder,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # an interrupt from the keyboard is for the agent
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ForgeError(f"{command[0]} cannot be started: {reason}") from error
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        try:
            said, complained = _read_command_output(process, time.monotonic() + timeout_s)
        except (TimeoutError, subprocess.TimeoutExpired):
            kill_tool_process_group(process)
            raise ForgeError(f"{command[0]} took longer than {timeout_s:g} s") from None
        except BaseException:
            kill_tool_process_group(process)
            raise
    if len(said) >= MOST_OUTPUT:
        kill_tool_process_group(process)
    elif (code := process.wait()) != 0:
        last = complained.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise ForgeError(last or f"{command[0]} ended with code {code}")
    return said.decode("utf-8", "replace")


def _read_command_output(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """Standard output and error of a process until it has ended, or has printed 64 KiB and may go on.

    Raises:
        TimeoutError, subprocess.TimeoutExpired: the deadline came first.
    """
    texts: dict[Any, bytes] = {process.stdout: b"", process.stderr: b""}
    with selectors.DefaultSelector() as selector:
        for stream in texts:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map() and len(texts[process.stdout]) < MOST_OUTPUT:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            ended = process.poll() is not None  # asked before: what it wrote last is there to be read
            ready = selector.select(min(left, _GLANCE_S))
            if ended and not ready:  # what it left running may hold its output open
                break
            for key, _ in ready:
                data = os.read(key.fd, MOST_OUTPUT)
                if not data:
                    selector.unregister(key.fileobj)
                texts[key.fileobj] = (texts[key.fileobj] + data)[:MOST_OUTPUT]
    if len(texts[process.stdout]) < MOST_OUTPUT:  # it may have closed its output and go on
        process.wait(max(0.0, deadline - time.monotonic()))
    return texts[process.stdout], texts[process.stderr]


def kill_tool_process_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session of its own, and all that it started. Safe to call twice."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
