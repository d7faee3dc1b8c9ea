"""Fitness of a merge, measured: validation loss and accuracy, counted FLOPs and bytes. Selection never sees the test
split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from forge.data.dataset import EncodedSet
from forge.evals.likelihood import likelihood
from forge.merge.fitness import Fitness, Measured, best_parent, combine
from forge.model.titan import TinyTitanForCausalLM

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


def evaluator(
    model: TinyTitanForCausalLM, batch: EncodedSet, parents: list[StateDict], weights: Mapping[str, float]
) -> tuple[Callable[[StateDict], Fitness], int]:
    """The fitness function, normalised to the best parent, and that parent's place."""
    measured = [measure_merge(model, parent, batch) for parent in parents]
    best = best_parent(measured, weights)
    reference = measured[best]

    def evaluate(state_dict: StateDict) -> Fitness:
        m = measure_merge(model, state_dict, batch)
        return combine(m.perplexity, m.accuracy, m.flops, m.bytes, reference, weights)

    return evaluate, best


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
    from forge.pretrain.cognate import BRANCH_RATE, cognate_settings
    from forge.train import fit, language_loss

    p = run.all_params.phase("cognate")
    settings = cognate_settings(p, steps, BRANCH_RATE * 0.5)
    fit(run, model, data, shares, language_loss(p.halt_weight), settings, p.batch_tokens, name="continued")
