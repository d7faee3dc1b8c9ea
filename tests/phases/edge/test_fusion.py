"""Fusion changes the operators and not the numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from forge.errors import ForgeError
from forge.model import TinyTitanForCausalLM
from forge.model.engine import generate
from forge.phases.edge.fusion import Fusion, edge_fusion_of, fuse_for_edge_inference, max_output_delta
from tests.phases.edge.test_pruning import IDS, make_model

TERNARY = {"weight_quant": "ternary", "act_bits": 8, "embed_bits": 8}
CASES: list[dict[str, Any]] = [
    {},
    TERNARY,
    {**TERNARY, "memory": False},
    {**TERNARY, "architecture": "plain"},
    {**TERNARY, "window": 128, "token_shift": False, "halting": False},
]


@pytest.mark.parametrize("changes", CASES)
def test_fused_model_gives_the_same_logits(changes: dict[str, Any]) -> None:
    model = make_model(**changes)
    fused = fuse_for_edge_inference(model)
    assert max_output_delta(model, fused, IDS) < 1e-4
    assert max_output_delta(model, fused, IDS[:, :1]) < 1e-4
    with torch.no_grad():
        assert torch.equal(model(IDS).logits.argmax(-1), fused(IDS).logits.argmax(-1))


@pytest.mark.parametrize("changes", CASES)
def test_generation_runs_unchanged_and_writes_the_same(changes: dict[str, Any]) -> None:
    model = make_model(**changes)
    fused = fuse_for_edge_inference(model)
    prompts = [IDS[0, :9].tolist(), IDS[1, :20].tolist(), IDS[0, :3].tolist()]
    made = [generate(m, prompts, max_new_tokens=40) for m in (model, fused)]
    assert made[0] == made[1]
    assert max(len(g.ids) for g in made[0]) == 40


def test_reading_token_by_token_is_the_whole_reading() -> None:
    """Token by token over several chunks, fused and not, against reading at once."""
    model = make_model(**TERNARY)
    fused = fuse_for_edge_inference(model)
    with torch.no_grad():
        whole = model.prefill(IDS, model.embedding_weight()).high
        cache, table = fused.empty_cache(2, 40), fused.embedding_weight()
        first = fused.prefill(IDS[:, :4], table, None, cache).high
        rest = [fused.prefill(IDS[:, i : i + 1], table, None, cache).high for i in range(4, 40)]
        slow = model.empty_cache(2, 40)
        model.prefill(IDS[:, :4], model.embedding_weight(), None, slow)
        for i in range(4, 40):
            model.prefill(IDS[:, i : i + 1], model.embedding_weight(), None, slow)
    assert (torch.cat([first, *rest], dim=1) - whole).abs().max() < 0.05
    assert slow.memory is not None
    assert cache.memory is not None
    for a, b in zip(vars(slow.memory).values(), vars(cache.memory).values(), strict=True):
        assert (a - b).abs().max() < 1e-5


def test_a_difference_is_seen() -> None:
    model, other = make_model(), make_model()
    assert max_output_delta(model, other, IDS) == 0
    with torch.no_grad():
        other.low[0].attn.v.weight[0] += 1
    assert max_output_delta(model, fuse_for_edge_inference(other), IDS) > 1e-3


def test_fusing_counts_what_it_did_and_leaves_the_model_alone() -> None:
    model = make_model(**TERNARY)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fused = fuse_for_edge_inference(model)
    assert model.config.weight_quant == "ternary"
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(p.requires_grad for p in fused.parameters())
    assert sum(p.numel() for p in fused.parameters()) == sum(p.numel() for p in model.parameters())
    # Three projections in each of three blocks and in the memory; four operators a block, and the embedding.
    assert edge_fusion_of(fused) == Fusion(12, 13)
    assert edge_fusion_of(model) == Fusion(0, 0)
    again = fuse_for_edge_inference(make_model())
    assert edge_fusion_of(again) == Fusion(12, 12)


def test_a_delta_must_be_merged_first() -> None:
    model = make_model()
    model.high[0].ffn.up.delta = nn.Identity()
    with pytest.raises(ForgeError, match=r"high\.0\.ffn\.up carries"):
        fuse_for_edge_inference(model)


def test_same_interface() -> None:
    assert isinstance(fuse_for_edge_inference(make_model()), TinyTitanForCausalLM)
