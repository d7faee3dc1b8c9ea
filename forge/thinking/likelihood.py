"""How likely a model finds given answers, with thoughts and without."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forge.model import TinyTitanForCausalLM
from forge.model.log_probs import titan_log_probs_from_states
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import (
    Ids,
    batch_of_thought_continuations,
    decided_states_for_thought_gate,
    slice_prompts_for_thinker,
)
from forge.train import Batch

ROWS_AT_ONCE = 256


@torch.no_grad()
def thought_continuation_likelihood(
    model: TinyTitanForCausalLM, contexts: Sequence[Ids], continuations: Sequence[Ids]
) -> NDArray[np.float64]:
    """Log-likelihood (r), nats, of each whole continuation, halting as decoding does. A context is a prompt, with a
    thought or without."""
    out = np.zeros(len(contexts))
    for where in _parts_by_length(contexts, continuations):
        rows = batch_of_thought_continuations([contexts[i] for i in where], [continuations[i] for i in where])
        states = decided_states_for_thought_gate(model, rows.ids, rows.select)
        out[where] = _row_likelihood(model, states, rows)
    return out


@torch.no_grad()
def log_likelihood_with_gate(
    model: TinyTitanForCausalLM,
    gate: ThoughtGate,
    prompts: Sequence[Ids],
    contexts: Sequence[Ids],
    continuations: Sequence[Ids],
) -> NDArray[np.float64]:
    """The same (r) where a gate mixes the states after ``contexts``, prompts with a thought, with those after
    ``prompts`` alone."""
    out = np.zeros(len(contexts))
    for where in _parts_by_length(contexts, continuations):
        wanted = [continuations[i] for i in where]
        rows = batch_of_thought_continuations([contexts[i] for i in where], wanted)
        plain = batch_of_thought_continuations([prompts[i] for i in where], wanted)
        after, base = (decided_states_for_thought_gate(model, batch.ids, batch.select) for batch in (rows, plain))
        out[where] = _row_likelihood(model, gate(base, after)[0], rows)
    return out


def _parts_by_length(contexts: Sequence[Ids], continuations: Sequence[Ids]) -> list[NDArray[np.int64]]:
    """Indices of rows, :data:`ROWS_AT_ONCE` of similar length at a time."""
    lengths = [len(c) + len(a) for c, a in zip(contexts, continuations, strict=True)]
    order = np.argsort(np.array(lengths, dtype=np.int64), kind="stable")
    return [order[part] for part in slice_prompts_for_thinker(len(order), ROWS_AT_ONCE)]


def _row_likelihood(model: TinyTitanForCausalLM, states: Tensor, rows: Batch) -> NDArray[np.float64]:
    """Log-likelihood of the predicted tokens of each row, from final states (r,s,d)."""
    likely = titan_log_probs_from_states(states, model.embedding_weight(), rows.targets) * rows.valid
    found: NDArray[np.float64] = likely.double().sum(1).numpy()
    return found
