"""One call that trains a phase's model: plan the batches, run the loop, report to whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch

from forge.data.dataset import EncodedSet
from forge.interface.params import TrainingParams
from forge.interface.run import LoopRun
from forge.model.blocks import SHORT
from forge.model.titan import TinyTitanForCausalLM
from forge.train.batches import gather_batch, padding_share, plan_batches
from forge.train.device import training_device
from forge.train.distributed import Ranks
from forge.train.loop import TrainResult, TrainSettings, train
from forge.train.losses import LossFn
from forge.train.memory import check_training_memory


class BudgetParams(Protocol):
    """The parameters of a phase that trains the whole model with one learning rate."""

    @property
    def steps(self) -> int: ...

    @property
    def lr(self) -> float: ...

    @property
    def decay_fraction(self) -> float: ...

    @property
    def checkpoint_every(self) -> int: ...


def training_loop_settings(
    params: BudgetParams, training: TrainingParams, adam_ratio: float | None = None
) -> TrainSettings:
    """The loop's settings by a phase's parameters and those that phases 3 to 8 share; another ``adam_ratio``, the
    learning rate of embeddings and vectors against that of the matrices, than these have."""
    return training_settings_of_one_rate(
        training, params.steps, params.lr, params.decay_fraction, params.checkpoint_every, adam_ratio
    )


def training_settings_of_one_rate(
    training: TrainingParams,
    steps: int,
    lr: float,
    decay_fraction: float,
    checkpoint_every: int,
    adam_ratio: float | None = None,
) -> TrainSettings:
    """The same by a learning rate of the matrices and a number of steps that are not called ``lr`` and ``steps``."""
    return TrainSettings(
        steps=steps,
        muon_lr=lr,
        adam_lr=lr * (training.adam_ratio if adam_ratio is None else adam_ratio),
        weight_decay=training.weight_decay,
        warmup_fraction=training.warmup_fraction,
        decay_fraction=decay_fraction,
        end_rate=training.end_rate,
        clip=training.clip,
        checkpoint_every=checkpoint_every,
    )


def train_on_planned_batches(
    run: LoopRun,
    model: TinyTitanForCausalLM,
    data: EncodedSet,
    shares: Mapping[str, float],
    loss_fn: LossFn,
    settings: TrainSettings,
    batch_tokens: int,
    *,
    name: str = "train",
    curriculum: Sequence[tuple[float, float]] = ((1.0, 1.0),),
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    teacher: bool = False,
    seed: int | None = None,
) -> TrainResult:
    """Train on batches of ``data`` mixed by ``shares``.

    ``curriculum``: (fraction of the steps, highest difficulty) in order; fractions add up to 1. Checkpoints
    go to a folder ``name`` of the run's; series are logged as ``<name>/<metric>``. ``teacher``: the loss asks
    a second model of the same shape. ``seed`` of the order of the batches: the run's, where None.

    Raises:
        ForgeError: the largest batch cannot fit into memory; nothing has started then.
    """
    plan = plan_curriculum_batches(
        data, shares, settings.steps, batch_tokens, run.seed if seed is None else seed, curriculum
    )
    ranks = Ranks.from_environment()
    device = check_planned_batches(model, data, plan, settings, batch_tokens, teacher=teacher)

    def log(step: int, **metrics: float) -> None:
        run.log(step, **{f"{name}/{key}": value for key, value in metrics.items()})

    def watch(step: int, metrics: dict[str, float]) -> None:
        if ranks.writes:
            run.progress(step, settings.steps, f"loss {metrics['loss_avg_100']:.3f}")
        if on_step is not None:
            on_step(step, metrics)

    result = train(
        model,
        lambda step: gather_batch(data, plan[step]),
        loss_fn,
        settings,
        name=name,
        checkpoint_dir=run.checkpoint_dir / name,
        log=log,
        stop=lambda: run.stop_requested,
        on_step=watch,
        device=device,
    )
    return replace(result, padding=padding_share(data, plan))


def check_planned_batches(
    model: TinyTitanForCausalLM,
    data: EncodedSet,
    plan: Sequence[np.ndarray],
    settings: TrainSettings,
    batch_tokens: int,
    *,
    teacher: bool = False,
) -> torch.device:
    """The device that these batches will be trained on.

    Raises:
        ForgeError: the largest of them cannot fit into its memory.
    """
    ranks = Ranks.from_environment()
    device, parts = training_device(ranks.local), settings.accumulate * ranks.world
    check_training_memory(
        model.config,
        batch_tokens // parts,
        teacher=teacher,
        device=str(device),
        optimizer="hybrid+grokfast" if settings.grokfast_lambda else "hybrid",
        supervised_tokens=max_supervised_batch_tokens(data, plan) // parts,
        row_tokens=min(SHORT, int(data.lengths[np.concatenate(plan)].max())),
    )
    return device


def max_supervised_batch_tokens(data: EncodedSet, plan: Sequence[np.ndarray]) -> int:
    """The most tokens with a target that a batch of the plan holds."""
    ends = np.concatenate(([0], np.cumsum(data.mask, dtype=np.int64)))
    each = np.diff(ends[data.offsets])
    return max(int(each[index].sum()) for index in plan)


def plan_curriculum_batches(
    data: EncodedSet,
    shares: Mapping[str, float],
    steps: int,
    batch_tokens: int,
    seed: int,
    curriculum: Sequence[tuple[float, float]] = ((1.0, 1.0),),
) -> list[np.ndarray]:
    """Batches of all segments of a curriculum, in order; the last segment takes what rounding leaves."""
    plan: list[np.ndarray] = []
    for place, (fraction, hardest) in enumerate(curriculum):
        last = place == len(curriculum) - 1
        count = steps - len(plan) if last else min(round(fraction * steps), steps - len(plan))
        if count:
            plan += plan_batches(data, shares, count, batch_tokens, seed + 7919 * place, hardest)
    return plan
