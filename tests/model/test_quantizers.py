"""Fake quantizers: exact values, identity gradients, and the published formulas as oracle."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.errors import ForgeError
from forge.model import quantizers as qz


def _random(*shape: int, seed: int = 0, size: float = 0.05) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * size


def test_ternary_is_the_published_formula() -> None:
    w = _random(64, 96)
    gamma = w.abs().mean().clamp(min=1e-5)
    expected = (w / gamma).round().clamp(-1, 1)
    codes, scale = qz.ternary(w)
    assert codes.dtype == torch.int8
    assert scale.shape == ()
    assert torch.equal(codes.float(), expected)
    assert torch.allclose(scale, gamma)
    assert set(codes.unique().tolist()) == {-1, 0, 1}


@given(
    seed=st.integers(0, 10_000),
    size=st.sampled_from([1e-9, 1e-4, 0.05, 30.0]),
    bits=st.sampled_from([2, 3, 4, 8]),
)
@settings(max_examples=40, deadline=None)
def test_fake_values_are_exactly_codes_times_scale(seed: int, size: float, bits: int) -> None:
    w = _random(7, 24, seed=seed, size=size).requires_grad_()
    codes, scale = qz.ternary(w)
    assert torch.equal(qz.fake_ternary(w), codes * scale)
    rows, row_scale = qz.rowwise(w, bits)
    assert torch.equal(qz.fake_rowwise(w, bits), rows * row_scale)
    assert int(rows.abs().max()) <= 2 ** (bits - 1) - 1
    assert torch.equal(row_scale.half().float(), row_scale)


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_rowwise_error_is_at_most_half_a_step_and_repeating_it_changes_nothing(bits: int) -> None:
    w = _random(50, 64)
    codes, scale = qz.rowwise(w, bits)
    value = codes * scale
    # The scale is rounded to float16, so the largest entry may miss its grid point by 2**-11 of itself more.
    assert ((value - w).abs() <= scale / 2 + w.abs() * 2**-10).all()
    again, again_scale = qz.rowwise(value, bits)
    assert torch.equal(again, codes)
    assert torch.equal(again_scale, scale)


def test_rowwise_survives_empty_and_huge_rows_and_refuses_odd_bits() -> None:
    w = torch.stack([torch.zeros(8), torch.full((8,), 1e8), torch.full((8,), 1e-12)])
    value = qz.fake_rowwise(w, 4)
    assert torch.isfinite(value).all()
    assert torch.equal(value[0], torch.zeros(8))
    with pytest.raises(ValueError, match="bits"):
        qz.rowwise(w, 5)


def test_activation_matches_the_published_formula_and_keeps_zero_tokens() -> None:
    x = torch.cat([_random(2, 5, 32, size=3.0), torch.zeros(2, 1, 32)], dim=1)
    s = 127 / x.abs().amax(-1, keepdim=True).clamp(min=1e-5)
    expected = (x * s).round().clamp(-128, 127) / s
    got = qz.fake_int8_activation(x)
    assert torch.allclose(got, expected, atol=1e-6, rtol=1e-6)
    assert torch.equal(got[:, -1], torch.zeros(2, 32))
    levels = got * s
    assert torch.allclose(levels, levels.round(), atol=1e-3)
    assert levels.abs().max() <= 127.001


@given(seed=st.integers(0, 10_000), power=st.integers(-20, 20))
@settings(max_examples=50, deadline=None)
def test_activation_needs_no_clamp(seed: int, power: int) -> None:
    x = _random(3, 17, seed=seed, size=2.0**power)
    reach = x.abs().amax(-1, keepdim=True).clamp(min=1e-5)
    assert ((x * (127.0 / reach)).round().abs() <= 127).all()


@pytest.mark.parametrize("name", ["fake_ternary", "fake_rowwise", "fake_int8_activation"])
def test_gradient_is_the_identity_and_the_input_is_untouched(name: str) -> None:
    w = _random(6, 10).requires_grad_()
    before = w.detach().clone()
    function = getattr(qz, name)
    out = function(w, 4) if name == "fake_rowwise" else function(w)
    weight = _random(6, 10, seed=1)
    (out * weight).sum().backward()
    assert torch.equal(w.grad, weight)
    assert torch.equal(w.detach(), before)
    with torch.no_grad():
        plain = function(w, 4) if name == "fake_rowwise" else function(w)
    assert torch.equal(plain, out.detach())
    assert not plain.requires_grad


def test_frozen_ternary_finds_codes_and_refuses_other_weights() -> None:
    w = _random(12, 12)
    codes, scale = qz.ternary(w)
    found, found_scale = qz.frozen_titan_weight_codes(codes * scale)
    assert torch.equal(found, codes)
    assert torch.equal(found_scale, scale)
    with pytest.raises(ForgeError, match="-s, 0 and s"):
        qz.frozen_titan_weight_codes(w)
