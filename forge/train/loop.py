"""The one training loop. Every phase that trains calls :func:`train`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from forge.errors import ForgeError, Interrupted
from forge.model.titan import TinyTitanForCausalLM
from forge.train.batches import Batch
from forge.train.checkpoint import load_checkpoint, save_checkpoint
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

    def update(self, step: int, batch: Batch) -> dict[str, float]:
        """Forward, backward, filter, clip, step. Returns the step's metrics."""
        s = self.settings
        parts = batch.split(s.accumulate) if s.accumulate > 1 else [batch]
        metrics: dict[str, float] = {}
        for part in parts:
            loss, part_metrics = self.loss_fn(self.model, part)
            share = part.count / batch.count
            (loss * share).backward()
            metrics = {k: metrics.get(k, 0.0) + share * v for k, v in part_metrics.items()}
        if not math.isfinite(metrics["loss"]):
            raise ForgeError(f"training diverged at step {step}: the loss is {metrics['loss']}")
        if self.grokfast is not None:
            metrics |= self.grokfast(self.parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters.values(), s.clip, foreach=True))
        rate = schedule(step, s.steps, s.warmup_fraction, s.decay_fraction)
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
    ``log_every`` steps.
    """
    trainer = Trainer(model.train(), loss_fn, settings)
    saved = load_checkpoint(checkpoint_dir) if checkpoint_dir is not None else None
    begin = trainer.restore(*saved) if saved is not None else 0
    started, tokens_before = time.perf_counter(), trainer.tokens
    with Progress(name, settings.steps, begin) as progress:
        for step in range(begin, settings.steps):
            metrics = trainer.update(step, source(step))
            done = step + 1
            progress.advance(done, trainer.tokens - tokens_before, metrics["loss_avg_100"])
            if log is not None and (done % settings.log_every == 0 or done == settings.steps):
                log(step=done, tokens_seen=trainer.tokens, **metrics)
            if on_step is not None:
                on_step(done, metrics)
            stopping = stop() and done < settings.steps
            if checkpoint_dir is not None and (stopping or done % settings.checkpoint_every == 0):
                save_checkpoint(checkpoint_dir, done, *trainer.state(done))
            if stopping:
                raise Interrupted(done, settings.steps)
    model.eval()
    seconds = time.perf_counter() - started
    clip_fraction = trainer.clipped / max(1, settings.steps)
    return TrainResult(trainer.first_loss, trainer.smooth_loss, trainer.tokens, seconds, clip_fraction, begin)
