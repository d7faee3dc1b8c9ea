"""The control that asks what the evolution's compute would have bought otherwise: the best parent, trained on."""

from __future__ import annotations

import copy

from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.cognate.params import Params as CognateParams
from forge.phases.cognate.training import cognate_settings
from forge.phases.evomerge.params import Params
from forge.train import language_loss, train_on_planned_batches

RATE = 0.5  # peak learning rate against a branch's: it goes on, it does not leave anything


def train_evolution_control(
    run: PhaseRun[Params], parent: TinyTitanForCausalLM, tokens_evaluated: int
) -> TinyTitanForCausalLM:
    """A copy of ``parent``, trained with phase 1's settings for what evaluating so many tokens has cost."""
    p, training, model = run.parameters_of(CognateParams), run.training, copy.deepcopy(parent)
    settings = cognate_settings(p, evolution_equivalent_steps(tokens_evaluated, p.batch_tokens), p.branch_rate * RATE)
    loss = language_loss(p.halt_weight, early_weight=training.early_weight)
    data, mix = run.split("train"), training.mix.model_dump()
    train_on_planned_batches(run, model, data, mix, loss, settings, p.batch_tokens, name="continued")
    return model


def evolution_equivalent_steps(tokens_evaluated: int, batch_tokens: int) -> int:
    """Training steps that cost what the evolution's forward passes did: a step is about three forward passes."""
    return max(1, round(tokens_evaluated / (3 * batch_tokens)))
