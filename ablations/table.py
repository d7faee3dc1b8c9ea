"""All runs as one table with intervals and one plot."""

from __future__ import annotations

from pathlib import Path

from forge.ablation.table import ablation_markdown, ablation_steps_markdown, plot_ablation, summarize_ablation
from forge.config import read_params_yaml
from forge.files import atomic_write_json, atomic_write_text, read_json

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    """Run the stage."""
    params = read_params_yaml(RESULTS.parent / "params.yaml")
    names = [f"{variant}-{seed}" for variant in params["variants"] for seed in params["seeds"]]
    runs = [read_json(RESULTS / "runs" / f"{name}.json") for name in names]
    summary = summarize_ablation(runs)
    atomic_write_json(RESULTS / "table.json", summary)
    atomic_write_text(RESULTS / "table.md", ablation_markdown(summary) + "\n" + ablation_steps_markdown(runs))
    atomic_write_text(RESULTS / "table.svg", plot_ablation(summary))


if __name__ == "__main__":
    main()
