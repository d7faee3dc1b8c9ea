"""Teacher-forced metrics on tokenized examples: per example, so that models can be compared pair by pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from forge.data.dataset import EncodedSet
from forge.model.log_probs import titan_log_probs_from_logits
from forge.model.titan import TinyTitanForCausalLM
from forge.train.batches import gather_batch

ROWS = 128


@dataclass(frozen=True)
class Likelihood:
    """Per example: summed negative log-likelihood (nats), supervised tokens, whether every one is the argmax, and the
    mean number of recurrence steps taken at them."""

    nll: np.ndarray
    tokens: np.ndarray
    exact: np.ndarray
    steps: np.ndarray

    @property
    def loss(self) -> float:
        """Mean loss (nats) per supervised token of all examples."""
        return float(self.nll.sum() / self.tokens.sum())

    @property
    def perplexity(self) -> float:
        """exp of the mean loss per supervised token."""
        return float(np.exp(self.nll.sum() / self.tokens.sum()))

    @property
    def accuracy(self) -> float:
        """Share of examples answered exactly."""
        return float(self.exact.mean())

    @property
    def mean_loss(self) -> np.ndarray:
        """Mean loss per token of each example."""
        mean: np.ndarray = self.nll / self.tokens
        return mean


@torch.no_grad()
def likelihood(
    model: TinyTitanForCausalLM, data: EncodedSet, index: np.ndarray | None = None, steps: int | None = None
) -> Likelihood:
    """Teacher-forced likelihood of examples (all, or those of ``index``), with halting unless ``steps`` fixes the
    recurrence."""
    chosen = np.arange(len(data)) if index is None else index
    out = np.zeros((4, len(chosen)))
    order = np.argsort(data.lengths[chosen], kind="stable")
    table = model.eval().embedding_weight()
    for start in range(0, len(order), ROWS):
        places = order[start : start + ROWS]
        batch = gather_batch(data, chosen[places])
        trace = model.prefill(batch.ids, table, select=batch.select)
        high, taken = model.run_until_halt(trace, steps)
        logits = F.linear(high, table)
        loss = -titan_log_probs_from_logits(logits, batch.targets)
        right = (logits.argmax(-1) == batch.targets) | ~batch.valid
        count = batch.valid.sum(1)
        rows = ((loss * batch.valid).sum(1), count, right.all(1), (taken * batch.valid).sum(1) / count.clamp(min=1))
        out[:, places] = np.stack([row.double().numpy() for row in rows])
    return Likelihood(out[0], out[1], out[2], out[3])
