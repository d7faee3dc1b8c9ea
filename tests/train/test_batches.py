"""Batches: repeatable, within their budget, hardly padded, and aligned with the loss mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forge.data.dataset import KINDS, EncodedSet, build_set
from forge.errors import ForgeError
from forge.train import Batch, collate, gather_batch, padding_share, plan_batches

BUDGET = 600


def _set(n: int = 900, seed: int = 0, longest: int = 90) -> EncodedSet:
    """Rows of 6 to ``longest`` tokens of four kinds; a random part of each is supervised."""
    rng = np.random.default_rng(seed)
    rows, kinds = [], []
    for i in range(n):
        length = int(rng.integers(6, longest))
        mask = np.zeros(length, dtype=np.uint8)
        mask[rng.choice(length, size=max(1, length // 4), replace=False)] = 1
        mask[-1] = 1
        rows.append((rng.integers(14, 60, size=length), mask))
        kinds.append(i % 4)
    return build_set(rows, kinds, [0] * n, rng.random(n))


DATA = _set()
SHARES = {"direct": 2.0, "tooled": 4.0, "tool": 1.0, "text": 1.0, "recall": 0.0}


def test_targets_are_the_supervised_tokens_and_select_the_place_before() -> None:
    index = np.array([5, 0, 17, 33])
    batch = gather_batch(DATA, index)
    assert batch.index is index
    assert batch.ids.dtype == batch.targets.dtype == batch.select.dtype == torch.int64
    wanted = 0
    for row, i in enumerate(index):
        ids, mask = DATA.row(int(i))
        assert batch.ids[row, : len(ids)].tolist() == ids.tolist()
        assert not batch.ids[row, len(ids) :].any()
        pairs = [(t - 1, int(ids[t])) for t in range(1, len(ids)) if mask[t]]
        valid = batch.valid[row]
        assert list(zip(batch.select[row][valid].tolist(), batch.targets[row][valid].tolist(), strict=True)) == pairs
        wanted += len(pairs)
    assert batch.count == wanted
    assert int(batch.select.min()) >= 0
    assert int(batch.select.max()) < batch.ids.shape[1]


def test_a_supervised_first_token_is_predicted_by_nothing() -> None:
    rows = [(np.array([20, 21, 22]), np.array([1, 0, 1])), (np.array([23, 24]), np.array([0, 0]))]
    batch = collate(rows, np.arange(2))
    assert batch.select[batch.valid].tolist() == [1]
    assert batch.targets[batch.valid].tolist() == [22]
    assert batch.valid.sum(dim=1).tolist() == [1, 0]


def test_plans_are_decided_by_the_seed() -> None:
    first, again, other = (plan_batches(DATA, SHARES, 30, BUDGET, seed) for seed in (3, 3, 4))
    assert [b.tolist() for b in first] == [b.tolist() for b in again]
    assert [b.tolist() for b in first] != [b.tolist() for b in other]
    assert len(first) == 30


def test_budget_and_padding() -> None:
    plan = plan_batches(DATA, SHARES, 120, BUDGET, 0)
    lengths = DATA.lengths
    for index in plan:
        assert len(index) * lengths[index].max() <= BUDGET
    assert np.mean([len(i) * lengths[i].max() for i in plan]) > 0.85 * BUDGET
    share = padding_share(DATA, plan)
    assert 0.0 <= share < 0.10
    padded = total = 0
    for index in plan:
        batch = gather_batch(DATA, index)
        total += batch.ids.numel()
        padded += int((batch.ids == 0).sum())
    assert share == pytest.approx(padded / total)


def test_shares_are_numbers_of_examples() -> None:
    plan = np.concatenate(plan_batches(DATA, SHARES, 200, BUDGET, 0))
    counts = np.bincount(DATA.kind[plan], minlength=len(KINDS)) / len(plan)
    for name, share in SHARES.items():
        expected = share / 8 if name != "text" else 0.0  # the set has no text; its share goes to the others
        expected *= 8 / 7
        assert counts[KINDS.index(name)] == pytest.approx(expected, abs=0.04)
    # Examples of a kind take turns: far more even than drawing with replacement would be.
    tooled = np.bincount(plan[DATA.kind[plan] == 1], minlength=len(DATA))[DATA.kind == 1]
    assert tooled.min() > 0
    assert tooled.var() < 0.5 * tooled.mean()


def _with_own_rows(share: float, own: int = 9) -> EncodedSet:
    """`DATA` and a few own rows, all of the hardest."""
    added = _set(own, seed=3)
    rows = [source.row(i) for source in (DATA, added) for i in range(len(source))]
    kinds = [*DATA.kind, *[KINDS.index("own")] * own]
    return build_set(rows, kinds, [0] * len(rows), [*DATA.difficulty, *[1.0] * own], own_share=share)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 1.0])
@pytest.mark.parametrize("hardest", [1.0, 0.3])
def test_own_rows_have_their_share_of_every_mix(share: float, hardest: float) -> None:
    data = _with_own_rows(share)
    plan = np.concatenate(plan_batches(data, SHARES, 200, BUDGET, 0, hardest))
    counts = np.bincount(data.kind[plan], minlength=len(KINDS)) / len(plan)
    assert counts[KINDS.index("own")] == pytest.approx(share, abs=0.03)
    for name in ("direct", "tooled", "tool"):
        assert counts[KINDS.index(name)] == pytest.approx(SHARES[name] / 7 * (1 - share), abs=0.04)
    for view in (data.without_system(), data.subset(np.arange(len(data)))):
        assert view.own_share == share


def test_without_own_rows_a_share_changes_no_batch() -> None:
    shared = build_set([DATA.row(i) for i in range(len(DATA))], DATA.kind, DATA.task, DATA.difficulty, own_share=0.5)
    plans = [plan_batches(data, SHARES, 20, BUDGET, 0) for data in (DATA, shared)]
    assert all(np.array_equal(a, b) for a, b in zip(*plans, strict=True))


def test_the_curriculum_leaves_hard_examples_out() -> None:
    plan = np.concatenate(plan_batches(DATA, SHARES, 20, BUDGET, 0, max_difficulty=0.3))
    assert DATA.difficulty[plan].max() <= 0.3
    assert np.concatenate(plan_batches(DATA, SHARES, 20, BUDGET, 0)).size > 0
    with pytest.raises(ForgeError, match="no training examples of the kinds direct"):
        plan_batches(DATA, {"direct": 1.0}, 1, BUDGET, 0, max_difficulty=-1.0)
    with pytest.raises(ForgeError, match="no training examples of the kinds text"):
        plan_batches(DATA, {"text": 1.0}, 1, BUDGET, 0)


def test_a_handful_of_examples_fills_any_number_of_steps() -> None:
    few = DATA.subset(np.arange(3))
    plan = plan_batches(few, {"direct": 1.0, "tooled": 1.0, "tool": 1.0}, 40, BUDGET, 1)
    assert len(plan) == 40
    assert set(np.concatenate(plan).tolist()) == {0, 1, 2}


def test_an_example_longer_than_the_budget_has_a_batch_to_itself() -> None:
    plan = plan_batches(DATA, SHARES, 12, 40, 0)
    for index in plan:
        assert len(index) == 1 or len(index) * DATA.lengths[index].max() <= 40


def test_micro_batches_are_the_rows_of_the_batch() -> None:
    batch = gather_batch(DATA, np.arange(7))
    parts = batch.split(3)
    assert [len(p.ids) for p in parts] == [3, 2, 2]
    assert sum(p.count for p in parts) == batch.count
    joined = Batch(
        torch.cat([p.ids for p in parts]),
        torch.cat([p.select for p in parts]),
        torch.cat([p.targets for p in parts]),
        torch.cat([p.valid for p in parts]),
        np.concatenate([p.index for p in parts]),
    )
    assert torch.equal(joined.ids, batch.ids)
    assert torch.equal(joined.targets, batch.targets)
    assert joined.index.tolist() == list(range(7))
    assert [len(p.ids) for p in gather_batch(DATA, np.arange(2)).split(5)] == [1, 1]
