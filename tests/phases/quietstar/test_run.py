"""The phase as a whole: what it hands on, and that it does so again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forge.data.dataset import EncodedSet
from forge.evals.evaluator import Evaluator
from forge.evals.ledger import LedgerScores
from forge.interface.run import Published
from forge.model import TinyTitanForCausalLM
from forge.phases.quietstar import decision
from forge.phases.quietstar import run as run_module
from forge.phases.quietstar.run import run as run_phase
from forge.thinking.thinker import THINKER_FILE
from tests.support.declared import declared
from tests.support.stub_run import StubRun, measured
from tests.support.toy_thoughts import thought_params

pytestmark = pytest.mark.long

MEASURED = measured([1.0], [0.0], [1.0])


@pytest.fixture(autouse=True)
def little_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What every phase measures is tested elsewhere."""
    monkeypatch.setattr(Evaluator, "measure", lambda self, model: MEASURED)


def run_on(folder: Path, model: TinyTitanForCausalLM, tokenizer: Any, data: EncodedSet, **changes: Any) -> StubRun:
    """The phase, run on a model in place."""
    stub = StubRun(folder, 4)
    data.save(folder / "train.safetensors")
    stub.params = thought_params(**changes)  # type: ignore[assignment]
    stub.evaluation.suite_n = 2
    stub.models["evomerge"] = Published(model, tokenizer, folder)
    run_phase(stub)
    return stub


def test_phase_hands_on_the_input_bit_for_bit_where_training_did_not_help(
    model: TinyTitanForCausalLM, tokenizer: Any, data: EncodedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    monkeypatch.setattr(decision, "quietstar_thoughts_help", lambda claims: False)
    run = run_on(tmp_path, model, tokenizer, data, method="star", steps=1)  # nothing is right: all models are equal
    facts, files = run.published[0]
    assert files == {}
    assert facts["kept"] == "input"
    assert not any("REINFORCE" in claim.claim for claim in run.claims)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_phase_end_to_end_is_reproducible_and_measures_everything(
    model: TinyTitanForCausalLM, tokenizer: Any, data: EncodedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision, "quietstar_thoughts_help", lambda claims: True)
    monkeypatch.setattr(run_module, "quietstar_best_by_validation", lambda found: list(found)[-1])
    start = {name: value.clone() for name, value in model.state_dict().items()}
    first = run_on(tmp_path / "a", model, tokenizer, data)
    trained = {name: value.clone() for name, value in model.state_dict().items()}
    assert any(not torch.equal(trained[name], start[name]) for name in start)
    facts, files = first.published[0]
    assert set(files) == {THINKER_FILE}
    assert (facts["thoughts_enabled"], facts["kept"]) == (True, "reinforce")
    assert set(facts) >= {"coherence_score", "validity_rate", "anti_theater"}
    assert not any("time" in key or "seconds" in key for key in facts)
    assert facts["anti_theater"] == {claim.claim: claim.passed for claim in first.claims}
    assert "handed on: the one trained by reinforce, thoughts on" in first.claims[0].note
    assert {"REINFORCE beats STaR", "training on its own thoughts raises exact match"} <= set(facts["anti_theater"])
    assert declared("quietstar") | set(MEASURED.headline()) | set(first.headline) == set(first.metrics)
    assert all(np.isfinite(value) for value in first.metrics.values())
    logged = {name for _, point in first.logged for name in point}
    assert {"train/loss", "train/loss_avg_100", "train/right", "train/gate", "step/validity_rate"} <= logged
    assert max(step for step, point in first.logged if "train/loss" in point) == 2 * first.params.steps
    assert first.rows_of_ledger[0][:2] == (LedgerScores(MEASURED), first.out_dir)
    model.load_state_dict(start)
    second = run_on(tmp_path / "b", model, tokenizer, data)
    assert second.published == first.published
    assert all(torch.equal(value, trained[name]) for name, value in model.state_dict().items())
