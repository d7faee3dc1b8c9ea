"""Log-probabilities of given tokens: one definition, for training with thoughts and for every evaluation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LOGITS_AT_ONCE = 8_000_000  # float32 values: 32 MB


def titan_log_probs_from_logits(logits: Tensor, targets: Tensor) -> Tensor:
    """Log-probabilities (...), nats, of targets (...) under logits (...,v), in the precision of the logits."""
    return -F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none").view(targets.shape)


def titan_log_probs_from_states(states: Tensor, table: Tensor, targets: Tensor) -> Tensor:
    """The same from final hidden states (...,d) and the embedding table (v,d), some positions at a time, so that the
    logits never take much memory."""
    flat, wanted = states.reshape(-1, states.shape[-1]), targets.reshape(-1)
    size = max(1, LOGITS_AT_ONCE // len(table))
    parts = [
        titan_log_probs_from_logits(F.linear(flat[i : i + size], table), wanted[i : i + size])
        for i in range(0, len(flat), size)
    ]
    return torch.cat(parts).view(targets.shape)
