"""Phase 1: a fresh model by seed, the trunk, a branch, and what a branch claims."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from forge.data.build import multi_step_tasks
from forge.data.dataset import EncodedSet
from forge.evals.likelihood import likelihood
from forge.phases.cognate import claims as module
from forge.phases.cognate.claims import cognate_branch_claims, cognate_difference_claims, cognate_halting_claim
from forge.phases.cognate.training import (
    cognate_settings,
    new_cognate_model,
    repeat_cognate_problems,
    settle_cognate_trunk,
    train_cognate_branch,
    train_cognate_trunk,
)
from forge.phases.cognate.widening import widen_cognate_feed_forward
from forge.train import Batch, language_loss
from tests.support.stub_run import StubRun, random_set
from tests.support.tiny_models import SHAPE, tiny_model, tokens

SIZES: dict[str, Any] = {
    **{key: value for key, value in SHAPE.items() if key not in ("vocab_size", "memory_capacity")},
    "memory": True,
    "halting": True,
}


def mixture(**shares: float) -> SimpleNamespace:
    return SimpleNamespace(model_dump=lambda: shares)


def params(**changes: Any) -> dict[str, Any]:
    branches = {
        "reasoning": SimpleNamespace(memory_capacity=64, ponder_cost=0.0, multi_step=3, mix=mixture(direct=1.0)),
        "memory_integration": SimpleNamespace(
            memory_capacity=128, ponder_cost=0.5, multi_step=1, mix=mixture(recall=1.0)
        ),
    }
    rates = {"muon_lr": 0.02, "adam_lr": 0.01, "weight_decay": 0.01, "clip": 1.0, "end_rate": 0.05}
    pace = {"warmup_fraction": 0.0, "decay_fraction": 0.5, "checkpoint_every": 50, "batch_tokens": 150}
    sizes = {
        "narrow_steps": 0,
        "widen": 1,
        "trunk_steps": 4,
        "branch_steps": 3,
        "branch_rate": 0.2,
        "trunk_mix": mixture(direct=1.0, text=1.0),
    }
    return {**SIZES, **rates, **pace, **sizes, "branches": branches, **changes}


def test_a_new_model_has_the_shape_asked_for() -> None:
    p = SimpleNamespace(**params())
    model, twin, other = (new_cognate_model(p, 60, seed) for seed in (1, 1, 2))
    assert torch.equal(model.embed.weight, twin.embed.weight)
    assert not torch.equal(model.embed.weight, other.embed.weight)
    assert model.embed.weight.shape == (60, SHAPE["hidden_size"])
    assert model.config.memory_capacity == 128  # the largest that a branch asks for
    assert hasattr(model, "halt")
    single = new_cognate_model(SimpleNamespace(**params(max_steps=1)), 60, 1)
    assert not hasattr(single, "halt")  # nothing to halt
    assert not hasattr(new_cognate_model(SimpleNamespace(**params(memory=False)), 60, 1), "memory")


def test_the_trunk_learns_what_it_reads(tmp_path: Path) -> None:
    run, data = StubRun(tmp_path, **params(trunk_steps=40)), random_set(12)
    model = new_cognate_model(run.params, 48, 1)
    before = likelihood(model, data).perplexity
    result = train_cognate_trunk(run, model, data)
    # handed over where a branch starts
    assert run.logged[-1][1]["train/learning_rate"] == run.params.branch_rate * run.params.muon_lr
    assert result.final_loss < result.first_loss
    read, unread = data.where("direct", "text"), data.where("tool", "persona")
    assert likelihood(model, data, read).perplexity < 0.7 * before
    assert likelihood(model, data, read).perplexity < likelihood(model, data, unread).perplexity


def test_a_widened_model_computes_the_same_and_learns_apart() -> None:
    p = SimpleNamespace(**params())
    narrow, wide = new_cognate_model(p, 60, 1, narrower=2), new_cognate_model(p, 60, 2)
    for block in (*narrow.low, *narrow.high):  # as after training: outputs that matter
        torch.nn.init.normal_(block.ffn.down.weight)
    widen_cognate_feed_forward(narrow, wide, seed=3)
    ids = tokens(2, 20)
    assert wide.config.low_ffn == [2 * width for width in narrow.config.low_ffn]
    torch.testing.assert_close(wide(ids).logits, narrow(ids).logits, rtol=1e-4, atol=1e-5)
    wide(ids, labels=ids).loss.backward()
    first, second = (wide.low[0].ffn.up.weight.grad[place::2] for place in (0, 1))
    assert (first - second).abs().max() > 0.1 * first.abs().max()


def test_a_trunk_may_begin_narrow(tmp_path: Path) -> None:
    run, data = StubRun(tmp_path, **params(narrow_steps=30, widen=2, trunk_steps=2)), random_set(12)
    model = new_cognate_model(run.params, 48, 1)
    before = likelihood(model, data).perplexity
    result = train_cognate_trunk(run, model, data)
    assert result.tokens == pytest.approx(32 * 150, rel=0.5), "of both loops"
    first = next(metrics["narrow/loss"] for _, metrics in run.logged if "narrow/loss" in metrics)
    assert result.first_loss >= 0.9 * first
    names = [set(metrics) for _, metrics in run.logged]
    assert "narrow/loss" in names[0]
    assert "train/loss" in names[-1]
    assert likelihood(model, data, data.where("direct", "text")).perplexity < 0.7 * before


def test_a_branch_reads_its_own_mixture_at_its_own_price(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, data, model = StubRun(tmp_path, **params()), random_set(24), tiny_model()
    settings = {"halt_weight": 0.9, "early_weight": 0.4, "further_steps": 1.0, "sampled_outputs": 9}
    run.training = SimpleNamespace(**settings)
    prices: list[dict[str, float]] = []
    read: list[np.ndarray] = []

    def priced(**given: Any) -> Any:
        prices.append(given)
        loss = language_loss(**given)

        def seen(model: Any, batch: Batch) -> Any:
            read.append(batch.index)
            return loss(model, batch)

        return seen

    monkeypatch.setattr("forge.phases.cognate.training.language_loss", priced)
    train_cognate_branch(run, run.params.branches["memory_integration"], model, data)
    assert prices == [{**settings, "ponder_cost": 0.5}]
    assert set(np.concatenate(read)) <= set(data.where("recall"))
    assert model.config.memory_capacity == 128
    assert model.memory.capacity == 128
    assert any(bool((model.state_dict()[n] != w).any()) for n, w in tiny_model().state_dict().items())
    train_cognate_trunk(run, model, data)
    assert prices[1:] == [{**settings, "ponder_cost": 0.0}]


def test_a_branch_starts_gently(tmp_path: Path) -> None:
    p = SimpleNamespace(**params())
    trunk, branch = cognate_settings(p, 10), cognate_settings(p, 10, 0.2)
    assert (branch.muon_lr, branch.adam_lr) == (trunk.muon_lr * 0.2, trunk.adam_lr * 0.2)
    assert (trunk.steps, trunk.clip, trunk.decay_fraction) == (10, 1.0, 0.5)
    rates = []
    for rate in (0.2, 0.1):
        run = StubRun(tmp_path / str(rate), **params(branch_rate=rate))
        train_cognate_branch(run, run.params.branches["reasoning"], tiny_model(), random_set(24))
        rates.append(run.logged[0][1]["train/learning_rate"])
    assert rates[1] == pytest.approx(rates[0] / 2)
    assert 0 < rates[0] <= 0.2 * p.muon_lr


def test_the_trunk_settles_as_a_branch_does_on_its_own_mixture(tmp_path: Path) -> None:
    run, data, trunk = StubRun(tmp_path, **params(branch_steps=20, branch_rate=0.5)), random_set(24), tiny_model()
    settled = settle_cognate_trunk(run, trunk, data)
    assert all(torch.equal(w, tiny_model().state_dict()[name]) for name, w in trunk.state_dict().items())
    first, last = (point["settled/learning_rate"] for _, point in run.logged)
    assert first == 0.5 * run.params.muon_lr
    assert last < 0.2 * first
    read, unread = data.where("direct", "text"), data.where("tool", "persona")
    assert likelihood(settled, data, read).perplexity < likelihood(settled, data, unread).perplexity


# ---- claims --------------------------------------------------------------------------------------------------


def held_out(vocab: int = 48) -> EncodedSet:
    """A random set in which every other problem is of a multi-step family."""
    test = random_set(60, vocab)
    test.task[::2] = multi_step_tasks()[0]
    return test


def test_a_branch_is_compared_with_the_trunk_at_what_it_is_for(tmp_path: Path) -> None:
    run, test, branch = StubRun(tmp_path), held_out(), "reasoning"
    trunk, model = tiny_model(), tiny_model()
    same = cognate_branch_claims(run, branch, trunk, model, test)
    assert len(same) == 2
    assert not same[0].passed
    assert same[0].value == same[0].control_value
    with torch.no_grad():
        trunk.embed.weight.mul_(4)  # confident nonsense
    better = cognate_branch_claims(run, branch, trunk, model, test)[0]
    assert better.passed
    index = test.where("worked")
    assert better.n == len(index)
    assert better.value == pytest.approx(likelihood(model, test, index).mean_loss.mean())
    branch = "memory_integration"
    recall = cognate_branch_claims(run, branch, trunk, model, test)[0]
    assert "recalls" in recall.claim
    assert recall.n == len(test.where("recall"))
    assert set(module.FOCUS) == {"reasoning", "memory_integration", "adaptive_computation"}
    single = tiny_model(max_steps=1)
    assert len(cognate_branch_claims(run, branch, single, single, test)) == 1


def test_every_branch_is_compared_with_every_other(tmp_path: Path) -> None:
    """One branch answers at once and one never halts: only the claim about compute tells them apart."""
    test, branches = held_out(), {name: tiny_model() for name in module.FOCUS}
    with torch.no_grad():
        for name, bias in zip(branches, (-50.0, -50.0, 50.0), strict=True):
            branches[name].halt.weight.zero_()
            branches[name].halt.bias.fill_(bias)
    claims = cognate_difference_claims(StubRun(tmp_path), branches, test)
    assert len(claims) == 6
    assert len({claim.claim for claim in claims}) == 6
    fewer = [c for c in claims if c.metric == module.STEPS]
    assert [(c.passed, c.value, c.control_value) for c in fewer] == [(True, 1.0, 3.0)] * 2
    assert not any(c.passed for c in claims if "recalls" in c.claim and "reasoning" in c.control)


def test_multi_step_problems_are_repeated() -> None:
    data = held_out()
    assert repeat_cognate_problems(data, 1) is data
    thrice = repeat_cognate_problems(data, 3)
    assert len(thrice) == len(data) + 2 * int((data.task > 0).sum())
    assert np.array_equal(thrice.row(len(data))[0], data.row(0)[0])
    assert (thrice.task[len(data) :] > 0).all()


def test_the_halting_claim_tells_what_is_saved(tmp_path: Path) -> None:
    run, test, model = StubRun(tmp_path), random_set(60), tiny_model()

    def claim(bias: float) -> Any:
        with torch.no_grad():
            model.halt.weight.zero_()
            model.halt.bias.fill_(bias)
        return cognate_halting_claim(run, model, test)

    never, always = claim(-50.0), claim(50.0)
    assert never.passed
    assert never.note.startswith("1.00 of the steps; accuracy after 1 to 3 steps: ")
    assert never.note.endswith(" 0.00")
    assert always.note.startswith("0.33 of the steps; ")
    index = test.where(*module.SOLVED)
    assert always.value == likelihood(model, test, index, steps=1).accuracy
    assert always.control_value == likelihood(model, test, index, steps=3).accuracy


def test_the_halting_claim_sees_that_harder_takes_longer(tmp_path: Path) -> None:
    test, model = random_set(60), tiny_model(halt_threshold=0.5)
    index = test.where(*module.SOLVED)
    with torch.no_grad():
        ids = tokens(4, 9)
        model.halt.bias -= model.halt_logits(model.prefill(ids, model.embedding_weight()).high).median()
    steps = likelihood(model, test, index).steps
    test.difficulty[index] = np.argsort(np.argsort(steps, kind="stable")) / len(index)
    assert len(np.unique(steps)) > 2
    rank = float(cognate_halting_claim(StubRun(tmp_path), model, test).note.rsplit(" ", 1)[1])
    assert rank > 0.9
