"""What phase 4 claims, paired over the same held-out problems."""

from __future__ import annotations

from forge.evals.claims import Claim
from forge.evals.measure import Measurement, mean, solved
from forge.interface.run import PhaseRun
from forge.phases.bitnet.params import Params

MAX_LOSS = 0.1  # share of the teacher's accuracy that quantization may cost


def bitnet_claims(
    run: PhaseRun[Params], teacher: Measurement, rounded: Measurement, student: Measurement
) -> list[Claim]:
    """Ternary against full precision (not worse by more than a tenth) and against rounding without training."""
    metric, kept = "suite exact match", solved(student)
    return [
        run.compare(
            "the ternary model keeps at least 90 % of the full-precision model's accuracy",
            metric,
            kept,
            solved(teacher),
            control_name="full precision",
            margin=-MAX_LOSS * mean(solved(teacher)),
        ),
        run.compare(
            "quantization-aware training beats rounding a trained model",
            metric,
            kept,
            solved(rounded),
            control_name="post-training ternary",
        ),
    ]
