"""The deployable file of a ternary model: five trits in a byte, small-integer embedding rows, plain scales.

Five trits fit because 3**5 = 243 <= 256, so a core weight costs 1.6 bits; the entropy of evenly spread trits
is 1.585. Layout of a packed file (safetensors), for every core weight ``n``: ``n.trits`` uint8 and
``n.scale`` float32 (0-d); for the embedding ``n.codes`` int8 (8 bits) or ``n.nibbles`` uint8 (4 bits, low
half first) and ``n.scale`` float16 (rows); everything else under its own name in float32.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from forge.errors import ForgeError
from forge.files import save_safetensors_file
from forge.interface.paths import PACKED_WEIGHTS
from forge.model.config import TinyTitanConfig
from forge.model.fit import check_tensors_fit, model_without_weights
from forge.model.quantizers import frozen_titan_weight_codes, rowwise, ternary
from forge.model.titan import TinyTitanForCausalLM, names_of_core_model_weights

TRITS_PER_BYTE = 5
EMBEDDING = "embed.weight"
_POWERS = 3 ** np.arange(TRITS_PER_BYTE, dtype=np.int64)
# All 243 legal bytes spelled out as five trits: decoding is one table look-up.
_SPELLED = ((np.arange(3**TRITS_PER_BYTE)[:, None] // _POWERS) % 3 - 1).astype(np.int8)


def pack_model_weight_trits(codes: np.ndarray | Tensor) -> np.ndarray:
    """Pack codes in {-1, 0, 1} (any shape, row-major order) into ceil(n / 5) bytes, uint8, least trit first.

    ForgeError if a code lies outside {-1, 0, 1}.
    """
    flat = np.asarray(codes).reshape(-1)
    if flat.size and (flat.min() < -1 or flat.max() > 1):
        raise ForgeError("cannot pack: a ternary code must be -1, 0 or 1")
    padded = np.zeros(-(-flat.size // TRITS_PER_BYTE) * TRITS_PER_BYTE, dtype=np.int64)
    padded[: flat.size] = flat + np.int64(1)
    return (padded.reshape(-1, TRITS_PER_BYTE) @ _POWERS).astype(np.uint8)


def unpack_model_weight_trits(packed: np.ndarray | Tensor, n: int) -> np.ndarray:
    """The first ``n`` codes, int8 (n), of bytes made by :func:`pack_model_weight_trits`.

    ForgeError if the number of bytes does not fit ``n`` or a byte is above 242.
    """
    raw = np.asarray(packed, dtype=np.uint8).reshape(-1)
    if raw.size != -(-n // TRITS_PER_BYTE):
        raise ForgeError(f"packed trits: {raw.size} bytes cannot hold exactly {n} weights")
    if raw.size and raw.max() >= len(_SPELLED):
        raise ForgeError(f"packed trits: byte value {int(raw.max())} is above 242, the data is corrupt")
    return _SPELLED[raw].reshape(-1)[:n]


def _pack_model_weight_nibbles(codes: np.ndarray) -> np.ndarray:
    flat = codes.reshape(-1).astype(np.int16) + 8
    if flat.size % 2:
        flat = np.append(flat, 8)
    return (flat[0::2] | (flat[1::2] << 4)).astype(np.uint8)


def _unpack_model_weight_nibbles(packed: np.ndarray, n: int) -> np.ndarray:
    both = np.stack([packed & 15, packed >> 4], axis=-1).reshape(-1)
    return both[:n].astype(np.int8) - np.int8(8)


def pack_state_dict(
    state_dict: Mapping[str, Tensor], core_names: Collection[str], embed_bits: int, *, frozen: bool = False
) -> dict[str, Tensor]:
    """The deployable tensors of a ternary model (layout: module docstring), for ``save_safetensors_file``.

    ``state_dict``: *latent* float32 weights, quantized here exactly as the fake quantizers do in training;
    with ``frozen=True`` the core already holds its quantized values and keeps them (row quantization of an
    embedding that is on its grid changes nothing). ``core_names``: weights to store as trits. ``embed_bits``:
    8 or 4, or 0 to keep the embedding in float32. ForgeError for other bits, a core name that is missing, or
    frozen weights that are not ternary.
    """
    if embed_bits not in (0, 4, 8):
        raise ForgeError(f"embed_bits must be 0, 4 or 8, got {embed_bits}")
    if missing := sorted(set(core_names) - set(state_dict)):
        raise ForgeError(f"cannot pack: the model has no weight {missing[0]}")
    packed: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        w = tensor.detach().float().cpu()
        if name in core_names:
            codes, scale = frozen_titan_weight_codes(w) if frozen else ternary(w)
            packed[f"{name}.trits"] = torch.from_numpy(pack_model_weight_trits(codes))
            packed[f"{name}.scale"] = scale
        elif name == EMBEDDING and embed_bits:
            codes, scale = rowwise(w, embed_bits)
            if embed_bits == 4:
                packed[f"{name}.nibbles"] = torch.from_numpy(_pack_model_weight_nibbles(codes.numpy()))
            else:
                packed[f"{name}.codes"] = codes
            packed[f"{name}.scale"] = scale.half().reshape(-1)
        else:
            packed[name] = w.contiguous().clone()
    return packed


def _unpack_model_weight(packed: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    n = math.prod(shape)
    if name in packed:
        return packed[name].float()
    if f"{name}.trits" in packed:
        codes = torch.from_numpy(unpack_model_weight_trits(packed[f"{name}.trits"].numpy(), n))
        return codes.reshape(shape) * packed[f"{name}.scale"]
    if f"{name}.nibbles" in packed:
        codes = torch.from_numpy(_unpack_model_weight_nibbles(packed[f"{name}.nibbles"].numpy(), n))
    elif f"{name}.codes" in packed:
        codes = packed[f"{name}.codes"]
    else:
        raise ForgeError(f"packed model: weight {name} is missing")
    if codes.numel() != n:
        raise ForgeError(f"packed model: {name} holds {codes.numel()} codes, its shape {shape} needs {n}")
    return codes.reshape(shape) * packed[f"{name}.scale"].float().unsqueeze(-1)


def unpack_state_dict(packed: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The float32 weights of a packed model, bit for bit those its fake-quantized forward pass used.

    ``shapes``: shape of every weight by name, e.g. from the model built from ``config.json``.
    ForgeError naming the weight that is missing or does not fit its shape.
    """
    state = {}
    for name, shape in shapes.items():
        tensor = _unpack_model_weight(packed, name, tuple(shape))
        if tensor.shape != torch.Size(shape):
            raise ForgeError(f"packed model: {name} has shape {tuple(tensor.shape)}, expected {tuple(shape)}")
        state[name] = tensor
    return state


PACKED = PACKED_WEIGHTS


@dataclass(frozen=True)
class PackingCounts:
    """What packing does to a model: matrices that become ternary, tensors that stay, share of zeros among the codes,
    and the seconds that finding all scales and codes took."""

    compressed: int
    preserved: int
    zeros: float
    seconds: float


def pack_model(model: TinyTitanForCausalLM, path: Path) -> None:
    """Write the deployable file of a ternary model."""
    packed = pack_state_dict(dict(model.state_dict()), names_of_core_model_weights(model), model.config.embed_bits)
    save_safetensors_file(path, packed, {"format": "five trits a byte"})


def model_packing_counts(model: TinyTitanForCausalLM) -> PackingCounts:
    """Counts and time of packing a model, without writing it."""
    weights, names, started = dict(model.state_dict()), names_of_core_model_weights(model), time.perf_counter()
    pack_state_dict(weights, names, model.config.embed_bits)
    seconds, linears = time.perf_counter() - started, model.core_linears()
    codes = torch.cat([(linears[n.removesuffix(".weight")].effective_weight() == 0).flatten() for n in names])
    return PackingCounts(len(names), len(weights) - len(names), float(codes.float().mean()), seconds)


def check_packed_weights_fit(path: Path, config: TinyTitanConfig) -> None:
    """Compare the header of a packed file with what :func:`pack_model` writes for a configuration; no tensor is read.

    Raises:
        ForgeError: the file is not readable, or names the first tensor that is missing, not asked for or of another
            shape or type.
    """
    model = model_without_weights(config, TinyTitanForCausalLM)
    core, layout = set(names_of_core_model_weights(model)), dict[str, tuple[tuple[int, ...], tuple[str]]]()
    for name, tensor in model.state_dict().items():
        shape, n = tuple(tensor.shape), tensor.numel()
        if name in core:
            layout |= {f"{name}.trits": ((-(-n // TRITS_PER_BYTE),), ("U8",)), f"{name}.scale": ((), ("F32",))}
        elif name == EMBEDDING and config.embed_bits:
            layout[f"{name}.scale"] = (shape[:1], ("F16",))
            halves = config.embed_bits == 4
            layout[f"{name}.{'nibbles' if halves else 'codes'}"] = (
                ((-(-n // 2),), ("U8",)) if halves else (shape, ("I8",))
            )
        else:
            layout[name] = (shape, ("F32",))
    check_tensors_fit(path, layout)


def load_packed(path: Path, like: TinyTitanForCausalLM) -> TinyTitanForCausalLM:
    """The model that a packed file describes, with ``like`` giving the shapes: same logits as the fake-quantized
    one."""
    out = copy.deepcopy(like)
    shapes = {name: tuple(tensor.shape) for name, tensor in like.state_dict().items()}
    out.load_state_dict(unpack_state_dict(load_file(path), shapes))
    out.set_weight_quant("frozen")
    return out.eval()
