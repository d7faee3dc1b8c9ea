"""The one training loop. Every phase that trains calls :func:`train`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from forge.errors import Interrupted
from forge.model.titan import TinyTitanForCausalLM
from forge.train.batches import Batch
from forge.train.checkpoint import load_checkpoint, save_checkpoint
from forge.train.device import AmpState, MixedPrecision, keep_freed_memory_for_training, training_model_on_device
from forge.train.distributed import Ranks, join_training_processes
from forge.train.faults import (
    Diverged,
    Snapshot,
    TrainingLimits,
    backward_within_memory,
    roll_back_trainer,
    snapshot_trainer,
)
from forge.train.losses import LossFn
from forge.train.optim import Grokfast, HybridOptimizer, schedule
from forge.train.progress import Progress

Log = Callable[..., None]


@dataclass(frozen=True)
class TrainSettings:
    """``steps`` updates; peak learning rates; fractions of ``steps``; ``end_rate``, against the peak; ``clip`` is a
    gradient norm."""

    steps: int
    muon_lr: float = 0.02
    adam_lr: float = 0.004
    weight_decay: float = 0.0
    warmup_fraction: float = 0.05
    decay_fraction: float = 0.5
    end_rate: float = 0.05
    clip: float = 1.0
    grokfast_alpha: float = 0.98
    grokfast_lambda: float = 0.0
    accumulate: int = 1
    checkpoint_every: int = 100
    log_every: int = 10


@dataclass
class TrainResult:
    """What a run did: smoothed losses, tokens, seconds (of this process alone)."""

    first_loss: float
    final_loss: float
    tokens: int
    seconds: float
    clip_fraction: float
    resumed_from: int
    padding: float = 0.0
    returns: int = 0  # to an earlier state, after divergence
    micro_batches: int = 1  # a step, at the end
    amp: AmpState = field(default_factory=AmpState)


class Trainer:
    """State of one run; :func:`train` drives it. It runs where the model is, in float32 unless ``amp`` says
    otherwise, and takes its share of each batch where ``ranks`` are several."""

    def __init__(
        self,
        model: TinyTitanForCausalLM,
        loss_fn: LossFn,
        settings: TrainSettings,
        amp: MixedPrecision | None = None,
        ranks: Ranks = Ranks(),  # noqa: B008 - frozen
    ) -> None:
        self.model, self.loss_fn, self.settings, self.ranks = model, loss_fn, settings, ranks
        self.device = next(model.parameters()).device
        self.amp = MixedPrecision(self.device.type, None) if amp is None else amp
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.optimizer = HybridOptimizer(model, settings.weight_decay)
        self.grokfast = (
            Grokfast(settings.grokfast_alpha, settings.grokfast_lambda) if settings.grokfast_lambda else None
        )
        self.first_loss = self.smooth_loss = math.nan
        self.tokens = self.clipped = 0
        self.limits = TrainingLimits(settings.accumulate)

    def update(self, step: int, batch: Batch) -> dict[str, float]:
        """Forward, backward, filter, clip, step. Returns the step's metrics.

        Raises:
            Diverged: by the loss or the gradient; the parameters are as they were before.
        """
        s, whole = self.settings, batch.count
        shares = batch.split(self.ranks.world) if self.ranks.world > 1 else [batch]

        def backward(parts: Sequence[Batch]) -> dict[str, float]:
            metrics: dict[str, float] = {}
            for part in parts:
                with self.amp.autocast():
                    loss, part_metrics = self.loss_fn(self.model, part.to(self.device))
                share = part.count / whole
                self.amp.backward(loss * share)
                metrics = {k: metrics.get(k, 0.0) + share * v for k, v in part_metrics.items()}
            return metrics

        metrics: dict[str, float] = {}
        if self.ranks.rank < len(shares):
            mine = shares[self.ranks.rank]
            metrics = backward_within_memory(self.limits, step, mine, backward, self.clear_gradients)
        metrics = self.ranks.add_up(self.gradients(), metrics)
        self.limits.judge(step, metrics["loss"], self.smooth_loss)
        self.amp.scaler.unscale_(self.optimizer)  # type: ignore[arg-type]
        if self.grokfast is not None:
            metrics |= self.grokfast(self.parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), s.clip, foreach=True))
        if not math.isfinite(norm) and not self.amp.scaler.is_enabled():
            raise Diverged(step, f"the norm of the gradient is {norm}")
        rate = self.limits.rate * schedule(step, s.steps, s.warmup_fraction, s.decay_fraction, s.end_rate)
        if not self.amp.step(self.optimizer, s.muon_lr * rate, s.adam_lr * rate):
            self.clear_gradients()
        self.clipped += norm > s.clip
        self.tokens += batch.ids.numel()
        self.first_loss = metrics["loss"] if math.isnan(self.first_loss) else self.first_loss
        # Average over about the last 100 steps, exact while there are fewer.
        keep = min(step, 99) / (min(step, 99) + 1)
        self.smooth_loss = metrics["loss"] if step == 0 else keep * self.smooth_loss + (1 - keep) * metrics["loss"]
        return metrics | {
            "gradient_norm": norm,
            "learning_rate": s.muon_lr * rate,
            "loss_avg_100": self.smooth_loss,
        }

    def gradients(self) -> list[torch.Tensor]:
        """All gradients, zeros where this process has none: other processes may have one."""
        if self.ranks.world == 1:
            return []
        for parameter in self.parameters.values():
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        return [parameter.grad for parameter in self.parameters.values() if parameter.grad is not None]

    def clear_gradients(self) -> None:
        """Forget what backward passes have left."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def state(self, step: int) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Tensors and scalars of a checkpoint after ``step`` updates."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"optim.{k}": v for k, v in self.optimizer.state().items()}
        if self.grokfast is not None:
            tensors |= {f"grokfast.{k}": v for k, v in self.grokfast.slow.items()}
        tensors["rng"] = torch.get_rng_state()
        scalars = {
            "step": step,
            "first_loss": self.first_loss,
            "smooth_loss": self.smooth_loss,
            "tokens": self.tokens,
            "clipped": int(self.clipped),
            "care": self.limits.to_dict(),
            "amp": self.amp.to_dict(),
        }
        return tensors, scalars

    def restore(self, tensors: dict[str, torch.Tensor], scalars: dict[str, Any]) -> int:
        """Inverse of :meth:`state`; the number of updates done."""
        part = lambda prefix: {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}  # noqa: E731
        self.model.load_state_dict(part("model."))
        self.optimizer.load_state(part("optim."))
        if self.grokfast is not None:
            self.grokfast.slow = {k: v.clone() for k, v in part("grokfast.").items()}
        torch.set_rng_state(tensors["rng"])
        self.first_loss, self.smooth_loss = scalars["first_loss"], scalars["smooth_loss"]
        self.tokens, self.clipped = scalars["tokens"], scalars["clipped"]
        self.limits = TrainingLimits(**scalars["care"])
        self.amp.load(scalars["amp"])
        self.clear_gradients()
        return int(scalars["step"])


def train(
    model: TinyTitanForCausalLM,
    source: Callable[[int], Batch],
    loss_fn: LossFn,
    settings: TrainSettings,
    *,
    name: str = "train",
    checkpoint_dir: Path | None = None,
    log: Log | None = None,
    stop: Callable[[], bool] = lambda: False,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
    device: torch.device | None = None,
) -> TrainResult:
    """Run ``settings.steps`` updates; batch ``source(i)`` at step i.

    With ``checkpoint_dir`` the run resumes from the newest whole checkpoint there and ends with the bytes of
    an uninterrupted one. ``stop()`` true: save, raise Interrupted. ``log(step=..., **metrics)`` every
    ``log_every`` steps. Too little memory and divergence: see :mod:`forge.train.faults`. ``device``: where to
    train, in mixed precision on a GPU; the model comes back. None: where the model is.

    Under ``torchrun`` every process gives the same arguments and gets the same model; batches are shared out,
    and process 0 alone writes checkpoints and calls ``log`` (:mod:`forge.train.distributed`).

    Raises:
        ForgeError: it diverged too often, or a single row does not fit into memory.
    """
    keep_freed_memory_for_training()
    device = next(model.parameters()).device if device is None else device
    ranks = join_training_processes()
    with training_model_on_device(model, device):
        trainer = Trainer(model.train(), loss_fn, settings, MixedPrecision.on(device), ranks)
        result = _Loop(trainer, source, name, checkpoint_dir, log if ranks.writes else None, stop, on_step).run()
        model.eval()
    return result


@dataclass
class _Loop:
    """Steps, faults, checkpoints and interruption around a trainer; fields as the arguments of :func:`train`."""

    trainer: Trainer
    source: Callable[[int], Batch]
    name: str
    checkpoint_dir: Path | None
    log: Log | None
    stop: Callable[[], bool]
    on_step: Callable[[int, dict[str, float]], None] | None

    def run(self) -> TrainResult:
        trainer, settings, ranks = self.trainer, self.trainer.settings, self.trainer.ranks
        start = snapshot_trainer(trainer)
        ranks.wait()  # for process 0 to have written what it was interrupted at
        saved = load_checkpoint(self.checkpoint_dir) if self.checkpoint_dir is not None else None
        step = begin = trainer.restore(*saved) if saved is not None else 0
        started, tokens_before = time.perf_counter(), trainer.tokens
        with Progress(self.name, settings.steps, begin, shown=ranks.writes) as progress:
            while step < settings.steps:
                micro_batches = trainer.limits.micro_batches
                try:
                    metrics = trainer.update(step, self.source(step))
                except Diverged as fault:
                    step = self._go_back(fault, start)
                    tokens_before = min(tokens_before, trainer.tokens)
                    continue
                shrunk = trainer.limits.micro_batches > micro_batches
                step += 1
                progress.advance(step, trainer.tokens - tokens_before, metrics["loss_avg_100"])
                self._tell(step, metrics, shrunk)
                stopping = ranks.any(self.stop()) and step < settings.steps
                due = stopping or shrunk or step % settings.checkpoint_every == 0
                if self.checkpoint_dir is not None and due and ranks.writes:
                    save_checkpoint(self.checkpoint_dir, step, *trainer.state(step))
                if stopping:
                    raise Interrupted(step, settings.steps)
        return TrainResult(
            trainer.first_loss,
            trainer.smooth_loss,
            trainer.tokens,
            time.perf_counter() - started,
            trainer.clipped / max(1, settings.steps),
            begin,
            returns=trainer.limits.returns,
            micro_batches=trainer.limits.micro_batches,
            amp=trainer.amp.state,
        )

    def _tell(self, step: int, metrics: dict[str, float], shrunk: bool) -> None:
        settings = self.trainer.settings
        if self.log is not None and (shrunk or step % settings.log_every == 0 or step == settings.steps):
            more = {"micro_batches": self.trainer.limits.micro_batches} if shrunk else {}
            self.log(step=step, tokens_seen=self.trainer.tokens, **metrics, **more)
        if self.on_step is not None:
            self.on_step(step, metrics)

    def _go_back(self, fault: Diverged, start: Snapshot) -> int:
        """Every process to the same earlier state; process 0 picks and keeps it."""
        trainer, ranks = self.trainer, self.trainer.ranks
        if ranks.writes or self.checkpoint_dir is None:
            step = roll_back_trainer(trainer, fault, self.checkpoint_dir, start)
        ranks.wait()
        if not ranks.writes and self.checkpoint_dir is not None:
            saved = load_checkpoint(self.checkpoint_dir)
            step = trainer.restore(*(start if saved is None else saved))
        if self.log is not None:
            self.log(step=step, returns=trainer.limits.returns, rate_factor=trainer.limits.rate)
        return step
