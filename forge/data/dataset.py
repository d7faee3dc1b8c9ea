"""Tokenised examples on disk: one safetensors file a split, read whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from forge.data.render import ID
from forge.errors import ForgeError
from forge.files import save_safetensors_file

OWN = "own"  # rows of the user's own data, which have a share of every mix; a mix weighs the other kinds
KINDS = ("direct", "tooled", "tool", "persona", "recall", "text", "worked", "own_tool", OWN)


@dataclass
class EncodedSet:
    """Examples of one split: ``ids[offsets[i]:offsets[i+1]]`` with the same slice of ``mask``. ``own_share``: what own
    rows are of every training mix, 0..1."""

    ids: np.ndarray
    mask: np.ndarray
    offsets: np.ndarray
    kind: np.ndarray
    task: np.ndarray
    difficulty: np.ndarray
    own_share: float = 0.0

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens per example."""
        return np.diff(self.offsets)

    def row(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and loss mask of one example."""
        part = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.ids[part], self.mask[part]

    def where(self, *kinds: str) -> np.ndarray:
        """Indices of the examples of some kinds."""
        return np.flatnonzero(np.isin(self.kind, [KINDS.index(k) for k in kinds]))

    def without_system(self, head: int | None = None) -> EncodedSet:
        """The same examples with a leading system turn cut off; ``head`` (a token id, a persona handle) takes
        its place."""
        rows = []
        for i in range(len(self)):
            ids, mask = self.row(i)
            if ids[0] == ID["system"]:
                # An own dialogue may begin with its answer; another one's begins behind a question.
                start = int(np.flatnonzero(np.isin(ids, (ID["user"], ID["assistant"])))[0])
                ids, mask = ids[start:], mask[start:]
                if head is not None:
                    ids, mask = np.concatenate(([head], ids)), np.concatenate(([0], mask))
            rows.append((ids, mask))
        return build_set(rows, self.kind, self.task, self.difficulty, self.own_share)

    def joined(self, other: EncodedSet) -> EncodedSet:
        """The examples of this set, then those of another."""
        both = {
            name: np.concatenate((getattr(self, name), getattr(other, name)))
            for name in ("ids", "mask", "kind", "task", "difficulty")
        }
        offsets = np.concatenate((self.offsets, self.offsets[-1] + other.offsets[1:]))
        return EncodedSet(**both, offsets=offsets, own_share=max(self.own_share, other.own_share))

    def subset(self, index: np.ndarray) -> EncodedSet:
        """Some of the examples, in the order of ``index``."""
        rows = [self.row(int(i)) for i in index]
        return build_set(rows, self.kind[index], self.task[index], self.difficulty[index], self.own_share)

    def sample(self, count: int, seed: int, *kinds: str) -> EncodedSet:
        """At most ``count`` examples of some kinds (default all), drawn by ``seed``, in the order of the set."""
        pool = self.where(*(kinds or KINDS))
        return self.subset(np.sort(np.random.default_rng(seed).choice(pool, min(count, len(pool)), replace=False)))

    def save(self, path: Path) -> None:
        """Write the set."""
        arrays = {
            "ids": self.ids,
            "mask": self.mask,
            "offsets": self.offsets,
            "kind": self.kind,
            "task": self.task,
            "difficulty": self.difficulty,
        }
        if self.own_share:
            arrays["own_share"] = np.array([self.own_share], dtype=np.float64)
        save_safetensors_file(path, {name: torch.from_numpy(a) for name, a in arrays.items()}, None)

    @classmethod
    def load(cls, path: Path | str) -> EncodedSet:
        """Read a set; ForgeError when the file is missing or damaged."""
        from safetensors.numpy import load_file

        try:
            arrays = load_file(path)
            share = float(arrays.pop("own_share", [0.0])[0])
            return cls(**arrays, own_share=share)
        except Exception as error:  # safetensors raises its own type for damage
            raise ForgeError(f"{path}: {error}") from error


def build_set(
    rows: Sequence[tuple[Sequence[int] | np.ndarray, Sequence[int] | np.ndarray]],
    kind: Sequence[int] | np.ndarray,
    task: Sequence[int] | np.ndarray,
    difficulty: Sequence[float] | np.ndarray,
    own_share: float = 0.0,
) -> EncodedSet:
    """Pack rows of (ids, mask). ``own_share``: what own rows are of every training mix, 0..1."""
    if not rows:
        raise ForgeError("a set of examples must not be empty")
    offsets = np.concatenate(([0], np.cumsum([len(ids) for ids, _ in rows]))).astype(np.int64)
    return EncodedSet(
        np.concatenate([np.asarray(ids, dtype=np.int32) for ids, _ in rows]),
        np.concatenate([np.asarray(mask, dtype=np.uint8) for _, mask in rows]),
        offsets,
        np.asarray(kind, dtype=np.uint8),
        np.asarray(task, dtype=np.uint8),
        np.asarray(difficulty, dtype=np.float32),
        own_share,
    )
