"""Projections and the norm: what they cache, when they drop it, and the gradient written by hand."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from forge.model.blocks import CoreLinear, rms_norm
from tests.support.tiny_models import tiny_model

torch.set_num_threads(1)


def _ternary_linear() -> CoreLinear:
    return tiny_model(weight_quant="ternary").low[0].attn.q


@torch.no_grad()
def _used(linear: CoreLinear) -> Tensor:
    return linear.effective_weight()


def test_cached_weight_is_reused_and_dropped_after_an_optimizer_step() -> None:
    linear = _ternary_linear()
    before = _used(linear)
    assert _used(linear) is before
    optimizer = torch.optim.SGD([linear.weight], lr=1.0)
    linear(torch.randn(3, 24)).sum().backward()
    optimizer.step()
    expected = linear.quantizer(linear.weight.detach())
    assert not torch.equal(before, expected)
    assert torch.equal(_used(linear), expected)


def test_cached_weight_is_dropped_by_load_state_dict() -> None:
    linear = _ternary_linear()
    before = _used(linear)
    linear.load_state_dict({"weight": -linear.weight.detach()})
    assert torch.equal(_used(linear), -before)


def test_cached_weight_is_not_taken_along_by_a_copy() -> None:
    """A copy counts its versions from 0, so its second change could meet the version that the original
    cached."""
    for changes in range(1, 6):
        linear = _ternary_linear()
        before = _used(linear)
        other = copy.deepcopy(linear)
        for _ in range(changes):
            with torch.no_grad():
                other.weight.neg_()
            assert torch.equal(_used(other), other.quantizer(other.weight.detach()))
        assert torch.equal(_used(linear), before)


def test_cached_weight_is_dropped_when_the_quantizer_or_the_parameter_is_replaced() -> None:
    linear = _ternary_linear()
    before = _used(linear)
    linear.quantizer = lambda w: w * 2.0
    assert torch.equal(_used(linear), linear.weight.detach() * 2.0)
    linear.weight = torch.nn.Parameter(torch.ones_like(before))
    assert torch.equal(_used(linear), torch.full_like(before, 2.0))


def test_low_rank_delta_is_added_and_never_cached() -> None:
    class Delta(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.amount = torch.nn.Parameter(torch.tensor(0.5))

        def forward(self) -> Tensor:
            return self.amount * torch.ones(16, 24)

    linear = _ternary_linear()
    linear.quantizer, linear.delta = None, Delta()
    torch.testing.assert_close(_used(linear), linear.weight.detach() + 0.5)
    with torch.no_grad():
        linear.delta.amount.fill_(1.0)
    torch.testing.assert_close(_used(linear), linear.weight.detach() + 1.0)


def test_rms_norm_gradient() -> None:
    x = torch.randn(3, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    torch.testing.assert_close(rms_norm(x), x / x.square().mean(-1, keepdim=True).sqrt())
    assert torch.autograd.gradcheck(rms_norm, (x,))
    assert bool(torch.isfinite(rms_norm(torch.zeros(2, 7))).all())
