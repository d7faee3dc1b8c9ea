"""What every phase measures of its model, in one place: the metrics of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.data.dialogues import TOOL_PROMPT
from forge.evals.bpb import bits_per_byte, held_out_texts
from forge.evals.ledger import deployable_files, ledger_row
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


def measure(
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
    return Measurement(without, with_tools, shown, bits_per_byte(model, tokenizer, held_out_texts(split, text_chars)))


def measure_run(run: Any, model: Any, tokenizer: PreTrainedTokenizerFast, prompted: bool = True) -> Measurement:
    """:func:`measure` with the sizes and the seed that a stage was given."""
    e = run.evaluation
    return measure(
        model,
        tokenizer,
        workspace=run.workspace_dir,
        n=e.suite_n,
        seed=e.seed,
        max_new_tokens=e.answer_tokens,
        text_chars=e.text_chars,
        prompted=prompted,
    )


def solved(measured: Measurement) -> list[float]:
    """Per problem: solved with tools under the tool prompt, or without tools, half each (phases before baking)."""
    prompted = measured.tools if measured.prompted is None else measured.prompted
    return [0.5 * (a + b) for a, b in zip(prompted.correct, measured.no_tools.correct, strict=True)]


def mean(values: list[float]) -> float:
    """Plain mean."""
    return sum(values) / len(values)


def record_ledger(
    run: Any, phase: str, directory: Path, model: Any, measured: Measurement, seconds: float | None = None
) -> None:
    """Write a phase's row of the ledger: the bytes of its deployable files as they are on disk."""
    without, with_tools = measured.no_tools.mean_accuracy, measured.tools.mean_accuracy
    spent = run.seconds if seconds is None else seconds
    files = deployable_files(phase, directory)
    shown = None if measured.prompted is None else measured.prompted.mean_accuracy
    run.ledger(ledger_row(phase, files, model.num_parameters(), measured.bpb, without, with_tools, spent, shown))
