"""The doctor's look at DVC's own files: lock file, lock table, experiments, queue, cache.

DVC writes `dvc.lock` and its lock table in place, so a kill can truncate them, and it serves a read-only cache object
without looking at its bytes. Only the queue and the cache's place need DVC itself, which is imported there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import atomic_write_text
from forge.pipeline.dvc.git import file_at
from forge.pipeline.dvc.lockfile import FIX_HINT, LOCK, Cache, Lock, half_written, intact, lock_fault, md5_file
from forge.pipeline.upkeep.findings import Finding

_TABLE_SECONDS = 1.0  # writing DVC's lock table takes a millisecond


def remove(path: Path) -> str:
    """Remove a file or folder; what was done, as a finding's fix."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return f"removed {path}"


def processes_in(root: Path) -> list[int]:
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


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


# ---- dvc.lock ----------------------------------------------------------------------------------------------


def check_lock(root: Path) -> Iterator[Finding]:
    """Is dvc.lock whole?"""
    path = root / LOCK
    if not path.is_file():
        yield Finding("dvc.lock", "note", "there is none", "nothing has run here yet", "agent-forge run")
        return
    fault = lock_fault(_text(path))
    if fault is None:
        yield Finding("dvc.lock", "ok", "whole")
        return
    yield Finding(
        "dvc.lock",
        "wrong",
        f"damaged: {fault}",
        "DVC refuses to work; models and results are not touched",
        "take the committed one, or none: the next run restores the rest from DVC's run-cache without training",
        partial(_restore_lock, root),
    )


def _restore_lock(root: Path) -> str:
    """The committed lock file where Git has a sound one, else none at all."""
    try:
        committed = file_at(root, "HEAD", LOCK)
    except ForgeError:
        committed = ""
    if lock_fault(committed) is None:
        atomic_write_text(root / LOCK, committed)
        return f"took the committed {LOCK}; go on with: agent-forge run"
    (root / LOCK).unlink()
    return f"removed {LOCK}; the next run restores it from DVC's run-cache: agent-forge run"


# ---- lock table --------------------------------------------------------------------------------------------


def _table(root: Path) -> Path:
    return root / ".dvc" / "tmp" / "rwlock"


def table_fault(path: Path) -> str | None:
    """What is wrong with DVC's lock table; None where it can be read."""
    try:
        table = json.loads(_text(path))
        holders(table)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "cut off, or not JSON"
    return None


def holders(table: dict[str, Any]) -> set[int]:
    """Processes that hold a lock, from `{"read": {path: [holder, ...]}, "write": {path: holder}}`."""
    found = [*table.get("write", {}).values()]
    found += [holder for readers in table.get("read", {}).values() for holder in readers]
    return {int(holder["pid"]) for holder in found}


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not collected does not."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def clear_dead_locks(root: Path) -> None:
    """Remove DVC's lock table if every process in it is dead, or if it stays unreadable and no DVC runs here.

    DVC removes the locks of the dead itself, unless a dead process is still in the process table because nobody
    collected its exit code, as in a container whose first process is no init. It writes the table in place, so a DVC
    that was killed then leaves half of it, on which every later one would fail.

    Raises:
        ForgeError: the table is damaged and somebody may use it; the line names the fix.
    """
    path = _table(root)
    deadline = time.monotonic() + _TABLE_SECONDS
    while path.is_file() and (fault := table_fault(path)):
        if time.monotonic() < deadline:
            time.sleep(0.05)
        elif busy := processes_in(root):
            raise ForgeError(
                f"DVC's lock table {path.relative_to(root)} is damaged, {fault};"
                f" end process {busy[0]}, then: {FIX_HINT}"
            )
        else:
            path.unlink(missing_ok=True)
            print(f"removed DVC's lock table, which a killed process left damaged: {fault}", file=sys.stderr)
    if path.is_file() and not any(is_alive(pid) for pid in holders(json.loads(_text(path)))):
        path.unlink(missing_ok=True)


def check_rwlock(root: Path) -> Iterator[Finding]:
    """Are DVC's lock tables (its own and that of experiments) readable, and does anybody in them live?"""
    tables = [path for path in (_table(root), root / ".dvc" / "tmp" / "exps" / "rwlock") if path.is_file()]
    found = [finding for path in tables if (finding := _check_table(root, path)) is not None]
    yield from found or [Finding("rwlock", "ok", "no lock is left behind")]


def _check_table(root: Path, path: Path) -> Finding | None:
    name = path.relative_to(root)
    if fault := table_fault(path):
        busy = processes_in(root)
        return Finding(
            "rwlock",
            "wrong",
            f"{name} is damaged: {fault}",
            "DVC refuses to work",
            f"wait for process {busy[0]}, then remove it" if busy else "remove it: no run is under way",
            None if busy else partial(remove, path),
        )
    pids = holders(json.loads(_text(path)))
    if not pids or any(is_alive(pid) for pid in pids):
        return None
    return Finding(
        "rwlock",
        "wrong",
        f"{name} holds locks of dead processes ({', '.join(map(str, sorted(pids)))})",
        "a run was killed; another process that gets such a number would block the next one",
        "remove it",
        partial(remove, path),
    )


# ---- experiments and queue ---------------------------------------------------------------------------------


def check_experiments(root: Path) -> Iterator[Finding]:
    """Temporary copies of the project that killed experiments have left."""
    folder = root / ".dvc" / "tmp" / "exps"
    copies = [path for path in (*folder.glob("tmp*"), *folder.glob("standalone/tmp*")) if path.is_dir()]
    if not copies:
        yield Finding("experiments", "ok", "no copies of the project are left behind")
        return
    if busy := processes_in(root):
        yield Finding("experiments", "note", f"{len(copies)} copies, and DVC is at work (process {busy[0]})")
        return
    for path in sorted(copies):
        yield Finding(
            "experiments",
            "wrong",
            f"{path.relative_to(root)} is left behind",
            "a killed experiment's copy of the project; only its checkpoints, which are elsewhere, are of use",
            "remove it",
            partial(remove, path),
        )


def check_queue(root: Path) -> Iterator[Finding]:
    """Tasks that the queue calls running though no worker runs."""
    if not (root / ".dvc" / "tmp" / "exps" / "celery").is_dir():
        return
    active, busy = _queue(root)
    if not active or busy:
        yield Finding("queue", "ok", f"{len(active)} tasks are running" if active else "no task is running")
        return
    for name in active:
        yield Finding(
            "queue",
            "wrong",
            f"task {name} is called running, and no worker runs",
            "its worker was killed; the task will never end",
            f"dvc queue kill {name}, then queue it again",
            partial(_kill_task, root, name),
        )


def _queue(root: Path) -> tuple[list[str], bool]:
    """Names of the tasks that DVC calls running, and whether a worker runs."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            queue = repo.experiments.celery_queue
            active = [str(entry.name or entry.stash_rev) for entry in queue.iter_active()]
            return active, bool(active and queue.worker_status())
    except DvcException as error:
        raise ForgeError(f"{root}: {error}") from error


def _kill_task(root: Path, name: str) -> str:
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        repo.experiments.celery_queue.kill([name])
    return f"marked task {name} as failed; queue it again, its checkpoints are kept"


# ---- cache -------------------------------------------------------------------------------------------------


def check_cache(root: Path) -> Iterator[Finding]:
    """Every object of the cache against its name, and files that a full disk or a kill left half-written."""
    cache = Cache.of(root)
    objects = list(cache.objects())
    half = [path for path in objects if half_written(path)]
    rotten = [path for path in objects if path not in half and not intact(path)]
    places = _users(root, cache) if rotten else {}
    for path in rotten:
        name = path.parent.name + path.name
        users = places.get(name, [])
        used = f" (it is {users[0].relative_to(root)})" if users else ""
        yield Finding(
            "cache",
            "wrong",
            f"object {name} does not have the bytes that it is named by{used}",
            "DVC would hand the wrong bytes on without a word",
            "put the workspace's copy in its place if that is whole, else remove it, so that a run makes it again",
            partial(_replace_object, path, users),
        )
    if half and not processes_in(root):
        for path in half:
            yield Finding(
                "cache",
                "wrong",
                f"{path.name} is half-written",
                "a full disk or a kill left it; it only takes room",
                "remove it",
                partial(remove, path),
            )
    if not rotten and not half:
        yield Finding("cache", "ok", f"{len(objects)} objects have the bytes that they are named by")


def _users(root: Path, cache: Cache) -> dict[str, list[Path]]:
    """Where in the workspace each object's bytes belong, as far as dvc.lock is whole."""
    path = root / LOCK
    if not path.is_file() or lock_fault(_text(path)):
        return {}
    found = cache.users(Lock.read(root).outs().values())
    return {md5: [root / place for place in places] for md5, places in found.items()}


def _replace_object(path: Path, users: list[Path]) -> str:
    """Remove a rotten object; put a whole copy from the workspace in its place where there is one, and remove the
    copies that are rotten too (a hard link shares the object's bytes)."""
    name = path.parent.name + path.name
    path.unlink()
    for user in users:
        if not user.is_file():
            continue
        if md5_file(user) == name:
            draft = path.with_name(f".{path.name}.tmp")
            shutil.copyfile(user, draft)
            draft.chmod(0o444)  # as DVC keeps its objects
            draft.replace(path)
            return f"put {user} in its place"
        user.unlink()
    return "removed it; make it again with: agent-forge run"
