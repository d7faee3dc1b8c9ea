"""What a step of training reads: problems to think about, and other rows that keep what the model knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forge.data.dataset import EncodedSet
from forge.data.render import ID
from forge.phases.quietstar.params import Params
from forge.phases.quietstar.problems import Problem
from forge.thinking.rows import batch_of_thought_continuations
from forge.train import Batch, gather_batch, plan_batches

MICRO_STRIDE = 1 << 24  # between the seeds of a step's micro-batches: more than there are steps


@dataclass
class ThoughtBatch(Batch):
    """Problems to think about, as a batch of their rows answered at once; other rows; and the step, which seeds the
    sampling."""

    problems: list[Problem]
    replay: Batch
    step: int

    @classmethod
    def of(cls, problems: Sequence[Problem], replay: Batch, step: int) -> ThoughtBatch:
        """Rows padded to the longest of them."""
        rows = batch_of_thought_continuations([p.prompt for p in problems], [p.answer for p in problems])
        return cls(**vars(rows), problems=list(problems), replay=replay, step=step)

    def split(self, parts: int) -> list[Batch]:
        """Micro-batches with a share of the problems and of the other rows each; every one samples thoughts of its
        own."""
        parts = min(parts, len(self.ids), len(self.replay.ids))
        shares = zip(np.array_split(np.arange(len(self.problems)), parts), self.replay.split(parts), strict=True)
        return [
            ThoughtBatch.of([self.problems[i] for i in part], replay, self.step + place * MICRO_STRIDE)
            for place, (part, replay) in enumerate(shares)
        ]


def quietstar_batch_source(
    problems: Sequence[Problem], data: EncodedSet, shares: Mapping[str, float], params: Params, seed: int
) -> Callable[[int], ThoughtBatch]:
    """Batches by step, decided by the seed alone, so that a resumed run sees the same.

    Each problem is thought about once before any is thought about again; the replay mixes kinds by ``shares``.

    Raises:
        ForgeError: there are no rows of the kinds of the replay.
    """
    rng = np.random.default_rng([seed, len(ID)])
    steps, size = params.steps, params.batch
    passes = [rng.permutation(len(problems)) for _ in range(steps * size // len(problems) + 1)]
    order = np.concatenate(passes)[: steps * size]
    replays = plan_batches(data, shares, steps, params.replay_tokens, seed)

    def source(step: int) -> ThoughtBatch:
        part = [problems[i] for i in order[step * size : (step + 1) * size]]
        return ThoughtBatch.of(part, gather_batch(data, replays[step]), step)

    return source
