"""What baking claims: tools without a word about tools, personas without their prompts, little forgotten."""

from __future__ import annotations

from collections.abc import Mapping

from forge.evals.claims import Claim
from forge.evals.measure import BY_THOUGHTS, WITH_TOOLS, Measurement, mean
from forge.evals.persona import PersonaScore
from forge.evals.tool_use import ToolScore
from forge.interface.run import PhaseRun
from forge.phases.baking.params import Params

MAX_LOSS = 0.05  # of a share that "as well as" and "not forgotten" allow
# Share of held-out rows of declared tools that are to be right, by category.
OWN_TOOL_TARGETS = {"call": 0.95, "offtopic": 0.97, "missing": 0.90, "two": 0.90, "followup": 0.85}


def baking_claims(
    run: PhaseRun[Params],
    tools: Mapping[str, ToolScore],
    personas: Mapping[str, PersonaScore],
    before: Measurement,
    after: Measurement,
    searched: list[float],
) -> list[Claim]:
    """``tools``: baked, unbaked, prompted, half; ``personas``: baked, none; ``searched``: verdicts on the tool
    dialogues where no model answers."""
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
            "baked tools beat a search for the phrasing alone",
            metric,
            baked,
            searched,
            control_name="the likest phrasing's call, filled first things first",
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
            "answer keeps the facts of its topic and the persona's style",
            personas["baked"].both_correct,
            personas["none"].both_correct,
            control_name="the baked model without a handle",
        ),
        *_suite_claims(run, before, after),
    ]


def _suite_claims(run: PhaseRun[Params], before: Measurement, after: Measurement) -> list[Claim]:
    answers, thoughts = "answers without tools are not forgotten", "thoughts are not forgotten"
    forgotten = mean(before.thoughts.correct) - mean(after.thoughts.correct)
    note, bound = f"forgotten: {100 * forgotten:.1f} points", "(within 5 points)"
    pairs = (
        (f"{answers} {bound}", "suite exact match without tools", after.no_tools, before.no_tools, -MAX_LOSS, ""),
        (f"{thoughts} {bound}", BY_THOUGHTS, after.thoughts, before.thoughts, -MAX_LOSS, note),
        ("the suite's accuracy with tools rises", WITH_TOOLS, after.tools, before.tools, 0.0, ""),
    )
    return [
        run.compare(claim, metric, now.correct, was.correct, control_name="the unbaked model", margin=margin, note=said)
        for claim, metric, now, was, margin, said in pairs
    ]
