"""Importance and pruning: gradients are right, the arithmetic is exact, removed means as if it were zero."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from forge.errors import ForgeError
from forge.model import TinyTitanConfig, TinyTitanForCausalLM, load_model, names_of_core_model_weights, save_model
from forge.phases.edge.importance import Importance, taylor_importance
from forge.phases.edge.pruning import PruningPlan, edge_core_parameters, plan_pruning, prune_heads_and_units

IDS = torch.randint(14, 60, (2, 40), generator=torch.Generator().manual_seed(5))


def make_model(**changes: object) -> TinyTitanForCausalLM:
    """A model of uneven blocks whose every weight matters (fresh ones hardly write to the residual)."""
    sizes = {
        "vocab_size": 64,
        "hidden_size": 32,
        "head_dim": 8,
        "low_heads": [3, 2],
        "high_heads": [4],
        "low_ffn": [40, 24],
        "high_ffn": [48],
        "window": 16,
        "memory_heads": 3,
        "memory_head_dim": 8,
        "memory_chunk": 8,
    }
    model = TinyTitanForCausalLM(TinyTitanConfig(**{**sizes, **changes}))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model.eval()


def next_token_loss(model: TinyTitanForCausalLM, ids: Tensor) -> tuple[Tensor, dict[str, float]]:
    loss = model(ids, labels=ids, steps=2).loss
    assert loss is not None
    return loss, {}


def core_size(model: TinyTitanForCausalLM) -> int:
    state = model.state_dict()
    return sum(state[name].numel() for name in names_of_core_model_weights(model))


def with_zeros(model: TinyTitanForCausalLM, plan: PruningPlan) -> TinyTitanForCausalLM:
    """The same shapes, every weight of the removed structures at zero."""
    other = make_model(**{k: v for k, v in model.config.to_dict().items() if k != "model_type"})
    other.load_state_dict(model.state_dict())

    def clear(parts: list[nn.Linear], out: nn.Linear, gone: list[int], size: int) -> None:
        for index in gone:
            rows = slice(index * size, (index + 1) * size)
            out.weight[:, rows] = 0
            for part in parts:
                part.weight[rows] = 0

    with torch.no_grad():
        for name, kept in plan.heads.items():
            module, index = name.split(".")
            block = getattr(other, module)[int(index)]
            attn, gone = block.attn, sorted(set(range(block.attn.heads)) - set(kept))
            clear([attn.q, attn.k, attn.v], attn.o, gone, attn.head_dim)
            widths = sorted(set(range(block.ffn.up.out_features)) - set(plan.units[name]))
            clear([block.ffn.up], block.ffn.down, widths, 1)
        m = other.memory
        assert plan.memory_heads is not None
        clear([m.q, m.k, m.v], m.o, sorted(set(range(m.heads)) - set(plan.memory_heads)), m.head_dim)
    return other


PLAN = PruningPlan(
    heads={"low.0": [0, 2], "low.1": [1], "high.0": [0, 1, 3]},
    units={"low.0": [*range(3, 19)], "low.1": [*range(0, 24, 3)], "high.0": [*range(16, 48)]},
    memory_heads=[0, 2],
    core_before=32 * (4 * 8 * 9 + 2 * 112 + 4 * 24),
    core_after=32 * (4 * 8 * 6 + 2 * 56 + 4 * 16),
)


@pytest.mark.parametrize("act_bits", [0, 8])
def test_removed_structures_compute_what_zeroed_ones_do(act_bits: int) -> None:
    model = make_model(act_bits=act_bits)
    pruned, zeroed = prune_heads_and_units(model, PLAN), with_zeros(model, PLAN)
    assert core_size(model) == PLAN.core_before
    assert core_size(pruned) == PLAN.core_after == edge_core_parameters(pruned.config)
    with torch.no_grad():
        for steps in (1, 2):
            wanted = zeroed(IDS, steps=steps).logits
            difference = (pruned(IDS, steps=steps).logits - wanted).abs().max()
            # An activation that rounds the other way costs one of 127 levels; else it is float32 noise.
            assert difference < (1e-5 if act_bits == 0 else 0.05) * max(1.0, float(wanted.abs().max()))
        assert (model(IDS, steps=2).logits - wanted).abs().max() > 0.1


def test_pruned_model_reloads_from_its_config_alone_and_generates(tmp_path: Path) -> None:
    from forge.model.engine import generate

    pruned = prune_heads_and_units(make_model(weight_quant="ternary", act_bits=8, embed_bits=8), PLAN)
    assert (pruned.config.low_heads, pruned.config.high_heads) == ([2, 1], [3])
    assert (pruned.config.low_ffn, pruned.config.high_ffn) == ([16, 8], [32])
    assert pruned.config.memory_heads == 2
    save_model(pruned, tmp_path)
    again = load_model(tmp_path)
    with torch.no_grad():
        assert torch.equal(again(IDS).logits, pruned(IDS).logits)
    assert len(generate(again, [IDS[0, :9].tolist()], max_new_tokens=5, ban_ids=(1,))[0].ids) == 5


def test_everything_else_is_copied_and_the_original_is_left_alone() -> None:
    model = make_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = prune_heads_and_units(model, PLAN).state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.config.low_heads == [3, 2]
    for name in ("embed.weight", "shift", "low_init", "halt.weight", "halt.bias"):
        assert torch.equal(state[name], before[name])
    assert torch.equal(state["low.1.attn.v.weight"], before["low.1.attn.v.weight"][8:16])
    assert torch.equal(state["high.0.ffn.up.weight"], before["high.0.ffn.up.weight"][16:])
    assert torch.equal(state["memory.gate.bias"], before["memory.gate.bias"].view(4, 3)[:, [0, 2]].flatten())


def test_taylor_is_the_sum_of_weight_times_gradient() -> None:
    model = make_model()
    found = taylor_importance(model, [IDS], next_token_loss)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    next_token_loss(model, IDS)[0].backward()
    attn, ffn = model.low[0].attn, model.high[0].ffn
    rows = slice(8, 16)
    parts = [(w, w.grad, (rows,)) for w in (attn.q.weight, attn.k.weight, attn.v.weight)]
    parts.append((attn.o.weight, attn.o.weight.grad, (slice(None), rows)))
    head = sum(float((w * g)[index].detach().abs().sum()) for w, g, index in parts if g is not None)
    assert found.heads["low.0"][1] == pytest.approx(head, rel=1e-5)
    assert ffn.up.weight.grad is not None
    assert ffn.down.weight.grad is not None
    unit = (ffn.up.weight * ffn.up.weight.grad)[7].abs().sum()
    unit = unit + (ffn.down.weight * ffn.down.weight.grad)[:, 7].abs().sum()
    assert found.units["high.0"][7] == pytest.approx(float(unit), rel=1e-5)
    assert found.memory is not None
    assert found.memory.shape == (3,)
    assert {name: len(v) for name, v in found.units.items()} == {"low.0": 40, "low.1": 24, "high.0": 48}


def test_importance_reaches_latents_through_ternary_weights_and_finds_dead_structures() -> None:
    model = make_model(weight_quant="ternary", act_bits=8)
    with torch.no_grad():
        model.low[0].ffn.up.weight[5] = 0
        model.low[0].ffn.down.weight[:, 5] = 0
    found = taylor_importance(model, [IDS[:1], IDS[1:]], next_token_loss)
    assert found.batches == 2
    assert found.units["low.0"][5] == 0
    assert (found.units["low.0"] > 0).sum() > 30
    assert all(bool((worth > 0).all()) for worth in found.heads.values())


def test_importance_predicts_which_half_hurts_less() -> None:
    """Removing the units it ranks low costs less loss than removing those it ranks high."""
    model = make_model()
    found = taylor_importance(model, [IDS], next_token_loss)
    losses = {}
    for name, sign in (("low", 1), ("high", -1)):
        flipped = {block: sign * worth for block, worth in found.units.items()}
        order = {
            block: torch.argsort(worth, descending=True)[: len(worth) // 16 * 8] for block, worth in flipped.items()
        }
        kept = {block: sorted(index.tolist()) for block, index in order.items()}
        gone = sum(len(w) - len(kept[b]) for b, w in found.units.items())
        heads = {block: list(range(len(worth))) for block, worth in found.heads.items()}
        plan = PruningPlan(heads, kept, [0, 1, 2], PLAN.core_before, PLAN.core_before - 64 * gone)
        pruned = prune_heads_and_units(model, plan)
        with torch.no_grad():
            change = (pruned(IDS, steps=2).logits - model(IDS, steps=2).logits).square().mean()
        losses[name] = float(change)
    assert losses["low"] < losses["high"]


def random_importance(config: TinyTitanConfig, seed: int) -> Importance:
    generator = torch.Generator().manual_seed(seed)

    def draw(n: int) -> Tensor:
        return torch.rand(n, generator=generator) ** 3 + 1e-3

    pairs = [(f"low.{i}", h, f) for i, (h, f) in enumerate(zip(config.low_heads, config.low_ffn, strict=True))]
    pairs += [(f"high.{i}", h, f) for i, (h, f) in enumerate(zip(config.high_heads, config.high_ffn, strict=True))]
    heads, units = {n: draw(h) for n, h, _ in pairs}, {n: draw(f) for n, _, f in pairs}
    return Importance(heads, units, draw(config.memory_heads), 1)


@pytest.mark.parametrize("ratio", [0.1, 0.35, 0.6, 0.8])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_plan_removes_the_ratio_within_a_percent_at_tiny(ratio: float, seed: int) -> None:
    config = TinyTitanConfig(
        hidden_size=128,
        head_dim=32,
        low_ffn=[512, 512],
        high_ffn=[512, 512],
        memory_heads=4,
        memory_head_dim=32,
    )
    plan = plan_pruning(random_importance(config, seed), config, ratio, 8)
    assert edge_core_parameters(config) == plan.core_before == 851_968
    assert plan.removed_share == pytest.approx(ratio, abs=0.01)
    assert all(len(kept) >= 1 for kept in plan.heads.values())
    assert all(len(kept) >= 8 and len(kept) % 8 == 0 for kept in plan.units.values())
    left = TinyTitanConfig(**{**config.to_dict(), **plan.sizes()})
    assert edge_core_parameters(left) == plan.core_after
    assert plan_pruning(random_importance(config, seed), config, ratio, 8) == plan


def test_plan_keeps_the_best_and_spares_the_layer_that_matters() -> None:
    config = make_model().config
    importance = random_importance(config, 0)
    importance.units["low.0"][7] = 50.0
    importance.heads["high.0"][:] = 100.0
    plan = plan_pruning(importance, config, 0.5, 8)
    assert 7 in plan.units["low.0"]
    assert plan.heads["high.0"] == [0, 1, 2, 3]
    assert plan.removed_share == pytest.approx(0.5, abs=0.02)


def test_widths_that_are_no_multiple_are_rounded_and_small_ones_kept() -> None:
    config = make_model(low_ffn=[37, 5]).config
    plan = plan_pruning(random_importance(config, 4), config, 0.5, 8)
    assert len(plan.units["low.0"]) in (37, 32, 24, 16, 8)
    assert len(plan.units["low.1"]) == 5


def test_impossible_requests_are_refused() -> None:
    model = make_model()
    importance = random_importance(model.config, 0)
    for ratio in (0.0, 1.0, float("nan")):
        with pytest.raises(ForgeError, match="ratio"):
            plan_pruning(importance, model.config, ratio, 8)
    with pytest.raises(ForgeError, match="can go"):
        plan_pruning(importance, model.config, 0.95, 8)
    with pytest.raises(ForgeError, match="no batch"):
        taylor_importance(model, [], next_token_loss)
    with pytest.raises(ForgeError, match="nan"):
        taylor_importance(model, [IDS], lambda m, ids: (m.embed.weight.sum() * float("nan"), {}))
    with pytest.raises(ForgeError, match="other blocks"):
        prune_heads_and_units(make_model(high_heads=[4, 4], high_ffn=[48, 48]), PLAN)
    with pytest.raises(ForgeError, match="does not have"):
        prune_heads_and_units(make_model(low_ffn=[16, 24]), PLAN)
    with pytest.raises(ForgeError, match="core weights"):
        prune_heads_and_units(model, dataclasses.replace(PLAN, core_after=1))
    model.low[0].attn.q.delta = nn.Identity()
    with pytest.raises(ForgeError, match=r"low\.0\.attn\.q carries"):
        prune_heads_and_units(model, PLAN)


def test_a_plain_stack_without_memory_is_pruned_too() -> None:
    model = make_model(architecture="plain")
    plan = plan_pruning(taylor_importance(model, [IDS], next_token_loss), model.config, 0.35, 8)
    assert plan.memory_heads is None
    pruned = prune_heads_and_units(model, plan)
    assert core_size(pruned) == plan.core_after < 0.7 * core_size(model)
