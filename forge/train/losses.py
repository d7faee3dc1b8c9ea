"""Losses of every phase: cross-entropy at each recurrence step, halting, distillation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from forge.data.dataset import KINDS, EncodedSet
from forge.data.render import ID
from forge.model.titan import TinyTitanForCausalLM
from forge.train.batches import Batch

LossFn = Callable[[TinyTitanForCausalLM, Batch], tuple[Tensor, dict[str, float]]]
HALT_WEIGHT = 0.1
HASH = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads neighbouring numbers far apart


def language_loss(halt_weight: float = 0.1, ponder_cost: float = 0.0) -> LossFn:
    """Next-token loss on supervised tokens after every recurrence step, and the halting head's.

    The labels are the answer's tokens at each step, never internal states. Halting target of a step: its
    prediction is already right, or no later step's is; ``ponder_cost`` adds to the loss of not halting.
    """

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        deep, targets = Predicted.of(model, batch), batch.targets[batch.valid]
        losses = [F.cross_entropy(x, deep.there(targets, k), reduction="none") for k, x in enumerate(deep.logits)]
        right = [hits(x, deep.there(targets, k)) for k, x in enumerate(deep.logits)]
        metrics = {
            "loss": float(deep.last(losses).mean()),
            "accuracy": float(deep.last(right).float().mean()),
            "loss_first": float(losses[0].detach().mean()),
        }
        return deep.mean(losses) + deep.halting(right, halt_weight, ponder_cost), metrics

    return loss


@dataclass(frozen=True)
class Predicted:
    """What a model in training predicts at a batch's n supervised tokens, step by step.

    ``logits`` (n,v) after step 1 and (m,v) after each later one, at the m tokens ``part`` (all n where that is None);
    ``halt`` (n), then (m), or None, likewise. ``expected``: predictions of all steps in n, on the average over batches.
    """

    logits: list[Tensor]
    halt: list[Tensor | None]
    part: Tensor | None
    expected: float
    every: int

    @classmethod
    def of(cls, model: TinyTitanForCausalLM, batch: Batch) -> Predicted:
        """Run the model; later steps on one row in ``refine_every`` of its config, if it has any.

        Which rows: by a hash of their example's number, so that it is the same ones however a batch is split.
        """
        every, rows, part = model.config.refine_every if model.steps > 1 else 1, None, None
        if every > 1:
            with np.errstate(over="ignore"):
                chosen = (batch.index.astype(np.uint64) * HASH >> np.uint64(33)) % np.uint64(every) == 0
            rows = torch.from_numpy(np.flatnonzero(chosen)).to(batch.ids.device)
            part = _positions(batch, chosen).nonzero().squeeze(1)
        outputs = model.predictions(batch.ids, batch.select, batch.valid, rows)
        logits, halt = map(list, zip(*outputs, strict=True))
        return cls(logits, halt, part, 1 + (model.steps - 1) / every, every)

    def there(self, values: Tensor, step: int) -> Tensor:
        """Of values at all n tokens, those where ``step`` (0-based) predicts."""
        return values if step == 0 or self.part is None else values.index_select(0, self.part)

    def mean(self, values: list[Tensor]) -> Tensor:
        """Every prediction of every step counts alike. The number divided by is the expected one: a batch in parts
        adds up to the whole, and few predictions are not made loud."""
        return torch.stack([step.sum() for step in values]).sum() / (len(values[0]) * self.expected)

    def last(self, values: list[Tensor]) -> Tensor:
        """The value (n) of each token's last prediction, detached."""
        if self.part is None or len(values) == 1:
            return values[-1].detach()
        return values[0].detach().index_copy(0, self.part, values[-1].detach())

    def halting(self, right: list[Tensor], weight: float, ponder_cost: float = 0.0) -> Tensor:
        """Loss of the halting head at every step but the last, 0 without one; ``right`` as ``logits``, without v.

        Target: halt where the step is right already or no later one is.
        """
        total, later = self.logits[0].new_zeros(()), right[-1]
        for step in reversed(range(len(right) - 1)):
            halt, now = self.halt[step], right[step]
            if step == 0 and self.part is not None:
                halt, now = halt if halt is None else halt.index_select(0, self.part), now.index_select(0, self.part)
            if halt is not None:
                share = len(now) * self.every / len(right[0])
                total = total + share * weight * halting_loss(halt, now, later)
                total = total + share * ponder_cost * torch.sigmoid(-halt).mean()
            later = later | now
        return total


def hits(logits: Tensor, targets: Tensor) -> Tensor:
    """Whether no token's logit (n,v) exceeds the target's (n): the argmax, at an eighth of its cost on CPU."""
    logits = logits.detach()
    return logits.gather(1, targets[:, None]).squeeze(1) == logits.amax(-1)


def distillation_loss(
    teacher: TinyTitanForCausalLM | None,
    kd_weight: float,
    temperature: float = 1.0,
    *,
    teacher_batch: Callable[[Batch], Batch] | None = None,
    without_call: np.ndarray | None = None,
) -> LossFn:
    """``(1-w) * cross-entropy + w * KL(teacher || student)`` at every supervised position (Hinton et al.,
    arXiv 1503.02531).

    ``teacher_batch`` maps the student's batch to what the teacher sees (with a prompt, say); rows and
    supervised tokens correspond. ``without_call`` (bool per example of the data set) marks rows that stand
    for answers without tools: there the call token is left out of both distributions, so that they do not
    teach a model with baked tools to stop calling.
    """
    # The caller's own teacher stays where it is: a copy goes where batches are.
    teachers: dict[torch.device, TinyTitanForCausalLM] = {}
    if teacher is not None:
        teachers[next(teacher.parameters()).device] = teacher

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        silent = None if without_call is None else _positions(batch, without_call[batch.index])
        wanted = None
        if teacher is not None and kd_weight > 0:
            seen = batch if teacher_batch is None else teacher_batch(batch)
            there = batch.ids.device
            if there not in teachers:
                teachers[there] = cast(TinyTitanForCausalLM, cast(nn.Module, copy.deepcopy(teacher)).to(there))
            with torch.no_grad():
                taught = teachers[there].predictions(seen.ids, seen.select, seen.valid)[-1][0]
                wanted = F.log_softmax(_silence(taught, silent) / temperature, dim=-1)
        deep, targets = Predicted.of(model, batch), batch.targets[batch.valid]
        at = lambda x, k: None if x is None else deep.there(x, k)  # noqa: E731
        logits = [_silence(x, at(silent, k)) for k, x in enumerate(deep.logits)]
        cross = [F.cross_entropy(x, deep.there(targets, k), reduction="none") for k, x in enumerate(logits)]
        kl = cross if wanted is None else [_kl(deep.there(wanted, k), x, temperature) for k, x in enumerate(logits)]
        total = (1 - kd_weight) * deep.mean(cross) + kd_weight * deep.mean(kl)
        right = [hits(x, deep.there(targets, k)) for k, x in enumerate(logits)]
        metrics = {"loss": float(deep.last(cross).mean()), "accuracy": float(deep.last(right).float().mean())}
        if wanted is not None:
            metrics["kl"] = float(deep.last(kl).mean())
        return total + deep.halting(right, HALT_WEIGHT), metrics

    return loss


def answers_without_tools(data: EncodedSet) -> np.ndarray:
    """Which examples must not teach the model to stop calling tools."""
    flags: np.ndarray = data.kind == KINDS.index("direct")
    return flags


def halting_loss(halt: Tensor, correct: Tensor, correct_later: Tensor) -> Tensor:
    """Binary cross-entropy of a step's halt logits: halt where it is right already or no later step is."""
    return F.binary_cross_entropy_with_logits(halt, (correct | ~correct_later).to(halt.dtype))


def _positions(batch: Batch, flags: np.ndarray) -> Tensor:
    """Flags of rows spread over the batch's supervised positions."""
    rows = torch.from_numpy(flags).to(batch.valid.device)
    return rows[:, None].expand_as(batch.valid)[batch.valid]


def _silence(logits: Tensor, silent: Tensor | None) -> Tensor:
    """Put the call token out of reach at the marked positions."""
    if silent is None or not bool(silent.any()):
        return logits
    penalty = torch.zeros_like(logits)
    penalty[silent, ID["call"]] = -1e4
    return logits + penalty


def _kl(wanted: Tensor, student: Tensor, temperature: float) -> Tensor:
    """(n,v) log-probabilities and logits -> (n)."""
    student = F.log_softmax(student / temperature, dim=-1)
    return F.kl_div(student, wanted, log_target=True, reduction="none").sum(-1) * temperature**2
