"""How coherent a thought is with its prompt, measured without the true answer, so that it may decide at test.

Four components, each 0..1:

- semantic: cosine of the mean embeddings of thought and prompt, moved to 0..1;
- logical: the verdict of the replay checker (:mod:`forge.data.thoughts.replay`): 1 where every step holds, operands
  against the prompt included, and the answer is what the thought comes to; else 0. The checker knows the families of
  the suite; a thought about anything else is not logical;
- relevance: of each thought token the best cosine with a token of the prompt, at least 0; their mean;
- fluency: geometric mean of the probabilities of the thought's tokens and of its end.

Raw components live on different scales (one may span 0.5 to 0.6 only), and so would the threshold. Each is
therefore replaced by its rank among *mismatched* pairs (validation prompts, each with a thought that is not its own:
another problem's, or its own with one digit changed), the ranks are added by weight, and the sum is again ranked among
the mismatched. Coherence 0.70 so means: more coherent than 70 % of the thoughts that do not belong to their prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from forge.data.render import ID, tokenize_characters
from forge.data.thoughts.replay import replay, tampered
from forge.model import TinyTitanForCausalLM
from forge.model.engine import decode_titan_output_ids
from forge.thinking.likelihood import thought_continuation_likelihood
from forge.thinking.rows import ROLE_IDS, Ids, prompt_with_open_thought, slice_prompts_for_thinker
from forge.thinking.sampling import Thought

COMPONENTS = ("semantic", "logical", "relevance", "fluency")
ROWS_AT_ONCE = 256
Scores = NDArray[np.float32]


def last_question(tokenizer: PreTrainedTokenizerFast, prompt: Ids) -> str:
    """The text of the user's last turn in a prompt."""
    if ID["user"] not in prompt:
        return ""
    start = len(prompt) - list(reversed(prompt)).index(ID["user"])
    end = next((i for i in range(start, len(prompt)) if prompt[i] < ROLE_IDS), len(prompt))
    return decode_titan_output_ids(tokenizer, prompt[start:end])


def logical_thought(tokenizer: PreTrainedTokenizerFast, prompt: Ids, thought: Thought) -> bool:
    """Whether a thought ended, all its steps hold, and its answer is what it comes to."""
    if not thought.closed:
        return False
    found = replay(last_question(tokenizer, prompt), decode_titan_output_ids(tokenizer, thought.inside))
    return found.sound == 1.0 and found.answer == decode_titan_output_ids(tokenizer, thought.answer).strip()


@torch.no_grad()
def coherence_components(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Ids],
    thoughts: Sequence[Thought],
) -> dict[str, Scores]:
    """Raw components (r) of r thoughts, each with the prompt that it is held against."""
    unit = F.normalize(model.embedding_weight(), dim=-1)
    semantic, relevance = [], []
    for part in slice_prompts_for_thinker(len(prompts), ROWS_AT_ONCE):
        near, relevant = _coherence_from_embeddings(unit, prompts[part], [t.inside for t in thoughts[part]])
        semantic.append(near)
        relevance.append(relevant)
    pairs = zip(prompts, thoughts, strict=True)
    return {
        "semantic": torch.cat(semantic).float().numpy(),
        "logical": np.array([logical_thought(tokenizer, *pair) for pair in pairs], dtype=np.float32),
        "relevance": torch.cat(relevance).float().numpy(),
        "fluency": np.array([thought.fluency for thought in thoughts], dtype=np.float32),
    }


def _coherence_from_embeddings(unit: Tensor, prompts: Sequence[Ids], insides: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Semantic and relevance (r) by embeddings of length 1 (v,d); an empty thought has neither."""
    asked, asked_there = _embedded(unit, [[t for t in prompt if t >= ROLE_IDS] or list(prompt) for prompt in prompts])
    thought, there = _embedded(unit, insides)
    middle, center = (
        x.sum(1) / mask.sum(1, keepdim=True).clamp(min=1) for x, mask in ((asked, asked_there), (thought, there))
    )
    semantic = (1 + F.cosine_similarity(middle, center, dim=-1)) / 2 * there.any(1)
    near = (thought @ asked.transpose(1, 2)).masked_fill(~asked_there[:, None], 0.0)
    relevance = (near.amax(2).clamp(min=0) * there).sum(1) / there.sum(1).clamp(min=1)
    return semantic, relevance


def _embedded(unit: Tensor, rows: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Embeddings (r,t,d), zero where a row has ended, and where it has not (r,t)."""
    time = max((len(row) for row in rows), default=0) or 1
    ids = torch.tensor([[*row, *[0] * (time - len(row))] for row in rows])
    there = torch.arange(time) < torch.tensor([len(row) for row in rows])[:, None]
    return unit[ids] * there[:, :, None], there


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
    """Share of the sorted reference below each value; what equals it is not below it."""
    return (np.searchsorted(reference, values, "left") / len(reference)).astype(np.float32)


def thought_derangement(count: int, seed: int) -> NDArray[np.int64]:
    """A random permutation of ``count`` >= 2 things that leaves none in place: one cycle through all."""
    order = np.random.default_rng(seed).permutation(count)
    out = np.empty(count, dtype=np.int64)
    out[order] = np.roll(order, 1)
    return out


def mismatched_thoughts(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Ids],
    thoughts: Sequence[Thought],
    seed: int,
) -> tuple[list[list[int]], list[Thought]]:
    """For each of at least 2 prompts two thoughts that are not its own: that of another prompt, and its own with one
    digit changed, which belongs to a problem that differs by little; where there is no digit to change, another's
    again. Each answer is what the changed thought comes to; fluency is the model's for the pair.
    """
    others = [thoughts[i] for i in thought_derangement(len(prompts), seed)]
    changed = [
        _thought_with_one_change(tokenizer, prompt, own, seed) or other
        for prompt, own, other in zip(prompts, thoughts, others, strict=True)
    ]
    asked = [list(prompt) for prompt in prompts] * 2
    pairs = [*others, *changed]
    contexts = [prompt_with_open_thought(prompt) for prompt in asked]
    ended = [[*thought.inside, ID["/think"]] for thought in pairs]
    likely = thought_continuation_likelihood(model, contexts, ended)
    fluency = np.exp(likely / [len(row) for row in ended])
    return asked, [replace(thought, fluency=float(value)) for thought, value in zip(pairs, fluency, strict=True)]


def _thought_with_one_change(
    tokenizer: PreTrainedTokenizerFast, prompt: Ids, thought: Thought, seed: int
) -> Thought | None:
    """See :func:`mismatched_thoughts`."""
    question, text = last_question(tokenizer, prompt), decode_titan_output_ids(tokenizer, thought.inside)
    found = tampered(question, text, seed) if thought.closed else None
    if found is None:
        return None
    inside, answer = (tokenize_characters(tokenizer, written) for written in found)
    return Thought.of([*inside, ID["/think"], *answer, ID["end"]], 0.0)
