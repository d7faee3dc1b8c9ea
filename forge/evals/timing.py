"""How long models take to read a prompt, in alternating turns, so that all of them meet the machine's moods."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch

from forge.data.tokenizer import SPECIAL_TOKENS
from forge.model.titan import TinyTitanForCausalLM

PREFILL_TOKENS = 512
TURNS = 5


def random_eval_prompt(vocab_size: int, length: int, seed: int) -> list[int]:
    """``length`` ids that are no role tokens, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    ids: list[int] = torch.randint(len(SPECIAL_TOKENS), vocab_size, (length,), generator=generator).tolist()
    return ids


@torch.no_grad()
def eval_prefill_ms(
    models: Sequence[TinyTitanForCausalLM], *, repeats: int, seed: int = 0, tokens: int = PREFILL_TOKENS
) -> list[list[float]]:
    """Milliseconds of each of ``repeats`` readings of one prompt by each model (batch 1, logits at every position).

    The turns go round (A B A B ...), after one that nobody times. Vocabularies may differ: ids are drawn from the
    part that all have.
    """
    ids = torch.tensor([random_eval_prompt(min(model.config.vocab_size for model in models), tokens, seed)])
    times: list[list[float]] = [[] for _ in models]
    for _ in range(repeats + 1):
        for model, taken in zip(models, times, strict=True):
            started = time.perf_counter()
            model.eval()(ids)
            taken.append(1000 * (time.perf_counter() - started))
    return [taken[1:] for taken in times]


def eval_prefill_speedup(before: TinyTitanForCausalLM, after: TinyTitanForCausalLM) -> float:
    """How many times faster ``after`` reads than ``before``, by the medians; below 1 it is slower."""
    slow, fast = (statistics.median(taken) for taken in eval_prefill_ms([before, after], repeats=TURNS))
    return slow / fast
