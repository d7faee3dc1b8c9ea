"""Losses of every phase: cross-entropy at each recurrence step, halting, distillation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple, TypedDict, cast
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from forge.data.dataset import KINDS, EncodedSet
from forge.data.render import ID
from forge.interface.params import TrainingParams
from forge.model.titan import TinyTitanForCausalLM
from forge.train.batches import Batch
from forge.train.sampled import sample_training_outputs

LossFn = Callable[[TinyTitanForCausalLM, Batch], tuple[Tensor, dict[str, float]]]


class LossSettings(TypedDict):
    """What the losses of all phases have in common."""

    halt_weight: float
    early_weight: float
    further_steps: float
    sampled_outputs: int


def loss_settings(training: TrainingParams) -> LossSettings:
    """What the losses below take of the parameters that phases share."""
    return {
        "halt_weight": training.halt_weight,
        "early_weight": training.early_weight,
        "further_steps": training.further_steps,
        "sampled_outputs": training.sampled_outputs,
    }


def language_loss(
    halt_weight: float = 0.1,
    ponder_cost: float = 0.0,
    early_weight: float = 0.5,
    further_steps: float = 1.0,
    sampled_outputs: int = 0,
) -> LossFn:
    """Next-token loss on supervised tokens after every recurrence step, and the halting head's.

    The labels are the answer's tokens at each step, never internal states. Halting target of a step: its
    prediction is already right, or no later step's is; ``ponder_cost`` adds to the loss of not halting.
    ``early_weight``: of a step that is not the last, whose own weight is 1. ``further_steps``: share of the batches
    that take more than one step; which ones, their examples decide. ``sampled_outputs``: how many tokens stand for
    those that no target of the batch is (:func:`forge.train.sampled.sample_training_outputs`); 0 looks at the whole
    vocabulary.
    """

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        steps, tokens, shift, targets = _view_of_training_batch(model, batch, further_steps, sampled_outputs)
        outputs = model.predictions(batch.ids, batch.select, batch.valid, steps, tokens)
        losses = [F.cross_entropy(_shifted(logits, shift), targets) for logits, _ in outputs]
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


class _View(NamedTuple):
    """What a loss looks at in a batch: recurrence steps; tokens (k) whose logits are computed, and what is added to
    these (k), both None where it is all; targets (n) as places among them."""

    steps: int
    tokens: Tensor | None
    shift: Tensor | None
    targets: Tensor


def _view_of_training_batch(model: TinyTitanForCausalLM, batch: Batch, further_steps: float, sampled: int) -> _View:
    targets, seed = batch.targets[batch.valid], crc32(batch.index.tobytes())
    steps = model.steps if seed < further_steps * 2**32 else 1
    if sampled:
        return _View(steps, *sample_training_outputs(targets, model.config.vocab_size, sampled, seed))
    return _View(steps, None, None, targets)


def _shifted(logits: Tensor, shift: Tensor | None) -> Tensor:
    return logits if shift is None else logits + shift


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
    further_steps: float = 1.0,
    sampled_outputs: int = 0,
) -> LossFn:
    """``(1-w) * cross-entropy + w * KL(teacher || student)`` at every supervised position (Hinton et al.,
    arXiv 1503.02531).

    ``teacher_batch`` maps the student's batch to what the teacher sees (with a prompt, say); rows and
    supervised tokens correspond. ``without_call`` (bool per example of the data set) marks rows that stand
    for answers without tools: there the call token is left out of both distributions, so that they do not
    teach a model with baked tools to stop calling. The other arguments are as in :func:`language_loss`; both
    distributions are looked at in the same way.
    """
    # The caller's own teacher stays where it is: a copy goes where batches are.
    teachers: dict[torch.device, TinyTitanForCausalLM] = {}
    if teacher is not None:
        teachers[next(teacher.parameters()).device] = teacher

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        silent = None if without_call is None else _flags_at_loss_positions(batch, without_call)
        steps, tokens, shift, targets = _view_of_training_batch(model, batch, further_steps, sampled_outputs)
        wanted = None
        if teacher is not None and kd_weight > 0:
            seen = batch if teacher_batch is None else teacher_batch(batch)
            there = batch.ids.device
            if there not in teachers:
                teachers[there] = cast(TinyTitanForCausalLM, cast(nn.Module, copy.deepcopy(teacher)).to(there))
            with torch.no_grad():
                logits = teachers[there].predictions(seen.ids, seen.select, seen.valid, steps, tokens)[-1][0]
                _silence_call_in_distillation(logits, silent, tokens)
                wanted = _Wanted(logits, targets, shift, kd_weight, temperature)
        outputs = model.predictions(batch.ids, batch.select, batch.valid, steps, tokens)
        for logits, _ in outputs:
            _silence_call_in_distillation(logits, silent, tokens)
        if wanted is None:
            losses = [F.cross_entropy(_shifted(logits, shift), targets) for logits, _ in outputs]
            metrics = {"loss": float(losses[-1].detach())}
        else:
            losses, metrics = [], {}
            for logits, _ in outputs:
                graded, metrics = wanted.grade(logits)
                losses.append(graded)
        total = weighted_step_loss(losses, early_weight)
        right = [training_loss_targets_hit(logits, targets) for logits, _ in outputs]
        for halt, correct, later in halting_loss_inputs(outputs, right):
            total = total + halt_weight * halting_loss(halt, correct, later)
        return total, {**metrics, "accuracy": float(right[-1].float().mean())}

    return loss


class _Wanted:
    """What a student's distributions are held against: labels, and a teacher's logits (n,v) at a temperature.

    At temperature 1 both are one distribution, their mean by weight: a student's logits are read once instead of twice,
    which over a vocabulary is a good part of what a step costs.
    """

    def __init__(
        self, logits: Tensor, targets: Tensor, shift: Tensor | None, weight: float, temperature: float
    ) -> None:
        self.targets, self.shift, self.weight, self.temperature = targets, shift, weight, temperature
        known = F.log_softmax(_shifted(logits if temperature == 1 else logits / temperature, shift), dim=-1)
        self.soft = known.exp()
        self.sure = (self.soft * known).sum() / len(targets)  # the teacher's entropy, negative
        if temperature == 1:
            self.soft.mul_(weight)[torch.arange(len(targets), device=targets.device), targets] += 1 - weight

    def grade(self, logits: Tensor) -> tuple[Tensor, dict[str, float]]:
        """``(1-w) * cross-entropy + w * KL`` of logits (n,v), and both for the log."""
        n, w = len(self.targets), self.weight
        if self.temperature == 1:
            known = F.log_softmax(_shifted(logits, self.shift), dim=-1)
            mixed = -(self.soft * known).sum() / n
            cross = float(-known.detach().gather(1, self.targets[:, None]).mean())
            kl = (float(mixed.detach()) - (1 - w) * cross) / w + float(self.sure)
            return mixed + w * self.sure, {"loss": cross, "kl": kl}
        hard = F.cross_entropy(_shifted(logits, self.shift), self.targets)
        cross_soft = -(self.soft * F.log_softmax(_shifted(logits / self.temperature, self.shift), dim=-1)).sum() / n
        divergence = (cross_soft + self.sure) * self.temperature**2
        return (1 - w) * hard + w * divergence, {"loss": float(hard.detach()), "kl": float(divergence.detach())}


def teaching_loss(
    teacher: TinyTitanForCausalLM,
    data: EncodedSet,
    kind: str,
    *,
    halt_weight: float = 0.1,
    early_weight: float = 0.5,
    further_steps: float = 1.0,
    sampled_outputs: int = 0,
) -> LossFn:
    """Labels alone for the examples of one kind, the teacher's distribution alone for all others, by their tokens.

    ``data``: the set that batches are drawn of. The other arguments are as in :func:`language_loss`.
    """
    settings: LossSettings = {
        "halt_weight": halt_weight,
        "early_weight": early_weight,
        "further_steps": further_steps,
        "sampled_outputs": sampled_outputs,
    }
    labels = language_loss(**settings)
    kept = distillation_loss(teacher, 1.0, without_call=loss_flags_without_call(data), **settings)
    new = data.kind == KINDS.index(kind)

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        total, metrics = torch.zeros((), device=batch.ids.device), {"loss": 0.0}
        chosen = new[batch.index]
        for graded, rows in ((labels, np.flatnonzero(chosen)), (kept, np.flatnonzero(~chosen))):
            if len(rows):
                part = batch.part(rows)
                share = part.count / batch.count
                value, told = graded(model, part)
                total = total + share * value
                metrics["loss"] += share * told["loss"]
        return total, metrics

    return loss


def loss_flags_without_call(data: EncodedSet) -> np.ndarray:
    """Which examples must not teach the model to stop calling tools: problems answered at once or after a thought."""
    return np.isin(data.kind, [KINDS.index(kind) for kind in ("direct", "worked")])


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


def _silence_call_in_distillation(logits: Tensor, silent: Tensor | None, tokens: Tensor | None) -> None:
    """Put the call token, where it is among the ``tokens`` (k) of logits (n,k), out of reach at the marked positions,
    in place: to copy logits costs as much as to read them, and nothing that made them needs their old values for its
    gradient."""
    place = ID["call"] if tokens is None else int(torch.searchsorted(tokens, ID["call"]))
    if silent is not None and (tokens is None or (place < len(tokens) and int(tokens[place]) == ID["call"])):
        rows = silent.nonzero().squeeze(1)
        far = torch.full((1,), -1e4, dtype=logits.dtype, device=logits.device)
        logits.index_put_((rows, torch.full_like(rows, place)), far, accumulate=True)
