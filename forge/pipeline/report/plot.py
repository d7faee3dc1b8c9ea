"""The picture of the ladder: bytes going down and quality across the phases. Same rows, same bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from forge.errors import ForgeError
from forge.evals.ledger import COLUMNS, LedgerRow
from forge.host.units import human_bytes

_BYTES = "#dfe5eb"
_LINES = ("#6e7781", "#1f6feb", "#c2410c", "#7a8f2a", "#8250df", "#0a7d7d", "#b8860b")
_APART = 0.09  # between the points of one phase, in phases: side by side, their intervals can be told apart


def plot_ladder_svg(rows: Sequence[LedgerRow]) -> str:
    """SVG text: bars are bytes on disk (log scale, left), lines are the ledger's shares from 0 to 1 (right) with their
    95 % intervals.

    Raises ForgeError for no rows.
    """
    if not rows:
        raise ForgeError("ladder: the ledger has no row")
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    places = list(range(len(rows)))
    # hashsalt and Date=None: matplotlib otherwise puts random ids and the clock into the file
    with matplotlib.rc_context({"svg.hashsalt": "agent-forge", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(10, 4.6), layout="constrained")
        FigureCanvasSVG(figure)
        size_axis = figure.add_subplot()
        size_axis.bar(places, [row.bytes for row in rows], width=0.62, color=_BYTES, label="bytes on disk")
        size_axis.set_yscale("log")
        size_axis.margins(y=0.15)
        size_axis.set_ylabel("bytes on disk")
        # Sizes stand below the bars: above them, the lines would run through them.
        names = [f"{i + 1} {row.phase}\n{human_bytes(row.bytes)}" for i, row in enumerate(rows)]
        size_axis.set_xticks(places, names, fontsize=9)
        quality_axis = size_axis.twinx()
        shares = [c for c in COLUMNS if c.bounds == (0.0, 1.0) and any(row.value(c.key) is not None for row in rows)]
        for index, (column, color) in enumerate(zip(shares, _LINES, strict=False)):
            shift = _APART * (index - (len(shares) - 1) / 2)
            drawn = [math.nan if (value := row.value(column.key)) is None else value for row in rows]
            bounds = [row.ci95.get(column.key, (value, value)) for row, value in zip(rows, drawn, strict=True)]
            reach = [[value - low, high - value] for value, (low, high) in zip(drawn, bounds, strict=True)]
            quality_axis.errorbar(
                [place + shift for place in places],
                drawn,
                yerr=list(zip(*reach, strict=True)),
                marker="o",
                markersize=4,
                linewidth=1.4,
                elinewidth=1,
                capsize=2,
                color=color,
                label=column.title,
            )
        quality_axis.set_ylim(0, 1.02)
        quality_axis.set_ylabel("share that is right, 95 % interval")
        figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=9)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue().decode("utf-8")
