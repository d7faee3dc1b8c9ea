"""Gather what the phases wrote into results/report.md, report.json and ladder.svg."""

from __future__ import annotations

from forge.pipeline.report import write_report
from forge.pipeline.stage import stage


def main() -> None:
    """Run the stage."""
    with stage("report") as run:
        write_report(run.results_dir, scale=run.all_params.scale, seed=run.seed)


if __name__ == "__main__":
    main()
