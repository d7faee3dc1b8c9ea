"""The ablation's runs as a table with intervals over seeds, and as a plot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from scipy.stats import t as student

Run = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One measured quantity: heading, where it is in a run, digits shown."""

    heading: str
    get: Callable[[Run], float | None]
    digits: int = 3


def _ablation_column_value(task: str, key: str) -> Callable[[Run], float | None]:
    return lambda run: run[task].get(key)


COLUMNS = (
    Column("suite loss", _ablation_column_value("suite", "loss")),
    Column("tool calls exact", _ablation_column_value("suite", "tooled_exact")),
    Column("recall", _ablation_column_value("recall", "accuracy")),
    Column("chains", _ablation_column_value("chains", "accuracy")),
    Column("chains, halting", _ablation_column_value("chains", "halting_accuracy")),
    Column("compute", _ablation_column_value("chains", "compute"), 2),
    Column("rank corr.", _ablation_column_value("chains", "rank_correlation"), 2),
    Column("AUC", _ablation_column_value("chains", "auc"), 2),
)
PLOTTED = (0, 2, 3)


def ablation_seed_interval(values: list[float]) -> tuple[float, float]:
    """Mean and half width of the 95 % interval of Student's t over seeds; infinite width for one seed."""
    if len(values) < 2:
        return float(np.mean(values)), float("inf")
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return float(np.mean(values)), float(half)


def by_variant(runs: list[Run]) -> dict[str, list[Run]]:
    """Runs of each variant in the order of their seeds; variants in the order met."""
    table: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda r: r["seed"]):
        table.setdefault(run["variant"], []).append(run)
    return table


def summarize_ablation(runs: list[Run]) -> dict[str, Any]:
    """{variant: {column: {"mean", "half_width", "minus_plain", "minus_plain_half_width"}}}; differences are paired by
    seed."""
    table = by_variant(runs)
    out: dict[str, Any] = {}
    for variant, rows in table.items():
        out[variant] = {}
        for column in COLUMNS:
            values = [v for v in map(column.get, rows) if v is not None]
            base = [v for v in map(column.get, table["plain"]) if v is not None]
            if not values:
                continue
            mean, half = ablation_seed_interval(values)
            cell = {"mean": mean, "half_width": half, "seeds": len(values)}
            if variant != "plain" and len(base) == len(values):
                gap, width = ablation_seed_interval([v - b for v, b in zip(values, base, strict=True)])
                cell |= {"minus_plain": gap, "minus_plain_half_width": width}
            out[variant][column.heading] = cell
    return out


def ablation_markdown(summary: dict[str, Any]) -> str:
    """The table: mean ± half width of the 95 % interval over seeds."""
    lines = ["| variant | " + " | ".join(c.heading for c in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for variant, cells in summary.items():
        row = []
        for column in COLUMNS:
            cell = cells.get(column.heading)
            shown = f"{cell['mean']:.{column.digits}f} ± {cell['half_width']:.{column.digits}f}" if cell else ""
            row.append(shown)
        lines.append(f"| {variant} | " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def ablation_steps_markdown(runs: list[Run]) -> str:
    """Accuracy on chains at every step count, mean over seeds."""
    table = by_variant(runs)
    limit = max(len(run["chains"]["accuracy_at_steps"]) for run in runs)
    lines = ["| chains, accuracy after step | " + " | ".join(map(str, range(1, limit + 1))) + " |"]
    lines.append("|---" * (limit + 1) + "|")
    for variant, rows in table.items():
        means = np.mean([run["chains"]["accuracy_at_steps"] for run in rows], axis=0)
        shown = [f"{m:.3f}" for m in means] + [""] * (limit - len(means))
        lines.append(f"| {variant} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def plot_ablation(summary: dict[str, Any]) -> str:
    """Bars with intervals as SVG text, the same bytes for the same numbers."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({"svg.hashsalt": "ablations", "svg.fonttype": "none"}):
        figure, axes = plt.subplots(1, len(PLOTTED), figsize=(4 * len(PLOTTED), 3.2), layout="constrained")
        for axis, index in zip(axes, PLOTTED, strict=True):
            heading = COLUMNS[index].heading
            cells = [summary[variant][heading] for variant in summary]
            widths = [c["half_width"] if np.isfinite(c["half_width"]) else 0.0 for c in cells]
            axis.bar(list(summary), [c["mean"] for c in cells], yerr=widths, capsize=3)
            axis.set_title(heading)
            axis.tick_params(axis="x", rotation=30)
        buffer = StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        plt.close(figure)
    return buffer.getvalue()
