"""How big an agent is, in bytes on disk, part by part. Reads headers only, without torch; a directory that holds packed
weights alone is loaded to count them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import count_safetensors_file_parameters, safetensors_file_entries
from forge.interface.paths import PACKED_WEIGHTS, weights_of_model_directory
from forge.interface.phase import PACKED
from forge.runtime.load import find_model

_GROUPS = ("embed", "shift", "low", "high", "memory", "halt", "think_gate")


def _agent_size_group(name: str) -> str:
    head = name.split(".", 1)[0]
    return next((group for group in _GROUPS if head == group or head.startswith(f"{group}_")), "other")


def _agent_sizes_by_group(path: Path) -> dict[str, int]:
    """Bytes per part of the model in a safetensors file; header and padding are their own part."""
    parts: dict[str, int] = {}
    for name, (_, size) in safetensors_file_entries(path).items():
        parts[_agent_size_group(name)] = parts.get(_agent_size_group(name), 0) + size
    parts["header"] = path.stat().st_size - sum(parts.values())
    return parts


def _size_of_runtime_agent_folder(folder: Path) -> dict[str, Any]:
    loaded, packed = weights_of_model_directory(folder), folder / PACKED_WEIGHTS
    for needed in (loaded, folder / "config.json"):
        if not needed.is_file():
            raise ForgeError(f"{folder}: not a model directory, {needed.name} is missing")
    parts = _agent_sizes_by_group(packed if packed.is_file() else loaded)
    parts["config"] = (folder / "config.json").stat().st_size
    names = {name.removesuffix("?") for name in PACKED if "token" in name}
    parts["tokenizer"] = sum((folder / name).stat().st_size for name in names if (folder / name).is_file())
    parameters = _packed_agent_parameters(folder) if loaded == packed else count_safetensors_file_parameters(loaded)
    if not parameters:
        raise ForgeError(f"{loaded}: holds no weights")
    return {"total_bytes": sum(parts.values()), "parameters": parameters, "by_component": parts}


def _packed_agent_parameters(folder: Path) -> int:
    """Weights of a directory without the full ones: five share a byte, so the header does not say how many."""
    from forge.model import load_model

    return load_model(folder).num_parameters()


def size_report(path: Path | str) -> dict[str, Any]:
    """{"total_bytes", "parameters", "by_component": {part: bytes}}; the parts add up to the total.

    A directory counts what the ledger counts: packed weights where there are some, else the full ones, with
    config and tokenizer. An agent.forge counts itself, to the byte, and the weights that its checked header lists.
    """
    target = find_model(path)
    if target.is_dir():
        return _size_of_runtime_agent_folder(target)
    from forge.agentfile.header import open_agent_file

    opened = open_agent_file(target)
    parts = opened.bytes_by_component()
    return {"total_bytes": sum(parts.values()), "parameters": opened.parameters, "by_component": parts}
