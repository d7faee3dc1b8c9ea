"""The functions with gradients of their own against what they stand for, and chosen positions against all of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from forge.model.blocks import (
    SHORT,
    Places,
    causal_bias,
    disable_model_autocast,
    rms_norm,
    rotary_cos_sin,
    rotary_norm,
    softmax_attention,
    squared_relu_norm,
)
from tests.support.tiny_models import tiny_model, tokens

torch.set_num_threads(1)


def _random(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, dtype=torch.float64, generator=random).requires_grad_()


def test_rotation_is_by_angles_that_grow_with_the_position() -> None:
    cos_sin = rotary_cos_sin(9, 8, 100.0)
    assert cos_sin.shape == (9, 1, 4)
    x = _random(9, 2, 8)
    turned = rotary_norm(x, cos_sin).detach().view(9, 2, 4, 2)
    normed = rms_norm(x).detach().view(9, 2, 4, 2)
    for t in (0, 1, 8):
        for pair in range(4):
            angle = torch.tensor(t * 100.0 ** (-2 * pair / 8))
            c, s = angle.cos(), angle.sin()
            left, right = normed[t, :, pair].T
            expected = torch.stack((left * c - right * s, left * s + right * c), dim=-1)
            torch.testing.assert_close(turned[t, :, pair], expected, atol=1e-6, rtol=0)
    # What attention sees depends on distances alone.
    same = rotary_norm(x[:1].expand(9, 2, 8), cos_sin)
    products = torch.einsum("the,the->th", same[:-1], same[1:])
    torch.testing.assert_close(products, products[:1].expand(8, 2), atol=1e-5, rtol=0)


def test_gradients_of_the_fused_norms() -> None:
    cos_sin = rotary_cos_sin(5, 6, 100.0).to(torch.complex128)
    assert torch.autograd.gradcheck(lambda x: rotary_norm(x, cos_sin), (_random(2, 5, 3, 6),))
    rows = rotary_cos_sin(5, 6, 100.0).to(torch.complex128)[torch.tensor([[0, 4], [2, 3]])]
    assert torch.autograd.gradcheck(lambda x: rotary_norm(x, rows), (_random(2, 2, 3, 6),))
    x = _random(4, 7, seed=1)
    torch.testing.assert_close(squared_relu_norm(x), rms_norm(F.relu(x).square()))
    assert torch.autograd.gradcheck(squared_relu_norm, (x,))
    assert bool(torch.isfinite(squared_relu_norm(-torch.ones(2, 3))).all())


def test_norms_of_half_precision_are_computed_in_float32() -> None:
    x = torch.full((1, 64), 300.0, dtype=torch.float16)  # its square overflows
    assert rms_norm(x).dtype == torch.float32
    torch.testing.assert_close(rms_norm(x), torch.ones(1, 64))


def test_the_memory_keeps_float32_under_autocast() -> None:
    x = torch.randn(2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert (x @ x.T).dtype == torch.bfloat16
        with disable_model_autocast(x):
            assert (x @ x.T).dtype == torch.float32
        assert (x @ x.T).dtype == torch.bfloat16
    with disable_model_autocast(x):
        assert (x @ x.T).dtype == torch.float32


@pytest.mark.parametrize("masked", ["causal", "window", "chosen"])
def test_short_attention_is_attention(masked: str) -> None:
    time, keys = (9, 9) if masked != "chosen" else (4, 9)
    q, k, v = _random(2, 3, time, 4, seed=1), _random(2, 3, keys, 4, seed=2), _random(2, 3, keys, 5, seed=3)
    bias = None
    if masked == "window":
        far = torch.ones(9, 9).tril(-3).bool()
        bias = causal_bias(9, torch.float64).masked_fill(far, -torch.inf)
    elif masked == "chosen":
        bias = torch.zeros(2, 1, 4, 9, dtype=torch.float64)
        bias[0, :, :, 5:] = bias[1, :, 1, :3] = -torch.inf
    ours = softmax_attention(q, (k, v), bias, 0.7)
    theirs = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=bias is None, scale=0.7)
    torch.testing.assert_close(ours, theirs)
    weight = _random(*ours.shape, seed=4).detach()
    for a, b in zip(
        torch.autograd.grad((ours * weight).sum(), (q, k, v)),
        torch.autograd.grad((theirs * weight).sum(), (q, k, v)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    assert type(ours.grad_fn).__name__ != type(theirs.grad_fn).__name__


def test_long_rows_and_evaluation_take_the_librarys_attention() -> None:
    x = torch.randn(1, 1, SHORT + 1, 4, requires_grad=True)
    assert "ScaledDotProduct" in type(softmax_attention(x, (x, x), None, 1.0).grad_fn).__name__
    short = x[:, :, :5]
    assert "Short" in type(softmax_attention(short, (short, short), None, 1.0).grad_fn).__name__
    with torch.no_grad():
        expected = F.scaled_dot_product_attention(short, short, short, is_causal=True, scale=1.0)
        assert torch.equal(softmax_attention(short, (short, short), None, 1.0), expected)


def test_places_spread_and_collect() -> None:
    places = Places(torch.tensor([0, 2, 4]), 2, 3)
    x = torch.arange(1.0, 7.0).view(3, 2)
    grid = places.spread(x)
    assert grid.shape == (2, 3, 2)
    assert torch.equal(places.collect(grid), x)
    assert not grid.flatten(0, 1)[[1, 3, 5]].any()


@pytest.mark.parametrize(
    "changes", [{}, {"window": 6}, {"architecture": "plain"}, {"high_heads": [2], "high_ffn": [24]}], ids=str
)
def test_chosen_positions_are_those_of_a_whole_reading(changes: dict[str, Any]) -> None:
    """Values and gradients: reading at chosen positions against reading everywhere and choosing afterwards."""
    model, ids = tiny_model(dtype=torch.float64, **changes), tokens(3, 14)
    select = torch.tensor([[2, 5, 13], [0, 7, 0], [13, 0, 0]])
    valid = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=torch.bool)
    table = model.embedding_weight()
    everywhere = model.at(model.prefill(ids, table), select)
    read = model.prefill(ids, table, select=select)
    side_by_side = model.prefill(ids, table, select=select, valid=valid)
    for _ in range(model.steps):
        torch.testing.assert_close(read.high, everywhere.high)
        torch.testing.assert_close(side_by_side.high, everywhere.high[valid])
        assert side_by_side.high.shape == (6, 24)
        gradients = []
        for high in (everywhere.high[valid], read.high[valid], side_by_side.high):
            model.zero_grad()
            (high * torch.linspace(-1, 1, 24, dtype=torch.float64)).sum().backward(retain_graph=True)
            gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
        for other in gradients[1:]:
            for a, b in zip(gradients[0], other, strict=True):
                torch.testing.assert_close(a, b)
        if model.steps > 1:
            everywhere, read, side_by_side = (model.recurrence_step(t) for t in (everywhere, read, side_by_side))
