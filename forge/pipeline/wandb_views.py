"""Dashboards for Weights & Biases, once a user has synced: pipeline, phases, system.

Runs are recorded offline and nothing here is needed for them. After `wandb sync .forge/wandb/offline-run-*`,

    python -m forge.pipeline.wandb_views --entity NAME

saves three views in the project; that needs `pip install wandb-workspaces` and the network. `--json` prints what would
be saved and needs neither. Each declared line of `metrics.txt` is one panel, so no panel can name a metric that is not
declared.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import asdict, dataclass
from typing import Any

from forge.errors import ForgeError
from forge.pipeline.metrics.catalog import expand, patterns

PROJECT = "agent-forge"
# What is logged step by step and so makes a line; all else is one number a run and makes bars.
SERIES = re.compile(
    r"cognate/model_\d/train/|forge/(train|grokfast|amp|system)/|forge/val/generalization_gap|quietstar/step/"
    r"|baking/tool_\w+/success_rate"
)
SYSTEM = re.compile(r"/(system|amp|performance|size)/|duration_seconds|size_mb|processing_time|tokens_per_second")


@dataclass(frozen=True)
class Panel:
    """One chart: a line over ``x`` (the phase's step axis), or bars where ``x`` is empty."""

    title: str
    metrics: list[str]
    x: str = ""


@dataclass(frozen=True)
class View:
    """A saved view: sections by phase, each with its panels."""

    name: str
    sections: dict[str, list[Panel]]


def panels(phase: str) -> list[Panel]:
    """A panel for each declared line of a phase; metrics with step axes of their own get a panel for each axis."""
    made = []
    for pattern, unit, _ in patterns()[phase]:
        names = [f"{phase}/{key}" for key in expand(pattern)]
        axes: dict[str, list[str]] = {}
        for name in names:
            axes.setdefault(_axis(name) if SERIES.match(name) else "", []).append(name)
        made += [Panel(f"{pattern} ({unit})", group, axis) for axis, group in axes.items()]
    return made


def _axis(name: str) -> str:
    """The step axis that the recorder defines for a metric: each branch of phase 1 is a run of its own."""
    branch = re.match(r"cognate/model_\d", name)
    return f"{branch[0] if branch else name.split('/')[0]}/global_step"


def views() -> list[View]:
    """The three dashboards."""
    whole = {phase: panels(phase) for phase in patterns()}
    outcome = {phase: [p for p in made if p.metrics[0].startswith(f"{phase}/phase/")] for phase, made in whole.items()}
    system = {phase: [p for p in made if SYSTEM.search(p.metrics[0])] for phase, made in whole.items()}
    return [View("pipeline", outcome), View("phases", whole), View("system", system)]


def save(entity: str, project: str) -> list[str]:
    """Save the views in a W&B project and return their addresses.

    Raises:
        ForgeError: `wandb-workspaces` is not installed.
    """
    try:
        import wandb_workspaces.reports.v2 as charts
        import wandb_workspaces.workspaces as spaces
    except ImportError as error:
        raise ForgeError("saving dashboards needs wandb-workspaces: pip install wandb-workspaces") from error
    saved = []
    for view in views():
        sections = [
            spaces.Section(name=phase, panels=[_chart(charts, panel) for panel in made], is_open=True)
            for phase, made in view.sections.items()
            if made
        ]
        space = spaces.Workspace(entity=entity, project=project, name=f"Agent Forge: {view.name}", sections=sections)
        space.save()
        saved.append(str(space.url))
    return saved


def _chart(charts: Any, panel: Panel) -> Any:
    if panel.x:
        return charts.LinePlot(title=panel.title, x=panel.x, y=panel.metrics)
    return charts.BarPlot(title=panel.title, metrics=panel.metrics)


def main(arguments: list[str] | None = None) -> int:
    """Print the views as JSON or save them; 1 on a fault, with one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entity", help="your user or team name at W&B")
    parser.add_argument("--project", default=PROJECT)
    parser.add_argument("--json", action="store_true", help="print the views and save nothing")
    given = parser.parse_args(arguments)
    if given.json:
        print(json.dumps([asdict(view) for view in views()]))
        return 0
    if not given.entity:
        parser.error("--entity is needed to save")
    try:
        print("\n".join(save(given.entity, given.project)))
    except ForgeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
