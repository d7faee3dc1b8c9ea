"""What phase 2 measures of an evolution, and that it is what the catalog declares."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch

from forge.phases.evomerge.evolve import evolve
from forge.phases.evomerge.fitness import Fitness, Measured
from forge.phases.evomerge.merging import Merged
from forge.phases.evomerge.metrics import evolution_metrics, evomerge_delta_bytes, evomerge_delta_compression
from tests.support.declared import declared
from tests.support.tiny_models import tiny_model
from tests.support.toy_merge import SHORT, changed


def test_an_evolution_records_every_generation(tmp_path: Path) -> None:
    trunk = dict(tiny_model().state_dict())
    parents = [{n: w + 0.05 * tiny_model(seed=s).state_dict()[n] for n, w in trunk.items()} for s in (1, 2, 3)]

    def evaluate(model: Any) -> Fitness:
        return Fitness(1.0 + float(model["embed.weight"].mean()), Measured(1.0, 1.0, 1.0, 1.0))

    result = evolve(trunk, parents, evaluate, changed(SHORT, generations=2, population=4, elites=1), seed=1)
    merged = Merged(parents[0], parents[0], "a", 1.0, result, {"a~b": 0.0})
    metrics: dict[str, Any] = evolution_metrics(merged)
    found = metrics | {"phase/compression_ratio": evomerge_delta_compression(trunk, parents, merged.champion)}
    late = {f"generation_{g}" for g in range(3, 51)}
    wanted = {name for name in declared("evomerge") if name.split("/")[0] not in late}
    assert wanted <= set(found)
    assert not any(name.split("/")[0] in late for name in found)
    assert all(isinstance(found[name], str) or math.isfinite(found[name]) for name in wanted)
    assert found["generation_2/best_fitness"] == found["phase/final_fitness"] >= found["generation_0/best_fitness"]
    assert found["phase/fitness_improvement"] == pytest.approx(
        found["phase/final_fitness"] - found["phase/initial_fitness"]
    )
    assert found["phase/fitness_improvement_percent"] == pytest.approx(
        100 * found["phase/fitness_improvement"] / found["phase/initial_fitness"]
    )
    assert len({found[f"generation_{g}/diversity_score"] for g in range(3)}) > 1


def test_compression_sees_what_was_dropped_and_what_cancels() -> None:
    base = {"w": torch.zeros(64, 64), "v": torch.zeros(10)}
    noise = [torch.randn(64, 64, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    parents = [{"w": w, "v": torch.ones(10)} for w in noise]
    sparse = {"w": noise[0] * (noise[0].abs() > 1.5), "v": torch.ones(10)}
    average = {"w": sum(noise) / 3, "v": torch.ones(10)}
    assert evomerge_delta_compression(base, parents, parents[0]) == pytest.approx(3.0, rel=0.02)
    assert evomerge_delta_compression(base, parents, average) > 3.2
    assert evomerge_delta_compression(base, parents, sparse) > 6
    assert evomerge_delta_compression(base, parents, base) > 100
    by_hand = bytes([2, 254]) + bytes(8)
    assert evomerge_delta_bytes({"w": torch.zeros(10)}, {"w": torch.tensor([0.9, -1.1] + [0.0] * 8)}, 0.5) == len(
        zlib.compress(by_hand, 1)
    )
