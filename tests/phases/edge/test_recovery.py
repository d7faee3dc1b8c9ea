"""Phase 7 as a whole: what is pruned, what recovery trains, what is claimed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forge.phases.edge import recovery as module
from forge.phases.edge.claims import edge_pruning_claims
from forge.phases.edge.recovery import pruned_copy, recover_by_distillation
from forge.train import Batch, distillation_loss, gather_batch, language_loss
from tests.support.stub_run import StubRun, measured, random_set
from tests.support.tiny_models import tiny_model

PARAMS: dict[str, Any] = {
    "batch_tokens": 120,
    "prune_ratio": 0.25,
    "importance_batches": 8,
    "unit_multiple": 8,
    "kd_weight": 0.5,
    "kd_temperature": 1.0,
    "decay_fraction": 0.8,
    "steps": 6,
    "lr": 0.01,
    "checkpoint_every": 100,
}


def test_pruning_removes_its_share_and_leaves_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, model, data = StubRun(tmp_path, **PARAMS), tiny_model(weight_quant="ternary", act_bits=8), random_set(40)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    read: list[int] = []

    def watched(**weights: float) -> Any:
        def loss(model: Any, batch: Batch) -> Any:
            read.extend(batch.index)
            return language_loss(**weights)(model, batch)

        return loss

    monkeypatch.setattr(module, "language_loss", watched)
    small, plan = pruned_copy(run, model, data)
    assert read
    assert not set(read) & set(data.where("direct"))  # what tools make needless has no say
    core = [sum(linear.weight.numel() for linear in m.core_linears().values()) for m in (model, small)]
    assert core == [plan.core_before, plan.core_after]
    assert plan.removed_share == pytest.approx(0.25, abs=0.1)
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in before.items())
    again, _ = pruned_copy(run, model, data)
    assert all(torch.equal(again.state_dict()[name], weight) for name, weight in small.state_dict().items())


def test_recovery_brings_the_student_nearer_to_the_teacher(tmp_path: Path) -> None:
    # The labels here are noise: the teacher alone is learned from.
    run = StubRun(tmp_path, **{**PARAMS, "steps": 60, "lr": 0.003, "prune_ratio": 0.4, "kd_weight": 1.0})
    teacher, data = tiny_model(weight_quant="ternary"), random_set()
    with torch.no_grad():
        teacher.embed.weight.mul_(2)  # a teacher that is sure of something
    student, _ = pruned_copy(run, teacher, data)
    weights = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    everything = gather_batch(data, np.arange(len(data)))
    measure = distillation_loss(teacher, 1.0)
    before = measure(student, everything)[1]["kl"]
    recover_by_distillation(run, student, teacher, data)
    assert measure(student, everything)[1]["kl"] < 0.8 * before
    assert all(torch.equal(teacher.state_dict()[name], weight) for name, weight in weights.items())
    assert student.config.weight_quant == "ternary"


def test_pruning_claims(tmp_path: Path) -> None:
    run, all_, none = StubRun(tmp_path), [1.0] * 20, [0.0] * 20
    good, bad, thoughtless = measured(all_, all_), measured(none, none), measured(all_, all_, thoughts=none)
    assert [claim.passed for claim in edge_pruning_claims(run, good, none, good)] == [True, True, True]
    assert [claim.passed for claim in edge_pruning_claims(run, good, none, bad)] == [False, False, False]
    assert [claim.passed for claim in edge_pruning_claims(run, good, none, thoughtless)] == [True, False, True]
