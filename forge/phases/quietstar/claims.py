"""What phase 3 claims: that thoughts help, and that it is what they say that helps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forge.evals.claims import Claim
from forge.interface.run import PhaseRun
from forge.phases.quietstar.evaluation import Evaluation, Floats
from forge.phases.quietstar.params import Params

MAIN = "thoughts raise exact match on held-out problems"
LIKELIHOOD = "log-likelihood of the answer (nats)"
# Of each control: its name, the claim at exact match, the claim at the true answer's likelihood.
CONTROLS = {
    "off": ("thoughts off", MAIN, "thoughts raise the likelihood of the true answer"),
    "pause": (
        "pause",
        "thoughts beat as many pause tokens at exact match",
        "thoughts beat as many pause tokens at the likelihood of the true answer",
    ),
    "shuffled": (
        "shuffled",
        "a problem's own thoughts beat those of another at exact match",
        "a problem's own thoughts beat those of another at the likelihood of the true answer",
    ),
}


def thought_claims(run: PhaseRun[Params], evaluation: Evaluation) -> list[Claim]:
    """'on' against each control, by exact match and by the true answer's log-likelihood; MAIN is the first.

    Then, where it is defined, the correlation of coherence with correctness.
    """
    note = f"a thought was mixed in for {int(evaluation.passed.sum())} of {len(evaluation.passed)} problems"
    claims = []
    for control, (name, matched, likely) in CONTROLS.items():
        for claim, metric, values in (
            (matched, "exact match", evaluation.correct),
            (likely, LIKELIHOOD, evaluation.log_likelihood),
        ):
            on, other = values["on"].tolist(), values[control].tolist()
            claims.append(run.compare(claim, metric, on, other, control_name=name, note=note))
    best, correct = evaluation.coherence.max(axis=1), evaluation.correct["on"]
    correlation = quietstar_correlation_claim(best, correct, n_boot=run.evaluation.bootstrap, seed=run.seed)
    return [*claims, *([] if correlation is None else [correlation])]


def quietstar_thoughts_help(claims: Sequence[Claim]) -> bool:
    """Thoughts raise exact match, and it is what they say that helps.

    The latter: the true answer becomes likelier than after pause tokens and after another problem's thoughts.
    """
    content = [claim for claim in claims if claim.control in ("pause", "shuffled") and claim.metric == LIKELIHOOD]
    return all(claim.passed for claim in [*content, *(claim for claim in claims if claim.claim == MAIN)])


def quietstar_correlation_claim(coherence: Floats, correct: Floats, *, n_boot: int, seed: int) -> Claim | None:
    """That the best thought's coherence goes with a right answer: point-biserial, bootstrap over problems.

    None where it is undefined: all answers right or all wrong, or one coherence throughout.
    """
    if len(np.unique(coherence)) < 2 or len(np.unique(correct)) < 2:
        return None
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(correct), size=(n_boot, len(correct)))
    values = _quietstar_correlation(coherence[picks], correct[picks])
    low, high = np.percentile(values[np.isfinite(values)], [2.5, 97.5])
    value = float(_quietstar_correlation(coherence[None], correct[None])[0])
    return Claim(
        claim="coherent thoughts go with right answers",
        metric="correlation of coherence and exact match",
        value=value,
        control="no correlation",
        control_value=0.0,
        ci95=(float(low), float(high)),
        n=len(correct),
        passed=bool(low > 0),
        seed=seed,
    )


def _quietstar_correlation(x: Floats, y: Floats) -> Floats:
    """Pearson correlation along the last axis; NaN where a side is constant."""
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    spread = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        out: Floats = (x * y).sum(-1) / spread
    return out
