"""`agent-forge metrics`: which metrics are declared, which of them the last run observed, and their values."""

from __future__ import annotations

from typing import Annotated

import typer

from forge.cli.output import JSON, emit_command_json, print_terminal_table, say


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
    from forge.pipeline.metrics.recorded import metric_catalog_rows, metric_value_text

    scale, rows = metric_catalog_rows(phase)
    lost = [row["metric"] for row in rows if not row["observed"]]
    if as_json:
        counts = {"scale": scale, "declared": len(rows), "observed": len(rows) - len(lost), "missing": lost}
        emit_command_json(counts if missing else {**counts, "metrics": rows})
    elif missing:
        for name in lost:
            say(name)
    else:
        shown = [
            (r["metric"], "yes" if r["observed"] else "no", metric_value_text(r["value"]), r["unit"]) for r in rows
        ]
        print_terminal_table(("metric", "observed", "value", "unit"), shown)
        say(f"scale {scale}: {len(rows) - len(lost)} of {len(rows)} metrics observed")
    if missing and lost:
        raise typer.Exit(1)
