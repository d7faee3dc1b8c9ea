"""Several noisy rollouts of the recurrence, the best by the halting head (probabilistic tiny recursion: noise in the
latent at inference, no training for it)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from forge.errors import ForgeError
from forge.model.titan import RecurrentState, TinyTitanForCausalLM


@torch.no_grad()
def best_titan_recurrence_rollout(
    model: TinyTitanForCausalLM, trace: RecurrentState, count: int, noise: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Final hidden states (b,s,d) and steps taken over all rollouts (b,s).

    The first rollout is the plain one; every other starts from latents with Gaussian noise of standard deviation
    ``noise`` (they are RMS-normalized, so it is relative). Each position keeps the state that the halting head scores
    highest. ForgeError for a model without one.
    """
    if not hasattr(model, "halt"):
        raise ForgeError("rollouts are chosen by the halting head, and this model has none")
    random = torch.Generator().manual_seed(seed)
    best, total = model.run_until_halt(trace)
    score = model.halt_logits(best)
    for _ in range(1, count):
        low, high = (x + noise * torch.randn(x.shape, generator=random, dtype=x.dtype) for x in (trace.low, trace.high))
        final, taken = model.run_until_halt(replace(trace, low=low, high=high))
        found = model.halt_logits(final)
        best = torch.where((found > score).unsqueeze(-1), final, best)
        score, total = torch.maximum(found, score), total + taken
    return best, total
