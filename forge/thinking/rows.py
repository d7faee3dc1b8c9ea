"""Rows that hold a thought, and the model's states at the tokens that matter in them.

A row is ``prompt <|think|> inside <|/think|> answer``. The thought stands between the prompt and the answer
in one causal row of its own, so it sees the prompt and itself, never the answer, never another thought: with
thoughts at a single position the diagonal mask of Quiet-STaR (arXiv 2403.09629, section 4.2) is this.

Shapes: r rows, t tokens, s chosen positions, d hidden, v vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from forge.data.render import ID
from forge.model.titan import TinyTitanForCausalLM
from forge.train import Batch, collate

Ids = Sequence[int]
ROLE_IDS = len(ID)  # ids below are role tokens; a thought holds none of them
PROMPTS_AT_ONCE = 64


def prompt_with_thought(prompt: Ids, inside: Ids) -> list[int]:
    """A prompt and, after it, a thought whose tokens are ``inside``."""
    return [*prompt, ID["think"], *inside, ID["/think"]]


def thinker_batch_without_thoughts(prompts: Sequence[Ids], answers: Sequence[Ids]) -> Batch:
    """Rows without thoughts; predicted: the answers."""
    rows = []
    for prompt, answer in zip(prompts, answers, strict=True):
        ids = np.array([*prompt, *answer], dtype=np.int64)
        rows.append((ids, np.arange(len(ids)) >= len(prompt)))
    return collate(rows, np.arange(len(rows)))


def thinker_batch_with_thoughts(prompts: Sequence[Ids], insides: Sequence[Ids], answers: Sequence[Ids]) -> Batch:
    """Rows with thoughts of one length m; predicted: the m tokens of each thought, then its answer's."""
    rows = []
    for prompt, inside, answer in zip(prompts, insides, answers, strict=True):
        opened = prompt_with_thought(prompt, inside)
        ids = np.array([*opened, *answer], dtype=np.int64)
        place = np.arange(len(ids))
        mask = (place > len(prompt)) & (place != len(opened) - 1)
        rows.append((ids, mask))
    return collate(rows, np.arange(len(rows)))


def final_states_for_thought_gate(model: TinyTitanForCausalLM, ids: Tensor, select: Tensor) -> Tensor:
    """Hidden states (r,s,d) after every recurrence step, with gradients; ids (r,t), select (r,s)."""
    trace = model.prefill(ids, model.embedding_weight(), select=select)
    for _ in range(1, model.steps):
        trace = model.recurrence_step(trace)
    return trace.high


def decided_states_for_thought_gate(model: TinyTitanForCausalLM, ids: Tensor, select: Tensor) -> Tensor:
    """As :func:`final_states_for_thought_gate`, each position halting where decoding would."""
    return model.run_until_halt(model.prefill(ids, model.embedding_weight(), select=select))[0]


def slice_prompts_for_thinker(count: int, size: int) -> list[slice]:
    """Slices that cover ``count`` things, ``size`` at a time."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
