"""`agent-forge doctor`: look at everything that a run leans on, say what each fault means, and fix what is safe.

A check yields findings; a finding that can be fixed without losing anything carries the function that does it.
What a fix removes can always be made again: by DVC's run-cache, by a run, or from the workspace.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from forge.config import load_params
from forge.errors import ForgeError
from forge.files import MANIFEST, verify_manifest
from forge.host.disk import check_host_disk_room
from forge.host.machine import machine_devices
from forge.host.units import human_bytes
from forge.pipeline.dvc import locks
from forge.pipeline.dvc.git import has_repository
from forge.pipeline.layout.disk import run_bytes_in_layout
from forge.pipeline.layout.paths import layout_state_dir
from forge.pipeline.lifecycle.checkpoints import where_stages_keep_checkpoints
from forge.pipeline.records.tracking import read_recorded_status
from forge.pipeline.registry import store
from forge.pipeline.registry.index import reindex
from forge.pipeline.upkeep import doctor_dvc
from forge.pipeline.upkeep.findings import Finding
from forge.pipeline.upkeep.retention import orphan_checkpoints

OLDEST_PYTHON = (3, 11)
LOCK_OF_PACKAGES = "requirements.lock"


def examine(root: Path, *, quick: bool = False) -> list[Finding]:
    """Run every check in the project ``root``, which must be the current directory.

    `quick` leaves the cache unread and does not start PyTorch to ask it for devices; both take seconds.
    """
    checks = [check for check in CHECKS if not (quick and check is diagnose_device)]
    found = [finding for check in checks for finding in _run_doctor_check(check, root)]
    if not quick:
        found += _run_doctor_check(doctor_dvc.diagnose_cache, root)
    return found


def _run_doctor_check(check: Callable[[Path], Iterator[Finding]], root: Path) -> list[Finding]:
    """A check's findings; a fault that it stumbles over is a finding too, and the other checks go on."""
    try:
        return list(check(root))
    except (ForgeError, OSError) as error:
        name = check.__name__.removeprefix("diagnose_").replace("_", " ")
        return [Finding(name, "wrong", str(error), "it cannot be checked while this is so", "fix what the line names")]


def apply_fixes(findings: list[Finding]) -> list[Finding]:
    """Apply every safe fix; the findings as they are then."""
    after = []
    for finding in findings:
        if finding.apply is None:
            after.append(finding)
            continue
        try:
            done = finding.apply()
        except (ForgeError, OSError) as error:
            after.append(replace(finding, fix=f"{finding.fix} (tried, in vain: {error})"))
            continue
        after.append(replace(finding, state="fixed", fix=done, apply=None))
    return after


# ---- what the project stands on ----------------------------------------------------------------------------


def diagnose_packages(root: Path) -> Iterator[Finding]:
    """Python, and every package of the lock file."""
    if sys.version_info < OLDEST_PYTHON:
        yield Finding(
            "python",
            "wrong",
            f"Python {platform.python_version()}",
            "3.11 or newer is needed",
            "make a virtual environment with a newer one: make PYTHON=python3.11 venv",
        )
    lock = root / LOCK_OF_PACKAGES
    if not lock.is_file():
        yield Finding("packages", "note", f"there is no {LOCK_OF_PACKAGES} here", "versions cannot be compared", "")
        return
    listed = lock.read_text(encoding="utf-8", errors="replace")
    wanted = re.findall(r"^([A-Za-z0-9_.\-]+)==([^+\s]+)", listed, re.MULTILINE)
    differing = [line for name, version in wanted if (line := _doctor_package_difference(name, version))]
    if differing:
        yield Finding(
            "packages",
            "wrong",
            f"not as {LOCK_OF_PACKAGES} says: {', '.join(differing)}",
            "other versions may give other metrics, or fail",
            f"pip install -r {LOCK_OF_PACKAGES}",
        )
    else:
        versions = ", ".join(f"{name} {distribution(name).version}" for name in ("torch", "dvc", "transformers"))
        yield Finding("packages", "ok", f"Python {platform.python_version()}, {versions}, {len(wanted)} as locked")


def _doctor_package_difference(name: str, version: str) -> str:
    try:
        installed = distribution(name).version.split("+")[0]
    except PackageNotFoundError:
        installed = "absent"
    return "" if installed == version else f"{name} {installed} instead of {version}"


def diagnose_device(root: Path) -> Iterator[Finding]:
    """What PyTorch can compute on, and a card that it cannot use."""
    found = machine_devices()
    told = "; ".join(
        f"{d['device']}: {d['name']}"
        + (f", capability {d['capability']}" if d["capability"] else "")
        + f", {d['memory_gib']:g} GiB"
        for d in found
    )
    yield Finding("device", "ok", told)
    if found[0]["device"] == "cpu" and Path("/proc/driver/nvidia/version").is_file():
        yield Finding(
            "device",
            "note",
            "there is an NVIDIA driver, and PyTorch sees no card",
            "training runs on the processor",
            "install PyTorch's CUDA build; see the README on package indexes",
        )


def diagnose_git(root: Path) -> Iterator[Finding]:
    """Does Git work here? It may refuse a repository that belongs to another user."""
    under_git = has_repository(root)
    yield Finding("git", "ok", "the project is under Git's care" if under_git else "there is no repository")


def diagnose_parameters(root: Path) -> Iterator[Finding]:
    """params.yaml, and room on the disk for what it asks for."""
    try:
        params = load_params(root / "params.yaml")
    except ForgeError as error:
        yield Finding("parameters", "wrong", str(error), "no run can start", "agent-forge config edit")
        return
    yield Finding("parameters", "ok", f"params.yaml is valid, scale {params.scale}, seed {params.seed}")
    try:
        check_host_disk_room(run_bytes_in_layout(params), f"scale {params.scale}", root, layout_state_dir())
    except ForgeError as error:
        yield Finding("disk", "wrong", str(error), "a run would be refused", "agent-forge clean; dvc gc --workspace")
        return
    yield Finding("disk", "ok", f"room enough for scale {params.scale} ({human_bytes(run_bytes_in_layout(params))})")


# ---- what runs have left -----------------------------------------------------------------------------------


def diagnose_checkpoints(root: Path) -> Iterator[Finding]:
    """Orphans, and checkpoints that do not verify."""
    lost = orphan_checkpoints(load_params(root / "params.yaml"))
    if lost:
        size = human_bytes(sum(each.size for each in lost))
        yield Finding(
            "checkpoints",
            "note",
            f"{len(lost)} orphans, {size}",
            "parameters, inputs or code have changed since, so nothing would resume from them; going back to what was"
            " would",
            "agent-forge clean",
        )
    damaged = list(_damaged_checkpoints())
    yield from damaged
    if not lost and not damaged:
        yield Finding("checkpoints", "ok", "no orphans, none damaged")


def _damaged_checkpoints() -> Iterator[Finding]:
    for folder in sorted(where_stages_keep_checkpoints().glob("*/*/**/step-*")):
        if not folder.is_dir():
            continue
        try:
            verify_manifest(folder)
        except ForgeError as error:
            half = "half-written" if not (folder / MANIFEST).is_file() else "damaged"
            yield Finding(
                "checkpoints",
                "wrong",
                f"{half}: {error}",
                "a run would go on from the one before it, or start afresh",
                "remove it",
                partial(doctor_dvc.remove_as_doctor_fix, folder),
            )


def diagnose_runs(root: Path) -> Iterator[Finding]:
    """Stages that say they are running though their process is gone."""
    for folder in sorted((layout_state_dir() / "runs").glob("*")):
        status = read_recorded_status(folder)
        if status is not None and status["state"] == "running" and not locks.is_dvc_process_alive(status["pid"]):
            yield Finding(
                "runs",
                "note",
                f"{status['stage']}: its process was killed at step {status['step']} of {status['total']}",
                "it goes on from its newest checkpoint",
                "agent-forge run",
            )


def diagnose_drafts(root: Path) -> Iterator[Finding]:
    """Half-built outputs and half-written files of killed processes."""
    found = [*root.glob("models/.*.building"), *root.glob("models/*/.*.building"), *root.glob("data/.*.building")]
    for folder in ("results", ".forge/runs", ".forge/checkpoints"):
        found += (root / folder).rglob(".*.tmp")
    busy = locks.dvc_processes_in(root)
    for path in sorted(found):
        if busy:
            continue  # somebody may be writing it just now
        yield Finding(
            "drafts",
            "wrong",
            f"{path.relative_to(root)} is half-written",
            "a killed run left it; nothing reads it",
            "remove it",
            partial(doctor_dvc.remove_as_doctor_fix, path),
        )


def diagnose_registry(root: Path) -> Iterator[Finding]:
    """The registry's own check, of its pages and of every row."""
    path = store.registry_path()
    if path.parent.exists() and not path.parent.is_dir():
        yield Finding("registry", "wrong", f"{path.parent} is no folder", "no run can keep records", "rename it")
    if not os.path.lexists(path):
        return
    faults = store.validate_registry_store(path)
    if not faults:
        yield Finding("registry", "ok", "registry.db is whole")
        return

    def rebuild() -> str:
        found = reindex(root)
        saved = ", ".join(f"{count} {name}" for name, count in found["saved"].items())
        return f"moved it to {found['damaged']} and made a new one; from the old one were saved {saved}"

    yield Finding(
        "registry",
        "wrong",
        f"damaged: {faults[0].removeprefix(f'{path}: ')}",
        "what it lists is incomplete or wrong; models, tags and results are not touched by it",
        "set it aside and make a new one, with all that is still sound in the old one: agent-forge models reindex",
        rebuild,
    )


CHECKS: tuple[Callable[[Path], Iterator[Finding]], ...] = (
    diagnose_packages,
    diagnose_device,
    diagnose_git,
    diagnose_parameters,
    doctor_dvc.diagnose_lock,
    doctor_dvc.diagnose_rwlock,
    doctor_dvc.diagnose_experiments,
    doctor_dvc.diagnose_queue,
    diagnose_checkpoints,
    diagnose_runs,
    diagnose_drafts,
    diagnose_registry,
)
