"""What phase 7 claims, paired over the same held-out problems."""

from __future__ import annotations

from forge.evals.claims import Claim
from forge.evals.controls import control_problems
from forge.evals.measure import BY_THOUGHTS, WITH_TOOLS, Measurement
from forge.interface.run import PhaseRun
from forge.phases.edge.params import Params

MAX_LOSS = 0.1  # share of the accuracy that pruning may cost


def edge_pruning_claims(
    run: PhaseRun[Params], whole: Measurement, broken: list[float], after: Measurement
) -> list[Claim]:
    """Pruned and recovered against the whole model (not worse by more than a tenth, with tools and by thoughts) and
    against no recovery, which is asked fewer problems: ``broken`` has its score of each (`forge.evals.controls`)."""
    metric, kept = WITH_TOOLS, after.tools.correct
    return [
        run.compare(
            "the pruned model keeps at least 90 % of the accuracy",
            metric,
            kept,
            whole.tools.correct,
            control_name="the unpruned model",
            margin=-MAX_LOSS * whole.tools.mean_accuracy,
        ),
        run.compare(
            "the pruned model keeps at least 90 % of the accuracy by thoughts",
            BY_THOUGHTS,
            after.thoughts.correct,
            whole.thoughts.correct,
            control_name="the unpruned model",
            margin=-MAX_LOSS * whole.thoughts.mean_accuracy,
        ),
        run.compare(
            "distillation recovers what pruning broke",
            metric,
            control_problems(kept, run.evaluation.suite_n),
            broken,
            control_name="pruned, not recovered",
        ),
    ]
