"""Two generated problems with one known need each: recall from beyond the attention window, and a number of steps
that must follow one another. Rows are token ids, there is no text in them; questions of a row are answered in
parallel, and no answer is part of the text, so that none can be read off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from forge.train.batches import Batch

TABLE_SEED = 5


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
            _interleave_ablation_tokens(2 + keys, 2 + self.keys + values),
            2 + self.keys + self.values + filler,
            _interleave_ablation_tokens(np.ones_like(asked), 2 + asked),
        ]
        return _ablation_batch(np.concatenate(parts, axis=1), 2 + self.keys + answers, 2), np.zeros(asked.shape)


@dataclass(frozen=True)
class Chains:
    """``[begin].. v p q r =``: the symbol v after the permutations p, q and r, one after another; 1 to ``longest`` of
    them.

    The permutations are drawn once and known by their tokens alone; they do not commute, so a chain takes as many steps
    as it has links. Chains of two links and more are held out by a hash, a fifth of them; the single links are the
    table that everything is made of and can only be learned.
    """

    symbols: int = 7
    permutations: int = 8
    longest: int = 6

    @property
    def vocabulary(self) -> int:
        """Tokens: begin, symbols, permutations, the equals sign."""
        return 2 + self.symbols + self.permutations

    @property
    def table(self) -> np.ndarray:
        """(permutations, symbols): where each symbol goes."""
        rng = np.random.default_rng(TABLE_SEED)
        return rng.permuted(np.tile(np.arange(self.symbols), (self.permutations, 1)), axis=1)

    def batch(
        self, rng: np.random.Generator, rows: int, longest: int = 0, held_out: bool = False
    ) -> tuple[Batch, np.ndarray]:
        """A batch of one question a row and the links of each (rows, 1), at most ``longest`` if that is given."""
        count = rng.integers(1, (longest or self.longest) + 1, rows)
        links, value, open_rows = np.zeros((rows, self.longest), int), np.zeros(rows, int), np.arange(rows)
        while len(open_rows):  # until every row is on its side of the split
            used = np.arange(self.longest) >= self.longest - count[open_rows, None]
            links[open_rows] = np.where(used, 1 + rng.integers(0, self.permutations, used.shape), 0)
            value[open_rows] = rng.integers(0, self.symbols, len(open_rows))
            wrong = (count > 1) & (self.reserved(value, links) != held_out)
            open_rows = np.flatnonzero(wrong)
        answer = value
        for link in links.T:
            answer = np.where(link > 0, self.table[link - 1, answer], answer)
        ids = np.zeros((rows, self.longest + 3), dtype=np.int64)
        ids[:, 2:-1] = np.where(links > 0, self.symbols + links, 0)
        ids[np.arange(rows), self.longest + 1 - count] = 1 + value
        ids[:, -1] = 1 + self.symbols + self.permutations
        return _ablation_batch(ids, 1 + answer[:, None], 1), count[:, None]

    def reserved(self, start: np.ndarray, links: np.ndarray) -> np.ndarray:
        """Whether each chain belongs to the held-out fifth."""
        number = start.astype(np.uint64)
        for link in links.T:
            number = (number * np.uint64(0x9E3779B97F4A7C15)) ^ (link.astype(np.uint64) + np.uint64(1))
        number ^= number >> np.uint64(29)
        held_out: np.ndarray = (number * np.uint64(0xBF58476D1CE4E5B9) >> np.uint64(40)) % np.uint64(5) == 0
        return held_out


def _interleave_ablation_tokens(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.stack((left, right), axis=2).reshape(len(left), -1)


def _ablation_batch(tokens: np.ndarray, answers: np.ndarray, apart: int) -> Batch:
    """The batch whose last tokens, each ``apart`` from the next, are where the answers are wanted."""
    rows, questions = answers.shape
    places = np.tile(tokens.shape[1] - 1 - apart * np.arange(questions)[::-1], (rows, 1))
    ids, select, targets = (torch.from_numpy(np.ascontiguousarray(a)) for a in (tokens, places, answers))
    return Batch(ids, select, targets, torch.ones(rows, questions, dtype=torch.bool), np.arange(rows))
