"""Faults that a training run outlives: too little memory, and divergence.

Both change how the run goes on, so what was decided is part of every checkpoint from then on.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from forge.errors import ForgeError
from forge.train.batches import Batch
from forge.train.checkpoint import drop_newest_training_checkpoint, load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from forge.train.loop import Trainer

LOG = logging.getLogger(__name__)
MAX_RETURNS = 2  # to an earlier state after divergence; then the run stops
WARM_UP = 20  # steps without a judgement on the loss: a fresh optimizer may stumble
RECENT = 8  # steps that the recent mean of the loss covers, about
# What the allocators of CPU, CUDA and MPS say; only CUDA has an exception class of its own.
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")

Snapshot = tuple[dict[str, Tensor], dict[str, Any]]


class Diverged(Exception):
    """The loss or the gradient of ``step`` (0-based) shows that training has broken down."""

    def __init__(self, step: int, why: str) -> None:
        super().__init__(why)
        self.step = step


@dataclass
class TrainingLimits:
    """What a run has learnt about its own limits.

    micro_batches: parts of a batch that are passed through the model one after the other. rate: factor on
    every learning rate. returns: times that the run went back. returned_to: step of the latest one. recent:
    mean loss of about the last 8 steps. judged: steps since the start or the latest return.
    """

    micro_batches: int = 1
    rate: float = 1.0
    returns: int = 0
    returned_to: int = -1
    recent: float = math.nan
    judged: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Scalars of a checkpoint."""
        return asdict(self)

    def judge(self, step: int, loss: float, average: float) -> None:
        """Take a step's loss; ``average`` is the mean of about 100 steps before it.

        Raises:
            Diverged: the loss is not finite, or it explodes: after 20 steps, the mean of the last 8 exceeds
                twice the average and 1 nat. A single hard batch does not do that.
        """
        if not math.isfinite(loss):
            raise Diverged(step, f"the loss is {loss}")
        self.recent = loss if math.isnan(self.recent) else self.recent + (loss - self.recent) / RECENT
        self.judged += 1
        if self.judged > WARM_UP and self.recent > average + abs(average) + 1.0:
            raise Diverged(step, f"the mean loss of the last {RECENT} steps is {self.recent:.3g}, {average:.3g} before")

    def shrink(self, step: int, rows: int, shortage: str) -> None:
        """Halve the micro-batch.

        Raises:
            ForgeError: it is a single row already.
        """
        if self.micro_batches >= rows:
            raise ForgeError(f"out of memory at step {step} with one row at a time ({shortage}); take a smaller scale")
        self.micro_batches = min(2 * self.micro_batches, rows)
        LOG.warning(
            "out of memory at step %d: going on in %d micro-batches a step, the effective batch stays the same",
            step,
            self.micro_batches,
            extra={"step": step},
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory, of whatever device, ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY)


def backward_within_memory(
    limits: TrainingLimits,
    step: int,
    batch: Batch,
    backward: Callable[[Sequence[Batch]], dict[str, float]],
    clear: Callable[[], None],
) -> dict[str, float]:
    """``backward`` over the micro-batches of ``batch``; where memory runs out, once more over smaller ones.

    ``clear`` drops the gradients of an attempt that was cut short. Random numbers start at the same place
    each time.
    """
    while True:
        noise = torch.get_rng_state()
        try:
            return backward(batch.split(limits.micro_batches) if limits.micro_batches > 1 else [batch])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            shortage = str(error).splitlines()[0] if str(error) else type(error).__name__
        # Outside the handler: the exception's frames hold the very tensors that must go.
        clear()
        torch.set_rng_state(noise)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        limits.shrink(step, len(batch.ids), shortage)


def snapshot_trainer(trainer: Trainer) -> Snapshot:
    """A copy of a fresh trainer's state, to return to while there is no checkpoint."""
    tensors, scalars = trainer.state(0)
    return {name: tensor.clone() for name, tensor in tensors.items()}, scalars


def roll_back_trainer(trainer: Trainer, fault: Diverged, directory: Path | None, start: Snapshot) -> int:
    """Return to the newest checkpoint, or to ``start`` where there is none, at half the learning rate.

    A checkpoint that led to divergence twice gives way to the one before it. Returns the step to go on from.

    Raises:
        ForgeError: the run went back as often as it may.
    """
    limits = trainer.limits
    if limits.returns >= MAX_RETURNS:
        raise ForgeError(
            f"training diverged at step {fault.step} ({fault}), even after {limits.returns} returns to an earlier"
            f" state and at {limits.rate:g} of the learning rate; lower the learning rate in params.yaml"
        ) from fault
    saved = load_checkpoint(directory) if directory is not None else None
    if directory is not None and saved is not None and saved[1]["step"] == limits.returned_to:
        drop_newest_training_checkpoint(directory)
        saved = load_checkpoint(directory)
    step = trainer.restore(*(start if saved is None else saved))
    trainer.limits = TrainingLimits(
        micro_batches=max(limits.micro_batches, trainer.limits.micro_batches),
        rate=limits.rate / 2,
        returns=limits.returns + 1,
        returned_to=step,
    )
    LOG.warning(
        "training diverged at step %d: %s; back to step %d at %g of the learning rate",
        fault.step,
        fault,
        step,
        trainer.limits.rate,
        extra={"step": fault.step},
    )
    if directory is not None:
        save_checkpoint(directory, step, *trainer.state(step), version=trainer.limits.returns)
    return step
