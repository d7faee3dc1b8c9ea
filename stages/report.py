"""Gather what the phases wrote into results/report.md, report.json and ladder.svg."""

from __future__ import annotations

from forge.pipeline.lifecycle.stage import stage
from forge.pipeline.report.gather import write_report


def main() -> None:
    """Run the stage."""
    with stage("report") as run:
        write_report(run.results_dir, scale=run.all_params.scale, seed=run.seed)


if __name__ == "__main__":
    main()
