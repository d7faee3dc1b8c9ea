"""What is claimed of thoughts, what follows from it, and the metrics beside the claims."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from forge.errors import ForgeError
from forge.evals.claims import Claim
from forge.phases.quietstar.claims import MAIN, quietstar_correlation_claim, quietstar_thoughts_help, thought_claims
from forge.phases.quietstar.decision import decide_quietstar_handoff
from forge.phases.quietstar.evaluation import Evaluation
from forge.phases.quietstar.metrics import quietstar_phase_metrics, quietstar_step_metrics
from forge.thinking.coherence import COMPONENTS
from forge.thinking.rows import ROLE_IDS
from forge.thinking.thinker import Thoughts
from tests.support.declared import declared
from tests.support.stub_run import StubRun


def evaluation(on: float, pause: float, n: int = 200) -> Evaluation:
    """Right with these probabilities; likelihoods accordingly; off and shuffled at 0.2."""
    rng = np.random.default_rng(0)
    luck = rng.random(n)
    correct = {
        name: (luck < share).astype(float)
        for name, share in (("off", 0.2), ("on", on), ("pause", pause), ("shuffled", 0.2))
    }
    noise = rng.normal(size=n)
    likely = {name: noise + 2 * values for name, values in correct.items()}
    coherence = np.stack([0.3 + 0.5 * correct["on"], rng.random(n) * 0.3], axis=1).astype(np.float32)
    raw = dict.fromkeys(COMPONENTS, coherence)
    ids, best = torch.full((n, 2, 1), ROLE_IDS), coherence.max(axis=1)
    thoughts = Thoughts(ids, raw, coherence, coherence.argmax(axis=1), best >= 0.7, 2.0)
    return Evaluation(correct, likely, [thoughts])


def claims_of(folder: Path, on: float, pause: float) -> list[Claim]:
    return thought_claims(StubRun(folder, 0), evaluation(on, pause))


def test_claims_tell_help_from_theatre(tmp_path: Path) -> None:
    good = claims_of(tmp_path, 0.6, 0.2)
    assert len(good) == 7
    assert all(claim.passed for claim in good)
    assert quietstar_thoughts_help(good)
    theatre = claims_of(tmp_path, 0.6, 0.6)  # pause tokens do as well
    assert next(claim for claim in theatre if claim.claim == MAIN).passed
    assert not quietstar_thoughts_help(theatre)
    nothing = claims_of(tmp_path, 0.2, 0.2)
    assert not any(claim.passed for claim in nothing[:6])
    assert not quietstar_thoughts_help(nothing)


def test_correlation_is_measured_or_not_there() -> None:
    rng = np.random.default_rng(1)
    x = rng.random(100)
    right = (x > 0.5).astype(float)
    claim = quietstar_correlation_claim(x, right, n_boot=200, seed=0)
    assert claim is not None
    assert claim.passed
    assert claim.value == pytest.approx(float(np.corrcoef(x, right)[0, 1]))
    inverse = quietstar_correlation_claim(-x, right, n_boot=200, seed=0)
    assert inverse is not None
    assert not inverse.passed
    assert quietstar_correlation_claim(x, np.zeros(100), n_boot=200, seed=0) is None
    assert quietstar_correlation_claim(np.ones(100), right, n_boot=200, seed=0) is None


def test_decision_follows_claims_then_validation(tmp_path: Path) -> None:
    good, bad = claims_of(tmp_path, 0.6, 0.2), claims_of(tmp_path, 0.2, 0.2)
    assert decide_quietstar_handoff("stop", good, 1.0, 2.0).kept == "trained"
    assert decide_quietstar_handoff("continue", bad, 1.0, 0.9).kept == "trained"
    given_back = decide_quietstar_handoff("continue", bad, 1.0, 1.1)
    assert (given_back.kept, given_back.helped) == ("input", False)
    with pytest.raises(ForgeError, match=r"do not help \(exact match 0\..*on_fail is stop"):
        decide_quietstar_handoff("stop", bad, 1.0, 0.9)
    noted = given_back.noted(bad)
    assert "handed on: the input model, thoughts off" in noted[0].note
    assert [claim.note for claim in noted[1:]] == [claim.note for claim in bad[1:]]


def test_metrics_are_counted_over_all_thoughts() -> None:
    found = evaluation(0.5, 0.2)
    valid = int((found.coherence >= 0.7).sum())
    values = quietstar_phase_metrics(found, 0.7) | quietstar_step_metrics(found.thoughts, 0.7)
    assert set(values) == declared("quietstar")
    assert values["phase/total_thoughts_generated"] == values["step/thoughts_generated"] == 400
    assert values["phase/total_thoughts_valid"] == valid
    assert values["phase/overall_validity_rate"] == pytest.approx(valid / 400)
    assert values["phase/accuracy_improvement"] == pytest.approx(
        found.correct["on"].mean() - found.correct["off"].mean()
    )
    assert values["step/processing_time_ms"] == pytest.approx(5.0)
