"""Fusion changes the operators and not the numbers; speed, memory and metrics come from measurements."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from forge.errors import ForgeError
from forge.model import TinyTitanForCausalLM
from forge.model.engine import generate
from forge.phases.edge import latency
from forge.phases.edge.fuse import Fusion, fuse, fusion_of, max_output_delta
from forge.phases.edge.latency import Speed, compare_speed, isolated_ram_mb
from forge.phases.edge.metrics import techniques_applied
from forge.phases.edge.prune import PruningPlan
from forge.phases.edge.quality import Quality, check_targets, edge_metrics
from tests.phases.edge.test_prune import IDS, make_model
from tests.support.declared import LIFECYCLE, declared

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
    fused = fuse(model)
    assert max_output_delta(model, fused, IDS) < 1e-4
    assert max_output_delta(model, fused, IDS[:, :1]) < 1e-4
    with torch.no_grad():
        assert torch.equal(model(IDS).logits.argmax(-1), fused(IDS).logits.argmax(-1))


@pytest.mark.parametrize("changes", CASES)
def test_generation_runs_unchanged_and_writes_the_same(changes: dict[str, Any]) -> None:
    model = make_model(**changes)
    fused = fuse(model)
    prompts = [IDS[0, :9].tolist(), IDS[1, :20].tolist(), IDS[0, :3].tolist()]
    made = [generate(m, prompts, max_new_tokens=40) for m in (model, fused)]
    assert made[0] == made[1]
    assert max(len(g.ids) for g in made[0]) == 40


def test_reading_token_by_token_is_the_whole_reading() -> None:
    """The one-token way of the memory, over several chunks, against the chunked way of the unfused model."""
    model = make_model(**TERNARY)
    fused = fuse(model)
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
    assert max_output_delta(model, fuse(other), IDS) > 1e-3


def test_fusing_counts_what_it_did_and_leaves_the_model_alone() -> None:
    model = make_model(**TERNARY)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fused = fuse(model)
    assert model.config.weight_quant == "ternary"
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(p.requires_grad for p in fused.parameters())
    assert sum(p.numel() for p in fused.parameters()) == sum(p.numel() for p in model.parameters())
    # Three projections in each of three blocks and in the memory; eight operators a block, two more.
    assert fusion_of(fused) == Fusion(12, 26)
    assert fusion_of(model) == Fusion(0, 0)
    again = fuse(make_model())
    assert fusion_of(again) == Fusion(12, 25)


def test_a_delta_must_be_merged_first() -> None:
    model = make_model()
    model.high[0].ffn.up.delta = nn.Identity()
    with pytest.raises(ForgeError, match=r"high\.0\.ffn\.up carries"):
        fuse(model)


# ---- speed and memory --------------------------------------------------------------------------------------


def test_models_are_timed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = SimpleNamespace(eval=lambda: "A"), SimpleNamespace(eval=lambda: "B")
    log: list[tuple[str, int]] = []

    def prefill(agent: Any, *, repeats: int, seed: int) -> list[float]:
        log.append((agent.model, repeats))
        return [10.0 if agent.model == "A" else 5.0] * (repeats - 1) + [20.0]

    rates = iter([100.0, 200.0, 140.0, 260.0])
    monkeypatch.setattr(latency, "prefill_ms", prefill)
    monkeypatch.setattr(latency, "decode_tokens_per_s", lambda agent, seed, **options: next(rates))
    a, b = compare_speed(first, second, None, repeats=5, seed=0)  # type: ignore[arg-type]
    assert log == [("A", 3), ("B", 3), ("A", 2), ("B", 2)]
    assert (a, b) == (Speed(10.0, 20.0, 120.0, 5), Speed(5.0, 20.0, 230.0, 5))
    log.clear()
    rates = iter([1.0, 2.0])
    compare_speed(first, second, None, repeats=3, seed=0)  # type: ignore[arg-type]
    assert log == [("A", 3), ("B", 3)]
    with pytest.raises(ForgeError, match="repeats"):
        compare_speed(first, second, None, repeats=0, seed=0)  # type: ignore[arg-type]


def test_real_models_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    from forge.runtime import bench

    monkeypatch.setattr(bench, "DECODE_TOKENS", 6)
    monkeypatch.setattr(bench, "token_id", lambda tokenizer, token: 1)
    model = make_model(**TERNARY)
    for speed in compare_speed(model, fuse(model), None, repeats=2, seed=0):  # type: ignore[arg-type]
        assert 0 < speed.prefill_p50_ms <= speed.prefill_p95_ms < 60_000
        assert speed.decode_tokens_per_s > 0
        assert speed.repeats == 2


def test_memory_of_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def bench(*paths: Path, repeats: int, seed: int, rounds: int) -> list[dict[str, float]]:
        asked.append(([path.name for path in paths], repeats))
        return [{"peak_ram_mb": 300.0 + len(path.name)} for path in paths]

    monkeypatch.setattr(latency, "bench_isolated", bench)
    assert isolated_ram_mb([tmp_path / "a", tmp_path / "bcd"]) == [301.0, 303.0]
    assert asked == [(["a", "bcd"], 1)]


def test_a_missing_model_fails_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match="no such model"):
        isolated_ram_mb([tmp_path / "nowhere"])


GOOD = {
    "size_mb": 0.5,
    "latency_ms": 20.0,
    "tokens_per_s": 300.0,
    "ram_mb": 400.0,
    "accuracy_retention": 0.95,
}


def test_targets_pass_only_inside_their_bounds() -> None:
    assert all(t.passed for t in check_targets(**GOOD).values())
    edge = {
        "size_mb": 20.0,
        "latency_ms": 50.0,
        "tokens_per_s": 100.0,
        "ram_mb": 500.0,
        "accuracy_retention": 0.9,
    }
    for name, bound in edge.items():
        for bad in (bound, math.nan):
            targets = check_targets(**{**GOOD, name: bad})
            assert [n for n, t in targets.items() if not t.passed] == [name]


def metrics(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "plan": PruningPlan({}, {}, None, 1000, 650),
        "fusion": Fusion(12, 26),
        "max_output_delta": 1e-6,
        "parameters": (3000, 2650),
        "size_mb": (0.6, 0.5),
        "speed": (Speed(30.0, 40.0, 150.0, 20), Speed(15.0, 18.0, 310.0, 20)),
        "ram_mb": (410.0, 400.0),
        "quality": (Quality(0.5, 4.0, 0.9), Quality(0.48, 4.2, 0.85)),
        "targets": check_targets(**GOOD),
        "device": "cpu: some, 2 threads",
        "techniques": ["pruning", "fusion"],
        "seconds": 12.5,
    }
    return edge_metrics(**{**given, **changes})


def test_the_28_metrics_are_there_and_add_up() -> None:
    found = metrics()
    groups = [name.split("/")[0] for name in found]
    counts = {group: groups.count(group) for group in groups}
    assert counts == {"optimization": 6, "performance": 11, "quality": 6, "deployment": 3, "phase": 2}
    assert set(found) == declared("edge") | LIFECYCLE
    assert found["optimization/pruning_ratio"] == pytest.approx(0.35)
    assert found["performance/speedup"] == 2
    assert found["performance/size_reduction"] == pytest.approx(1.2)
    assert found["quality/accuracy_retention"] == pytest.approx(0.96)
    assert found["deployment/target_met"] is True
    assert found["deployment/targets_passed"] == 5
    assert found["phase/optimization_techniques_applied"] == 2
    missed = metrics(targets=check_targets(**{**GOOD, "latency_ms": 60.0}))
    assert (missed["deployment/target_met"], missed["deployment/targets_passed"]) == (False, 4)
    nothing = metrics(quality=(Quality(0.0, 9.0, 0.0), Quality(0.0, 9.0, 0.0)))
    assert nothing["quality/accuracy_retention"] == 1


def test_techniques_count_if_they_changed_something() -> None:
    nothing, something = SimpleNamespace(removed_share=0.0), SimpleNamespace(removed_share=0.3)
    trained, untrained = SimpleNamespace(tokens=10), SimpleNamespace(tokens=0)
    whole: Any = (something, trained, Fusion(3, 2))
    assert techniques_applied(*whole) == ["structured pruning", "distillation", "fusion", "operators"]
    none: Any = (nothing, untrained, Fusion(0, 0))
    assert techniques_applied(*none) == []


def test_figures_that_were_not_measured_are_refused() -> None:
    with pytest.raises(ForgeError, match="size"):
        metrics(size_mb=(0.6, 0.0))
    with pytest.raises(ForgeError, match="latency"):
        metrics(speed=(Speed(30.0, 40.0, 1.0, 1), Speed(0.0, 0.0, 1.0, 1)))


def test_same_interface() -> None:
    assert isinstance(fuse(make_model()), TinyTitanForCausalLM)
