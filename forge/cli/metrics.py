"""`agent-forge metrics`: which metrics are declared, which of them the last run observed, and their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from forge.cli.info import read_small_json
from forge.cli.output import JSON, emit_json, say, table
from forge.errors import ForgeError
from forge.pipeline.locate import RESULTS


def observed() -> dict[str, Any]:
    """Everything that stages recorded, by full name, from `results/**/all_metrics.json`.

    Raises:
        ForgeError: a file is not a list of `{"metric", "value"}`.
    """
    found: dict[str, Any] = {}
    for path in sorted(RESULTS.glob("**/all_metrics.json")):
        rows = read_small_json(path)
        try:
            found.update({str(row["metric"]): row["value"] for row in rows})
        except (KeyError, TypeError) as error:
            raise ForgeError(f"{path}: expected a list of metrics with their values") from error
    return found


def metrics_command(
    phase: Annotated[str | None, typer.Option(help="Only this phase.")] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only what was declared and not observed; exit code 1 if there is any.")
    ] = False,
    as_json: JSON = False,
) -> None:
    """List the metrics: declared, observed by the last run, value.

    \b
    Examples:
      agent-forge metrics --phase forge
      agent-forge metrics --missing
    """
    from forge.cli.state import read_yaml, scaled_parameters
    from forge.pipeline.catalog import COUNTS, implied

    if phase is not None and phase not in COUNTS:
        raise ForgeError(f"no metrics of a phase {phase!r}; known: {', '.join(COUNTS)}")
    scale, parameters = scaled_parameters(read_yaml(Path("params.yaml")))
    values = observed()
    rows: list[dict[str, Any]] = [
        {
            "metric": metric.name,
            "unit": metric.unit,
            "observed": metric.holds(values.get(metric.name)),
            "value": values.get(metric.name) if metric.holds(values.get(metric.name)) else None,
            "description": metric.description,
        }
        for metric in implied(parameters, phase)
    ]
    lost = [row["metric"] for row in rows if not row["observed"]]
    if as_json:
        counts = {"scale": scale, "declared": len(rows), "observed": len(rows) - len(lost), "missing": lost}
        emit_json(counts if missing else {**counts, "metrics": rows})
    elif missing:
        for name in lost:
            say(name)
    else:
        shown = [(row["metric"], "yes" if row["observed"] else "no", _value(row["value"]), row["unit"]) for row in rows]
        table(("metric", "observed", "value", "unit"), shown)
        say(f"scale {scale}: {len(rows) - len(lost)} of {len(rows)} metrics observed")
    if missing and lost:
        raise typer.Exit(1)


def _value(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
