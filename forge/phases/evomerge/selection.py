"""Fitness of a merge, measured: validation loss and accuracy, counted FLOPs and bytes. Selection never sees the test
split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from forge.data.dataset import EncodedSet
from forge.evals.likelihood import likelihood
from forge.model.titan import TinyTitanForCausalLM
from forge.phases.evomerge.fitness import Fitness, Measured, best_parent, combine
from forge.phases.evomerge.parallel import one_thread

StateDict = dict[str, Tensor]
KINDS = ("direct", "tooled", "tool", "recall")


def fitness_batch(data: EncodedSet, samples: int, seed: int) -> EncodedSet:
    """The fixed validation examples that every merge is judged on."""
    pool = data.where(*KINDS)
    chosen = np.random.default_rng(seed).choice(pool, size=min(samples, len(pool)), replace=False)
    return data.subset(np.sort(chosen))


def measure_merge(model: TinyTitanForCausalLM, weights: StateDict, batch: EncodedSet) -> Measured:
    """Load a merge into ``model`` and measure it. FLOPs are those of one supervised token at the steps that it
    takes."""
    model.load_state_dict(weights)
    scored = likelihood(model, batch)
    core = sum(linear.weight.numel() for linear in model.core_linears().values())
    mean_steps = float((scored.steps * scored.tokens).sum() / scored.tokens.sum())
    size = sum(w.numel() * w.element_size() for w in weights.values())
    return Measured(scored.perplexity, scored.accuracy, 2.0 * core * mean_steps, float(size))


@dataclass(frozen=True)
class Evaluator:
    """The fitness function: measured on one batch, relative to the best parent. It can be sent to worker processes."""

    model: TinyTitanForCausalLM
    batch: EncodedSet
    reference: Measured
    weights: Mapping[str, float]

    def __call__(self, state_dict: StateDict) -> Fitness:
        m = measure_merge(self.model, state_dict, self.batch)
        fitness = combine(m.perplexity, m.accuracy, m.flops, m.bytes, self.reference, self.weights)
        guessing = self.model.config.vocab_size
        if fitness.finite and m.perplexity >= guessing > self.reference.perplexity:
            fault = f"the model is dead: perplexity {m.perplexity:.0f}, guessing among all tokens has {guessing}"
            return replace(fitness, fault=fault)
        return fitness


def evaluator(
    model: TinyTitanForCausalLM, batch: EncodedSet, parents: list[StateDict], weights: Mapping[str, float]
) -> tuple[Evaluator, int]:
    """The fitness function, normalized to the best parent, and that parent's place."""
    with one_thread():
        measured = [measure_merge(model, parent, batch) for parent in parents]
    best = best_parent(measured, weights)
    return Evaluator(model, batch, measured[best], weights), best


def barrier_loss(model: TinyTitanForCausalLM, batch: EncodedSet) -> Callable[[StateDict], float]:
    """Mean loss per token of a state dict on the fitness batch, for :func:`forge.merge.barrier.loss_barrier`."""

    def loss(state_dict: StateDict) -> float:
        model.load_state_dict(state_dict)
        return float(np.log(likelihood(model, batch).perplexity))

    return loss


def continued_training(
    run: Any, model: TinyTitanForCausalLM, data: EncodedSet, shares: Mapping[str, float], steps: int
) -> None:
    """The control: the same extra compute spent on training the best parent further."""
    from forge.phases.cognate.training import BRANCH_RATE, cognate_settings
    from forge.train import fit, language_loss

    p = run.all_params.phase("cognate")
    settings = cognate_settings(p, steps, BRANCH_RATE * 0.5)
    fit(run, model, data, shares, language_loss(p.halt_weight), settings, p.batch_tokens, name="continued")
