"""How coherent a thought is with its prompt, measured without the true answer, so that it may decide at test.

Four components, each 0..1 and from the model itself:

- semantic: cosine of the mean embeddings of thought and prompt, moved to 0..1;
- logical: by how many nats per token the thought raises the likelihood of the model's own draft (the greedy
  answer it gives without thinking), through a sigmoid: 0.5 is no help;
- relevance: of each thought token the best cosine with a token of the prompt, at least 0; their mean;
- fluency: geometric mean of the thought tokens' probabilities.

Raw components live on different scales (one may span 0.5 to 0.6 only), and so would the threshold. Each is
therefore replaced by its rank among *mismatched* pairs (thoughts held against prompts of other validation
problems), the ranks are added by weight, and the sum is again ranked among the mismatched. Coherence 0.70
so means: more coherent than 70 % of thoughts that belong to another prompt. By construction a thought that
has nothing to do with its prompt passes a threshold of 0.70 in 30 % of cases, and mean coherence is 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from forge.model import TinyTitanForCausalLM
from forge.model.log_probs import titan_log_probs_from_states
from forge.thinking.rows import (
    ROLE_IDS,
    Ids,
    decided_states_for_thought_gate,
    slice_prompts_for_thinker,
    thinker_batch_with_thoughts,
    thinker_batch_without_thoughts,
)

COMPONENTS = ("semantic", "logical", "relevance", "fluency")
ROWS_AT_ONCE = 256
Scores = NDArray[np.float32]


@torch.no_grad()
def coherence_components(
    model: TinyTitanForCausalLM, prompts: Sequence[Ids], insides: Sequence[Ids], drafts: Sequence[Ids]
) -> dict[str, Scores]:
    """Raw components (r) of r thoughts ``insides``, each of the same length, after their prompts."""
    out: dict[str, list[Tensor]] = {name: [] for name in COMPONENTS}
    for part in slice_prompts_for_thinker(len(prompts), ROWS_AT_ONCE):
        semantic, relevance = _coherence_from_embeddings(model, prompts[part], insides[part])
        logical, fluency = _coherence_from_likelihoods(model, prompts[part], insides[part], drafts[part])
        for name, value in zip(COMPONENTS, (semantic, logical, relevance, fluency), strict=True):
            out[name].append(value)
    return {name: torch.cat(values).float().numpy() for name, values in out.items()}


def _coherence_from_embeddings(
    model: TinyTitanForCausalLM, prompts: Sequence[Ids], insides: Sequence[Ids]
) -> tuple[Tensor, Tensor]:
    """Semantic and relevance (r)."""
    unit = F.normalize(model.embedding_weight(), dim=-1)
    semantic, relevance = [], []
    for prompt, inside in zip(prompts, insides, strict=True):
        asked = unit[[token for token in prompt if token >= ROLE_IDS] or list(prompt)]
        thought = unit[list(inside)]
        semantic.append((1 + F.cosine_similarity(asked.mean(0), thought.mean(0), dim=0)) / 2)
        relevance.append((thought @ asked.T).amax(dim=1).clamp(min=0).mean())
    return torch.stack(semantic), torch.stack(relevance)


def _coherence_from_likelihoods(
    model: TinyTitanForCausalLM, prompts: Sequence[Ids], insides: Sequence[Ids], drafts: Sequence[Ids]
) -> tuple[Tensor, Tensor]:
    """Logical and fluency (r), from one pass with the thought and one without."""
    table, tokens = model.embedding_weight(), len(insides[0])
    rows, plain = thinker_batch_with_thoughts(prompts, insides, drafts), thinker_batch_without_thoughts(prompts, drafts)
    said = titan_log_probs_from_states(
        decided_states_for_thought_gate(model, rows.ids, rows.select), table, rows.targets
    )
    without = titan_log_probs_from_states(
        decided_states_for_thought_gate(model, plain.ids, plain.select), table, plain.targets
    )
    gain = ((said[:, tokens:] - without) * plain.valid).sum(1) / plain.valid.sum(1)
    return torch.sigmoid(gain), said[:, :tokens].mean(1).exp()


@dataclass(frozen=True)
class Calibration:
    """Sorted scores of mismatched pairs: (5, n), a row per component and one for their weighted ranks."""

    reference: Scores
    weights: Mapping[str, float]

    @classmethod
    def fit(cls, mismatched: Mapping[str, Scores], weights: Mapping[str, float]) -> Calibration:
        """From raw components of pairs that do not belong together."""
        rows = np.stack([np.sort(mismatched[name]) for name in COMPONENTS])
        partial = cls(np.concatenate((rows, rows[:1])), weights)
        total = np.sort(partial._weighted(mismatched))
        return cls(np.concatenate((rows, total[None])), weights)

    def coherence(self, raw: Mapping[str, Scores]) -> Scores:
        """Calibrated coherence 0..1 of raw components, whatever their shape."""
        return _coherence_rank(self.reference[-1], self._weighted(raw))

    def _weighted(self, raw: Mapping[str, Scores]) -> Scores:
        ranked = [
            np.float32(self.weights[name]) * _coherence_rank(row, raw[name])
            for name, row in zip(COMPONENTS, self.reference, strict=False)
        ]
        total: Scores = np.sum(ranked, axis=0, dtype=np.float32)
        return total


def _coherence_rank(reference: Scores, values: Scores) -> Scores:
    """Share of the sorted reference below each value, ties counted half."""
    below, upto = np.searchsorted(reference, values, "left"), np.searchsorted(reference, values, "right")
    return ((below + upto) / (2 * len(reference))).astype(np.float32)


def thought_derangement(count: int, seed: int) -> NDArray[np.int64]:
    """A random permutation of ``count`` >= 2 things that leaves none in place: one cycle through all."""
    order = np.random.default_rng(seed).permutation(count)
    out = np.empty(count, dtype=np.int64)
    out[order] = np.roll(order, 1)
    return out
