"""Outputs that a training loss looks at: what they must hold, and what they estimate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from forge.train import Batch, collate, distillation_loss, language_loss
from forge.train.sampled import sample_training_outputs
from tests.support.stub_run import random_set
from tests.support.tiny_models import tiny_model


@given(st.lists(st.integers(0, 49), min_size=1, max_size=30), st.integers(0, 80), st.integers(0, 9))
def test_targets_are_among_the_tokens(targets: list[int], count: int, seed: int) -> None:
    tokens, shift, places = sample_training_outputs(torch.tensor(targets), 50, count, seed)
    assert tokens[places].tolist() == targets
    assert (tokens.diff() > 0).all(), "ascending, none twice"
    distinct = len(set(targets))
    assert len(tokens) == min(50, distinct + count)
    present = torch.isin(tokens, torch.tensor(targets))
    assert (shift[present] == 0).all(), "a target stands for itself"
    stood_for = shift[~present].exp().sum()
    assert float(stood_for) == pytest.approx(50 - distinct if count else 0, abs=1e-3)


def test_the_sum_over_the_vocabulary_is_estimated_without_bias() -> None:
    logits = torch.randn(400, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([7])
    whole = logits.exp().sum()
    sums = []
    for seed in range(2000):
        tokens, shift, _ = sample_training_outputs(target, 400, 40, seed)
        sums.append((logits[tokens] + shift).exp().sum())
    assert float(torch.stack(sums).mean() / whole) == pytest.approx(1, abs=0.01)


def _batch(rows: Sequence[int] = range(8)) -> Batch:
    data = random_set(8)
    return collate([data.row(index) for index in rows], np.array(rows))


def test_a_sample_of_all_is_the_loss_over_all() -> None:
    model, batch = tiny_model(dtype=torch.float64), _batch()
    whole, sampled = (language_loss(sampled_outputs=count)(model, batch) for count in (0, model.config.vocab_size))
    torch.testing.assert_close(whole[0], sampled[0])
    assert whole[1] == pytest.approx(sampled[1])


def test_a_part_comes_close_and_says_the_same_for_the_same_batch() -> None:
    model, batch = tiny_model(dtype=torch.float64), _batch()
    whole, part, again = (float(language_loss(sampled_outputs=count)(model, batch)[0]) for count in (0, 8, 8))
    assert part == again
    assert part != whole
    assert part == pytest.approx(whole, rel=0.1)


def test_logits_of_chosen_tokens_are_those_of_all() -> None:
    model, batch = tiny_model(dtype=torch.float64), _batch()
    chosen = torch.tensor([3, 5, 20])
    whole = model.predictions(batch.ids, batch.select, batch.valid)
    some = model.predictions(batch.ids, batch.select, batch.valid, outputs=chosen)
    for (logits, _), (picked, _) in zip(whole, some, strict=True):
        torch.testing.assert_close(logits[:, chosen], picked)
    assert F.log_softmax(some[0][0], -1).isfinite().all()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_teacher_is_looked_at_in_the_same_way(temperature: float) -> None:
    teacher, student, batch = tiny_model(dtype=torch.float64), tiny_model(seed=5, dtype=torch.float64), _batch()
    marked = torch.arange(8).numpy() % 2 == 0

    def graded(count: int) -> tuple[torch.Tensor, dict[str, float]]:
        return distillation_loss(teacher, 0.5, temperature, without_call=marked, sampled_outputs=count)(student, batch)

    whole, sampled = graded(0), graded(student.config.vocab_size)
    torch.testing.assert_close(whole[0], sampled[0])
    assert whole[1] == pytest.approx(sampled[1])
    assert float(graded(8)[0].detach()) == pytest.approx(float(whole[0].detach()), rel=0.15)


def test_further_steps_are_taken_on_a_share_of_the_batches() -> None:
    teacher, student = tiny_model(), tiny_model(seed=5)
    batches = [_batch(rows) for rows in ([0, 1], [2, 3], [4, 5], [6, 7], [1, 2], [3, 4])]
    never, always = (distillation_loss(teacher, 0.5, further_steps=share) for share in (0.0, 1.0))
    half = distillation_loss(teacher, 0.5, further_steps=0.5)
    values = [tuple(float(loss(student, batch)[0].detach()) for loss in (never, half, always)) for batch in batches]
    assert all(short != full and middle in (short, full) for short, middle, full in values)
    assert {middle == short for short, middle, _ in values} == {True, False}
