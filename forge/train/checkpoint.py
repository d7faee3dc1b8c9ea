"""Checkpoints: a directory a step with tensors, scalars and a manifest; newest whole one wins, two stay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from forge.errors import ForgeError
from forge.files import save_safetensors, verify_manifest, write_manifest

KEEP = 2


def save_checkpoint(
    directory: Path, step: int, tensors: dict[str, torch.Tensor], scalars: dict[str, Any]
) -> None:
    """Write ``step-<n>/state.safetensors`` (scalars in its metadata), then its manifest; drop old ones."""
    folder = directory / f"step-{step:08d}"
    folder.mkdir(parents=True, exist_ok=True)
    save_safetensors(folder / "state.safetensors", tensors, {"scalars": json.dumps(scalars)})
    write_manifest(folder)
    for old in sorted(directory.glob("step-*"))[:-KEEP]:
        shutil.rmtree(old)


def load_checkpoint(directory: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """The newest checkpoint whose manifest verifies, or None; a damaged one gives way to an older one."""
    for folder in sorted(directory.glob("step-*"), reverse=True):
        try:
            verify_manifest(folder)
            with safe_open(folder / "state.safetensors", framework="pt") as file:
                scalars = json.loads(file.metadata()["scalars"])
                return {key: file.get_tensor(key) for key in file.keys()}, scalars  # noqa: SIM118
        except (ForgeError, SafetensorError, OSError) as error:
            print(f"checkpoint {folder.name} is damaged, using an older one: {error}")
    return None
