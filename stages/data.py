"""Draw problems and dialogues, train the tokenizer, write tokenized splits and the tools' workspace."""

from __future__ import annotations

from forge.data.build import build_data
from forge.pipeline.layout.paths import PREPARED, WORKSPACE
from forge.pipeline.lifecycle.stage import stage


def main() -> None:
    """Run the stage."""
    with stage("data") as run, run.building(WORKSPACE) as workspace, run.building(PREPARED) as prepared:
        summary = build_data(run.params, run.seed, prepared, workspace)
        rows = {f"rows/{split}": sum(kinds.values()) for split, kinds in summary["counts"].items()}
        majority = summary["majority_answer_rate"]
        run.summary(
            {f"majority/{task}": rate for task, rate in majority.items()},
            headline={**rows, "families": len(majority), "max_majority_answer_rate": max(majority.values())},
        )


if __name__ == "__main__":
    main()
