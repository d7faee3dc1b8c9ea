"""How likely a model finds given answers, with thoughts and without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from forge.model import TinyTitanForCausalLM
from forge.model.log_probs import titan_log_probs_from_states
from forge.thinking.rows import (
    Ids,
    batch_of_continuations,
    decided_states_for_thought_gate,
    slice_prompts_for_thinker,
)

ROWS_AT_ONCE = 256


@torch.no_grad()
def log_likelihood_of_continuations(
    model: TinyTitanForCausalLM, contexts: Sequence[Ids], continuations: Sequence[Ids]
) -> NDArray[np.float64]:
    """Log-likelihood (r), nats, of each whole continuation, halting as decoding does. A context is a prompt, with a
    thought or without."""
    table = model.embedding_weight()
    out = np.zeros(len(contexts))
    order = np.argsort([len(c) + len(a) for c, a in zip(contexts, continuations, strict=True)], kind="stable")
    for part in slice_prompts_for_thinker(len(order), ROWS_AT_ONCE):
        where = order[part]
        rows = batch_of_continuations([contexts[i] for i in where], [continuations[i] for i in where])
        states = decided_states_for_thought_gate(model, rows.ids, rows.select)
        likely = titan_log_probs_from_states(states, table, rows.targets) * rows.valid
        out[where] = likely.double().sum(1).numpy()
    return out
