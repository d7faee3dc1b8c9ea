"""Which of the models goes on, and how its thoughts are used: decided on validation problems alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from transformers import PreTrainedTokenizerFast

from forge.model import TinyTitanForCausalLM
from forge.phases.quietstar.evaluation import likeliest_quietstar_thoughts
from forge.phases.quietstar.params import Params
from forge.phases.quietstar.problems import Floats, Problem, quietstar_exact_match
from forge.thinking.coherence import Calibration, coherence_components, logical_thought, mismatched_thoughts
from forge.thinking.gate import ThoughtGate
from forge.thinking.likelihood import thought_continuation_likelihood
from forge.thinking.rows import (
    batch_of_thought_continuations,
    decided_states_for_thought_gate,
    prompt_with_open_thought,
    prompt_with_thought,
)
from forge.thinking.sampling import Thought, answer_thinking, draft_without_thinking
from forge.thinking.thinker import Thinker

ENTROPY_PROBLEMS = 64  # on so many the entropy of thoughts is taken


@dataclass(frozen=True)
class Answered:
    """Problems answered after the likeliest thought: the thoughts, and exact match (p)."""

    thoughts: list[Thought]
    correct: Floats

    @property
    def accuracy(self) -> float:
        """Mean exact match."""
        return float(self.correct.mean())

    def by_family(self, problems: Sequence[Problem]) -> dict[str, float]:
        """Exact match of each family of the problems."""
        families = np.array([problem.item.task for problem in problems])
        return {name: float(self.correct[families == name].mean()) for name in dict.fromkeys(families.tolist())}


def quietstar_answer_after_likeliest(
    model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, problems: Sequence[Problem], params: Params
) -> Answered:
    """The model's greedy thoughts and what they lead to."""
    thoughts = likeliest_quietstar_thoughts(model, problems, params.thought_tokens, params.answer_tokens)
    return Answered(thoughts, quietstar_exact_match(tokenizer, problems, [thought.answer for thought in thoughts]))


@torch.no_grad()
def quietstar_thought_entropy(
    model: TinyTitanForCausalLM, problems: Sequence[Problem], thoughts: Sequence[Thought]
) -> float:
    """Nats per token: how undecided the model is along its likeliest thoughts, on problems spread over the families."""
    where = np.unique(np.linspace(0, len(problems) - 1, min(ENTROPY_PROBLEMS, len(problems))).round().astype(int))
    contexts = [prompt_with_open_thought(problems[i].prompt) for i in where]
    rows = batch_of_thought_continuations(contexts, [thoughts[i].ids for i in where])
    states = decided_states_for_thought_gate(model, rows.ids, rows.select)[rows.valid]
    chances = F.log_softmax(F.linear(states, model.embedding_weight()), dim=-1)
    return float(-(chances.exp() * chances).sum(-1).mean())


def quietstar_best_by_validation(found: Mapping[str, Answered]) -> str:
    """The name with the highest accuracy, the earlier one of equals."""
    return max(found, key=lambda name: found[name].accuracy)


def settle_thinker(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    gate: ThoughtGate,
    problems: Sequence[Problem],
    answered: Answered,
    params: Params,
    seed: int,
) -> tuple[Thinker, dict[str, float]]:
    """The thinker of the chosen model: coherence calibrated on validation problems (at least 2), and states mixed by
    the gate if that answers more of them than the thought alone. With it, accuracies of both ways and how well two
    signs tell right thoughts from wrong ones (:func:`roc_auc`): the replayed steps, and by how much the thought raises
    the likelihood of the model's own draft."""
    prompts = [problem.prompt for problem in problems]
    insides = [thought.inside for thought in answered.thoughts]
    asked, foreign = mismatched_thoughts(model, tokenizer, prompts, answered.thoughts, seed)
    raw = coherence_components(model, tokenizer, asked, foreign)
    mixed = quietstar_exact_match(
        tokenizer, problems, answer_thinking(model, gate, prompts, insides, params.answer_tokens)
    )
    drafts = draft_without_thinking(model, prompts, params.answer_tokens)
    contexts = [prompt_with_thought(prompt, inside) for prompt, inside in zip(prompts, insides, strict=True)]
    gain = thought_continuation_likelihood(model, contexts, drafts) - thought_continuation_likelihood(
        model, prompts, drafts
    )
    pairs = zip(prompts, answered.thoughts, strict=True)
    logical = np.array([logical_thought(tokenizer, *pair) for pair in pairs], dtype=float)
    thinker = Thinker(
        gate=gate,
        calibration=Calibration.fit(raw, params.thought_weights.model_dump()),
        tokenizer=tokenizer,
        thoughts=params.thoughts,
        tokens=params.thought_tokens,
        temperature=params.temperature,
        threshold=params.coherence_threshold,
        mixed=float(mixed.mean()) > answered.accuracy,
    )
    return thinker, {
        "val/accuracy_mixed": float(mixed.mean()),
        "val/accuracy_alone": answered.accuracy,
        "val/auc_logical": roc_auc(logical, answered.correct),
        "val/auc_draft_gain": roc_auc(gain / [len(draft) for draft in drafts], answered.correct),
    }


def roc_auc(scores: Floats, right: Floats) -> float:
    """Chance that a right one scores above a wrong one, equal scores counted half; 0.5 where all are right or wrong."""
    good, bad = scores[right > 0], scores[right == 0]
    if not len(good) or not len(bad):
        return 0.5
    from scipy import stats  # takes half a second to import

    return float(stats.mannwhitneyu(good, bad).statistic / (len(good) * len(bad)))
