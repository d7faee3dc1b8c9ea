"""Losses of every phase: cross-entropy at each recurrence step, halting, distillation."""

from __future__ import annotations

import copy
from collections.abc import Callable
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


def language_loss(halt_weight: float = 0.1, ponder_cost: float = 0.0, early_weight: float = 0.5) -> LossFn:
    """Next-token loss on supervised tokens after every recurrence step, and the halting head's.

    The labels are the answer's tokens at each step, never internal states. Halting target of a step: its
    prediction is already right, or no later step's is; ``ponder_cost`` adds to the loss of not halting.
    ``early_weight``: of a step that is not the last, whose own weight is 1.
    """

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        targets = batch.targets[batch.valid]
        outputs = model.predictions(batch.ids, batch.select, batch.valid)
        losses = [F.cross_entropy(logits, targets) for logits, _ in outputs]
        total = weighted_step_loss(losses, early_weight)
        right = [training_loss_targets_hit(logits, targets) for logits, _ in outputs]
        metrics = {
            "loss": float(losses[-1].detach()),
            "accuracy": float(right[-1].float().mean()),
            "loss_first": float(losses[0].detach()),
        }
        for halt, correct, later in halting_loss_inputs(outputs, right):
            total = total + halt_weight * halting_loss(halt, correct, later)
            total = total + ponder_cost * torch.sigmoid(-halt).mean()
        return total, metrics

    return loss


def training_loss_targets_hit(logits: Tensor, targets: Tensor) -> Tensor:
    """Whether no token's logit (n,v) exceeds the target's (n): the argmax, at an eighth of its cost on CPU."""
    logits = logits.detach()
    return logits.gather(1, targets[:, None]).squeeze(1) == logits.amax(-1)


def weighted_step_loss(losses: list[Tensor], early_weight: float) -> Tensor:
    """Mean over steps with the last step counting most."""
    weights = [early_weight] * (len(losses) - 1) + [1.0]
    return torch.stack([w * x for w, x in zip(weights, losses, strict=True)]).sum() / sum(weights)


def distillation_loss(
    teacher: TinyTitanForCausalLM | None,
    kd_weight: float,
    temperature: float = 1.0,
    *,
    teacher_batch: Callable[[Batch], Batch] | None = None,
    without_call: np.ndarray | None = None,
    halt_weight: float = 0.1,
    early_weight: float = 0.5,
) -> LossFn:
    """``(1-w) * cross-entropy + w * KL(teacher || student)`` at every supervised position (Hinton et al.,
    arXiv 1503.02531).

    ``teacher_batch`` maps the student's batch to what the teacher sees (with a prompt, say); rows and
    supervised tokens correspond. ``without_call`` (bool per example of the data set) marks rows that stand
    for answers without tools: there the call token is left out of both distributions, so that they do not
    teach a model with baked tools to stop calling. ``halt_weight``, ``early_weight`` as in :func:`language_loss`.
    """
    # The caller's own teacher stays where it is: a copy goes where batches are.
    teachers: dict[torch.device, TinyTitanForCausalLM] = {}
    if teacher is not None:
        teachers[next(teacher.parameters()).device] = teacher

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        silent = None if without_call is None else _flags_at_loss_positions(batch, without_call)
        wanted = None
        if teacher is not None and kd_weight > 0:
            seen = batch if teacher_batch is None else teacher_batch(batch)
            there = batch.ids.device
            if there not in teachers:
                teachers[there] = cast(TinyTitanForCausalLM, cast(nn.Module, copy.deepcopy(teacher)).to(there))
            with torch.no_grad():
                logits = _silence_call_in_distillation(
                    teachers[there].predictions(seen.ids, seen.select, seen.valid)[-1][0], silent
                )
                wanted = F.log_softmax(logits / temperature, dim=-1)
        targets = batch.targets[batch.valid]
        outputs = [
            (_silence_call_in_distillation(logits, silent), halt)
            for logits, halt in model.predictions(batch.ids, batch.select, batch.valid)
        ]
        cross = [F.cross_entropy(student, targets) for student, _ in outputs]
        kl = [_kl(wanted, student, temperature) for student, _ in outputs] if wanted is not None else cross
        total = (1 - kd_weight) * weighted_step_loss(cross, early_weight) + kd_weight * weighted_step_loss(
            kl, early_weight
        )
        right = [training_loss_targets_hit(student, targets) for student, _ in outputs]
        for halt, correct, later in halting_loss_inputs(outputs, right):
            total = total + halt_weight * halting_loss(halt, correct, later)
        accuracy = float(right[-1].float().mean())
        metrics = {"loss": float(cross[-1].detach()), "accuracy": accuracy}
        return total, metrics if wanted is None else {**metrics, "kl": float(kl[-1].detach())}

    return loss


def loss_flags_without_call(data: EncodedSet) -> np.ndarray:
    """Which examples must not teach the model to stop calling tools."""
    flags: np.ndarray = data.kind == KINDS.index("direct")
    return flags


def halting_loss_inputs(
    outputs: list[tuple[Tensor, Tensor | None]], right: list[Tensor]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """(halt logits, right at this step, right at some later step) of every step but the last; nothing without
    a halting head."""
    found, later = [], right[-1]
    for (_, halt), correct in zip(outputs[-2::-1], right[-2::-1], strict=True):
        if halt is not None:
            found.append((halt, correct, later))
        later = later | correct
    return found


def halting_loss(halt: Tensor, correct: Tensor, correct_later: Tensor) -> Tensor:
    """Binary cross-entropy of a step's halt logits: halt where it is right already or no later step is."""
    return F.binary_cross_entropy_with_logits(halt, (correct | ~correct_later).float())


def _flags_at_loss_positions(batch: Batch, flags: np.ndarray) -> Tensor:
    """Flags of examples spread over the batch's supervised positions."""
    rows = torch.from_numpy(flags[batch.index]).to(batch.valid.device)
    return rows[:, None].expand_as(batch.valid)[batch.valid]


def _silence_call_in_distillation(logits: Tensor, silent: Tensor | None) -> Tensor:
    """Put the call token out of reach at the marked positions."""
    if silent is None or not bool(silent.any()):
        return logits
    penalty = torch.zeros_like(logits)
    penalty[silent, ID["call"]] = -1e4
    return logits + penalty


def _kl(wanted: Tensor, student: Tensor, temperature: float) -> Tensor:
    student = F.log_softmax(student / temperature, dim=-1)
    return F.kl_div(student, wanted, log_target=True, reduction="batchmean") * temperature**2
