"""What phase 2 claims of its champion."""

from __future__ import annotations

from collections.abc import Mapping

from forge.evals.claims import Claim
from forge.evals.measure import Measurement, mean, solved
from forge.interface.run import PhaseRun
from forge.phases.evomerge.evolve import EvolutionResult
from forge.phases.evomerge.params import Params

METRIC = "suite exact match"
MAX_LOSS = 0.05  # share of the best parent's accuracy that merging may cost


def merge_claims(
    run: PhaseRun[Params],
    champion: Measurement,
    controls: Mapping[str, Measurement],
    parent: str,
    result: EvolutionResult,
) -> list[Claim]:
    """The champion against each control on the test split, and the gain of fitness over generation 0.

    ``parent``: the control that is the best parent; the champion must also be as good as it, within 5 %.
    """
    kept = solved(controls[parent])
    return [
        *(
            run.compare(f"the champion beats {name}", METRIC, solved(champion), solved(control), control_name=name)
            for name, control in controls.items()
        ),
        run.compare(
            "the champion is at least as good as the best parent (within 5 % of its accuracy)",
            METRIC,
            solved(champion),
            kept,
            control_name=parent,
            margin=-MAX_LOSS * mean(kept),
        ),
        fitness_claim(result),
    ]


def fitness_claim(result: EvolutionResult) -> Claim:
    """The gain of fitness over the mean of generation 0."""
    start, best = result.first_values, result.champion.fitness.value
    return Claim(
        claim="fitness gains more than 20 % over the mean of generation 0",
        metric="fitness on validation",
        value=best,
        control="mean of generation 0",
        control_value=mean(start),
        ci95=None,
        n=len(start),
        passed=best > 1.2 * mean(start),
        note=f"the best of generation 0 has {max(start):.3f}, the best parent 1 by definition; one deterministic"
        " measurement a genome, no sampling interval",
    )
