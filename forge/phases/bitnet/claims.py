"""What phase 4 claims, paired over the same held-out problems."""

from __future__ import annotations

from forge.evals.claims import Claim
from forge.evals.controls import control_problems
from forge.evals.measure import SOLVED, Measurement, mean, solved
from forge.interface.run import PhaseRun
from forge.phases.bitnet.params import Params

MAX_LOSS = 0.1  # share of the teacher's accuracy that quantization may cost


def bitnet_claims(
    run: PhaseRun[Params], teacher: Measurement, rounded: list[float], student: Measurement
) -> list[Claim]:
    """Ternary against full precision (not worse by more than a tenth) and against rounding without training, which is
    asked fewer problems: ``rounded`` has its score of each (`forge.evals.controls`)."""
    metric, kept = SOLVED, solved(student)
    return [
        run.compare(
            "the ternary model keeps at least 90 % of the full-precision model's accuracy, thoughts included",
            metric,
            kept,
            solved(teacher),
            control_name="full precision",
            margin=-MAX_LOSS * mean(solved(teacher)),
        ),
        run.compare(
            "quantization-aware training beats rounding a trained model",
            metric,
            control_problems(kept, run.evaluation.suite_n),
            rounded,
            control_name="post-training ternary",
        ),
    ]
