"""How one tensor of an agent is held: integer codes and scales that decode to exact float32 values.

=========  ==============================  ==========================================================
codec      codes                           scale
=========  ==============================  ==========================================================
ternary    int8 -1..1, tensor's shape      float32 (1): the whole tensor
row2..8    int8, tensor's shape            float16 (rows)
vq:<role>  index (rows, groups)            int8 levels (rows) or (1), see `forge.agentfile.vq`
half       float16 values, tensor's shape  empty
=========  ==============================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from forge.agentfile.header import LARGEST
from forge.agentfile.vq import FrozenCodebook, FrozenMatrix, decode_matrix
from forge.errors import ForgeError
from forge.model.quantizers import frozen_titan_weight_codes, rowwise, ternary


@dataclass(frozen=True)
class Coded:
    """One tensor in coded form; the table in the module docstring says what each codec keeps."""

    codec: str
    shape: tuple[int, ...]
    codes: np.ndarray
    scale: np.ndarray

    @property
    def role(self) -> str:
        """Name of the codebook of a vector-quantized tensor."""
        return self.codec.partition(":")[2]


def _check_agent_weight(w: Tensor) -> Tensor:
    """The tensor itself; ForgeError for a value that is not finite or above `LARGEST`."""
    low, high = w.aminmax()
    if not (low >= -LARGEST and high <= LARGEST):  # NaN is neither
        raise ForgeError(f"a value is not finite or above {LARGEST:g}")
    return w


def encode_with_ternary_codec(w: Tensor, *, frozen: bool) -> Coded:
    """Absmean trits of latent weights, or, ``frozen``, the trits that the weights already are."""
    codes, scale = frozen_titan_weight_codes(w) if frozen else ternary(_check_agent_weight(w))
    return Coded("ternary", tuple(w.shape), codes.numpy(), scale.reshape(1).numpy())


def encode_with_row_codec(w: Tensor, bits: int) -> Coded:
    """Integers of 2, 3, 4 or 8 bits with one scale per row; ForgeError unless ``w`` is (rows, columns)."""
    if w.ndim != 2:
        raise ForgeError(f"row codes need a matrix, got shape {tuple(w.shape)}")
    codes, scale = rowwise(_check_agent_weight(w), bits)
    return Coded(f"row{bits}", tuple(w.shape), codes.numpy(), scale.half().reshape(-1).numpy())


def encode_with_half_codec(w: Tensor) -> Coded:
    """float16 values; ForgeError for a value that float16 cannot hold."""
    half = w.half()
    if not torch.isfinite(half).all():
        raise ForgeError("a value is not finite in float16")
    return Coded("half", tuple(w.shape), half.contiguous().numpy(), np.zeros(0, dtype=np.float16))


def encode_with_vq_codec(matrix: FrozenMatrix) -> Coded:
    """A frozen vector-quantized matrix as it is."""
    return Coded(f"vq:{matrix.codebook}", matrix.shape, matrix.indices, matrix.levels)


def decode_tensor(coded: Coded, codebooks: Mapping[str, FrozenCodebook]) -> Tensor:
    """The float32 tensor; ForgeError if its codebook is missing, an index lies outside it, or a value is not finite or
    above `LARGEST`."""
    if coded.codec.startswith("vq:"):
        return _check_agent_weight(_decode_vq_tensor(coded, codebooks))
    values = torch.from_numpy(coded.codes).float()
    if coded.codec != "half":
        scale = torch.from_numpy(coded.scale.astype(np.float32))
        values.mul_(scale if coded.codec == "ternary" else scale.unsqueeze(1))
    return _check_agent_weight(values)


def _decode_vq_tensor(coded: Coded, codebooks: Mapping[str, FrozenCodebook]) -> Tensor:
    if (book := codebooks.get(coded.role)) is None:
        raise ForgeError(f"codebook {coded.role} is missing")
    if coded.codes.size and int(coded.codes.max()) >= len(book.codes):
        raise ForgeError(f"an index lies outside codebook {coded.role}")
    shape = (coded.shape[0], coded.shape[1])
    if coded.codes.shape != (shape[0], -(-shape[1] // book.codes.shape[1])):
        raise ForgeError(f"its indices do not fit its shape {shape}")
    return decode_matrix(FrozenMatrix(shape, coded.role, coded.codes, coded.scale), book)
