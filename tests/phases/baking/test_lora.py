"""Low-rank adapters: they start as nothing, alone train, and merge at any strength."""

from __future__ import annotations

import copy

import pytest
import torch

from forge.model import TinyTitanForCausalLM
from forge.phases.baking.lora import add_lora, merge_lora
from forge.train import TrainSettings, gather_batch, language_loss, train
from tests.support.stub_run import random_set
from tests.support.tiny_models import tiny_model, tokens

MODES = pytest.mark.parametrize("mode", ["none", "ternary"])


def logits(model: TinyTitanForCausalLM) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(tokens(3, 9)).logits


def adapted(mode: str) -> TinyTitanForCausalLM:
    """A model whose adapters have learned something."""
    model = tiny_model(weight_quant=mode)
    add_lora(model, 4, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for linear in model.core_linears().values():
            assert linear.delta is not None
            linear.delta.b.copy_(0.1 * torch.randn(linear.delta.b.shape, generator=generator))
    return model


@MODES
def test_an_adapted_model_starts_as_the_base_model(mode: str) -> None:
    base, model = tiny_model(weight_quant=mode), tiny_model(weight_quant=mode)
    add_lora(model, 4, seed=1)
    assert torch.equal(logits(model), logits(base))
    again = tiny_model()
    add_lora(again, 4, seed=1)
    first, second = (next(iter(m.core_linears().values())).delta.a for m in (model, again))
    assert torch.equal(first, second)


@MODES
def test_merging_gives_the_adapted_model_at_full_strength_and_the_base_at_none(mode: str) -> None:
    base, model = tiny_model(weight_quant=mode), adapted(mode)
    wanted = logits(model)
    assert not torch.equal(wanted, logits(base))
    nothing, half = copy.deepcopy(model), copy.deepcopy(model)
    merge_lora(model)
    assert torch.equal(logits(model), wanted)
    assert all(linear.delta is None for linear in model.core_linears().values())
    assert set(model.state_dict()) == set(base.state_dict())
    merge_lora(nothing, 0.0)
    assert torch.equal(logits(nothing), logits(base))
    merge_lora(half, 0.5)
    for name, weight in base.state_dict().items():
        middle = (weight + model.state_dict()[name]) / 2
        torch.testing.assert_close(half.state_dict()[name], middle, atol=1e-6, rtol=0)
    assert all(parameter.requires_grad for parameter in half.parameters())


def test_only_the_adapters_train() -> None:
    model, base = tiny_model(weight_quant="ternary"), tiny_model()
    add_lora(model, 4, seed=1)
    data = random_set()
    batch = gather_batch(data, data.where("direct"))
    train(model, lambda step: batch, language_loss(), TrainSettings(2, adam_lr=0.05))
    trained = model.state_dict()
    assert all(torch.equal(trained[name], weight) for name, weight in base.state_dict().items())
    moved = [bool(trained[name].any()) for name in trained if name.endswith("delta.b")]
    assert len(moved) == len(base.core_linears())
    assert sum(moved) > len(moved) / 2
