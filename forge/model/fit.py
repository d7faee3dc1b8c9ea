"""Whether a file of weights holds what a configuration asks for, told from the header of the file alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from torch.overrides import TorchFunctionMode

from forge.errors import ForgeError

Model = TypeVar("Model", bound=nn.Module)
_KINDS = ("F64", "F32", "F16", "BF16")
# What a token may cost, against what a file has in bytes: a small file must not ask for much. Work is counted in
# multiplications, a call of a block, however small, as a million. The scale spec takes 1.2e8 of them, 1e4 numbers that
# stay in memory, and a state of 4e3; from a megabyte on a file may be as slow as its weights allow.
_BLOCK_WORK = 1 << 20
_FREE_WORK, _WORK_PER_BYTE = 400_000_000, 24
_SMALL_FILE, _WORK_PER_FURTHER_BYTE = 1_000_000, 2000
_FREE_NUMBERS, _BYTES_PER_NUMBER = 1 << 18, 8
_FREE_STATE = 1 << 20


class _Undrawn(TorchFunctionMode):
    """Initial weights are not drawn. On the device `meta` there is nothing to draw, and the first try would import
    three seconds' worth of modules."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__ and "tensor" in given:
            return given["tensor"]
        return func(*args, **given)


def model_without_weights(config: Any, architecture: Callable[[Any], Model]) -> Model:
    """The model of a configuration on the device `meta`: names and shapes, for which nothing is allocated."""
    with torch.device("meta"), _Undrawn():
        return architecture(config)


def check_model_cost(config: Any, parameters: int, size: int) -> None:
    """ForgeError if a token of a model of so many parameters takes more multiplications or memory than a file of so
    many bytes may ask for."""
    widths = [heads * config.head_dim for heads in (*config.low_heads, *config.high_heads)]
    steps = config.max_steps if config.architecture == "titan" else 1
    work = _FREE_WORK + _WORK_PER_BYTE * size + _WORK_PER_FURTHER_BYTE * max(0, size - _SMALL_FILE)
    if steps * (parameters + len(widths) * _BLOCK_WORK) > work:
        raise ForgeError(f"{steps} steps through {len(widths)} blocks are too many for a file of {size:,} bytes")
    state = config.memory_heads * config.memory_head_dim**2 if config.memory else 0
    kept = 2 * sum(widths) + 8 * max(*widths, config.hidden_size, *config.low_ffn, *config.high_ffn)
    kept += 3 * state // config.memory_chunk
    if kept > _FREE_NUMBERS + size // _BYTES_PER_NUMBER or state > _FREE_STATE + size:
        raise ForgeError(f"its blocks and memory are too wide for a file of {size:,} bytes")


def check_weights_fit(path: Path, config: Any, architecture: Callable[[Any], nn.Module]) -> None:
    """Compare names, shapes and types in a safetensors file with the model of a configuration.

    Nothing is allocated for either: no tensor is read, and the model is made on the device `meta`.

    Raises:
        ForgeError: the file is not readable, or names the first weight that is missing, not asked for or of another
            shape or type.
    """
    model = model_without_weights(config, architecture)
    check_tensors_fit(path, {name: (tuple(tensor.shape), _KINDS) for name, tensor in model.state_dict().items()})


def check_tensors_fit(path: Path, wanted: Mapping[str, tuple[tuple[int, ...], Sequence[str]]]) -> None:
    """Compare what the header of a safetensors file lists with the shape and the allowed types of each tensor.

    Raises:
        ForgeError: as :func:`check_weights_fit`.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            slices = {name: stored.get_slice(name) for name in stored.keys()}  # noqa: SIM118 - not a dict
            found = {name: (tuple(entry.get_shape()), str(entry.get_dtype())) for name, entry in slices.items()}
    except (OSError, SafetensorError) as error:
        raise ForgeError(f"{path}: not readable as safetensors ({str(error)[:120]})") from error
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            raise ForgeError(f"{path}: weight {name} is missing, which the configuration asks for")
        shape, kind = found[name]
        if name not in wanted:
            raise ForgeError(f"{path}: weight {name[:80]} is none of those that the configuration asks for")
        right_shape, right_kinds = wanted[name]
        if shape != right_shape:
            raise ForgeError(f"{path}: weight {name} has shape {shape}, the configuration asks for {right_shape}")
        if kind not in right_kinds:
            raise ForgeError(f"{path}: weight {name} is of type {kind}, not one of {', '.join(right_kinds)}")
