"""What the dashboard draws, as Vega-Lite: curves on an axis of their own values, a claim beside its control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_VERDICT_COLORS = {True: "#1a7f37", False: "#cf222e"}
_CONTROL_COLOR = "#8c959f"
_MARGIN = 0.08  # of the range of values, on either side


def dashboard_curve_chart(steps: Sequence[float], values: Sequence[float], *, x: str = "step") -> dict[str, Any]:
    """One series. Its axis spans its values: from 0, a rise from 1.00 to 1.04 would be a flat line."""
    rows = [{x: step, "value": value} for step, value in zip(steps, values, strict=True)]
    mark: dict[str, Any] = {"type": "line", "strokeWidth": 1.5} if len(rows) > 1 else {"type": "point", "filled": True}
    return {
        "data": {"values": rows},
        "mark": {**mark, "tooltip": True},
        "height": 220,
        "encoding": {
            "x": {"field": x, "type": "quantitative", "scale": {"zero": False, "nice": False}, "title": x},
            "y": {"field": "value", "type": "quantitative", "scale": {"zero": False}, "title": None},
        },
    }


def dashboard_claim_chart(claim: Mapping[str, Any]) -> dict[str, Any]:
    """A claim's value as a point, its control as an upright line, and the 95 % interval as a bar.

    The interval is of the difference, and drawn from the control: where the bar crosses the line, value and control
    cannot be told apart.
    """
    value, control, interval = claim["value"], claim["control_value"], claim["ci95"]
    low, high = (control + bound for bound in interval) if interval is not None else (value, value)
    color = _VERDICT_COLORS[claim["passed"]]
    names = {"value": value, "control": control, "low": low, "high": high}

    def layer(mark: dict[str, Any], field: str, **more: Any) -> dict[str, Any]:
        return {"mark": mark, "encoding": {"x": {"field": field, "type": "quantitative", **scale}, **more}}

    scale = {
        "scale": {"domain": _dashboard_claim_range(names.values()), "nice": False, "zero": False},
        "title": None,
        "axis": {"tickCount": 5},
    }
    layers = [
        layer({"type": "rule", "color": _CONTROL_COLOR, "strokeWidth": 2, "strokeDash": [4, 3]}, "control"),
        layer({"type": "point", "filled": True, "size": 90, "color": color, "opacity": 1}, "value"),
    ]
    if interval is not None:
        bar = {"type": "rule", "color": color, "strokeWidth": 7, "opacity": 0.35}
        layers.insert(1, layer(bar, "low", x2={"field": "high"}))
    return {"data": {"values": [names]}, "height": 76, "layer": layers}  # with the axis


def _dashboard_claim_range(values: Any) -> list[float]:
    """The values with room beside them, also where all are one."""
    low, high = min(values), max(values)
    room = _MARGIN * (high - low) or _MARGIN * abs(high) or 1.0
    return [low - room, high + room]
