"""Room on the disk: asked for before work begins, and what to say when it runs out all the same."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from forge.errors import ForgeError

# What libraries that are no Python only say in words: the last is SQLite's.
_FULL = ("No space left on device", "Disk quota exceeded", "File too large (os error", "database or disk is full")
_REMEDIES = "free some (agent-forge clean removes what is left of old runs) or take a smaller scale"


def check_host_disk_room(needed: int, who: str, *folders: Path) -> None:
    """Refuse work that would fill the disk.

    Raises:
        ForgeError: less than ``needed`` bytes are free where one of the folders lies, or nothing can be written there.
    """
    for folder in folders:
        place = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        if not os.access(place, os.W_OK):
            raise ForgeError(f"{who} cannot write to {place.absolute()}: a read-only file system, or no right to")
        free = shutil.disk_usage(place).free
        if free < needed:
            raise ForgeError(
                f"{who} needs {needed / 2**30:.1f} GiB free on the disk of {place.absolute()},"
                f" there are {free / 2**30:.1f}; {_REMEDIES}"
            )


def is_disk_full(error: BaseException) -> bool:
    """Whether an exception, of Python or of a library that only passes the words on, says that no space is left."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return says_disk_full(str(error))


def is_read_only(error: BaseException) -> bool:
    """Whether an exception says that the file system is, or has become, read-only."""
    return (isinstance(error, OSError) and error.errno == errno.EROFS) or "Read-only file system" in str(error)


def says_disk_full(text: str) -> bool:
    """Whether a line of output tells of a full disk."""
    return any(words in text for words in _FULL)


def disk_full_note(error: BaseException | None = None) -> str:
    """One line for the user: what the system says, that nothing is broken, and what to do."""
    words, file = getattr(error, "strerror", None), getattr(error, "filename", None)
    where = f" ({words or error}{f': {file}' if file else ''})" if error else ""
    return f"the disk is full{where}; nothing half-written was kept: {_REMEDIES}, then run again"


def storage_fault_note(error: BaseException) -> str | None:
    """One line for a fault that lies in the disk or in the rights to a file and not in the program; None for others."""
    if is_disk_full(error):
        return disk_full_note(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: cannot be used ({error.strerror})"
    return f"nothing can be written: {error}" if is_read_only(error) else None
