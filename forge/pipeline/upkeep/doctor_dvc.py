"""The doctor's look at DVC's own files: lock file, lock table, experiments, queue, cache.

DVC writes `dvc.lock` and its lock table in place, so a kill can truncate them, and it serves a read-only cache object
without looking at its bytes. Only the queue and the cache's place need DVC itself, which is imported there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from forge.errors import ForgeError
from forge.files import atomic_write_text
from forge.pipeline.dvc import locks
from forge.pipeline.dvc.git import git_committed_file
from forge.pipeline.dvc.lockfile import (
    LOCK,
    Cache,
    Lock,
    dvc_md5_of_file,
    is_dvc_cache_draft,
    is_dvc_cache_object_intact,
    lock_fault,
)
from forge.pipeline.upkeep.findings import Finding


def remove_as_doctor_fix(path: Path) -> str:
    """Remove a file or folder; what was done, as a finding's fix."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return f"removed {path}"


def _read_text_for_doctor(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


# ---- dvc.lock ----------------------------------------------------------------------------------------------


def diagnose_lock(root: Path) -> Iterator[Finding]:
    """Is dvc.lock whole?"""
    path = root / LOCK
    if not path.is_file():
        yield Finding("dvc.lock", "note", "there is none", "nothing has run here yet", "agent-forge run")
        return
    fault = lock_fault(_read_text_for_doctor(path))
    if fault is None:
        yield Finding("dvc.lock", "ok", "whole")
        return
    if busy := locks.dvc_processes_in(root):
        yield Finding(
            "dvc.lock", "note", f"not whole at this moment: DVC is at work (process {busy[0]}) and may be writing it"
        )
        return
    yield Finding(
        "dvc.lock",
        "wrong",
        f"damaged: {fault}",
        "DVC refuses to work; models and results are not touched",
        "take the committed one, or none: the next run restores the rest from DVC's run-cache without training",
        partial(_restore_lock_as_doctor_fix, root),
    )


def _restore_lock_as_doctor_fix(root: Path) -> str:
    """The committed lock file where Git has a sound one, else none at all."""
    committed = git_committed_file(root, "HEAD", LOCK)
    if committed is not None and lock_fault(committed) is None:
        atomic_write_text(root / LOCK, committed)
        return f"took the committed {LOCK}; go on with: agent-forge run"
    (root / LOCK).unlink()
    return f"removed {LOCK}; the next run restores it from DVC's run-cache: agent-forge run"


# ---- lock table --------------------------------------------------------------------------------------------


def diagnose_rwlock(root: Path) -> Iterator[Finding]:
    """Are DVC's lock tables (its own and that of experiments) readable, and does anybody in them live?"""
    tables = [path for path in (locks.lock_table(root), root / ".dvc" / "tmp" / "exps" / "rwlock") if path.is_file()]
    found = [finding for path in tables if (finding := _diagnose_lock_table(root, path)) is not None]
    yield from found or [Finding("rwlock", "ok", "no lock is left behind")]


def _diagnose_lock_table(root: Path, path: Path) -> Finding | None:
    name = path.relative_to(root)
    if fault := locks.dvc_lock_table_fault(path):
        busy = locks.dvc_processes_in(root)
        return Finding(
            "rwlock",
            "wrong",
            f"{name} is damaged: {fault}",
            "DVC refuses to work",
            f"wait for process {busy[0]}, then remove it" if busy else "remove it: no run is under way",
            None if busy else partial(remove_as_doctor_fix, path),
        )
    pids = locks.holders(json.loads(_read_text_for_doctor(path)))
    if not pids or any(locks.is_dvc_process_alive(pid) for pid in pids):
        return None
    return Finding(
        "rwlock",
        "wrong",
        f"{name} holds locks of dead processes ({', '.join(map(str, sorted(pids)))})",
        "a run was killed; another process that gets such a number would block the next one",
        "remove it",
        partial(remove_as_doctor_fix, path),
    )


# ---- experiments and queue ---------------------------------------------------------------------------------


def diagnose_experiments(root: Path) -> Iterator[Finding]:
    """Temporary copies of the project that killed experiments have left."""
    folder = root / ".dvc" / "tmp" / "exps"
    copies = [path for path in (*folder.glob("tmp*"), *folder.glob("standalone/tmp*")) if path.is_dir()]
    if not copies:
        yield Finding("experiments", "ok", "no copies of the project are left behind")
        return
    if busy := locks.dvc_processes_in(root):
        yield Finding("experiments", "note", f"{len(copies)} copies, and DVC is at work (process {busy[0]})")
        return
    for path in sorted(copies):
        yield Finding(
            "experiments",
            "wrong",
            f"{path.relative_to(root)} is left behind",
            "a killed experiment's copy of the project; only its checkpoints, which are elsewhere, are of use",
            "remove it",
            partial(remove_as_doctor_fix, path),
        )


def diagnose_queue(root: Path) -> Iterator[Finding]:
    """Tasks that the queue calls running though no worker runs."""
    if not (root / ".dvc" / "tmp" / "exps" / "celery").is_dir():
        return
    active, busy = _queue_state_for_doctor(root)
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
            partial(_kill_task_as_doctor_fix, root, name),
        )


def _queue_state_for_doctor(root: Path) -> tuple[list[str], bool]:
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


def _kill_task_as_doctor_fix(root: Path, name: str) -> str:
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        repo.experiments.celery_queue.kill([name])
    return f"marked task {name} as failed; queue it again, its checkpoints are kept"


# ---- cache -------------------------------------------------------------------------------------------------


def diagnose_cache(root: Path) -> Iterator[Finding]:
    """Every object of the cache against its name, and files that a full disk or a kill left half-written."""
    cache = Cache.of(root)
    objects = list(cache.objects())
    half = [path for path in objects if is_dvc_cache_draft(path)]
    rotten = [path for path in objects if path not in half and not is_dvc_cache_object_intact(path)]
    places = _cache_users_for_doctor(root, cache) if rotten else {}
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
            partial(_replace_object_as_doctor_fix, path, users),
        )
    if half and not locks.dvc_processes_in(root):
        for path in half:
            yield Finding(
                "cache",
                "wrong",
                f"{path.name} is half-written",
                "a full disk or a kill left it; it only takes room",
                "remove it",
                partial(remove_as_doctor_fix, path),
            )
    if not rotten and not half:
        yield Finding("cache", "ok", f"{len(objects)} objects have the bytes that they are named by")


def _cache_users_for_doctor(root: Path, cache: Cache) -> dict[str, list[Path]]:
    """Where in the workspace each object's bytes belong, as far as dvc.lock is whole."""
    path = root / LOCK
    if not path.is_file() or lock_fault(_read_text_for_doctor(path)):
        return {}
    found = cache.users(Lock.read(root).outs().values())
    return {md5: [root / place for place in places] for md5, places in found.items()}


def _replace_object_as_doctor_fix(path: Path, users: list[Path]) -> str:
    """Remove a rotten object; put a whole copy from the workspace in its place where there is one, and remove the
    copies that are rotten too (a hard link shares the object's bytes)."""
    name = path.parent.name + path.name
    path.unlink()
    for user in users:
        if not user.is_file():
            continue
        if dvc_md5_of_file(user) == name:
            draft = path.with_name(f".{path.name}.tmp")
            shutil.copyfile(user, draft)
            draft.chmod(0o444)  # as DVC keeps its objects
            draft.replace(path)
            return f"put {user} in its place"
        user.unlink()
    return "removed it; make it again with: agent-forge run"
