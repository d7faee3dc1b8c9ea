"""What the one file claims, against what went in and against cheaper ways."""

from __future__ import annotations

from forge.evals.claims import Claim
from forge.evals.measure import BY_THOUGHTS, WITH_TOOLS, Measurement
from forge.evals.tool_use import ToolScore
from forge.interface.run import PhaseRun
from forge.phases.compress.params import Params

MAX_LOSS = 0.1  # share of the accuracy, and points of tool success, that the file may cost
THOUGHTS_KEPT = 0.84  # share of the accuracy by thoughts that the file must keep
# Share of held-out rows of declared tools that the file is to have right, by category.
OWN_TOOL_TARGETS = {"call": 0.93, "offtopic": 0.95, "missing": 0.85, "two": 0.85, "followup": 0.80}


def compression_claims(
    run: PhaseRun[Params],
    baked: Measurement,
    final: Measurement,
    codebooks: tuple[list[float], list[float]],
    tools: tuple[ToolScore, ToolScore],
    ratios: tuple[float, float],
) -> list[Claim]:
    """``codebooks``: scores with codebooks trained in, whether the file holds them or its gate refused them, and of
    their control, on a few problems (`forge.evals.controls`); ``tools``: zero-shot use of the final file and of the
    baked model; ``ratios``: phase 1's bytes over the file's, and what was asked for."""
    metric, (ratio, least) = WITH_TOOLS, ratios
    return [
        run.compare(
            "the file keeps at least 90 % of phase 6's accuracy",
            metric,
            final.tools.correct,
            baked.tools.correct,
            control_name="phase 6's model",
            margin=-MAX_LOSS * baked.tools.mean_accuracy,
        ),
        run.compare(
            f"the file keeps at least {100 * THOUGHTS_KEPT:.0f} % of phase 6's accuracy by thoughts",
            BY_THOUGHTS,
            final.thoughts.correct,
            baked.thoughts.correct,
            control_name="phase 6's model",
            margin=-(1 - THOUGHTS_KEPT) * baked.thoughts.mean_accuracy,
        ),
        run.compare(
            "codebooks trained in beat codebooks fitted afterwards",
            metric,
            *codebooks,
            control_name="the same codebooks, not trained",
        ),
        run.compare(
            "tools still work without any tool text (within 10 points of phase 6)",
            "tool call executed with the right result",
            tools[0].correct,
            tools[1].correct,
            control_name="phase 6's model",
            margin=-MAX_LOSS,
        ),
        Claim(
            claim=f"the file is at least {least:.0f} times smaller than phase 1's fp32 model",
            metric="size ratio",
            value=ratio,
            control="required",
            control_value=least,
            ci95=None,
            n=1,
            passed=ratio >= least,
            note="bytes on disk of everything needed to run; nothing is sampled",
        ),
    ]
