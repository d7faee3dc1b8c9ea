"""What phase 5 claims: the long run pays, and the Grokfast filter does on the task on which grokking was found."""

from __future__ import annotations

from forge.evals.claims import Claim
from forge.evals.measure import SOLVED, Measurement, solved
from forge.interface.run import PhaseRun
from forge.phases.forge.modular import CONTROLS, GROKFAST, PUBLISHED, Comparison
from forge.phases.forge.params import Params


def forge_gain_claim(run: PhaseRun[Params], before: Measurement, after: Measurement) -> Claim:
    """Suite accuracy after the long run against phase 4's, paired over the same problems."""
    return run.compare(
        "the long run improves on phase 4",
        SOLVED,
        solved(after),
        solved(before),
        control_name="phase 4's model",
    )


def forge_modular_claims(run: PhaseRun[Params], found: Comparison) -> list[Claim]:
    """Grokfast needs fewer steps than each control; runs that were cut off are counted in the note. Of the published
    comparison, the last, the note says what factor it gives and what is left of it under equal decay."""
    least = "at least " if found.censored(PUBLISHED) else ""
    factors = f"the factor is {least}{found.published_speedup:.1f}, under equal decay {found.speedup:.1f}; "
    return [
        run.compare(
            f"Grokfast generalizes sooner on modular addition (control: {control.name})",
            "steps to 95 % validation accuracy",
            found.steps(GROKFAST),
            found.steps(control),
            control_name=control.name,
            higher_is_better=False,
            note=f"{factors if control is PUBLISHED else ''}cut off at {found.cap} steps: "
            f"{found.censored(GROKFAST)} runs with Grokfast, {found.censored(control)} of the control",
        )
        for control in (*CONTROLS, PUBLISHED)
    ]
