"""Cognate: three TinyTitans out of one trunk. The trunk is the base that merging needs; branches differ in what they
read, in how much their memory may hold, in the price of a step and in their seed (Branch-Train-Merge, arXiv
2208.03306)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from forge.data.build import multi_step_tasks
from forge.data.dataset import EncodedSet
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.train import TrainResult, TrainSettings, fit, language_loss

BRANCH_RATE = 0.2  # peak learning rate of a branch against the trunk's: it leaves the trunk, it does not start over


def new_model(params: Any, vocab_size: int, seed: int) -> TinyTitanForCausalLM:
    """A fresh model of the scale's shape."""
    torch.manual_seed(seed)
    capacity = max(branch.memory_capacity for branch in params.branches.values())
    config = TinyTitanConfig(
        vocab_size=vocab_size,
        hidden_size=params.hidden_size,
        head_dim=params.head_dim,
        low_heads=params.low_heads,
        high_heads=params.high_heads,
        low_ffn=params.low_ffn,
        high_ffn=params.high_ffn,
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


def train_trunk(run: Any, model: TinyTitanForCausalLM, data: EncodedSet) -> TrainResult:
    """The shared part of the training, without a price on steps."""
    p = run.params
    settings = cognate_settings(p, p.trunk_steps, 1.0)
    return fit(run, model, data, p.trunk_mix.model_dump(), language_loss(p.halt_weight), settings, p.batch_tokens)


def train_branch(run: Any, model: TinyTitanForCausalLM, data: EncodedSet) -> TrainResult:
    """One branch: its own mixture, memory capacity, ponder cost and seed."""
    p = run.params
    branch = p.branches[run.branch]
    model.set_memory_capacity(branch.memory_capacity)
    settings = cognate_settings(p, p.branch_steps, BRANCH_RATE)
    loss = language_loss(p.halt_weight, branch.ponder_cost)
    return fit(run, model, emphasized(data, branch.multi_step), branch.mix.model_dump(), loss, settings, p.batch_tokens)


def emphasized(data: EncodedSet, times: int) -> EncodedSet:
    """The set with the problems of multi-step families in it ``times`` times."""
    if times == 1:
        return data
    repeated = np.flatnonzero(np.isin(data.task, multi_step_tasks()))
    return data.subset(np.concatenate((np.arange(len(data)), np.tile(repeated, times - 1))))


def cognate_settings(p: Any, steps: int, rate: float) -> TrainSettings:
    """Loop settings from the phase's parameters."""
    return TrainSettings(
        steps=steps,
        muon_lr=p.muon_lr * rate,
        adam_lr=p.adam_lr * rate,
        weight_decay=p.weight_decay,
        clip=p.clip,
        warmup_fraction=p.warmup_fraction,
        decay_fraction=p.decay_fraction,
        checkpoint_every=p.checkpoint_every,
    )
