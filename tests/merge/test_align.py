"""Alignment: a reordered copy computes the same, comes back exactly, and stops standing in the way of an average."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from forge.errors import ForgeError
from forge.merge.align import align, reorder_aligned_axes, symmetries
from forge.merge.barrier import loss_barrier
from tests.support.tiny_models import SHAPE, tiny_model, tokens

HEAD = SHAPE["head_dim"]
IDS = tokens(3, 20)
MODEL = tiny_model(seed=3)
WEIGHTS = {name: tensor.clone() for name, tensor in MODEL.state_dict().items()}


def shuffled(seed: int) -> dict[str, Tensor]:
    """The model in random order: another one by its weights, the same by what it computes."""
    generator = torch.Generator().manual_seed(seed)
    copy = dict(WEIGHTS)
    for axes in symmetries(copy, HEAD).values():
        reorder_aligned_axes(copy, axes, torch.randperm(axes[0].parts(copy).shape[0], generator=generator))
    return copy


@torch.no_grad()
def logits(weights: dict[str, Tensor]) -> Tensor:
    MODEL.load_state_dict(weights)
    return MODEL(IDS).logits


def loss(weights: dict[str, Tensor]) -> float:
    """Distance (nats) of the predictions from those of the model as it was."""
    target = logits(WEIGHTS).softmax(-1)
    return float((target * (target.log() - logits(weights).log_softmax(-1))).sum(-1).mean())


def test_a_reordered_copy_computes_the_same_and_comes_back_bit_for_bit() -> None:
    copy = shuffled(1)
    for name in ("low.0.attn.q.weight", "high.1.ffn.down.weight"):
        assert not torch.equal(copy[name], WEIGHTS[name])
    torch.testing.assert_close(logits(copy), logits(WEIGHTS), rtol=1e-4, atol=1e-5)
    aligned = align(copy, WEIGHTS, HEAD)
    assert all(torch.equal(aligned[name], WEIGHTS[name]) for name in WEIGHTS)


def test_the_barrier_of_a_reordered_copy_falls_to_nothing() -> None:
    copy = shuffled(2)
    before = loss_barrier(WEIGHTS, copy, loss)
    after = loss_barrier(WEIGHTS, align(copy, WEIGHTS, HEAD), loss)
    assert before > 0.1
    assert after == pytest.approx(0.0, abs=1e-5)


def test_another_model_keeps_its_function_and_comes_nearer() -> None:
    other = {name: tensor.clone() for name, tensor in tiny_model(seed=9).state_dict().items()}
    aligned = align(other, WEIGHTS, HEAD)
    torch.testing.assert_close(logits(aligned), logits(other), rtol=1e-4, atol=1e-5)
    gap = [sum(float((m[n] - WEIGHTS[n]).square().sum()) for n in WEIGHTS) for m in (other, aligned)]
    assert gap[1] < gap[0]
    again = align(aligned, WEIGHTS, HEAD)
    assert all(torch.equal(again[name], aligned[name]) for name in aligned)


def test_what_is_no_tinytitan_is_refused() -> None:
    with pytest.raises(ForgeError, match="only TinyTitans can be aligned"):
        align({"extra": torch.zeros(2)}, {"extra": torch.zeros(2)}, HEAD)
    with pytest.raises(ForgeError, match="heads of 7 do not divide"):
        align(WEIGHTS, WEIGHTS, 7)
    with pytest.raises(ForgeError, match="is not in both"):
        align({**WEIGHTS, "extra": torch.zeros(2)}, WEIGHTS, HEAD)
