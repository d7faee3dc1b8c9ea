"""How long two models take to read the same prompt, in alternating turns, so that both meet the machine's moods."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch

from forge.model.titan import TinyTitanForCausalLM

PREFILL_TOKENS = 512
TURNS = 5


@torch.no_grad()
def reading_ms(
    models: Sequence[TinyTitanForCausalLM], *, tokens: int = PREFILL_TOKENS, turns: int = TURNS
) -> list[float]:
    """Median milliseconds in which each model reads ``tokens`` tokens (batch 1, logits at every position).

    The turns go round (A B A B ...), after one that nobody times. Vocabularies may differ: ids are drawn from the
    part that all have.
    """
    shared = min(model.config.vocab_size for model in models)
    ids = torch.randint(0, shared, (1, tokens), generator=torch.Generator().manual_seed(0))
    times: list[list[float]] = [[] for _ in models]
    for turn in range(turns + 1):
        for model, taken in zip(models, times, strict=True):
            started = time.perf_counter()
            model.eval()(ids)
            if turn:
                taken.append(1000 * (time.perf_counter() - started))
    return [statistics.median(taken) for taken in times]


def speedup(before: TinyTitanForCausalLM, after: TinyTitanForCausalLM) -> float:
    """How many times faster ``after`` reads than ``before``; below 1 it is slower."""
    slow, fast = reading_ms([before, after])
    return slow / fast
