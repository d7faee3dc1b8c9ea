"""What every phase measures of its model, in one place: the metrics of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.data.dialogues import TOOL_PROMPT
from forge.evals.bpb import bits_per_byte, bpb_held_out_texts
from forge.evals.own_tools import eval_rules_of_all_tools
from forge.evals.suite import SuiteScore, score_suite
from forge.tools import Toolbox


@dataclass(frozen=True)
class Measurement:
    """The suite asked in every way that an agent can be used, and bits per byte on held-out text.

    no_tools: answered at once. thoughts: no tools, and a thought begun for every answer. tools: thoughts banned, and no
    tool text. prompted: the same under the tool prompt, None where it was not asked for. everything: tools and thoughts
    left to the model, under the tool prompt where `prompted` was asked for. Scores of one seed and size are paired over
    ways and models.
    """

    no_tools: SuiteScore
    thoughts: SuiteScore
    tools: SuiteScore
    prompted: SuiteScore | None
    everything: SuiteScore
    bpb: float

    def headline(self) -> dict[str, float]:
        """The metrics that ``dvc metrics show`` lists."""
        out = {
            "accuracy_no_tools": self.no_tools.mean_accuracy,
            "accuracy_thoughts": self.thoughts.mean_accuracy,
            "accuracy_tools": self.tools.mean_accuracy,
            "accuracy_all": self.everything.mean_accuracy,
            "bpb": self.bpb,
            "mean_steps": self.tools.mean_steps,
        }
        if self.prompted is not None:
            out["accuracy_tools_prompted"] = self.prompted.mean_accuracy
        return {f"suite/{key}": round(value, 6) for key, value in out.items()}


def measure_eval_scores(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    *,
    workspace: Path,
    n: int,
    seed: int,
    max_new_tokens: int,
    text_chars: int,
    prompted: bool = True,
    split: str = "test",
) -> Measurement:
    """Score a model on ``n`` problems per family; ``prompted`` adds the run under the tool prompt. Its calls are held
    to the built-in tools.

    Ways that ban more come after ways that ban less: what was answered there without the banned token stands, so a
    model that makes no call unless it is told of tools is asked for its answers at once only once.
    """
    with Toolbox(workspace) as toolbox:
        common: dict[str, Any] = {"n": n, "seed": seed, "split": split, "max_new_tokens": max_new_tokens}
        rules = eval_rules_of_all_tools(tokenizer, toolbox=toolbox)
        free: dict[str, Any] = {**common, "tools": True, "execute": toolbox.execute, "rules": rules}
        told: dict[str, Any] = {**free, "system": TOOL_PROMPT} if prompted else free
        everything = score_suite(model, tokenizer, thoughts="auto", **told)
        under = score_suite(model, tokenizer, known=everything, **told)
        tools = score_suite(model, tokenizer, **free) if prompted else under
        no_tools = score_suite(model, tokenizer, tools=False, known=tools, **common)
        thoughts = score_suite(model, tokenizer, tools=False, thoughts="on", **common)
    bpb = bits_per_byte(model, tokenizer, bpb_held_out_texts(split, text_chars))
    return Measurement(no_tools, thoughts, tools, under if prompted else None, everything, bpb)


# What claims about the suite compare.
BY_THOUGHTS = "suite exact match by thoughts, no tools"
WITH_TOOLS = "suite exact match with tools, no tool text"
SOLVED = "suite exact match, half with tools and half by thoughts"


def solved(measured: Measurement) -> list[float]:
    """Per problem: solved with tools (explained, in phases before baking) and solved by a thought without tools, half
    each. Answers at once are left out: hardly any problem of the suite can be solved so."""
    tools = measured.tools if measured.prompted is None else measured.prompted
    return solved_in_halves(tools, measured.thoughts)


def solved_in_halves(tools: SuiteScore, thoughts: SuiteScore) -> list[float]:
    """Per problem: half for a right answer with tools, half for one after a thought."""
    return [0.5 * (a + b) for a, b in zip(tools.correct, thoughts.correct, strict=True)]


def mean(values: Sequence[float]) -> float:
    """Plain mean."""
    return sum(values) / len(values)


def eval_accuracy_retention(before: Sequence[float], after: Sequence[float]) -> float:
    """Share of the accuracy that was kept, of scores per problem; 1 where there was nothing to lose."""
    was, now = mean(before), mean(after)
    return now / was if was > 0 else 1.0
