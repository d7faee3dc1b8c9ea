"""The points of the curve as a table with intervals, and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from typing import Any

from forge.evals.bootstrap import paired_bootstrap
from forge.evals.measure import mean

Point = dict[str, Any]
WAYS = {"tools": "suite with tools", "thoughts": "suite by thoughts"}


def curve_pairs(points: Sequence[Point]) -> list[tuple[Point, Point]]:
    """(taught, scratch) of each size, the largest file first."""
    arms = {(point["times"], point["arm"]): point for point in points}
    return [(arms[times, "taught"], arms[times, "scratch"]) for times in sorted({times for times, _ in arms})]


def curve_markdown(points: Sequence[Point]) -> str:
    """A row for each size: bytes, and what the taught student solves against its control."""
    lines = [
        "| times smaller | bytes | parameters | asked | taught | from scratch | difference, 95 % interval |",
        "|---" * 7 + "|",
    ]
    for taught, scratch in curve_pairs(points):
        for way, label in WAYS.items():
            gap = paired_bootstrap(taught[way], scratch[way])
            lines.append(
                f"| {taught['ratio']:.1f} | {taught['bytes']:,} | {taught['parameters']:,} | {label} "
                f"| {mean(taught[way]):.3f} | {mean(scratch[way]):.3f} "
                f"| {gap.diff:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}) |"
            )
    return "\n".join(lines) + "\n"


def plot_curve(points: Sequence[Point]) -> str:
    """Accuracy over bytes as SVG text, the same bytes for the same numbers."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({"svg.hashsalt": "curve", "svg.fonttype": "none"}):
        figure, axes = plt.subplots(1, len(WAYS), figsize=(9, 3.4), layout="constrained", sharey=True)
        for axis, (way, label) in zip(axes, WAYS.items(), strict=True):
            for arm, line in (("taught", "o-"), ("scratch", "s--")):
                chosen = sorted((p for p in points if p["arm"] == arm), key=lambda p: int(p["bytes"]))
                axis.plot([p["bytes"] / 1000 for p in chosen], [mean(p[way]) for p in chosen], line, label=arm)
            axis.set_title(label)
            axis.set_xscale("log")
            axis.set_xlabel("kB of the file")
            axis.set_ylim(0, 1)
        axes[0].legend()
        buffer = StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        plt.close(figure)
    return buffer.getvalue()
