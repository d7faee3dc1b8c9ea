"""Batches of similar length: little padding, decided by the seed alone, so a resumed run sees the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from forge.data.dataset import KINDS, OWN, EncodedSet
from forge.errors import ForgeError

WINDOW_BATCHES = 24  # examples are sorted by length inside windows of this many batches


@dataclass
class Batch:
    """ids (b,t) right-padded with 0; positions ``select`` (b,s) to predict from, their next tokens
    ``targets`` (b,s), and ``valid`` (b,s), false where a row has fewer than s supervised tokens. ``index``:
    examples in the set."""

    ids: Tensor
    select: Tensor
    targets: Tensor
    valid: Tensor
    index: np.ndarray

    @property
    def count(self) -> int:
        """Supervised tokens."""
        return int(self.valid.sum())

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; from pinned memory, so that the copy does not hold up the process."""
        if device.type == "cpu":
            return self
        names = ("ids", "select", "targets", "valid")
        there = {n: getattr(self, n).pin_memory().to(device, non_blocking=True) for n in names}
        return replace(self, **there)

    def split(self, parts: int) -> list[Batch]:
        """Micro-batches for gradient accumulation, at most ``parts`` of them."""
        return [self.part(rows) for rows in np.array_split(np.arange(len(self.ids)), parts) if len(rows)]

    def part(self, rows: np.ndarray) -> Batch:
        """The batch of some of its rows, by their places."""
        return Batch(self.ids[rows], self.select[rows], self.targets[rows], self.valid[rows], self.index[rows])


def collate(rows: Sequence[tuple[np.ndarray, np.ndarray]], index: np.ndarray) -> Batch:
    """Pad rows of (ids, mask) into a batch."""
    time = max(len(ids) for ids, _ in rows)
    ids = np.zeros((len(rows), time), dtype=np.int64)
    mask = np.zeros((len(rows), time), dtype=bool)
    for i, (row_ids, row_mask) in enumerate(rows):
        ids[i, : len(row_ids)] = row_ids
        mask[i, : len(row_mask)] = row_mask
    mask[:, 0] = False  # nothing predicts the first token
    counts = mask.sum(axis=1)
    width = max(1, int(counts.max()))
    order = np.argsort(~mask, axis=1, kind="stable")[:, :width]  # supervised positions first, in order
    valid = np.arange(width) < counts[:, None]
    select = np.where(valid, order - 1, 0)
    targets = np.take_along_axis(ids, order, axis=1)
    arrays = {"ids": ids, "select": select, "targets": targets, "valid": valid}
    return Batch(**{k: torch.from_numpy(np.ascontiguousarray(a)) for k, a in arrays.items()}, index=index)


def gather_batch(data: EncodedSet, index: np.ndarray) -> Batch:
    """The batch of some examples."""
    return collate([data.row(int(i)) for i in index], index)


def plan_batches(
    data: EncodedSet,
    shares: Mapping[str, float],
    steps: int,
    batch_tokens: int,
    seed: int,
    max_difficulty: float = 1.0,
) -> list[np.ndarray]:
    """``steps`` lists of example indices, each at most ``batch_tokens`` tokens with its padding.

    ``shares``: relative number of examples by kind, of what own rows leave over: they have the set's ``own_share``,
    repeated as often as that takes. ``max_difficulty`` leaves out harder ones (curriculum), but no own ones.
    """
    rng = np.random.default_rng(seed)
    pools = {
        kind: np.flatnonzero((data.kind == KINDS.index(kind)) & (data.difficulty <= max_difficulty)) for kind in shares
    }
    live = {kind: share for kind, share in shares.items() if share > 0 and len(pools[kind])}
    own = data.where(OWN)
    if data.own_share and len(own):
        weights = sum(live.values()) or 1.0
        left = {kind: share * (1 - data.own_share) for kind, share in live.items()} if data.own_share < 1 else {}
        live, pools[OWN] = {**left, OWN: weights * data.own_share}, own
    if not live:
        raise ForgeError(f"no training examples of the kinds {', '.join(shares)}")
    total = sum(live.values())
    lengths = data.lengths
    mean = sum(share / total * lengths[pools[kind]].mean() for kind, share in live.items())
    wanted = int(1.15 * steps * batch_tokens / mean) + 64
    order = rng.permutation(
        np.concatenate([_cycle_batch_pool(pools[k], round(wanted * s / total), rng) for k, s in live.items()])
    )
    batches: list[np.ndarray] = []
    window = max(64, int(WINDOW_BATCHES * batch_tokens / mean))
    while len(batches) < steps:
        for start in range(0, len(order), window):
            group = _cut_into_batches(order[start : start + window], lengths, batch_tokens)
            batches += [group[i] for i in rng.permutation(len(group))]
        order = rng.permutation(order)
    return batches[:steps]


def _cycle_batch_pool(pool: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` members of the pool: whole shuffled passes, then part of one."""
    passes = [rng.permutation(pool) for _ in range(n // len(pool) + 1)]
    return np.concatenate(passes)[:n]


def _cut_into_batches(index: np.ndarray, lengths: np.ndarray, batch_tokens: int) -> list[np.ndarray]:
    index = index[np.argsort(lengths[index], kind="stable")]
    out, start = [], 0
    while start < len(index):
        stop = start + 1
        while stop < len(index) and (stop - start + 1) * lengths[index[stop]] <= batch_tokens:
            stop += 1
        out.append(index[start:stop])
        start = stop
    # The last batch of a window is a remainder; keep it only if it is most of a batch.
    if len(out) > 1 and len(out[-1]) * lengths[out[-1][-1]] < 0.6 * batch_tokens:
        out.pop()
    return out


def padding_share(data: EncodedSet, batches: Sequence[np.ndarray]) -> float:
    """Share of the tokens of these batches that is padding."""
    lengths = data.lengths
    padded = sum(len(b) * int(lengths[b].max()) for b in batches)
    return 1.0 - sum(int(lengths[b].sum()) for b in batches) / padded
