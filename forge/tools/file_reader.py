"""Reads the start of a text file inside one folder, and nothing outside it."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path, PurePosixPath

MAX_BYTES = 4096
MAX_NAME = 200


def read_file_for_tool(folder: Path, name: str) -> str:
    """Start of `folder/name` on one line; `error: ...` for anything that is not a text file in the folder.

    The path is resolved first (so a link that stays inside works) and the resolved file is opened without
    following links, so swapping the file for a link in between gains nothing.
    """
    name = name.strip()
    if not name or len(name) > MAX_NAME or "\0" in name:
        return "error: a file name is needed"
    wanted = PurePosixPath(name.replace("\\", "/"))
    if wanted.is_absolute() or ".." in wanted.parts or ":" in name:
        return "error: only files inside the folder can be read"
    try:
        root = folder.resolve(strict=True)
        target = (root / wanted).resolve(strict=True)
    except (OSError, RuntimeError, UnicodeError):  # missing, a loop of links, a name that no file can have
        return f"error: no such file {name[:60]}"
    if not target.is_relative_to(root):
        return "error: only files inside the folder can be read"
    return _read_start_for_tool(target)


def _read_start_for_tool(target: Path) -> str:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe must not block
    try:
        descriptor = os.open(target, flags)
    except OSError:
        return "error: the file cannot be read"
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return "error: not a file"
        raw = os.read(descriptor, MAX_BYTES)
    finally:
        os.close(descriptor)
    if b"\0" in raw:
        return "error: not a text file"
    try:  # the cut may fall inside a character, the end of a file may not
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(raw, final=len(raw) < MAX_BYTES)
    except UnicodeDecodeError:
        return "error: not a text file"
    return " ".join(text.split()) or "error: the file is empty"
