"""How far a model's confidence in a call can be believed: fitted on validation data, once a model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from forge.errors import ForgeError
from forge.model.calling import Calibration, log_odds_of_call


def fit_call_confidence(scores: Sequence[float], correct: Sequence[float]) -> Calibration:
    """Fit Platt scaling on the log-odds of calls.

    Platt's targets (1999, section 2.2) stand for right and wrong, (n+ + 1) / (n+ + 2) and 1 / (n- + 2): calls that are
    all right do not make the model certain. Where a likelier call is not right more often, the share of right ones is
    all that is known, and the slope is 0.

    Args:
        scores: log-probability of each call that was written (`Generation.call_scores`), on validation data.
        correct: 1.0 where the call was right, name and every argument, else 0.0.

    Raises:
        ForgeError: no calls, or not as many verdicts as scores.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    n = len(scores)
    if n == 0 or len(correct) != n:
        raise ForgeError(f"confidence of calls: {n} calls and {len(correct)} verdicts")
    right = np.asarray(correct, dtype=float) > 0.5
    hits = int(right.sum())
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (n - hits + 2))
    odds = np.array([log_odds_of_call(score) for score in scores])
    # A soft target is both labels, each with its weight.
    fitted = LogisticRegression(C=1e6).fit(
        np.concatenate([odds, odds])[:, None],
        np.repeat([1, 0], n),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope < 0:
        share = float(target.mean())
        return Calibration(0.0, math.log(share / (1 - share)))
    return Calibration(round(slope, 4), round(intercept, 4))
