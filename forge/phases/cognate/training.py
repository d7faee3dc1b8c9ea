"""Three TinyTitans out of one trunk (Branch-Train-Merge, arXiv 2208.03306).

The trunk is the base that merging needs; branches differ in what they read, in how much their memory may hold, in the
price of a step and in their seed. The trunk is handed over before its learning rate has decayed, and every branch
decays by itself (cooldowns of one run, arXiv 2405.18392): part of what a decay gains is then in the branches' own
steps, and merging has something to add up.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch

from forge.data.build import multi_step_tasks
from forge.data.dataset import EncodedSet
from forge.interface.run import PhaseRun
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.phases.cognate.params import Branch, Params
from forge.phases.cognate.widening import widen_cognate_feed_forward
from forge.train import TrainResult, TrainSettings, language_loss, loss_settings, train_on_planned_batches
from forge.train.fit import check_planned_batches, plan_curriculum_batches
from forge.train.losses import LossFn


def new_cognate_model(params: Params, vocab_size: int, seed: int, narrower: int = 1) -> TinyTitanForCausalLM:
    """A fresh model of the scale's shape, its feed-forward networks so many times narrower."""
    torch.manual_seed(seed)
    capacity = max(branch.memory_capacity for branch in params.branches.values())
    config = TinyTitanConfig(
        vocab_size=vocab_size,
        hidden_size=params.hidden_size,
        head_dim=params.head_dim,
        low_heads=params.low_heads,
        high_heads=params.high_heads,
        low_ffn=[width // narrower for width in params.low_ffn],
        high_ffn=[width // narrower for width in params.high_ffn],
        max_steps=params.max_steps,
        window=params.window,
        memory=params.memory,
        memory_heads=params.memory_heads,
        memory_head_dim=params.memory_head_dim,
        memory_chunk=params.memory_chunk,
        memory_capacity=capacity,
        halting=params.halting and params.max_steps > 1,
    )
    return TinyTitanForCausalLM(config)


def train_cognate_trunk(run: PhaseRun[Params], model: TinyTitanForCausalLM, data: EncodedSet) -> TrainResult:
    """The shared part of the training, without a price on steps; its learning rate ends where a branch's starts."""
    p, mix, loss = run.params, run.params.trunk_mix.model_dump(), cognate_loss(run)
    settings = replace(cognate_settings(p, p.trunk_steps), end_rate=p.branch_rate)
    if not p.narrow_steps:
        return train_on_planned_batches(run, model, data, mix, loss, settings, p.batch_tokens)
    plan = plan_curriculum_batches(data, mix, p.trunk_steps, p.batch_tokens, run.seed)
    check_planned_batches(model, data, plan, settings, p.batch_tokens)  # now, not after all narrow steps
    narrow = new_cognate_model(p, model.config.vocab_size, run.seed, narrower=p.widen)
    flat = replace(settings, steps=p.narrow_steps, decay_fraction=0.0, end_rate=1.0)
    first = train_on_planned_batches(
        run, narrow, data, mix, loss, flat, p.batch_tokens, name="narrow", seed=run.seed + 1
    )
    widen_cognate_feed_forward(narrow, model, run.seed)
    return cognate_results_in_turn(
        first, train_on_planned_batches(run, model, data, mix, loss, settings, p.batch_tokens)
    )


def cognate_results_in_turn(first: TrainResult, then: TrainResult) -> TrainResult:
    """What two loops did, one after the other; shares are of all their tokens or steps, as far as these are alike."""
    tokens = first.tokens + then.tokens
    share = first.tokens / tokens
    return replace(
        then,
        first_loss=first.first_loss,
        tokens=tokens,
        seconds=first.seconds + then.seconds,
        clip_fraction=share * first.clip_fraction + (1 - share) * then.clip_fraction,
        padding=share * first.padding + (1 - share) * then.padding,
    )


def cognate_loss(run: PhaseRun[Params], ponder_cost: float = 0.0) -> LossFn:
    """The loss of trunk and branches."""
    return language_loss(ponder_cost=ponder_cost, **loss_settings(run.training))


def settle_cognate_trunk(run: PhaseRun[Params], trunk: TinyTitanForCausalLM, data: EncodedSet) -> TinyTitanForCausalLM:
    """The control of the branches: a copy of ``trunk`` that goes on reading the trunk's mixture for as many steps as a
    branch has, with a branch's learning rates."""
    p, model, loss = run.params, copy.deepcopy(trunk), cognate_loss(run)
    settings = cognate_settings(p, p.branch_steps, p.branch_rate)
    mix = p.trunk_mix.model_dump()
    train_on_planned_batches(run, model, data, mix, loss, settings, p.batch_tokens, name="settled")
    return model


def train_cognate_branch(
    run: PhaseRun[Params], branch: Branch, model: TinyTitanForCausalLM, data: EncodedSet
) -> TrainResult:
    """One branch: its own mixture, memory capacity, ponder cost and seed."""
    p = run.params
    model.set_memory_capacity(branch.memory_capacity)
    settings = cognate_settings(p, p.branch_steps, p.branch_rate)
    loss = cognate_loss(run, branch.ponder_cost)
    rows = repeat_cognate_problems(data, branch.multi_step)
    return train_on_planned_batches(run, model, rows, branch.mix.model_dump(), loss, settings, p.batch_tokens)


def repeat_cognate_problems(data: EncodedSet, times: int) -> EncodedSet:
    """The set with the problems of multi-step families in it ``times`` times."""
    if times == 1:
        return data
    repeated = np.flatnonzero(np.isin(data.task, multi_step_tasks()))
    return data.subset(np.concatenate((np.arange(len(data)), np.tile(repeated, times - 1))))


def cognate_settings(params: Params, steps: int, rate: float = 1.0) -> TrainSettings:
    """The loop's settings by the phase's parameters; ``rate``: peak learning rates against the trunk's."""
    return TrainSettings(
        steps=steps,
        muon_lr=params.muon_lr * rate,
        adam_lr=params.adam_lr * rate,
        weight_decay=params.weight_decay,
        clip=params.clip,
        warmup_fraction=params.warmup_fraction,
        decay_fraction=params.decay_fraction,
        end_rate=params.end_rate,
        checkpoint_every=params.checkpoint_every,
    )
