"""Targets and metrics of phase 7, and the phase as a whole."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forge.errors import ForgeError
from forge.interface.phase import PACKED
from forge.model import load_model
from forge.model.packed import pack_model
from forge.phases.edge import metrics as module
from forge.phases.edge.fusion import Fusion
from forge.phases.edge.latency import Speed
from forge.phases.edge.metrics import HEADLINE, Deployment, Optimization, edge_metrics
from forge.phases.edge.pruning import PruningPlan
from forge.phases.edge.run import run as run_phase
from forge.phases.edge.targets import check_edge_targets
from tests.support.declared import declared
from tests.support.stub_run import StubRun, measured, smoke_params
from tests.support.tiny_models import tiny_model, tiny_tokenizer

pytestmark = pytest.mark.long

GOOD = {
    "size_mb": 0.5,
    "latency_ms": 20.0,
    "tokens_per_s": 300.0,
    "ram_mb": 400.0,
    "accuracy_retention": 0.95,
}


def test_targets_pass_only_inside_their_bounds() -> None:
    assert all(t.passed for t in check_edge_targets(**GOOD).values())
    edge = {
        "size_mb": 20.0,
        "latency_ms": 50.0,
        "tokens_per_s": 100.0,
        "ram_mb": 500.0,
        "accuracy_retention": 0.9,
    }
    for name, bound in edge.items():
        for bad in (bound, math.nan):
            targets = check_edge_targets(**{**GOOD, name: bad})
            assert [n for n, t in targets.items() if not t.passed] == [name]


def scored(solved: int) -> Any:
    return measured([0.0] * 50, [1.0] * solved + [0.0] * (50 - solved))


BEFORE = Deployment(3000, 0.6, 410.0, Speed(30.0, 40.0, 150.0), scored(25), 4.0)
AFTER = Deployment(2650, 0.5, 400.0, Speed(15.0, 18.0, 310.0), scored(24), 4.2)
TRAINED: Any = SimpleNamespace(tokens=10)
DONE = Optimization(PruningPlan({}, {}, None, 1000, 650), TRAINED, Fusion(12, 26), 1e-6, 0.85)


def test_the_metrics_are_there_and_add_up() -> None:
    found: dict[str, Any] = edge_metrics(DONE, BEFORE, AFTER)
    groups = [name.split("/")[0] for name in found]
    counts = {group: groups.count(group) for group in groups}
    # With the duration, which the lifecycle adds, 28.
    assert counts == {"optimization": 6, "performance": 11, "quality": 6, "deployment": 3, "phase": 1}
    assert set(found) == declared("edge")
    assert found["optimization/pruning_ratio"] == pytest.approx(0.35)
    assert found["performance/speedup"] == 2
    assert found["performance/size_reduction"] == pytest.approx(1.2)
    assert found["quality/accuracy_retention"] == pytest.approx(0.96)
    assert found["deployment/target_met"] is True
    assert found["deployment/targets_passed"] == 5
    assert found["phase/optimization_techniques_applied"] == 4
    missed = edge_metrics(DONE, BEFORE, replace(AFTER, speed=Speed(60.0, 70.0, 310.0)))
    assert (missed["deployment/target_met"], missed["deployment/targets_passed"]) == (False, 4)
    lost = edge_metrics(DONE, BEFORE, replace(AFTER, suite=scored(22)))
    assert (lost["deployment/target_met"], lost["deployment/targets_passed"]) == (False, 4)
    nothing = edge_metrics(DONE, replace(BEFORE, suite=scored(0)), replace(AFTER, suite=scored(0)))
    assert nothing["quality/accuracy_retention"] == 1


def test_techniques_count_if_they_changed_something() -> None:
    assert DONE.techniques() == ["structured pruning", "distillation", "fusion", "operators"]
    untrained: Any = SimpleNamespace(tokens=0)
    nothing = Optimization(PruningPlan({}, {}, None, 1000, 1000), untrained, Fusion(0, 0), 0.0, 0.0)
    assert nothing.techniques() == []


def test_what_was_not_measured_is_refused() -> None:
    with pytest.raises(ForgeError, match="size"):
        edge_metrics(DONE, BEFORE, replace(AFTER, size_mb=0.0))
    with pytest.raises(ForgeError, match="latency"):
        edge_metrics(DONE, BEFORE, replace(AFTER, speed=Speed(0.0, 0.0, 1.0)))


def test_the_phase_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, source = StubRun(tmp_path, **smoke_params("edge", steps=2, latency_repeats=1)), tmp_path / "baking"
    model = tiny_model(vocab_size=len(tiny_tokenizer()), weight_quant="ternary", act_bits=8, embed_bits=8)
    run.evaluation.answer_tokens = 4
    run.prepare("baking", model)
    tiny_tokenizer().save_pretrained(str(source))
    pack_model(model, source / PACKED[0])
    weighed: list[list[Path]] = []

    def ram(directories: list[Path]) -> list[float]:
        weighed.append(directories)
        return [400.0, 300.0]

    monkeypatch.setattr(module, "edge_isolated_ram_mb", ram)
    run_phase(run)  # type: ignore[arg-type]
    assert weighed == [[source, run.out_dir]]
    assert set(run.metrics) >= declared("edge")
    assert set(HEADLINE) < set(run.headline)
    assert len(run.claims) == 3
    (metadata, _), (scores, directory, _) = run.published[0], run.rows_of_ledger[0]
    assert scores.questions is not None
    assert scores.tools is not None
    assert scores.tools.success == run.metrics["quality/tool_success_rate"]
    assert scores.questions.headline().items() <= run.headline.items()
    assert set(metadata) == {"tool_accuracy_retention", "accuracy_tools", "call_confidence"}
    assert metadata["tool_accuracy_retention"] == run.metrics["quality/accuracy_retention"]
    assert directory == run.out_dir
    names = [PACKED[0], "config.json", "tokenizer.json", "tokenizer_config.json"]
    sizes = [sum((folder / name).stat().st_size for name in names) for folder in (source, directory)]
    assert sizes[1] < sizes[0]
    assert [run.metrics[f"performance/model_size_mb{when}"] for when in ("_before", "")] == [s / 1e6 for s in sizes]
    smaller = load_model(directory)
    assert run.metrics["optimization/params_after"] == smaller.num_parameters() < model.num_parameters()
