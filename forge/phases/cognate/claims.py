"""What the branches claim, each against the settled trunk and against each other on held-out examples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from forge.data.dataset import EncodedSet
from forge.evals.claims import Claim
from forge.evals.likelihood import likelihood
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.cognate.params import Params

LOSS = "loss of thought and answer (nats per token)"
STEPS = "recurrence steps per token"
SOLVED = ("direct", "tooled", "worked")
FOCUS = {
    "reasoning": ("works problems out more likely", LOSS),
    "memory_integration": ("recalls pairs more likely", LOSS),
    "adaptive_computation": ("takes fewer steps", STEPS),
}


def cognate_focus_scores(branch: str, model: TinyTitanForCausalLM, test: EncodedSet) -> list[float]:
    """What a branch is for, per held-out example; lower is better."""
    if branch == "memory_integration":
        return list(likelihood(model, test, test.where("recall")).mean_loss)
    if branch == "adaptive_computation":
        return list(likelihood(model, test, test.where(*SOLVED)).steps)
    return list(likelihood(model, test, test.where("worked")).mean_loss)


def branch_claims(
    run: PhaseRun[Params], branch: str, settled: TinyTitanForCausalLM, model: TinyTitanForCausalLM, test: EncodedSet
) -> list[Claim]:
    """The branch against the trunk, trained on for as long (`settle_trunk`), at what it is for; halting against the
    full number of steps."""
    claims = cognate_focus_claims(run, branch, model, {"the trunk trained on alike": settled}, test)
    if model.steps > 1 and model.config.halting:
        claims.append(cognate_halting_claim(run, model, test))
    return claims


def cognate_difference_claims(
    run: PhaseRun[Params], branches: Mapping[str, TinyTitanForCausalLM], test: EncodedSet
) -> list[Claim]:
    """Every branch against each other branch at what it is for."""
    claims = []
    for name, model in branches.items():
        others = {f"the {other} branch": control for other, control in branches.items() if other != name}
        claims += cognate_focus_claims(run, name, model, others, test)
    return claims


def cognate_focus_claims(
    run: PhaseRun[Params],
    branch: str,
    model: TinyTitanForCausalLM,
    controls: Mapping[str, TinyTitanForCausalLM],
    test: EncodedSet,
) -> list[Claim]:
    """A branch against ``controls`` at what it is for."""
    does, metric = FOCUS[branch]
    own = cognate_focus_scores(branch, model, test)
    return [
        run.compare(
            f"the {branch} branch {does} than {name} does",
            metric,
            own,
            cognate_focus_scores(branch, control, test),
            control_name=name,
            higher_is_better=False,
        )
        for name, control in controls.items()
    ]


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
