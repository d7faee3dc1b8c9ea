"""Speed is measured in turns, memory in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forge.errors import ForgeError
from forge.phases.edge import latency
from forge.phases.edge.fusion import fuse_for_edge_inference
from forge.phases.edge.latency import Speed, compare_edge_speed, edge_isolated_ram_mb
from tests.phases.edge.test_pruning import make_model

MODEL = make_model(weight_quant="ternary", act_bits=8, embed_bits=8)
FUSED = fuse_for_edge_inference(MODEL)


def test_models_are_timed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[Any] = []

    def prefill(models: Any, *, repeats: int, seed: int) -> list[list[float]]:
        log.append((models, repeats, seed))
        return [[fast] * (repeats - 2) + [20.0] * 2 for fast in (10.0, 5.0)]

    def decode(agent: Any, **options: Any) -> float:
        log.append(agent.model)
        return next(rates)

    rates = iter([100.0, 200.0, 140.0, 260.0])
    monkeypatch.setattr(latency, "eval_prefill_ms", prefill)
    monkeypatch.setattr(latency, "decode_tokens_per_s", decode)
    first, second = compare_edge_speed(MODEL, FUSED, None, repeats=5, seed=7)  # type: ignore[arg-type]
    assert log == [((MODEL, FUSED), 5, 7), MODEL, FUSED, MODEL, FUSED]
    assert (first, second) == (Speed(10.0, 20.0, 120.0), Speed(5.0, 20.0, 230.0))
    with pytest.raises(ForgeError, match="repeats"):
        compare_edge_speed(MODEL, FUSED, None, repeats=0, seed=0)  # type: ignore[arg-type]


def test_real_models_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    from forge.runtime import bench

    monkeypatch.setattr(latency, "DECODE_TOKENS", 6)
    monkeypatch.setattr(bench, "eval_special_token_id", lambda tokenizer, token: 1)
    for speed in compare_edge_speed(MODEL, FUSED, None, repeats=2, seed=0):  # type: ignore[arg-type]
        assert 0 < speed.prefill_p50_ms <= speed.prefill_p95_ms < 60_000
        assert speed.decode_tokens_per_s > 0


def test_memory_of_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def bench(*paths: Path, repeats: int, rounds: int) -> list[dict[str, float]]:
        asked.append(([path.name for path in paths], repeats))
        return [{"peak_ram_mb": 300.0 + len(path.name)} for path in paths]

    monkeypatch.setattr(latency, "bench_isolated", bench)
    assert edge_isolated_ram_mb([tmp_path / "a", tmp_path / "bcd"]) == [301.0, 303.0]
    assert asked == [(["a", "bcd"], 1)]


def test_a_missing_model_fails_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match="no such model"):
        edge_isolated_ram_mb([tmp_path / "nowhere"])
