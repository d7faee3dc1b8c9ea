"""Bytes that change under our hands."""

from __future__ import annotations

from pathlib import Path


def flip(path: Path, place: int = -1) -> None:
    """Change one bit of the byte at ``place`` and leave name, size, mode and links as they are."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    blob = bytearray(path.read_bytes())
    blob[place] ^= 1
    path.write_bytes(blob)
    path.chmod(mode)
