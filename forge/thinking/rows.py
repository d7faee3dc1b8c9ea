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
PROMPTS_AT_ONCE = 256


def prompt_with_open_thought(prompt: Ids) -> list[int]:
    """A prompt after which a thought is to be written, whether it asked for one or not."""
    return [*prompt] if prompt[-1] == ID["think"] else [*prompt, ID["think"]]


def prompt_with_thought(prompt: Ids, inside: Ids) -> list[int]:
    """A prompt and, after it, a thought whose tokens are ``inside``."""
    return [*prompt_with_open_thought(prompt), *inside, ID["/think"]]


def batch_of_thought_continuations(contexts: Sequence[Ids], continuations: Sequence[Ids]) -> Batch:
    """Rows of a context and what goes on from it, which alone is predicted."""
    rows = []
    for context, continuation in zip(contexts, continuations, strict=True):
        ids = np.array([*context, *continuation], dtype=np.int64)
        rows.append((ids, np.arange(len(ids)) >= len(context)))
    return collate(rows, np.arange(len(rows)))


def decided_states_for_thought_gate(model: TinyTitanForCausalLM, ids: Tensor, select: Tensor) -> Tensor:
    """Hidden states (r,s,d) at positions select (r,s) of ids (r,t), each position halting where decoding would."""
    return model.run_until_halt(model.prefill(ids, model.embedding_weight(), select=select))[0]


def slice_prompts_for_thinker(count: int, size: int) -> list[slice]:
    """Slices that cover ``count`` things, ``size`` at a time."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
