"""What is claimed of thoughts, what follows from it, and the metrics beside the claims."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from forge.errors import ForgeError
from forge.evals.claims import Claim
from forge.phases.quietstar.claims import (
    CONTROLS,
    LIKELIHOOD,
    MAIN,
    MATCH,
    quietstar_correlation_claim,
    quietstar_tampering_claims,
    quietstar_thoughts_help,
    quietstar_training_claims,
    thought_claims,
)
from forge.phases.quietstar.decision import decide_quietstar_handoff
from forge.phases.quietstar.evaluation import Evaluation, Tampering
from forge.phases.quietstar.metrics import quietstar_extra_metrics, quietstar_phase_metrics, quietstar_step_metrics
from forge.thinking.coherence import COMPONENTS
from forge.thinking.sampling import Thought
from forge.thinking.thinker import Thoughts
from tests.support.declared import declared
from tests.support.stub_run import StubRun

THOUGHT = Thought.of([20, 21, 2], 0.5)


def evaluation(on: float, pause: float, n: int = 200, followed: float = 0.9) -> Evaluation:
    """Right with these probabilities, one thought a little less than a vote; likelihoods accordingly; off and thoughts
    of others at 0.2; answers follow tampering with the last."""
    luck = np.random.default_rng(0).random(n)
    shares = {"off": 0.2, "on": on, "majority": on, "one": 0.9 * on, "pause": pause, "family": 0.2, "foreign": 0.2}
    correct = {name: (luck < share).astype(float) for name, share in shares.items()}
    noise = np.random.default_rng(1).normal(size=n)
    likely = {name: noise + 2 * correct[name] for name in ("off", "one", *CONTROLS)}
    coherence = np.stack([0.3 + 0.5 * correct["on"], luck * 0.3], axis=1).astype(np.float32)
    raw = dict.fromkeys(COMPONENTS, coherence)
    thoughts = Thoughts([[THOUGHT] * 2] * n, [], raw, coherence, coherence >= 0.7, 2.0)
    follows = (luck < followed).astype(float)
    return Evaluation(correct, likely, [thoughts], Tampering(follows, 1 - follows), mixed=False)


def claims_of(folder: Path, on: float, pause: float) -> list[Claim]:
    return thought_claims(StubRun(folder, 0), evaluation(on, pause))


def test_claims_tell_help_from_theatre(tmp_path: Path) -> None:
    good = claims_of(tmp_path, 0.6, 0.2)
    assert len(good) == 12
    assert len({claim.claim for claim in good}) == 12
    assert all(claim.passed for claim in good)
    assert quietstar_thoughts_help(good)
    theatre = claims_of(tmp_path, 0.6, 0.6)  # pause tokens do as well
    assert theatre[0].claim == MAIN
    assert theatre[0].passed
    assert not quietstar_thoughts_help(theatre)
    nothing = claims_of(tmp_path, 0.2, 0.2)
    assert not any(claim.passed for claim in nothing[:8])
    assert not quietstar_thoughts_help(nothing)


def test_notes_say_what_a_claim_was_measured_with(tmp_path: Path) -> None:
    """Likelihoods are the gate's mixture whatever decodes; a pause may be a weaker control than answering at once."""
    alone = evaluation(0.6, 0.0)
    notes = {mixed: thought_claims(StubRun(tmp_path, 0), replace(alone, mixed=mixed)) for mixed in (False, True)}
    for mixed, decoded in ((False, "answers are decoded after the thought alone"), (True, "answers that vote are too")):
        said = [claim.note for claim in notes[mixed] if claim.metric == LIKELIHOOD]
        assert len(said) == 1 + len(CONTROLS)
        assert all("mixed by the gate" in note and decoded in note for note in said)
    (pause,) = [claim for claim in notes[False] if claim.control == "pause" and claim.metric == MATCH]
    assert f"at once: {alone.correct['off'].mean():.3f}" in pause.note
    assert pause.control_value == 0.0


def test_an_answer_has_to_follow_its_thought(tmp_path: Path) -> None:
    run = StubRun(tmp_path, 0)
    high, low = (quietstar_tampering_claims(run, evaluation(0.6, 0.2, followed=share)) for share in (0.9, 0.65))
    assert [claim.passed for claim in high] == [True, True]
    assert [claim.passed for claim in low] == [False, True]  # the interval must lie above 0.70 as a whole
    assert low[0].control_value == pytest.approx(0.7)
    none = Tampering(np.zeros(0), np.zeros(0))
    assert quietstar_tampering_claims(run, Evaluation({}, {}, [], none, mixed=False)) == []


def test_training_is_held_against_the_input_and_the_other_method(tmp_path: Path) -> None:
    run = StubRun(tmp_path, 0, entropy_floor=0.1)
    luck = np.random.default_rng(0).random(300)
    correct = {n: (luck < share).astype(float) for n, share in (("input", 0.4), ("star", 0.6), ("reinforce", 0.6))}
    entropy = {"input": 0.3, "star": 0.05, "reinforce": 0.2}
    gain, rival = quietstar_training_claims(run, correct, "star", entropy)
    assert gain.passed
    assert (gain.control, gain.control_value) == ("the model that came in", pytest.approx(0.4, abs=0.06))
    assert (rival.claim, rival.passed) == ("STaR beats REINFORCE", False)
    assert "star 0.05 (below the floor), reinforce 0.20" in gain.note
    assert [
        c.claim for c in quietstar_training_claims(run, {n: correct[n] for n in ("input", "star")}, "star", entropy)
    ] == [gain.claim]


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


def test_claims_decide_about_thoughts_and_validation_about_weights(tmp_path: Path) -> None:
    good, bad = claims_of(tmp_path, 0.6, 0.2), claims_of(tmp_path, 0.2, 0.2)
    validation = {"input": 0.5, "star": 0.625}
    assert decide_quietstar_handoff("stop", good, "star", validation).helped
    given_back = decide_quietstar_handoff("continue", bad, "input", validation)
    assert (given_back.kept, given_back.helped) == ("input", False)
    with pytest.raises(ForgeError, match=r"do not help \(exact match 0\..*on_fail is stop"):
        decide_quietstar_handoff("stop", bad, "input", validation)
    noted = given_back.noted(bad)
    assert "handed on: the model that came in, thoughts off" in noted[0].note
    assert "input 0.500, star 0.625" in noted[0].note
    assert [claim.note for claim in noted[1:]] == [claim.note for claim in bad[1:]]


def test_metrics_are_counted_over_all_thoughts() -> None:
    found = evaluation(0.5, 0.2)
    valid = int((found.coherence >= 0.7).sum())
    values = quietstar_phase_metrics(found) | quietstar_step_metrics(found.thoughts)
    assert set(values) == declared("quietstar")
    assert values["phase/total_thoughts_generated"] == values["step/thoughts_generated"] == 400
    assert values["phase/total_thoughts_valid"] == valid
    assert values["phase/overall_validity_rate"] == pytest.approx(valid / 400)
    assert values["phase/accuracy_improvement"] == pytest.approx(
        found.correct["on"].mean() - found.correct["off"].mean()
    )
    assert values["step/processing_time_ms"] == pytest.approx(5.0)
    extra = quietstar_extra_metrics(found)
    assert extra["test/thought_tokens"] == 3
    assert extra["test/tampering_followed"] == found.tampering.followed.mean()
    assert extra["test/accuracy_one"] == found.correct["one"].mean()
