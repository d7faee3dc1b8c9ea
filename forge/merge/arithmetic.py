"""The arithmetic of merging on single tensors, in pieces that stay in a processor's cache.

A merge does little work on many numbers, so what it costs is traffic with memory. Functions here walk their tensors in
pieces of `PIECE` entries and do all steps on a piece while it is in cache. Tensors of one call have one shape and one
dtype (float32 or float64).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Rescale = Literal["inverse", "l1"]

PIECE = 1 << 18  # entries: 1 MB in float32; more than the 32,768 up to which torch stays on one thread
PARALLEL = 0.9995  # beyond this cosine the arc is a line in float32, and sin(theta) no safe divisor
_DRAWN = 1 << 15  # entries of a piece beside which random numbers are drawn: that needs the other thread
_AHEAD = 1 << 20  # random numbers that are drawn ahead
_LARGE = 1 << 22  # bytes from which numpy asks for huge pages
_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}
_TINY_NORM = 1e-8
_TINY_L1 = 1e-7


def split_merge_pieces(*tensors: Tensor, size: int | None = None) -> Iterator[tuple[Tensor, ...]]:
    """The tensors side by side as flat pieces; pieces of a contiguous tensor are views of it."""
    return zip(*(tensor.reshape(-1).split(size or PIECE) for tensor in tensors), strict=True)


def merge_scratch_tensor(like: Tensor) -> Tensor:
    """An uninitialized contiguous tensor like another one, for what lives as long as one tensor's merge.

    Large ones take numpy's memory, for which it asks huge pages: fetching 25,000 small ones takes longer than the
    arithmetic. It pays where memory goes back and forth; the first huge pages may have to be cleared of others' small
    ones, so results that stay take plain memory.
    """
    if like.device.type != "cpu" or like.nbytes < _LARGE or like.dtype not in _NUMPY:
        return torch.empty_like(like, memory_format=torch.contiguous_format)
    return torch.from_numpy(np.empty(like.shape, _NUMPY[like.dtype]))


def weighted_sum(tensors: Sequence[Tensor], weights: Sequence[float], out: Tensor | None = None) -> Tensor:
    """sum(weight * tensor), in a new tensor unless ``out`` is given."""
    total = torch.empty_like(tensors[0], memory_format=torch.contiguous_format) if out is None else out
    for part, first, *others in split_merge_pieces(total, *tensors):
        torch.mul(first, weights[0], out=part)
        for piece, weight in zip(others, weights[1:], strict=True):
            part.add_(piece, alpha=weight)
    return total


def slerp_tensor(a: Tensor, b: Tensor, t: float) -> Tensor:
    """SLERP of two tensors, each taken as one flat vector; see :func:`forge.merge.methods.slerp`.

    Sums of squares are added up over pieces in float64: near-parallel vectors need the angle that exactly.
    """
    aa = bb = ab = 0.0
    for x, y in split_merge_pieces(a, b):
        aa, bb, ab = aa + float(x.dot(x)), bb + float(y.dot(y)), ab + float(x.dot(y))
    norm_a, norm_b = (norm if norm > _TINY_NORM else 1.0 for norm in (math.sqrt(aa), math.sqrt(bb)))
    cosine = ab / (norm_a * norm_b)
    if not math.isfinite(cosine) or abs(cosine) > PARALLEL:
        return weighted_sum((a, b), (1.0 - t, t))
    angle = math.acos(cosine)
    return weighted_sum((a, b), [math.sin(part * angle) / math.sin(angle) for part in (1.0 - t, t)])


def trim_task_vector(delta: Tensor, density: float) -> Tensor:
    """A copy with all but the k = max(1, int(density * size)) entries of greatest magnitude set to zero."""
    size = delta.numel()
    if density >= 1.0 or size == 0:
        return delta.clone()
    dropped = size - max(1, int(density * size))
    # numpy's partition finds the k-th value about ten times faster than torch's kthvalue or topk on a CPU.
    magnitude = torch.abs(delta, out=merge_scratch_tensor(delta)).reshape(-1).cpu().numpy()
    magnitude.partition(dropped)
    threshold = magnitude[dropped]
    if threshold == 0:
        return delta.clone()
    # hardshrink drops what is not above its bound, so the bound is the number just below the threshold.
    kept = torch.nn.functional.hardshrink(delta, float(np.nextafter(threshold, magnitude.dtype.type(0))))
    surplus = int(np.count_nonzero(magnitude[:dropped] == threshold))
    if surplus:
        tied = (delta.abs().reshape(-1) == float(threshold)).nonzero().flatten()
        kept.view(-1)[tied[tied.numel() - surplus :]] = 0.0
    return kept


def dare_mask(
    model: Tensor, base: Tensor, density: float, generator: torch.Generator, rescale: Rescale
) -> tuple[Tensor, float]:
    """The task vector ``model - base``, each entry kept with probability ``density``, as a new tensor, and the factor
    that rescales it.

    Draws what torch.bernoulli on a full tensor of probabilities draws, at a fifth of its time.
    """
    if density >= 1.0:
        return weighted_sum((model, base), (1.0, -1.0), merge_scratch_tensor(base)), 1.0
    delta = merge_scratch_tensor(base)
    before = after = 0.0
    parts = split_merge_pieces(delta, model, base, size=_DRAWN)
    for (out, x, origin), drawn in zip(parts, _draw_dare_uniforms(base.numel(), generator), strict=True):
        torch.sub(x, origin, out=out)
        before += float(torch.linalg.vector_norm(out, 1)) if rescale == "l1" else 0.0
        out.mul_(drawn.lt_(density))
        after += float(torch.linalg.vector_norm(out, 1)) if rescale == "l1" else 0.0
    if rescale == "inverse":
        return delta, 1.0 / density
    return delta, 1.0 if min(before, after) < _TINY_L1 else before / after


def _draw_dare_uniforms(size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """``size`` float32 numbers in [0, 1), a piece of `_DRAWN` at a time; a piece is lost when the next is asked for.

    Drawing is most of what DARE costs and cannot be split, so with a thread to spare the next numbers are drawn while
    these are used. They are the same either way.
    """
    if torch.get_num_threads() == 1 or size < 2 * _AHEAD:
        buffer = torch.empty(min(size, _DRAWN))
        for start in range(0, max(size, 1), _DRAWN):  # an empty tensor is one empty piece
            yield buffer[: size - start].uniform_(generator=generator)
        return
    buffers = [torch.empty(_AHEAD) for _ in range(2)]
    views = [buffers[turn % 2][: size - start] for turn, start in enumerate(range(0, size, _AHEAD))]
    with ThreadPoolExecutor(1) as helper:
        waiting = helper.submit(views[0].uniform_, generator=generator)
        for following in [*views[1:], None]:
            drawn = waiting.result()
            if following is not None:
                waiting = helper.submit(following.uniform_, generator=generator)
            yield from drawn.split(_DRAWN)
