"""Confidence of calls: after the fit, of the calls that are given p, a share of p is right."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from forge.errors import ForgeError
from forge.evals.call_confidence import fit_call_confidence
from forge.model.calling import Calibration, call_question, model_call_calibration, model_log_odds_of_call


def _draw(n: int, seed: int, slope: float, intercept: float) -> tuple[list[float], list[float]]:
    """Log-probabilities of calls that are right as often as a calibration says."""
    random, true = np.random.default_rng(seed), Calibration(slope, intercept)
    scores = [math.log(p) for p in random.uniform(0.005, 0.98, n)]
    return scores, [float(random.random() < true.probability(score)) for score in scores]


def _gap(calibration: Calibration, scores: list[float], correct: list[float]) -> float:
    """Largest difference between confidence and share of right calls, over ten groups of equal size."""
    told = [calibration.probability(score) for score in scores]
    share, mean = calibration_curve(correct, told, n_bins=10, strategy="quantile")
    return float(np.abs(share - mean).max())


@pytest.mark.parametrize(("slope", "intercept"), [(0.4, -1.0), (1.0, 0.0), (2.0, 1.5)])
def test_a_fit_makes_confidence_agree_with_the_share_of_right_calls(slope: float, intercept: float) -> None:
    fitted = fit_call_confidence(*_draw(10_000, 1, slope, intercept))
    assert fitted.slope == pytest.approx(slope, rel=0.15)
    assert fitted.intercept == pytest.approx(intercept, abs=0.15)
    fresh = _draw(10_000, 2, slope, intercept)
    assert _gap(fitted, *fresh) < 0.06
    if (slope, intercept) != (1.0, 0.0):
        assert _gap(Calibration(), *fresh) > 0.1  # as the model gives it, it is not


def test_a_likelier_call_is_never_less_trusted() -> None:
    scores, correct = _draw(500, 3, 1.0, 0.0)
    fitted = fit_call_confidence(scores, [1.0 - value for value in correct])
    assert fitted.slope == 0.0
    assert fitted.probability(-0.1) == pytest.approx(1 - np.mean(correct), abs=0.01)


@pytest.mark.parametrize("verdict", [0.0, 1.0])
def test_calls_that_are_all_alike_leave_a_doubt(verdict: float) -> None:
    fitted = fit_call_confidence([-0.5, -0.2, -0.01, -1.0], [verdict] * 4)
    assert abs(fitted.probability(-0.2) - verdict) == pytest.approx(1 / 6, abs=0.02)  # Platt's target of four


def test_log_odds_are_those_of_the_probability_and_bounded() -> None:
    for p in (0.001, 0.3, 0.5, 0.999):
        assert model_log_odds_of_call(math.log(p)) == pytest.approx(math.log(p / (1 - p)))
        assert Calibration().probability(math.log(p)) == pytest.approx(p)
    assert [model_log_odds_of_call(score) for score in (0.0, 1e-3, -1e-30, -1e6)] == [15.0, 15.0, 15.0, -15.0]


def test_no_calls_or_other_numbers_of_verdicts_are_refused() -> None:
    for scores, correct in (([], []), ([-0.1], [1.0, 0.0])):
        with pytest.raises(ForgeError, match="confidence of calls"):
            fit_call_confidence(scores, correct)


def test_a_calibration_is_two_numbers_of_the_metadata() -> None:
    fitted = Calibration(0.75, -0.5)
    stored = json.loads(json.dumps({"phase_name": "edge", **fitted.to_metadata()}))
    assert stored["call_confidence"] == {"slope": 0.75, "intercept": -0.5}
    assert model_call_calibration(stored, "metadata.json") == fitted
    assert model_call_calibration({}, "metadata.json") == Calibration()


_NO_CALIBRATIONS: tuple[object, ...] = (
    3,
    [1, 2],
    {},
    {"slope": 1},
    {"slope": "1", "intercept": 0},
    {"slope": -1, "intercept": 0},
    {"slope": float("nan"), "intercept": 0},
    {"slope": True, "intercept": 0},
    {"slope": 1, "intercept": 1e9},
)


@pytest.mark.parametrize("found", _NO_CALIBRATIONS, ids=str)
def test_a_calibration_that_is_none_is_refused_by_its_file(found: object) -> None:
    with pytest.raises(ForgeError, match=r"^m/metadata.json: call_confidence is not"):
        model_call_calibration({"call_confidence": found}, "m/metadata.json")


@pytest.mark.parametrize(
    ("call", "question"),
    [
        ("calculator 3+4", "Did you mean: calculator 3+4?"),
        ("calculator 7", "Did you mean: calculator 7?"),
        ("status {}", "Did you mean: status?"),
        ('set {"name":"hall light","n":30}', "Did you mean: set, name hall light, n 30?"),
        ('set {"on":true,"of":["a","b"]}', "Did you mean: set, on yes, of a and b?"),
    ],
)
def test_a_call_is_asked_about_in_words(call: str, question: str) -> None:
    assert call_question(call) == question
