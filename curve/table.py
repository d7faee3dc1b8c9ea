"""All points as one table with intervals and one plot."""

from __future__ import annotations

from pathlib import Path

from forge.config import read_params_yaml
from forge.curve.table import curve_markdown, plot_curve
from forge.files import atomic_write_text, read_json

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    """Run the stage."""
    params = read_params_yaml(RESULTS.parent / "params.yaml")
    names = [f"{times}-{arm}" for times in params["times"] for arm in params["arms"]]
    points = [read_json(RESULTS / "points" / f"{name}.json") for name in names]
    atomic_write_text(RESULTS / "curve.md", curve_markdown(points))
    atomic_write_text(RESULTS / "curve.svg", plot_curve(points))


if __name__ == "__main__":
    main()
