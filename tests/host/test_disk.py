"""What a fault of the disk looks like, in Python's words and in those of libraries, and what is no such fault."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from forge.errors import ForgeError
from forge.host.disk import check_host_disk_room, is_disk_full, storage_fault_note


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "w.bin"),
            "the disk is full (No space left on device: w.bin)",
        ),
        (RuntimeError("I/O error: File too large (os error 27)"), "the disk is full"),
        (sqlite3.OperationalError("database or disk is full"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "w.bin"), "w.bin: cannot be used (Read-only file system)"),
        (RuntimeError("Read-only file system (os error 30)"), "nothing can be written: Read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied", "w.bin"), "w.bin: cannot be used (Permission denied)"),
    ],
)
def test_faults_of_the_disk_are_told_in_a_line(error: Exception, words: str) -> None:
    note = storage_fault_note(error)
    assert note is not None
    assert note.startswith(words)
    assert is_disk_full(error) is words.startswith("the disk is full")


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("shape"), ConnectionError(errno.EPIPE, "broken")])
def test_a_fault_of_the_program_is_none_of_the_disk(error: Exception) -> None:
    assert storage_fault_note(error) is None


def test_where_nothing_can_be_written_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_host_disk_room(1, "edge", tmp_path / "not/yet/there")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(ForgeError, match=r"edge cannot write to .*: a read-only file system, or no right to"):
        check_host_disk_room(1, "edge", tmp_path)
