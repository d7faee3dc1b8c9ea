"""What every phase measures of its model, in one place: the metrics of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.data.dialogues import TOOL_PROMPT
from forge.evals.bpb import bits_per_byte, bpb_held_out_texts
from forge.evals.suite import SuiteScore, score_suite
from forge.tools import Toolbox


@dataclass(frozen=True)
class Measurement:
    """Suite without tools, with tools and no tool text, with tools under the tool prompt (None where not asked for),
    and bits per byte on held-out text. Scores of one seed and size are paired over models."""

    no_tools: SuiteScore
    tools: SuiteScore
    prompted: SuiteScore | None
    bpb: float

    @property
    def prompted_accuracy(self) -> float | None:
        """Mean accuracy under the tool prompt, None where it was not asked for."""
        return None if self.prompted is None else self.prompted.mean_accuracy

    def headline(self) -> dict[str, float]:
        """The metrics that ``dvc metrics show`` lists."""
        out = {
            "accuracy_no_tools": self.no_tools.mean_accuracy,
            "accuracy_tools": self.tools.mean_accuracy,
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
    """Score a model on ``n`` problems a family; ``prompted`` adds the run under the tool prompt."""
    with Toolbox(workspace) as toolbox:
        common: dict[str, Any] = {"n": n, "seed": seed, "split": split, "max_new_tokens": max_new_tokens}
        without = score_suite(model, tokenizer, tools=False, **common)
        with_tools = score_suite(model, tokenizer, tools=True, execute=toolbox.execute, **common)
        shown = (
            score_suite(model, tokenizer, tools=True, execute=toolbox.execute, system=TOOL_PROMPT, **common)
            if prompted
            else None
        )
    return Measurement(
        without, with_tools, shown, bits_per_byte(model, tokenizer, bpb_held_out_texts(split, text_chars))
    )


def solved(measured: Measurement) -> list[float]:
    """Per problem: solved with tools under the tool prompt, or without tools, half each (phases before baking)."""
    prompted = measured.tools if measured.prompted is None else measured.prompted
    return [0.5 * (a + b) for a, b in zip(prompted.correct, measured.no_tools.correct, strict=True)]


def mean(values: Sequence[float]) -> float:
    """Plain mean."""
    return sum(values) / len(values)


def eval_accuracy_retention(before: Sequence[float], after: Sequence[float]) -> float:
    """Share of the accuracy that was kept, of scores per problem; 1 where there was nothing to lose."""
    was, now = mean(before), mean(after)
    return now / was if was > 0 else 1.0
