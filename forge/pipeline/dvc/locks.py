"""DVC's lock table: who holds it, whether it is whole, and removing what the dead left.

DVC writes it in place, so a kill can truncate it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.host.machine import process_started
from forge.pipeline.dvc.lockfile import FIX_HINT

TABLE_SECONDS = 1.0  # writing DVC's lock table takes a millisecond


def dvc_processes_in(root: Path) -> list[int]:
    """Processes other than this one and its parents that run DVC or a stage in ``root`` or below it."""
    import psutil

    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        line, place = process.info["cmdline"] or [], process.info["cwd"]
        if process.info["pid"] in own or not place or not Path(place).is_relative_to(root):
            continue
        if any(Path(word).name == "dvc" or word.startswith(("stages.", "dvc")) for word in line):
            found.append(process.info["pid"])
    return found


def lock_table(root: Path) -> Path:
    """Where DVC keeps it."""
    return root / ".dvc" / "tmp" / "rwlock"


def dvc_lock_table_fault(path: Path) -> str | None:
    """What is wrong with DVC's lock table; None where it can be read."""
    try:
        table = json.loads(path.read_text(encoding="utf-8", errors="replace"))
        holders(table)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return "cut off, or not JSON"
    return None


def holders(table: dict[str, Any]) -> set[int]:
    """Processes that hold a lock, from `{"read": {path: [holder, ...]}, "write": {path: holder}}`."""
    found = [*table.get("write", {}).values()]
    found += [holder for readers in table.get("read", {}).values() for holder in readers]
    return {int(holder["pid"]) for holder in found}


def is_dvc_process_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not collected does not."""
    return process_started(pid) is not None


def clear_dead_locks(root: Path) -> None:
    """Remove DVC's lock table if every process in it is dead, or if it stays unreadable and no DVC runs here.

    DVC removes the locks of the dead itself, unless a dead process is still in the process table because nobody
    collected its exit code, as in a container whose first process is no init. It writes the table in place, so a DVC
    that was killed then leaves half of it, on which every later one would fail.

    Raises:
        ForgeError: the table is damaged and somebody may use it; the line names the fix.
    """
    path = lock_table(root)
    deadline = time.monotonic() + TABLE_SECONDS
    while path.is_file() and (fault := dvc_lock_table_fault(path)):
        if time.monotonic() < deadline:
            time.sleep(0.05)
        elif busy := dvc_processes_in(root):
            raise ForgeError(
                f"DVC's lock table {path.relative_to(root)} is damaged, {fault};"
                f" end process {busy[0]}, then: {FIX_HINT}"
            )
        else:
            path.unlink(missing_ok=True)
            print(f"removed DVC's lock table, which a killed process left damaged: {fault}", file=sys.stderr)
    if path.is_file() and not any(
        is_dvc_process_alive(pid) for pid in holders(json.loads(path.read_text(encoding="utf-8", errors="replace")))
    ):
        path.unlink(missing_ok=True)
