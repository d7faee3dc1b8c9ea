"""What the one file claims, against what went in and against cheaper ways."""

from __future__ import annotations

from typing import Any

from forge.evals.claims import Claim, compare
from forge.evals.measure import Measurement
from forge.evals.tool_use import ToolScore

MIN_RATIO = 40.0


def compression_claims(
    run: Any,
    baked: Measurement,
    final: Measurement,
    posthoc: Measurement,
    tools: list[ToolScore],
    original: int,
    size: int,
) -> list[Claim]:
    """``tools``: zero-shot use of the final file and of the baked model; ``original``, ``size`` in bytes."""
    boot = {"n_boot": run.evaluation.bootstrap, "seed": run.seed}
    metric = "suite exact match with tools, no tool text"
    return [
        compare(
            "the file keeps at least 90 % of phase 6's accuracy",
            metric,
            final.tools.correct,
            baked.tools.correct,
            control_name="phase 6's model",
            margin=-0.1 * baked.tools.mean_accuracy,
            **boot,
        ),
        compare(
            "codebooks trained in beat codebooks fitted afterwards",
            metric,
            final.tools.correct,
            posthoc.tools.correct,
            control_name="the same codebooks, not trained",
            **boot,
        ),
        compare(
            "tools still work without any tool text (within 10 points of phase 6)",
            "tool call executed with the right result",
            tools[0].correct,
            tools[1].correct,
            control_name="phase 6's model",
            margin=-0.1,
            **boot,
        ),
        Claim(
            claim=f"the file is at least {MIN_RATIO:.0f} times smaller than phase 1's fp32 model",
            metric="size ratio",
            value=original / size,
            control="required",
            control_value=MIN_RATIO,
            ci95=None,
            n=1,
            passed=original / size >= MIN_RATIO,
            note="bytes on disk of everything needed to run; nothing is sampled",
        ),
    ]
