"""What phase 2 claims of its champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from forge.evals.claims import Claim
from forge.evals.measure import SOLVED, Measurement, mean, solved
from forge.interface.run import PhaseRun
from forge.phases.evomerge.evolve import EvolutionResult
from forge.phases.evomerge.params import Params

ALL_SKILLS = "chance that a sampled answer is right: thoughts, tools, recall"
MAX_LOSS = 0.05  # share of the best parent's accuracy that merging may cost


@dataclass(frozen=True)
class Contender:
    """What a model reaches on the test split: its measurement, its loss (nats per token, `mean_evomerge_skill_loss`),
    and the chances of its answers (`evomerge_answer_chances`)."""

    measured: Measurement
    loss: float
    chances: list[float]


def merge_claims(
    run: PhaseRun[Params],
    champion: Contender,
    controls: Mapping[str, Contender],
    parent: str,
    result: EvolutionResult,
) -> list[Claim]:
    """The champion against each control on the test split, by the suite and by all skills that fitness weighs, and the
    gain of fitness over generation 0.

    ``parent``: the control that is the best parent; the champion must also be as good as it, within 5 %.
    """
    own, kept = solved(champion.measured), solved(controls[parent].measured)
    return [
        *(
            run.compare(
                f"the champion beats {name}",
                SOLVED,
                own,
                solved(control.measured),
                control_name=name,
                note=f"test loss, geometric mean over skills: {champion.loss:.4f} against {control.loss:.4f} nats",
            )
            for name, control in controls.items()
        ),
        *(
            run.compare(
                f"the champion beats {name} at all skills",
                ALL_SKILLS,
                champion.chances,
                control.chances,
                control_name=name,
            )
            for name, control in controls.items()
        ),
        run.compare(
            "the champion is at least as good as the best parent (within 5 % of its accuracy)",
            SOLVED,
            own,
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
