"""The declared metrics beside what the last run recorded of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import read_optional_json
from forge.interface.paths import RESULTS
from forge.phases import ORDER
from forge.pipeline.dvc.states import dvc_scaled_parameters, read_yaml_as_dvc
from forge.pipeline.metrics.catalog import implied_catalog_metrics, list_optional_metrics


def observed_metric_values() -> dict[str, Any]:
    """Everything that stages recorded, by full name, from `results/**/all_metrics.json`.

    Raises:
        ForgeError: a file is neither an object of values by full name, nor, as runs wrote it before, a list of
            `{"metric", "value"}`.
    """
    found: dict[str, Any] = {}
    for path in sorted(RESULTS.glob("**/all_metrics.json")):
        rows = read_optional_json(path)
        if rows is None:  # a stage that starts has removed it since
            continue
        try:
            named = rows if isinstance(rows, dict) else {str(row["metric"]): row["value"] for row in rows}
        except (KeyError, TypeError) as error:
            raise ForgeError(f"{path}: expected metrics with their values") from error
        if lone := [name for name in named if "/" not in name]:
            raise ForgeError(f"{path}: {lone[0]!r} is no metric's full name")
        found.update(named)
    return found


def metric_catalog_rows(phase: str | None = None) -> tuple[str, list[dict[str, Any]]]:
    """The active scale's name, and the metrics that its parameters imply, of all phases or one; of optional ones those
    that were observed.

    Returns:
        The scale, and rows of metric, unit, observed, value (None where it was not observed) and description.

    Raises:
        ForgeError: there are no metrics of such a phase, or a file is damaged.
    """
    if phase is not None and phase not in ORDER:
        raise ForgeError(f"no metrics of a phase {phase!r}; known: {', '.join(ORDER)}")
    scale, parameters = dvc_scaled_parameters(read_yaml_as_dvc(Path("params.yaml")))
    values = observed_metric_values()
    optional = [metric for metric in list_optional_metrics(phase) if metric.holds(values.get(metric.name))]
    rows: list[dict[str, Any]] = [
        {
            "metric": metric.name,
            "unit": metric.unit,
            "observed": metric.holds(values.get(metric.name)),
            "value": values.get(metric.name) if metric.holds(values.get(metric.name)) else None,
            "description": metric.description,
        }
        for metric in (*implied_catalog_metrics(parameters, phase), *optional)
    ]
    return scale, rows


def metric_value_text(value: Any) -> str:
    """A metric's value for a table, large numbers with separators; empty when there is none."""
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, float) and abs(value) < 1e6:
        return f"{value:,.6g}"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)
