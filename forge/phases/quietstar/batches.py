"""What a step of training reads: prompts to think about, and other rows that keep what the model knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from forge.data.dataset import KINDS, EncodedSet
from forge.data.render import ID
from forge.errors import ForgeError
from forge.phases.quietstar.params import Params
from forge.thinking.rows import thinker_batch_without_thoughts
from forge.train import Batch, gather_batch, plan_batches

MICRO_STRIDE = 1 << 24  # between the seeds of a step's micro-batches: more than there are steps
SORT_BATCHES = 16  # prompts are sorted by length inside windows of this many steps


@dataclass
class ThoughtBatch(Batch):
    """Prompts to think about, as a batch of their plain rows; other rows, without thoughts; and the step, which seeds
    the sampling."""

    prompts: list[list[int]]
    answers: list[list[int]]
    replay: Batch
    step: int

    @classmethod
    def of(cls, rows: list[tuple[list[int], list[int]]], replay: Batch, step: int) -> ThoughtBatch:
        """From (prompt, answer) of each row; padded to the longest of them."""
        prompts, answers = [prompt for prompt, _ in rows], [answer for _, answer in rows]
        return cls(
            **vars(thinker_batch_without_thoughts(prompts, answers)),
            prompts=prompts,
            answers=answers,
            replay=replay,
            step=step,
        )

    def split(self, parts: int) -> list[Batch]:
        """Micro-batches with a share of the prompts and of the other rows each; every one samples thoughts of its
        own."""
        parts = min(parts, len(self.ids), len(self.replay.ids))
        pairs = list(zip(self.prompts, self.answers, strict=True))
        shares = zip(np.array_split(np.arange(len(pairs)), parts), self.replay.split(parts), strict=True)
        return [
            ThoughtBatch.of([pairs[i] for i in part], replay, self.step + place * MICRO_STRIDE)
            for place, (part, replay) in enumerate(shares)
        ]


def split_quietstar_row(data: EncodedSet, index: int) -> tuple[list[int], list[int]]:
    """Prompt up to ``<|assistant|>`` and answer with its ``<|end|>`` of a row with one supervised span."""
    ids, mask = data.row(index)
    start = int(mask.argmax())
    return ids[:start].tolist(), ids[start:].tolist()


def spread_quietstar_examples(data: EncodedSet, count: int, *kinds: str) -> np.ndarray:
    """At most ``count`` examples (of some kinds, default all), evenly spread over the set.

    Raises:
        ForgeError: there are none.
    """
    pool = data.where(*(kinds or KINDS))
    if not len(pool):
        raise ForgeError(f"no validation examples of the kinds {', '.join(kinds or KINDS)}")
    picked: np.ndarray = pool[np.linspace(0, len(pool) - 1, min(count, len(pool))).round().astype(int)]
    return picked


def quietstar_batch_source(
    data: EncodedSet, shares: Mapping[str, float], params: Params, seed: int
) -> Callable[[int], ThoughtBatch]:
    """Batches by step, decided by the seed alone, so that a resumed run sees the same.

    Prompts are 'direct' rows, each seen once before any is seen again; the replay mixes kinds by ``shares``.

    Raises:
        ForgeError: there are no 'direct' rows, or none of the kinds of the replay.
    """
    pool = data.where("direct")
    if not len(pool):
        raise ForgeError("no training examples of kind 'direct' to think about")
    rng = np.random.default_rng([seed, len(ID)])
    steps, size = params.steps, params.batch
    passes = [rng.permutation(pool) for _ in range(steps * size // len(pool) + 1)]
    order = np.concatenate(passes)[: steps * size]
    lengths = data.lengths
    for window in range(0, len(order), SORT_BATCHES * size):
        part = order[window : window + SORT_BATCHES * size]
        groups = part[np.argsort(lengths[part], kind="stable")].reshape(-1, size)
        order[window : window + len(part)] = rng.permutation(groups).reshape(-1)
    replays = plan_batches(data, shares, steps, params.replay_tokens, seed)

    def source(step: int) -> ThoughtBatch:
        rows = [split_quietstar_row(data, int(i)) for i in order[step * size : (step + 1) * size]]
        return ThoughtBatch.of(rows, gather_batch(data, replays[step]), step)

    return source
