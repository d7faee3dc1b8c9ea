"""The one training loop. Every phase that trains calls :func:`train`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from forge.errors import Interrupted
from forge.model.titan import TinyTitanForCausalLM
from forge.train.batches import Batch
from forge.train.checkpoint import load_checkpoint, save_checkpoint
from forge.train.faults import Care, Diverged, backward_within_memory, go_back, snapshot
from forge.train.losses import LossFn
from forge.train.optim import Grokfast, HybridOptimizer, schedule
from forge.train.progress import Progress

Log = Callable[..., None]


@dataclass(frozen=True)
class TrainSettings:
    """``steps`` updates; peak learning rates; fractions of ``steps``; ``clip`` is a gradient norm."""

    steps: int
    muon_lr: float = 0.02
    adam_lr: float = 0.004
    weight_decay: float = 0.0
    warmup_fraction: float = 0.05
    decay_fraction: float = 0.5
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


class Trainer:
    """State of one run; :func:`train` drives it."""

    def __init__(self, model: TinyTitanForCausalLM, loss_fn: LossFn, settings: TrainSettings) -> None:
        self.model, self.loss_fn, self.settings = model, loss_fn, settings
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.optimizer = HybridOptimizer(model, settings.weight_decay)
        self.grokfast = (
            Grokfast(settings.grokfast_alpha, settings.grokfast_lambda) if settings.grokfast_lambda else None
        )
        self.first_loss = self.smooth_loss = math.nan
        self.tokens = self.clipped = 0
        self.care = Care(settings.accumulate)

    def update(self, step: int, batch: Batch) -> dict[str, float]:
        """Forward, backward, filter, clip, step. Returns the step's metrics.

        Raises:
            Diverged: by the loss or the gradient; the parameters are as they were before.
        """
        s = self.settings

        def backward(parts: Sequence[Batch]) -> dict[str, float]:
            metrics: dict[str, float] = {}
            for part in parts:
                loss, part_metrics = self.loss_fn(self.model, part)
                share = part.count / batch.count
                (loss * share).backward()
                metrics = {k: metrics.get(k, 0.0) + share * v for k, v in part_metrics.items()}
            return metrics

        metrics = backward_within_memory(self.care, step, batch, backward, self.clear_gradients)
        self.care.judge(step, metrics["loss"], self.smooth_loss)
        if self.grokfast is not None:
            metrics |= self.grokfast(self.parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), s.clip, foreach=True))
        if not math.isfinite(norm):
            raise Diverged(step, f"the norm of the gradient is {norm}")
        rate = self.care.rate * schedule(step, s.steps, s.warmup_fraction, s.decay_fraction)
        self.optimizer.step(s.muon_lr * rate, s.adam_lr * rate)
        self.clipped += norm > s.clip
        self.tokens += batch.ids.numel()
        self.first_loss = metrics["loss"] if math.isnan(self.first_loss) else self.first_loss
        # Average over about the last 100 steps, exact while there are fewer.
        keep = min(step, 99) / (min(step, 99) + 1)
        self.smooth_loss = (
            metrics["loss"] if step == 0 else keep * self.smooth_loss + (1 - keep) * metrics["loss"]
        )
        return metrics | {
            "gradient_norm": norm,
            "learning_rate": s.muon_lr * rate,
            "loss_avg_100": self.smooth_loss,
        }

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
            "care": self.care.to_dict(),
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
        self.care = Care(**scalars["care"])
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
) -> TrainResult:
    """Run ``settings.steps`` updates; batch ``source(i)`` at step i.

    With ``checkpoint_dir`` the run resumes from the newest whole checkpoint there and ends with the bytes of
    an uninterrupted one. ``stop()`` true: save, raise Interrupted. ``log(step=..., **metrics)`` every
    ``log_every`` steps. Too little memory and divergence: see :mod:`forge.train.faults`.

    Raises:
        ForgeError: it diverged too often, or a single row does not fit into memory.
    """
    trainer = Trainer(model.train(), loss_fn, settings)
    start = snapshot(trainer)
    saved = load_checkpoint(checkpoint_dir) if checkpoint_dir is not None else None
    step = begin = trainer.restore(*saved) if saved is not None else 0
    started, tokens_before = time.perf_counter(), trainer.tokens
    with Progress(name, settings.steps, begin) as progress:
        while step < settings.steps:
            micro_batches = trainer.care.micro_batches
            try:
                metrics = trainer.update(step, source(step))
            except Diverged as fault:
                step = go_back(trainer, fault, checkpoint_dir, start)
                tokens_before = min(tokens_before, trainer.tokens)
                if log is not None:
                    log(step=step, returns=trainer.care.returns, rate_factor=trainer.care.rate)
                continue
            shrunk = trainer.care.micro_batches > micro_batches
            step += 1
            progress.advance(step, trainer.tokens - tokens_before, metrics["loss_avg_100"])
            if log is not None and (shrunk or step % settings.log_every == 0 or step == settings.steps):
                metrics |= {"micro_batches": trainer.care.micro_batches} if shrunk else {}
                log(step=step, tokens_seen=trainer.tokens, **metrics)
            if on_step is not None:
                on_step(step, metrics)
            stopping = stop() and step < settings.steps
            if checkpoint_dir is not None and (stopping or shrunk or step % settings.checkpoint_every == 0):
                save_checkpoint(checkpoint_dir, step, *trainer.state(step))
            if stopping:
                raise Interrupted(step, settings.steps)
    model.eval()
    return TrainResult(
        trainer.first_loss, trainer.smooth_loss, trainer.tokens, time.perf_counter() - started,
        trainer.clipped / max(1, settings.steps), begin, returns=trainer.care.returns,
        micro_batches=trainer.care.micro_batches,
    )
