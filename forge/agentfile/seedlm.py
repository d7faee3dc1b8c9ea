"""SeedLM codec: four bits a weight, most of them the seed of a pseudo-random basis (arXiv 2410.10714, section
3).

Eight weights ``w`` become ``U(s) t``: ``U`` (8, 3) is filled with the states of a 16-bit linear feedback
shift register started at seed ``s`` and mapped to -1..1; ``t`` is three 4-bit integers with a shared 4-bit
exponent. The encoder tries every seed. 16 + 4 + 3 * 4 = 32 bits for 8 weights: the paper's 4-bit
configuration. It needs no data and no scales. Optional: only for tensors kept in full precision (what has
been quantized to fewer bits would grow), and on Gaussian weights entropy-coded 4-bit row codes have less
error at fewer bits (0.012 of the energy at 3.7 bits against 0.015 at 4.0; tests/agentfile/test_seedlm.py).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

BLOCK, RANK, STATE_BITS = 8, 3, 16
_TAPS = (0, 1, 3, 12)
_PERIOD = 2**STATE_BITS - 1
_SEED_CHUNK, _BLOCK_CHUNK = 1024, 64


@lru_cache(maxsize=1)
def register_states() -> np.ndarray:
    """All 65535 states of the shift register in the order they are passed through, from state 1; uint16."""
    states, state = np.empty(_PERIOD, dtype=np.uint16), 1
    for i in range(_PERIOD):
        states[i] = state
        bit = sum(state >> tap for tap in _TAPS) & 1
        state = state >> 1 | bit << (STATE_BITS - 1)
    return states


@lru_cache(maxsize=1)
def _position() -> np.ndarray:
    position = np.zeros(_PERIOD + 1, dtype=np.int64)
    position[register_states()] = np.arange(_PERIOD)
    return position


def basis(seeds: np.ndarray) -> np.ndarray:
    """The matrices ``U``, float64 (n, 8, 3) in -1..1, of seeds 1..65535 (n)."""
    run = (_position()[seeds][:, None] + np.arange(BLOCK * RANK)) % _PERIOD
    middle = 2 ** (STATE_BITS - 1)
    return ((register_states()[run].astype(np.float64) - middle) / (middle - 1)).reshape(-1, BLOCK, RANK)


def _quantize(t: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients (s, 3, b) as integers -8..7 and the exponent (s, b) 0..15 that just fits the largest."""
    reach = t.abs().amax(1).clamp(min=1e-30)
    exponent = torch.floor(torch.log2(7.0 / reach)).clamp(0, 15)
    return (t * torch.exp2(exponent).unsqueeze(1)).round_().clamp_(-8, 7), exponent


def _try_seeds(seeds: np.ndarray, blocks: Tensor, best: Tensor, code: np.ndarray) -> None:
    """Improve ``best`` errors (b) and ``code`` (b, uint32) of ``blocks`` (b, 8) in place with some seeds."""
    u = torch.from_numpy(basis(seeds)).float()
    gram = u.mT @ u
    # A trace of ridge keeps the few nearly dependent bases from overflowing; they lose the search anyway.
    solve = torch.linalg.inv(gram + 1e-5 * torch.eye(RANK))
    for at in range(0, len(blocks), _BLOCK_CHUNK):
        part = slice(at, at + _BLOCK_CHUNK)
        target = u.mT @ blocks[part].T
        q, exponent = _quantize(solve @ target)
        value = q * torch.exp2(-exponent).unsqueeze(1)
        # ||w - Ut||^2 without ||w||^2, which is the same for every seed.
        error, row = ((gram @ value - 2 * target) * value).sum(1).min(0)
        columns = np.flatnonzero((error < best[part]).numpy())
        rows = row.numpy()[columns]
        picked = q.numpy()[rows, :, columns].astype(np.int64) & 15
        packed = seeds[rows] << 16 | exponent.numpy()[rows, columns].astype(np.int64) << 12
        code[part][columns] = packed | picked[:, 0] << 8 | picked[:, 1] << 4 | picked[:, 2]
        best[part] = torch.minimum(best[part], error)


def seed_encode(w: Tensor) -> np.ndarray:
    """Codes, uint32 (ceil(n / 8)), of a tensor of any shape in row-major order; the last block is padded with
    zeros.

    Every block is tried with all 65535 seeds: some milliseconds each, so for small tensors.
    """
    flat = w.detach().float().reshape(-1)
    blocks = torch.nn.functional.pad(flat, (0, -flat.numel() % BLOCK)).reshape(-1, BLOCK)
    best = torch.full((len(blocks),), float("inf"))
    code = np.zeros(len(blocks), dtype=np.uint32)
    for first in range(1, _PERIOD + 1, _SEED_CHUNK):
        _try_seeds(np.arange(first, min(first + _SEED_CHUNK, _PERIOD + 1)), blocks, best, code)
    return code


def seed_decode(codes: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    """float32 tensor of ``shape`` from its codes; computed in float64 in a fixed order, so equal on every
    machine.
    """
    wide = np.asarray(codes).astype(np.int64)
    u = basis(wide >> 16)
    # Sign-extend the 4-bit integers.
    t = [(((wide >> shift & 15) ^ 8) - 8).astype(np.float64)[:, None] for shift in (8, 4, 0)]
    step = np.ldexp(1.0, -(wide >> 12 & 15))[:, None]
    value = (u[:, :, 0] * t[0] + u[:, :, 1] * t[1] + u[:, :, 2] * t[2]) * step
    n = int(np.prod(shape, dtype=np.int64))
    return torch.from_numpy(value.reshape(-1)[:n].astype(np.float32)).reshape(shape)
