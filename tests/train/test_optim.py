"""Muon, the Grokfast filter, the schedule: each against the definition it is named after."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from forge.model import names_of_core_model_weights
from forge.train import Grokfast, HybridOptimizer, orthogonalize_muon_update, schedule
from tests.support.tiny_models import tiny_model, tokens

torch.set_num_threads(1)


def _matrices(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(2, 24, 24), (3, 12, 40), (3, 40, 12)])
def test_orthogonalized_singular_values_are_near_one(shape: tuple[int, int, int]) -> None:
    matrices = _matrices(*shape) * 0.003
    made = orthogonalize_muon_update(matrices)
    values = torch.linalg.svdvals(made)
    assert made.shape == matrices.shape
    # Muon's quintic trades exactness for speed: it brings all but the tiniest values into about 0.7 .. 1.2.
    assert values.max().item() < 1.25
    assert values.mean().item() == pytest.approx(0.95, abs=0.15)
    if shape[1] != shape[2]:
        assert values.min().item() > 0.6
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    cosine = torch.nn.functional.cosine_similarity(made.flatten(1), (u @ v).flatten(1))
    assert cosine.min().item() > 0.95


def test_batched_is_single_and_tall_is_wide_transposed() -> None:
    matrices = _matrices(4, 10, 30)
    batched = orthogonalize_muon_update(matrices)
    for i in range(4):
        torch.testing.assert_close(orthogonalize_muon_update(matrices[i : i + 1])[0], batched[i], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(orthogonalize_muon_update(matrices.transpose(1, 2)), batched.transpose(1, 2))
    assert not orthogonalize_muon_update(torch.zeros(1, 3, 5)).any()


def test_core_weights_take_muon_steps_and_the_rest_adam_steps() -> None:
    model, ids = tiny_model(), tokens(2, 9)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = HybridOptimizer(model, weight_decay=0.1)
    model(ids, labels=ids, steps=2).loss.backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    optimizer.step(0.02, 0.001)
    core = set(names_of_core_model_weights(model))
    for name, parameter in model.named_parameters():
        assert parameter.grad is None
        moved = parameter.detach() - before[name]
        if name in core:
            # First step with Nesterov momentum 0.95: a multiple of the gradient, whose size does not matter.
            rows, columns = parameter.shape
            update = orthogonalize_muon_update(gradients[name][None])[0] * max(1.0, rows / columns) ** 0.5
            expected = -0.02 * update - 0.02 * 0.1 * before[name]
            torch.testing.assert_close(moved, expected, atol=1e-5, rtol=1e-3)
        elif name in gradients:
            big = gradients[name].abs() > 1e-5
            sign = -0.001 * gradients[name].sign()
            torch.testing.assert_close(moved[big], sign[big], atol=2e-6, rtol=0)
    assert float(before["embed.weight"].abs().sum()) > 0


def test_momentum_is_remembered() -> None:
    model = tiny_model()
    optimizer = HybridOptimizer(model, weight_decay=0.0)
    weight = model.low[0].attn.q.weight
    gradients = [_matrices(16, 24, seed=s) for s in range(3)]
    buffer, expected = torch.zeros(16, 24), weight.detach().clone()
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step(0.1, 0.0)
        buffer = 0.95 * buffer + 0.05 * gradient
        expected = expected - 0.1 * orthogonalize_muon_update((0.05 * gradient + 0.95 * buffer)[None])[0]
    torch.testing.assert_close(weight.detach(), expected, atol=1e-4, rtol=1e-3)


def test_frozen_parameters_are_left_alone() -> None:
    model, ids = tiny_model(), tokens(2, 9)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith("ffn.up.weight"))
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = HybridOptimizer(model, weight_decay=0.1)
    assert not optimizer.adam
    model(ids, labels=ids).loss.backward()
    optimizer.step(0.02, 0.001)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) != name.endswith("ffn.up.weight")
    fresh = HybridOptimizer(model, weight_decay=0.1)
    fresh.load_state(optimizer.state())
    assert all(torch.equal(fresh.buffers[shape], buffer) for shape, buffer in optimizer.buffers.items())


def test_optimizer_state_restores_bit_for_bit() -> None:
    models = [tiny_model(), tiny_model()]
    optimizers = [HybridOptimizer(model, weight_decay=0.01) for model in models]

    def step(which: int, seed: int) -> None:
        ids = tokens(2, 9, seed=seed)
        models[which](ids, labels=ids, steps=2).loss.backward()
        optimizers[which].step(0.02, 0.004)

    for seed in range(3):
        step(0, seed)
    models[1].load_state_dict(models[0].state_dict())
    saved = {name: value.clone() for name, value in optimizers[0].state().items()}
    optimizers[1].load_state(saved)
    for which in (0, 1):
        step(which, 9)
        step(which, 10)
    for (name, a), (_, b) in zip(models[0].named_parameters(), models[1].named_parameters(), strict=True):
        assert torch.equal(a, b), name
    assert not torch.equal(saved["adam.embed.weight.exp_avg"], optimizers[1].state()["adam.embed.weight.exp_avg"])


# ---- Grokfast
# ----------------------------------------------------------------------------------------------------


def _parameter(gradient: Tensor) -> dict[str, Tensor]:
    parameter = torch.zeros_like(gradient, requires_grad=True)
    parameter.grad = gradient.clone()
    return {"w": parameter}


def test_lambda_zero_leaves_gradients_bit_identical() -> None:
    grokfast = Grokfast(0.98, 0.0)
    for seed in range(5):
        gradient = _matrices(4, 5, seed=seed)
        named = _parameter(gradient)
        grokfast(named)
        assert torch.equal(named["w"].grad, gradient)


def test_the_filter_is_the_recurrence_and_its_norms_are_measured() -> None:
    grokfast, slow = Grokfast(0.9, 2.0), None
    for seed in range(6):
        gradient = _matrices(4, 5, seed=seed)
        slow = gradient if slow is None else 0.9 * slow + 0.1 * gradient
        named = _parameter(gradient)
        measured = grokfast(named)
        torch.testing.assert_close(named["w"].grad, gradient + 2.0 * slow, atol=1e-5, rtol=1e-4)
        assert measured["raw_grad_norm"] == pytest.approx(gradient.norm().item(), rel=1e-4)
        assert measured["ema_grad_norm"] == pytest.approx(slow.norm().item(), rel=1e-4)
        assert measured["filtered_grad_norm"] == pytest.approx(named["w"].grad.norm().item(), rel=1e-4)
        cosine = torch.nn.functional.cosine_similarity(gradient.flatten(), slow.flatten(), dim=0).item()
        assert measured["cosine_raw_ema"] == pytest.approx(cosine, abs=1e-4)
    assert grokfast({"unused": torch.zeros(3, requires_grad=True)})["raw_grad_norm"] == 0.0


def test_slow_gradients_gain_and_fast_ones_do_not() -> None:
    alpha, lam = 0.95, 2.0
    constant, alternating = Grokfast(alpha, lam), Grokfast(alpha, lam)
    gradient = _matrices(3, 4)
    for step in range(400):
        kept, flipped = _parameter(gradient), _parameter(gradient * (-1) ** step)
        constant(kept)
        alternating(flipped)
    torch.testing.assert_close(kept["w"].grad, (1 + lam) * gradient)
    # The transfer function at the highest frequency: 1 + lambda (1-alpha)/(1+alpha).
    gain = (flipped["w"].grad.norm() / gradient.norm()).item()
    assert gain == pytest.approx(1 + lam * (1 - alpha) / (1 + alpha), rel=1e-3)
    assert gain < 0.5 * (1 + lam)


# ---- schedule
# ----------------------------------------------------------------------------------------------------


def test_the_schedule_warms_up_stays_and_decays() -> None:
    rates = [schedule(step, 100, 0.1, 0.4, 0.05) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:60] == [1.0] * 51
    assert rates[60:] == sorted(rates[60:], reverse=True)
    assert rates[80] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.05)
    assert min(rates) > 0
    assert max(rates) == 1.0


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_short_runs_have_a_schedule_too(steps: int) -> None:
    rates = [schedule(step, steps, 0.05, 0.5, 0.05) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[0] == 1.0
