"""What phase 3 claims: that thoughts help, that it is what they say that helps, and that training on them does."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from forge.evals.claims import Claim
from forge.interface.run import PhaseRun
from forge.phases.quietstar.evaluation import Evaluation
from forge.phases.quietstar.params import Params
from forge.phases.quietstar.problems import Floats

MAIN = "thoughts raise exact match on held-out problems"
MATCH, LIKELIHOOD = "exact match", "log-likelihood of the answer (nats)"
FOLLOWED = 0.7  # least share of changed thoughts that the answer has to follow
# Of each control: its name, the claim at exact match, the claim at the true answer's likelihood.
CONTROLS = {
    "pause": (
        "pause",
        "thoughts beat as many pause tokens at exact match",
        "thoughts beat as many pause tokens at the likelihood of the true answer",
    ),
    "foreign": (
        "another problem's thought",
        "a problem's own thoughts beat those of another at exact match",
        "a problem's own thoughts beat those of another at the likelihood of the true answer",
    ),
    "family": (
        "thought of another problem of the family",
        "a problem's own thoughts beat those of another of its family at exact match",
        "a problem's own thoughts beat those of another of its family at the likelihood of the true answer",
    ),
}


def thought_claims(run: PhaseRun[Params], evaluation: Evaluation) -> list[Claim]:
    """MAIN first, then what the controls, tampering, the vote and coherence show.

    Likelihoods are always those of the gate's mixture, answers are decoded from it only where validation problems say
    so: the notes tell which it is.
    """
    right, likely = evaluation.correct, evaluation.log_likelihood
    voted = int(evaluation.valid.any(axis=1).sum())
    votes = f"{evaluation.coherence.shape[1]} thoughts vote; in {voted} of {len(right['on'])} problems one may"
    one = "one thought for each problem, the likeliest"
    decoded = "the answers that vote are too" if evaluation.mixed else "answers are decoded after the thought alone"
    mixed = f"{one}; states mixed by the gate, {decoded}"
    at_once = f"{one}; the same model answering at once: {right['off'].mean():.3f}"
    pairs = [
        (MAIN, MATCH, right, "on", "off", "thoughts off", votes),
        ("thoughts raise the likelihood of the true answer", LIKELIHOOD, likely, "one", "off", "thoughts off", mixed),
    ]
    for control, (name, match, likelihood) in CONTROLS.items():
        note = at_once if control == "pause" else one
        pairs.append((match, MATCH, right, "one", control, name, note))
        pairs.append((likelihood, LIKELIHOOD, likely, "one", control, name, mixed))
    note = f"by plain majority {right['majority'].mean():.3f}"
    vote = "thoughts that vote by coherence beat the likeliest one"
    pairs.append((vote, MATCH, right, "on", "one", "the likeliest thought", note))
    claims = [
        run.compare(claim, metric, values[way].tolist(), values[other].tolist(), control_name=name, note=said)
        for claim, metric, values, way, other, name, said in pairs
    ]
    best = evaluation.coherence.max(axis=1)
    correlation = quietstar_correlation_claim(best, right["on"], n_boot=run.evaluation.bootstrap, seed=run.seed)
    return [*claims, *quietstar_tampering_claims(run, evaluation), *([] if correlation is None else [correlation])]


def quietstar_tampering_claims(run: PhaseRun[Params], evaluation: Evaluation) -> list[Claim]:
    """That the answer follows a thought in which one digit was changed; none where no thought could be changed."""
    followed, stayed = evaluation.tampering.followed.tolist(), evaluation.tampering.stayed.tolist()
    if not followed:
        return []
    metric = "share of answers"
    return [
        run.compare(
            "the answer follows a thought with one digit changed",
            metric,
            followed,
            [FOLLOWED] * len(followed),
            control_name=f"{FOLLOWED:g} of them",
        ),
        run.compare(
            "after a changed digit the answer is the changed one, not the one before",
            metric,
            followed,
            stayed,
            control_name="the answer of the unchanged thought",
        ),
    ]


def quietstar_training_claims(
    run: PhaseRun[Params], correct: Mapping[str, Floats], method: str, entropy: Mapping[str, float]
) -> list[Claim]:
    """Of the test problems answered after the likeliest thought, by model: that the better ``method`` of training on
    own thoughts beats the model that came in, and, where both were tried, the other one. ``entropy`` of their thoughts,
    nats per token, stands in the notes, with a word where it fell below the floor."""
    trained = correct[method].tolist()
    names = {"input": "the model that came in", "star": "STaR", "reinforce": "REINFORCE"}
    floor = run.params.entropy_floor
    spread = (f"{name} {e:.2f}{' (below the floor)' if e < floor else ''}" for name, e in entropy.items())
    note = f"chosen on validation problems; one thought for each; entropy in nats per token: {', '.join(spread)}"
    claims = {name: f"{names[method]} beats {names[name]}" for name in correct if name not in ("input", method)}
    claims = {"input": "training on its own thoughts raises exact match", **claims}
    return [
        run.compare(claim, MATCH, trained, correct[name].tolist(), control_name=names[name], note=note)
        for name, claim in claims.items()
    ]


def quietstar_thoughts_help(claims: Sequence[Claim]) -> bool:
    """Thoughts raise exact match, and it is what they say that helps: they beat pause tokens and thoughts of others."""
    needed = {MAIN, *(titles[1] for titles in CONTROLS.values())}
    return all(claim.passed for claim in claims if claim.claim in needed)


def quietstar_correlation_claim(coherence: Floats, correct: Floats, *, n_boot: int, seed: int) -> Claim | None:
    """That the best thought's coherence goes with a right answer: point-biserial, bootstrap over problems.

    None where it is undefined: all answers right or all wrong, or one coherence throughout.
    """
    if len(np.unique(coherence)) < 2 or len(np.unique(correct)) < 2:
        return None
    from scipy import stats  # takes half a second to import

    def correlation(x: Floats, y: Floats, axis: int) -> Floats:
        found: Floats = stats.pearsonr(x, y, axis=axis).statistic
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of resamples that are all right or all wrong, which say nothing
        resampled = stats.bootstrap(
            (coherence, correct),
            correlation,
            paired=True,
            n_resamples=n_boot,
            batch=max(1, 4_000_000 // len(correct)),
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    value = float(stats.pearsonr(coherence, correct).statistic)
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
