"""All runs as one table with intervals and one plot."""

from __future__ import annotations

from pathlib import Path

from forge.ablation.table import markdown, plot, steps_markdown, summarize
from forge.config import read_yaml
from forge.files import atomic_write_json, atomic_write_text, read_json

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    """Run the stage."""
    params = read_yaml(RESULTS.parent / "params.yaml")
    names = [f"{variant}-{seed}" for variant in params["variants"] for seed in params["seeds"]]
    runs = [read_json(RESULTS / "runs" / f"{name}.json") for name in names]
    summary = summarize(runs)
    atomic_write_json(RESULTS / "table.json", summary)
    atomic_write_text(RESULTS / "table.md", markdown(summary) + "\n" + steps_markdown(runs))
    atomic_write_text(RESULTS / "table.svg", plot(summary))


if __name__ == "__main__":
    main()
