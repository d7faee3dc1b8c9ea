"""Losses: distillation by its formula, halting targets, the price of thinking, calls that plain answers leave alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from forge.data.dataset import EncodedSet
from forge.data.render import ID
from forge.model import TinyTitanForCausalLM
from forge.train import Batch, distillation_loss, gather_batch, language_loss, teaching_loss
from forge.train.losses import halting_loss, weighted_step_loss
from tests.support.stub_run import random_set
from tests.support.tiny_models import tiny_model


def batch_of(data: EncodedSet, rows: int = 6) -> Batch:
    return gather_batch(data, np.arange(rows))


def test_a_model_has_no_distance_from_itself() -> None:
    data, teacher = random_set(), tiny_model()
    student = tiny_model()
    loss, metrics = distillation_loss(teacher, 1.0)(student, batch_of(data))
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-6)
    other, found = distillation_loss(teacher, 1.0)(tiny_model(seed=5), batch_of(data))
    assert found["kl"] > 0.1
    assert float(other.detach()) > float(loss.detach())


def test_gradient_reaches_the_student_alone() -> None:
    teacher, student = tiny_model(), tiny_model(seed=5)
    loss, _ = distillation_loss(teacher, 0.5)(student, batch_of(random_set()))
    loss.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert student.embed.weight.grad is not None
    assert bool(student.embed.weight.grad.any())


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_distillation_loss_by_hand(temperature: float) -> None:
    """One step, no halting head: the formula, and cross-entropy where the teacher weighs nothing."""
    shape: dict[str, Any] = {"max_steps": 1, "halting": False}
    teacher, student = tiny_model(**shape), tiny_model(seed=5, **shape)
    batch = batch_of(random_set())
    with torch.no_grad():
        p, q = (model.predictions(batch.ids, batch.select, batch.valid)[0][0] for model in (teacher, student))
    cross = F.cross_entropy(q, batch.targets[batch.valid])
    log_p, log_q = (F.log_softmax(x / temperature, -1) for x in (p, q))
    kl = (log_p.exp() * (log_p - log_q)).sum(-1).mean() * temperature**2
    loss, metrics = distillation_loss(teacher, 0.3, temperature)(student, batch)
    torch.testing.assert_close(loss.detach(), 0.7 * cross + 0.3 * kl)
    assert metrics["kl"] == pytest.approx(float(kl), rel=1e-4)
    alone, _ = distillation_loss(teacher, 0.0, temperature)(student, batch)
    torch.testing.assert_close(alone.detach(), cross)


def test_without_a_teachers_share_it_is_the_language_loss() -> None:
    student, batch = tiny_model(seed=5), batch_of(random_set())
    distilled, _ = distillation_loss(tiny_model(), 0.0)(student, batch)
    plain, metrics = language_loss()(student, batch)
    torch.testing.assert_close(distilled, plain)
    assert metrics["loss"] != metrics["loss_first"]


class Louder(torch.nn.Module):
    """A teacher that wants to call a tool ``by`` more than ``model`` does."""

    def __init__(self, model: TinyTitanForCausalLM, by: float) -> None:
        super().__init__()
        self.model, self.by = model, by

    def predictions(self, *given: Any) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
        raised = F.one_hot(torch.tensor(ID["call"]), 48) * self.by
        return [(logits + raised, halt) for logits, halt in self.model.predictions(*given)]


def test_answers_without_tools_say_nothing_about_calling() -> None:
    data, student = random_set(), tiny_model(seed=5)
    batch = batch_of(data)
    teachers: list[Any] = [Louder(tiny_model(), by) for by in (0.0, 9.0)]

    def losses(flags: list[bool]) -> list[float]:
        marked = np.zeros(len(data), dtype=bool)
        marked[: len(flags)] = flags
        return [float(distillation_loss(t, 1.0, without_call=marked)(student, batch)[0].detach()) for t in teachers]

    quiet, loud = losses([True] * 6)
    assert quiet == pytest.approx(loud, abs=1e-6)
    quiet, loud = losses([False] * 6)
    assert abs(loud - quiet) > 0.1
    # One unmarked row among marked ones still feels it.
    quiet, loud = losses([True] * 5 + [False])
    assert abs(loud - quiet) > 0.01
    # The student's wish to call is not graded there either.
    marked = np.ones(len(data), dtype=bool)
    loss, _ = distillation_loss(teachers[1], 0.5, without_call=marked)(student, batch)
    rows = torch.autograd.grad(loss, student.embed.weight)[0]
    assert not rows[ID["call"]].any()
    assert rows[ID["result"]].any()


def test_one_kind_is_taught_by_labels_and_the_others_by_the_teacher() -> None:
    teacher, student = tiny_model(), tiny_model(seed=5)
    data = random_set(kinds=("own_tool", "tool", "persona"))
    batch, loss = batch_of(data, 7), teaching_loss(teacher, data, "own_tool")
    new, old = gather_batch(data, np.array([0, 3, 6])), gather_batch(data, np.array([1, 2, 4, 5]))
    total, metrics = loss(student, batch)
    labels, kept = language_loss()(student, new), distillation_loss(teacher, 1.0)(student, old)
    expected = (labels[0] * new.count + kept[0] * old.count) / batch.count
    torch.testing.assert_close(total, expected)
    assert metrics == {
        "loss": pytest.approx((labels[1]["loss"] * new.count + kept[1]["loss"] * old.count) / batch.count)
    }
    for part, alone in ((new, labels[0]), (old, kept[0])):
        torch.testing.assert_close(loss(student, part)[0], alone)


def test_halting_targets() -> None:
    halt = torch.tensor([2.0, 2.0, -1.0, -1.0])
    now, end = torch.tensor([True, False, False, True]), torch.tensor([True, False, True, False])
    # Right already, hopeless, worth another step, right now and wrong later.
    wanted = F.binary_cross_entropy_with_logits(halt, torch.tensor([1.0, 1.0, 0.0, 1.0]))
    assert torch.equal(halting_loss(halt, now, end), wanted)
    assert weighted_step_loss([torch.tensor(3.0), torch.tensor(5.0), torch.tensor(1.0)], 0.5) == pytest.approx(2.5)


def test_thinking_has_its_price() -> None:
    model, batch = tiny_model(), batch_of(random_set())
    free, dear = (language_loss(0.0, ponder_cost=cost)(model, batch)[0] for cost in (0.0, 0.5))
    with torch.no_grad():
        halts = [h for _, h in model.predictions(batch.ids, batch.select, batch.valid)][:-1]
    price = sum(float(torch.sigmoid(-halt).mean()) for halt in halts if halt is not None)
    assert float((dear - free).detach()) == pytest.approx(0.5 * price, rel=1e-4)
