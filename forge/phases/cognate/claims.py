"""What the branches claim, each against the settled trunk and against each other on held-out examples."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from forge.data.dataset import EncodedSet
from forge.evals.claims import Claim
from forge.evals.likelihood import likelihood
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.cognate.params import Params

SOLVED = ("direct", "tooled", "worked")


@dataclass(frozen=True)
class Focus:
    """What a branch is for: in words, the metric that tells, of which kinds of held-out examples, and the field of
    `Likelihood` that holds it."""

    does: str
    metric: str
    kinds: tuple[str, ...]
    field: str


LOSS, STEPS = "loss of thought and answer (nats per token)", "recurrence steps per token"
FOCUS = {
    "reasoning": Focus("works problems out more likely", LOSS, ("worked",), "mean_loss"),
    "memory_integration": Focus("recalls pairs more likely", LOSS, ("recall",), "mean_loss"),
    "adaptive_computation": Focus("takes fewer steps", STEPS, SOLVED, "steps"),
}


def cognate_focus_scores(
    model: TinyTitanForCausalLM, test: EncodedSet, branches: Collection[str]
) -> dict[str, list[float]]:
    """What each of some branches is for, per held-out example, of one pass over their examples; lower is better."""
    index = test.where(*{kind for branch in branches for kind in FOCUS[branch].kinds})
    scored = likelihood(model, test, index)
    return {
        branch: list(getattr(scored, FOCUS[branch].field)[np.isin(index, test.where(*FOCUS[branch].kinds))])
        for branch in branches
    }


def cognate_branch_claims(
    run: PhaseRun[Params], branch: str, settled: TinyTitanForCausalLM, model: TinyTitanForCausalLM, test: EncodedSet
) -> list[Claim]:
    """The branch against the trunk, trained on for as long (`settle_cognate_trunk`), at what it is for; halting against
    the full number of steps."""
    (own, control) = (cognate_focus_scores(each, test, [branch])[branch] for each in (model, settled))
    claims = [cognate_focus_claim(run, branch, own, "the trunk trained on alike", control)]
    if model.steps > 1 and model.config.halting:
        claims.append(cognate_halting_claim(run, model, test))
    return claims


def cognate_difference_claims(
    run: PhaseRun[Params], branches: Mapping[str, TinyTitanForCausalLM], test: EncodedSet
) -> list[Claim]:
    """Every branch against each other branch at what it is for."""
    scores = {name: cognate_focus_scores(model, test, branches) for name, model in branches.items()}
    return [
        cognate_focus_claim(run, name, scores[name][name], f"the {other} branch", scores[other][name])
        for name in branches
        for other in branches
        if other != name
    ]


def cognate_focus_claim(run: PhaseRun[Params], branch: str, own: list[float], name: str, control: list[float]) -> Claim:
    """A branch against a control at what the branch is for."""
    focus = FOCUS[branch]
    return run.compare(
        f"the {branch} branch {focus.does} than {name} does",
        focus.metric,
        own,
        control,
        control_name=name,
        higher_is_better=False,
    )


def cognate_halting_claim(run: PhaseRun[Params], model: TinyTitanForCausalLM, test: EncodedSet) -> Claim:
    """Halting keeps exact match within 2 points of always taking every step; the note says what it saves, whether
    harder problems take more steps, and how accurate every step count is."""
    from scipy.stats import spearmanr  # here, because it takes a second to import

    index = test.where(*SOLVED)
    adaptive = likelihood(model, test, index)
    fixed = [likelihood(model, test, index, steps=steps) for steps in range(1, model.steps + 1)]
    full = fixed[-1]
    share = float((adaptive.steps * adaptive.tokens).sum() / (full.steps * full.tokens).sum())
    constant = len(np.unique(adaptive.steps)) < 2
    rank = 0.0 if constant else float(spearmanr(adaptive.steps, test.difficulty[index]).statistic)
    each = ", ".join(f"{scored.accuracy:.3f}" for scored in fixed)
    note = (
        f"{share:.2f} of the steps; accuracy after 1 to {model.steps} steps: {each}; "
        f"rank correlation of steps with difficulty within families {rank:.2f}"
    )
    return run.compare(
        "learned halting keeps the accuracy of the full number of steps (within 2 points)",
        "teacher-forced exact match",
        list(adaptive.exact),
        list(full.exact),
        control_name=f"always {model.steps} steps",
        margin=-0.02,
        note=note,
    )
