"""Temporary folders of an agent, which the next one can tell from those of an agent that was killed.

The owner holds a lock (flock) on its folder for as long as it lives. A folder without a lock is nobody's, and goes when
another agent starts or `agent-forge clean` is run.
"""

from __future__ import annotations

import fcntl
import functools
import os
import stat
import tempfile
from pathlib import Path

PREFIX = "agent-forge-"


class ScratchFolder:
    """A folder of one's own under the system's temporary directory, removed by `close` or when the process ends."""

    def __init__(self, kind: str) -> None:
        remove_abandoned_tool_scratch()
        while True:
            self._folder = tempfile.TemporaryDirectory(prefix=f"{PREFIX}{kind}-", ignore_cleanup_errors=True)
            self.path = Path(self._folder.name)
            self._descriptor = _lock_scratch_folder(self.path, wait=True)
            if self._descriptor is not None:
                return

    def close(self) -> None:
        """Remove the folder and what it holds. Safe to call twice."""
        if self._descriptor is not None:
            _empty_scratch_folder(self._descriptor)
            self._folder.cleanup()
            os.close(self._descriptor)
            self._descriptor = None


def _lock_scratch_folder(path: Path, wait: bool) -> int | None:
    """A descriptor that holds the lock of a folder; None if somebody else holds it, or has removed the folder."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        ours = os.fstat(descriptor).st_nlink > 0
    except OSError:
        ours = False
    if not ours:
        os.close(descriptor)
    return descriptor if ours else None


def _empty_scratch_folder(descriptor: int) -> None:
    """Whatever depth of folders a snippet made there; `shutil` would exceed the stack."""
    from forge.tools.zygote import clear_sandbox_folder  # with ctypes, which no light command should load

    clear_sandbox_folder(descriptor)


def abandoned_tool_scratch() -> list[Path]:
    """Folders of this user's agents that were killed, in order of name."""
    found = []
    for entry in sorted(os.scandir(tempfile.gettempdir()), key=lambda entry: entry.name):
        if entry.name.startswith(PREFIX) and _is_own_folder(entry):
            descriptor = _lock_scratch_folder(Path(entry.path), wait=False)
            if descriptor is not None:
                os.close(descriptor)
                found.append(Path(entry.path))
    return found


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    try:
        facts = entry.stat(follow_symlinks=False)
    except OSError:  # it went meanwhile
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid()


def remove_tool_scratch(path: Path) -> bool:
    """Remove an abandoned folder; False if it is somebody's, or cannot be removed."""
    descriptor = _lock_scratch_folder(path, wait=False)
    if descriptor is None:
        return False
    try:
        _empty_scratch_folder(descriptor)
        path.rmdir()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


@functools.cache
def remove_abandoned_tool_scratch() -> None:
    """Remove what killed agents have left; once in a process."""
    for path in abandoned_tool_scratch():
        remove_tool_scratch(path)
