"""What phase 1 measures of its branches, and that it is what the catalog declares."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from forge.evals.likelihood import likelihood
from forge.files import atomic_write_json
from forge.interface.run import Published
from forge.model import save_model
from forge.phases.cognate.metrics import (
    cognate_branch_diversity,
    cognate_branch_metrics,
    cognate_memory_usage,
    cognate_phase_metrics,
)
from forge.phases.cognate.training import train_cognate_branch
from tests.phases.cognate.test_cognate import params
from tests.support.declared import declared
from tests.support.stub_run import StubRun, random_set
from tests.support.tiny_models import tiny_model, tiny_tokenizer

DATA, VAL = random_set(36), random_set(24, seed=1)


def publish(folder: Path, seed: int, *, final_loss: float, **shape: Any) -> Published:
    """A tiny model as a stage would have published it."""
    model = tiny_model(seed=seed, **shape)
    save_model(model, folder)
    atomic_write_json(folder / "metadata.json", {"metrics": {"final_loss": final_loss}})
    return Published(model, tiny_tokenizer(), folder)


def test_a_branch_records_its_metrics(tmp_path: Path) -> None:
    run, model = StubRun(tmp_path, **params()), tiny_model()
    branch = run.params.branches["reasoning"]
    train_cognate_branch(run, branch, model, DATA)
    metrics = cognate_branch_metrics(run, branch, model, DATA, VAL)
    series = {name for _, point in run.logged for name in point}
    wanted = {name.removeprefix("model_2/") for name in declared("cognate", "model_2")}
    assert wanted - series - set(metrics) == {"size_mb"}  # known once the model is saved
    assert all(math.isfinite(value) for value in metrics.values())
    read = likelihood(model, DATA, DATA.where("direct"))
    assert metrics["epoch/loss"] == pytest.approx(read.nll.sum() / read.tokens.sum())
    steps = likelihood(model, VAL)
    assert metrics["act/avg_halting_steps"] == pytest.approx((steps.steps * steps.tokens).sum() / steps.tokens.sum())
    assert 1 <= metrics["act/avg_halting_steps"] <= 3


def test_memory_in_use_is_a_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    used = cognate_memory_usage(model, VAL)
    assert 1 / 6 < used < 1
    one_row = cognate_memory_usage(model, VAL.sample(1, 0))
    assert 1 / 6 <= one_row <= 1
    real = model.prefill

    def with_matrix(matrix: torch.Tensor) -> float:
        def prefill(*given: Any, **more: Any) -> Any:
            trace = real(*given, **more)
            trace.memory.matrix = matrix
            return trace

        monkeypatch.setattr(model, "prefill", prefill)
        return cognate_memory_usage(model, VAL)

    assert with_matrix(torch.eye(6).repeat(2, 1, 1, 1)) == pytest.approx(1.0)
    assert with_matrix(torch.ones(2, 1, 6, 6)) == pytest.approx(1 / 6, rel=1e-4)
    assert with_matrix(torch.zeros(2, 1, 6, 6)) == 0.0
    assert cognate_memory_usage(tiny_model(memory=False), VAL) == 0.0


def test_padding_does_not_fill_the_memory() -> None:
    model, short = tiny_model(), VAL.subset(VAL.lengths.argsort()[:1])
    mixed = VAL.subset(VAL.lengths.argsort()[[0, -1]])
    pair = [cognate_memory_usage(model, VAL.subset(VAL.lengths.argsort()[[i]])) for i in (0, -1)]
    assert cognate_memory_usage(model, mixed) == pytest.approx(sum(pair) / 2, rel=1e-4)
    assert cognate_memory_usage(model, short) == pytest.approx(pair[0])


def test_diversity_by_hand() -> None:
    trunk, right, up = ({"w": torch.tensor(v)} for v in ([1.0, 1.0], [3.0, 1.0], [1.0, 2.0]))
    left = {"w": torch.tensor([0.0, 1.0])}
    assert cognate_branch_diversity(trunk, [right, right]) == pytest.approx(0.0)
    assert cognate_branch_diversity(trunk, [right, up]) == pytest.approx(1.0)
    assert cognate_branch_diversity(trunk, [right, left]) == pytest.approx(2.0)
    assert cognate_branch_diversity(trunk, [right, up, left]) == pytest.approx(4 / 3)


def test_phase_1_as_a_whole(tmp_path: Path) -> None:
    trunk, *branches = (publish(tmp_path / str(seed), seed, final_loss=float(seed)) for seed in range(4))
    given: Any = SimpleNamespace(branches=dict.fromkeys("abc"), parameters_target=120)
    found = cognate_phase_metrics(given, trunk, branches)
    assert set(found) == declared("cognate", "config", "phase")
    parameters = sum(weight.numel() for weight in tiny_model().state_dict().values())
    assert (found["phase/total_parameters"], found["phase/num_models_created"]) == (3 * parameters, 3)
    losses = [found[f"phase/{name}_final_loss"] for name in ("min", "avg", "max")]
    assert losses == [1.0, 2.0, 3.0]
    assert not found["phase/success"]  # 3.0 is not below 3.0
    assert (found["config/hidden_size"], found["config/num_layers"]) == (24, 4)
    assert (found["config/num_models"], found["config/parameters_target"]) == (3, 120)
    assert found["phase/total_size_mb"] * 2**20 == sum(
        (branch.directory / "model.safetensors").stat().st_size for branch in branches
    )
    # All three moved away from the trunk, each to its own place: two such ways share half of their square.
    assert found["phase/diversity_score"] == pytest.approx(0.5, abs=0.1)
