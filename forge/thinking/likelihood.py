"""How likely a model finds given answers, with thoughts and without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from forge.model import TinyTitanForCausalLM
from forge.model.log_probs import titan_log_probs_from_states
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import (
    PROMPTS_AT_ONCE,
    Ids,
    decided_states_for_thought_gate,
    slice_prompts_for_thinker,
    thinker_batch_with_thoughts,
    thinker_batch_without_thoughts,
)


@torch.no_grad()
def thinker_answer_log_likelihood(
    model: TinyTitanForCausalLM,
    prompts: Sequence[Ids],
    answers: Sequence[Ids],
    gate: ThoughtGate | None = None,
    insides: Sequence[Ids] | None = None,
) -> NDArray[np.float64]:
    """Log-likelihood (p) of whole answers, nats, halting as decoding does; with a gate and thoughts of one length,
    these are mixed in."""
    table, out = model.embedding_weight(), []
    for part in slice_prompts_for_thinker(len(prompts), PROMPTS_AT_ONCE):
        plain = thinker_batch_without_thoughts(prompts[part], answers[part])
        states = decided_states_for_thought_gate(model, plain.ids, plain.select)
        if gate is not None and insides is not None:
            rows = thinker_batch_with_thoughts(prompts[part], insides[part], answers[part])
            after = decided_states_for_thought_gate(model, rows.ids, rows.select)[:, len(insides[0]) :]
            states = gate(states, after)[0]
        out.append((titan_log_probs_from_states(states, table, plain.targets) * plain.valid).sum(1))
    return torch.cat(out).double().numpy()
