"""What baking claims: tools without a word about tools, personas without their prompts, little forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.data.build import Row, read_rows
from forge.data.dialogues import PERSONA_PROMPTS
from forge.evals.claims import Claim, compare
from forge.evals.measure import Measurement, mean
from forge.evals.persona import PersonaScore, score_personas
from forge.evals.tool_use import ToolScore, score_tools
from forge.model import TinyTitanForCausalLM
from forge.tools import TOOL_NAMES, Toolbox


@dataclass(frozen=True)
class Probes:
    """Held-out dialogues that every model of phases 6 to 8 is asked."""

    tools: list[Row]
    personas: list[Row]
    persona_train: list[Row]


def probes(run: Any) -> Probes:
    """Held-out tool and persona dialogues in the evaluation's sizes, and the persona answers a classifier may learn
    from."""
    test, train = read_rows(run.data_dir / "test.jsonl"), read_rows(run.data_dir / "train.jsonl")
    e = run.evaluation
    tools = [row for name in TOOL_NAMES for row in _first(test, "tool", name, e.tool_n)]
    personas = [row for name in PERSONA_PROMPTS for row in _first(test, "persona", name, e.persona_n)]
    return Probes(tools, personas, [row for row in train if row["kind"] == "persona"])


def _first(rows: list[Row], kind: str, task: str, n: int) -> list[Row]:
    return [row for row in rows if row["kind"] == kind and row["task"] == task][:n]


def tool_score(
    run: Any, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, asked: Probes, prompted: bool = False
) -> ToolScore:
    """Zero-shot (or prompted) tool use on held-out phrasings."""
    with Toolbox(run.workspace_dir) as toolbox:
        return score_tools(
            model, tokenizer, toolbox, asked.tools, prompted=prompted, max_new_tokens=run.evaluation.answer_tokens
        )


def persona_score(
    run: Any, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, asked: Probes, handles: bool
) -> PersonaScore:
    """Persona consistency by handle, or with nothing at all as the control."""
    return score_personas(
        model,
        tokenizer,
        asked.persona_train,
        asked.personas,
        handles=handles,
        max_new_tokens=run.evaluation.answer_tokens,
    )


def ask_everyone(
    run: Any,
    tokenizer: PreTrainedTokenizerFast,
    teacher: TinyTitanForCausalLM,
    half: TinyTitanForCausalLM,
    baked: TinyTitanForCausalLM,
) -> tuple[dict[str, ToolScore], dict[str, PersonaScore]]:
    """Tool use of the baked model and its controls; personas by handle and, as the control, without one."""
    asked = probes(run)
    tools = {
        "baked": tool_score(run, baked, tokenizer, asked),
        "half": tool_score(run, half, tokenizer, asked),
        "unbaked": tool_score(run, teacher, tokenizer, asked),
        "prompted": tool_score(run, teacher, tokenizer, asked, prompted=True),
    }
    return tools, {name: persona_score(run, baked, tokenizer, asked, name == "baked") for name in ("baked", "none")}


def baking_claims(
    run: Any, tools: dict[str, ToolScore], personas: dict[str, PersonaScore], before: Measurement, after: Measurement
) -> list[Claim]:
    """``tools``: baked, unbaked, prompted, half; ``personas``: baked, none."""
    boot = {"n_boot": run.evaluation.bootstrap, "seed": run.seed}
    baked, metric = tools["baked"].correct, "tool call executed with the right result, held-out phrasings"
    forgotten = mean(before.no_tools.correct) - mean(after.no_tools.correct)
    return [
        compare(
            "baked tools work without any tool text",
            metric,
            baked,
            tools["unbaked"].correct,
            control_name="the unbaked model, unprompted",
            **boot,
        ),
        compare(
            "baked tools work as well as prompted ones (within 5 points)",
            metric,
            baked,
            tools["prompted"].correct,
            control_name="the prompted teacher",
            margin=-0.05,
            **boot,
        ),
        compare(
            "full baking beats half baking",
            metric,
            baked,
            tools["half"].correct,
            control_name="half-baked model",
            **boot,
        ),
        compare(
            "a handle alone makes the persona",
            "held-out classifier agrees",
            personas["baked"].correct,
            personas["none"].correct,
            control_name="the baked model without a handle",
            **boot,
        ),
        compare(
            "answers without tools are not forgotten (within 5 points)",
            "suite exact match without tools",
            after.no_tools.correct,
            before.no_tools.correct,
            control_name="the unbaked model",
            margin=-0.05,
            note=f"forgotten: {100 * forgotten:.1f} points",
            **boot,
        ),
        compare(
            "the suite's accuracy with tools rises",
            "suite exact match with tools, no tool text",
            after.tools.correct,
            before.tools.correct,
            control_name="the unbaked model",
            **boot,
        ),
    ]


def forgetting_percent(before: Measurement, after: Measurement) -> float:
    """Points of accuracy without tools that were lost, at least 0.

    Not relative to what was there: where a small model solves 14 of 200 problems, four of them are noise and not 29 %.
    """
    return max(0.0, 100 * (before.no_tools.mean_accuracy - after.no_tools.mean_accuracy))
