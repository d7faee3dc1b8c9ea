"""What the ternary phases claim, paired over the same held-out problems."""

from __future__ import annotations

from typing import Any

from forge.data.dataset import EncodedSet
from forge.evals.claims import Claim, compare
from forge.evals.likelihood import likelihood
from forge.evals.measure import Measurement, mean, solved
from forge.model import TinyTitanForCausalLM

Subject = tuple[TinyTitanForCausalLM, Measurement]
MAX_LOSS = 0.1  # share of the teacher's accuracy that quantization may cost


def retention_claims(
    run: Any, test: EncodedSet, teacher: Subject, untrained: Subject, student: Subject
) -> tuple[list[Claim], dict[str, float]]:
    """Ternary against full precision (not worse by more than a tenth) and against rounding without training; the
    quality metrics of the phase."""
    boot = {"n_boot": run.evaluation.bootstrap, "seed": run.seed}
    before, collapsed, after = solved(teacher[1]), solved(untrained[1]), solved(student[1])
    index = test.where("direct", "tooled", "tool")
    ppl = [likelihood(model, test, index).perplexity for model in (teacher[0], untrained[0], student[0])]
    claims = [
        compare(
            "the ternary model keeps at least 90 % of the full-precision model's accuracy",
            "suite exact match",
            after,
            before,
            control_name="full precision",
            margin=-MAX_LOSS * mean(before),
            **boot,
        ),
        compare(
            "quantization-aware training beats rounding a trained model",
            "suite exact match",
            after,
            collapsed,
            control_name="post-training ternary",
            **boot,
        ),
    ]
    lost = ppl[1] - ppl[0]
    metrics = {
        "quality/pre_accuracy": mean(before),
        "quality/post_accuracy": mean(after),
        "quality/accuracy_retention": mean(after) / max(1e-9, mean(before)),
        "quality/pre_compression_perplexity": ppl[0],
        "quality/post_compression_perplexity": ppl[1],
        "quality/post_finetuning_perplexity": ppl[2],
        "quality/perplexity_degradation_percent": 100 * (ppl[2] / ppl[0] - 1),
        "quality/perplexity_recovery_percent": 100 * (ppl[1] - ppl[2]) / lost if lost > 0 else 100.0,
    }
    return claims, metrics


def gain_claim(run: Any, text: str, after: Measurement, before: Measurement, control_name: str) -> Claim:
    """Suite accuracy after against before, paired."""
    return compare(
        text,
        "suite exact match",
        solved(after),
        solved(before),
        control_name=control_name,
        n_boot=run.evaluation.bootstrap,
        seed=run.seed,
    )
