"""The data stage: problems, dialogues and prose, tokenizer, and the tools' workspace."""

from __future__ import annotations

from forge.data.build import build_data
from forge.interface.params import DataParams
from forge.interface.paths import PREPARED, WORKSPACE
from forge.interface.run import DataRun


def run(run: DataRun[DataParams]) -> None:
    """Write `data/workspace` and `data/prepared`, and record how many rows there are of what."""
    with run.building(WORKSPACE) as workspace, run.building(PREPARED) as prepared:
        summary = build_data(run.params, run.seed, prepared, workspace)
    rows = {f"rows/{split}": sum(kinds.values()) for split, kinds in summary["counts"].items()}
    majority = summary["majority_answer_rate"]
    run.record(
        {f"majority/{task}": rate for task, rate in majority.items()},
        headline={**rows, "families": len(majority), "max_majority_answer_rate": max(majority.values())},
    )
