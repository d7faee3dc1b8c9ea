"""What baking claims: tools without a word about tools, personas without their prompts, little forgotten."""

from __future__ import annotations

from collections.abc import Mapping

from forge.evals.claims import Claim
from forge.evals.measure import Measurement, mean
from forge.evals.persona import PersonaScore
from forge.evals.tool_use import ToolScore
from forge.interface.run import PhaseRun
from forge.phases.baking.params import Params

MAX_LOSS = 0.05  # of a share that "as well as" and "not forgotten" allow


def baking_claims(
    run: PhaseRun[Params],
    tools: Mapping[str, ToolScore],
    personas: Mapping[str, PersonaScore],
    before: Measurement,
    after: Measurement,
) -> list[Claim]:
    """``tools``: baked, unbaked, prompted, half; ``personas``: baked, none."""
    baked, metric = tools["baked"].correct, "tool call executed with the right result, held-out phrasings"
    return [
        run.compare(
            "baked tools work without any tool text",
            metric,
            baked,
            tools["unbaked"].correct,
            control_name="the unbaked model, unprompted",
        ),
        run.compare(
            "baked tools work as well as prompted ones (within 5 points)",
            metric,
            baked,
            tools["prompted"].correct,
            control_name="the prompted teacher",
            margin=-MAX_LOSS,
        ),
        run.compare(
            "full baking beats half baking",
            metric,
            baked,
            tools["half"].correct,
            control_name="half-baked model",
        ),
        run.compare(
            "a handle alone makes the persona",
            "held-out classifier agrees",
            personas["baked"].correct,
            personas["none"].correct,
            control_name="the baked model without a handle",
        ),
        *_suite_claims(run, before, after),
    ]


def _suite_claims(run: PhaseRun[Params], before: Measurement, after: Measurement) -> list[Claim]:
    forgotten = mean(before.thoughts.correct) - mean(after.thoughts.correct)
    return [
        run.compare(
            "answers without tools are not forgotten (within 5 points)",
            "suite exact match without tools",
            after.no_tools.correct,
            before.no_tools.correct,
            control_name="the unbaked model",
            margin=-MAX_LOSS,
        ),
        run.compare(
            "thoughts are not forgotten (within 5 points)",
            "suite exact match by thoughts, no tools",
            after.thoughts.correct,
            before.thoughts.correct,
            control_name="the unbaked model",
            margin=-MAX_LOSS,
            note=f"forgotten: {100 * forgotten:.1f} points",
        ),
        run.compare(
            "the suite's accuracy with tools rises",
            "suite exact match with tools, no tool text",
            after.tools.correct,
            before.tools.correct,
            control_name="the unbaked model",
        ),
    ]
