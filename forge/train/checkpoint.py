"""Checkpoints: a directory a step with tensors, scalars and a manifest; newest whole one wins, two stay."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from forge.errors import ForgeError
from forge.files import save_safetensors_file, verify_manifest, write_manifest

LOG = logging.getLogger(__name__)
KEEP = 2  # steps


def save_checkpoint(
    directory: Path, step: int, tensors: dict[str, torch.Tensor], scalars: dict[str, Any], *, version: int = 0
) -> None:
    """Write ``step-<n>[-<version>]/state.safetensors`` (scalars in its metadata), then its manifest; drop old
    ones.

    A higher ``version`` of a step takes the place of a lower one once it is whole. If the disk is full,
    nothing half-written stays, and neither does anything else change.
    """
    folder = directory / (f"step-{step:08d}" + (f"-{version}" if version else ""))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        save_safetensors_file(folder / "state.safetensors", tensors, {"scalars": json.dumps(scalars)})
        write_manifest(folder)
    except BaseException:
        shutil.rmtree(folder)
        raise
    newest = {_step(old): old for old in training_checkpoint_folders(directory)}
    kept = [newest[n] for n in sorted(newest)[-KEEP:]]
    for old in training_checkpoint_folders(directory):
        if old not in kept:
            shutil.rmtree(old)


def training_checkpoint_folders(directory: Path) -> list[Path]:
    """Folders of checkpoints, whole or not, the oldest first."""
    return sorted(directory.glob("step-*"))


def _step(folder: Path) -> str:
    return folder.name.split("-")[1]


def drop_newest_training_checkpoint(directory: Path) -> None:
    """Remove every version of the newest step."""
    folders = training_checkpoint_folders(directory)
    for folder in folders:
        if _step(folder) == _step(folders[-1]):
            shutil.rmtree(folder)


def load_checkpoint(directory: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """The newest checkpoint whose manifest verifies, or None; a damaged one gives way to an older one."""
    for folder in reversed(training_checkpoint_folders(directory)):
        try:
            verify_manifest(folder)
            with safe_open(folder / "state.safetensors", framework="pt") as file:
                scalars = json.loads(file.metadata()["scalars"])
                return {key: file.get_tensor(key) for key in file.keys()}, scalars  # noqa: SIM118
        except (ForgeError, SafetensorError, OSError) as error:
            LOG.warning("checkpoint %s is damaged, using an older one: %s", folder.name, error)
    return None
