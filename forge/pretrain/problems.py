"""Two generated problems with one known need each: recall from beyond the attention window, and a number of serial
look-ups. Rows are token ids, there is no text in them; several questions a row are answered in parallel, and no answer
is part of the text, so that none can be read off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from forge.train.batches import Batch


@dataclass(frozen=True)
class Recall:
    """``[begin] k1 v1 .. kn vn  filler  ? k  ? k ..``: the value of every key that is asked for.

    Keys of a row differ, values are drawn freely, so guessing is right once in ``values``.
    """

    keys: int = 32
    values: int = 16
    pairs: int = 8
    filler: int = 40
    questions: int = 4

    @property
    def vocabulary(self) -> int:
        """Tokens: begin, the question mark, keys, values and as many fillers."""
        return 2 + self.keys + 2 * self.values

    @property
    def distance(self) -> int:
        """Tokens from the last pair to the first question's key, at least."""
        return self.filler + 2

    def batch(self, rng: np.random.Generator, rows: int) -> tuple[Batch, np.ndarray]:
        """A batch and the difficulty of its questions (rows, questions): all alike."""
        keys = rng.permuted(np.tile(np.arange(self.keys), (rows, 1)), axis=1)[:, : self.pairs]
        values = rng.integers(0, self.values, (rows, self.pairs))
        filler = rng.integers(0, self.values, (rows, self.filler))
        order = rng.permuted(np.tile(np.arange(self.pairs), (rows, 1)), axis=1)[:, : self.questions]
        asked, answers = np.take_along_axis(keys, order, 1), np.take_along_axis(values, order, 1)
        parts = [
            np.zeros((rows, 1), dtype=np.int64),
            _interleave(2 + keys, 2 + self.keys + values),
            2 + self.keys + self.values + filler,
            _interleave(np.ones_like(asked), 2 + asked),
        ]
        return _asked(np.concatenate(parts, axis=1), 2 + self.keys + answers), np.zeros(asked.shape)


@dataclass(frozen=True)
class Hops:
    """``[begin] a f(a) b f(b) ..  start' k  start' k ..``: f applied k times to each start, k from 1 to ``hops``.

    f is one cycle through ``nodes`` of ``names``, listed in random order: k look-ups, one after another, are the
    shortest way that a row offers while ``2 * hops <= nodes``.
    """

    names: int = 16
    nodes: int = 12
    hops: int = 6
    questions: int = 6

    @property
    def vocabulary(self) -> int:
        """Tokens: begin, names, names as starts, numbers of hops."""
        return 1 + 2 * self.names + self.hops

    def batch(self, rng: np.random.Generator, rows: int) -> tuple[Batch, np.ndarray]:
        """A batch and the number of hops of its questions (rows, questions)."""
        cycle = rng.permuted(np.tile(np.arange(self.names), (rows, 1)), axis=1)[:, : self.nodes]
        order = rng.permuted(np.tile(np.arange(self.nodes), (rows, 1)), axis=1)
        source = np.take_along_axis(cycle, order, 1)
        target = np.take_along_axis(cycle, (order + 1) % self.nodes, 1)
        place = rng.permuted(np.tile(np.arange(self.nodes), (rows, 1)), axis=1)[:, : self.questions]
        hops = rng.integers(1, self.hops + 1, place.shape)
        start = np.take_along_axis(cycle, place, 1)
        answer = np.take_along_axis(cycle, (place + hops) % self.nodes, 1)
        parts = [
            np.zeros((rows, 1), dtype=np.int64),
            _interleave(1 + source, 1 + target),
            _interleave(1 + self.names + start, 2 * self.names + hops),
        ]
        return _asked(np.concatenate(parts, axis=1), 1 + answer), hops


def _interleave(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.stack((left, right), axis=2).reshape(len(left), -1)


def _asked(ids: np.ndarray, answers: np.ndarray) -> Batch:
    """The batch whose last tokens, every second one, are where the answers are wanted."""
    rows, questions = answers.shape
    select = np.tile(ids.shape[1] - 1 - 2 * np.arange(questions)[::-1], (rows, 1))
    tensors = (torch.from_numpy(np.ascontiguousarray(a)) for a in (ids, select, answers))
    return Batch(*tensors, torch.ones(rows, questions, dtype=torch.bool), np.arange(rows))
