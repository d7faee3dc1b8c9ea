"""What the catalog declares of a phase, to hold against what the phase's code records."""

from __future__ import annotations

from forge.pipeline.metrics.catalog import list_catalog_metrics

# Added by the lifecycle of a stage.
LIFECYCLE = {"phase/duration_seconds"}


def declared(phase: str, *groups: str) -> set[str]:
    """Names of a phase's metrics without the phase, those whose first part is among ``groups`` (default all); what the
    lifecycle adds is left out."""
    names = {metric.name.removeprefix(f"{phase}/") for metric in list_catalog_metrics(phase)} - LIFECYCLE
    return {name for name in names if not groups or name.split("/")[0] in groups}
