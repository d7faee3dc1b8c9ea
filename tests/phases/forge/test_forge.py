"""Phase 5 as a whole: what it records, claims and publishes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from forge.errors import Interrupted
from forge.evals.likelihood import likelihood
from forge.model import load_model
from forge.model.packed import PACKED, load_packed
from forge.phases.forge.claims import forge_gain_claim, forge_modular_claims
from forge.phases.forge.grokking import detect_grokking
from forge.phases.forge.long_training import train_forge_long_run
from forge.phases.forge.metrics import forge_metrics, modular_grokfast_metrics
from forge.phases.forge.modular import ARMS, CONTROLS, PUBLISHED
from forge.phases.forge.run import forge_grokfast_comparison
from forge.phases.forge.run import run as run_forge
from tests.support.declared import declared
from tests.support.stub_run import StubRun, measured, random_set, smoke_params
from tests.support.tiny_models import tiny_model, tokens

pytestmark = pytest.mark.long

TERNARY: dict[str, Any] = {"weight_quant": "ternary", "act_bits": 8, "embed_bits": 8, "max_steps": 1}
LONG: dict[str, Any] = smoke_params(
    "forge", steps=6, lr=0.01, checkpoint_every=3, batch_tokens=120, eval_every=2, modular_steps=20
)


def series(run: StubRun) -> set[str]:
    return {name for _, point in run.logged for name in point}


def test_the_long_run_records_its_metrics(tmp_path: Path) -> None:
    data, val = random_set(36), random_set(24, seed=1)
    run, model = StubRun(tmp_path, **LONG), tiny_model(**TERNARY)
    result, points = train_forge_long_run(run, model, data, val)
    final, verdict = likelihood(model, val), detect_grokking(points)
    metrics = forge_metrics(result, points, verdict, final, data)
    modular = modular_grokfast_metrics(forge_grokfast_comparison(run))
    measured_by_the_stage = {"phase/final_accuracy", "phase/success"}
    assert declared("forge") - series(run) - set(metrics) - set(modular) == measured_by_the_stage
    last = {name: value for _, point in run.logged for name, value in point.items()}
    assert all(math.isfinite(value) for values in (metrics, modular, last) for value in values.values())
    assert last["train/step"] == metrics["phase/total_steps"] == 6
    assert last["train/perplexity"] == pytest.approx(math.exp(last["train/loss"]))
    assert last["grokfast/raw_grad_norm"] == last["train/raw_grad_norm"]
    assert metrics["val/loss"] == pytest.approx(math.log(final.perplexity))
    assert metrics["val/best_accuracy"] == max(point.val_accuracy for point in points)
    read = result.tokens * (1 - result.padding)
    assert metrics["train/epoch"] == pytest.approx(read / data.lengths.sum())


def test_runs_that_were_cut_off_claim_nothing(tmp_path: Path) -> None:
    run = StubRun(tmp_path, **LONG)
    found = forge_grokfast_comparison(run)
    modular, claims = modular_grokfast_metrics(found), forge_modular_claims(run, found)
    assert [claim.control for claim in claims] == [arm.name for arm in (*CONTROLS, PUBLISHED)]
    assert len({claim.claim for claim in claims}) == 4
    assert claims[-1].note.startswith("the factor is at least 1.0, under equal decay 1.0; ")
    assert all("cut off at 20 steps: 2 runs with Grokfast, 2 of the control" in claim.note for claim in claims)
    assert not any(claim.passed for claim in claims)
    assert modular["phase/grokfast_speedup"] == modular["modular/published_speedup"] == 1.0
    assert modular["modular/censored_runs"] == 10


def test_the_race_of_grokfast_can_be_interrupted(tmp_path: Path) -> None:
    run = StubRun(tmp_path, **LONG)
    run.stop_requested = True
    with pytest.raises(Interrupted):
        forge_grokfast_comparison(run)


def test_gain_claim(tmp_path: Path) -> None:
    run = StubRun(tmp_path)
    more, less = measured([1.0] * 9, [1.0] * 9), measured([0.0] * 9, [1.0] * 9)
    claim = forge_gain_claim(run, less, more)
    assert (claim.passed, claim.value, claim.control_value, claim.control) == (True, 1.0, 0.5, "phase 4's model")
    assert not forge_gain_claim(run, less, less).passed


def test_the_phase_publishes_latents_and_the_packed_file(tmp_path: Path) -> None:
    run = StubRun(tmp_path, **smoke_params("forge", modular_steps=20))
    run.prepare("bitnet", tiny_model(vocab_size=320, **TERNARY))
    run_forge(run)
    model, val, ids = load_model(run.out_dir), run.split("val"), tokens(2, 8)
    with torch.no_grad():
        assert torch.equal(load_packed(run.out_dir / PACKED, model)(ids).logits, model(ids).logits)
    ((facts, files),) = run.published
    assert not files
    assert facts == {
        "perplexity": likelihood(model, val).perplexity,
        "validation_accuracy": likelihood(model, val).accuracy,
        "initial_validation_accuracy": likelihood(tiny_model(vocab_size=320, **TERNARY), val).accuracy,
        "grokfast_lambda": run.params.grokfast_lambda,
        "grokking_detected": False,
        "grokking_step": -1,
    }
    assert declared("forge") <= set(run.metrics) | series(run)
    ((scores, folder, _),) = run.rows_of_ledger
    assert (scores.questions, scores.tools) == (None, None)
    after = scores.suite
    assert folder == run.out_dir
    assert run.headline["suite/accuracy_tools"] == after.tools.mean_accuracy
    assert run.metrics["phase/success"] == run.claims[0].passed
    assert len(run.claims) == len(ARMS)
