"""The declared metrics beside what the last run recorded of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import read_optional_json
from forge.interface.paths import RESULTS
from forge.phases import ORDER
from forge.pipeline.dvc.states import dvc_scaled_parameters, read_yaml_as_dvc
from forge.pipeline.metrics.catalog import implied_catalog_metrics


def observed_metric_values() -> dict[str, Any]:
    """Everything that stages recorded, by full name, from `results/**/all_metrics.json`.

    Raises:
        ForgeError: a file is not a list of `{"metric", "value"}`.
    """
    found: dict[str, Any] = {}
    for path in sorted(RESULTS.glob("**/all_metrics.json")):
        rows = read_optional_json(path)
        try:
            found.update({str(row["metric"]): row["value"] for row in rows})
        except (KeyError, TypeError) as error:
            raise ForgeError(f"{path}: expected a list of metrics with their values") from error
    return found


def metric_catalog_rows(phase: str | None = None) -> tuple[str, list[dict[str, Any]]]:
    """The active scale's name, and the metrics that its parameters imply, of all phases or one.

    Returns:
        The scale, and rows of metric, unit, observed, value (None where it was not observed) and description.

    Raises:
        ForgeError: there are no metrics of such a phase, or a file is damaged.
    """
    if phase is not None and phase not in ORDER:
        raise ForgeError(f"no metrics of a phase {phase!r}; known: {', '.join(ORDER)}")
    scale, parameters = dvc_scaled_parameters(read_yaml_as_dvc(Path("params.yaml")))
    values = observed_metric_values()
    rows: list[dict[str, Any]] = [
        {
            "metric": metric.name,
            "unit": metric.unit,
            "observed": metric.holds(values.get(metric.name)),
            "value": values.get(metric.name) if metric.holds(values.get(metric.name)) else None,
            "description": metric.description,
        }
        for metric in implied_catalog_metrics(parameters, phase)
    ]
    return scale, rows


def metric_value_text(value: Any) -> str:
    """A metric's value for a table; empty when there is none."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
