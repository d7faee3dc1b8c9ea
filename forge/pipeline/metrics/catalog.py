"""All metrics of the eight phases, declared once, each with its unit and what it says.

A line of `forge/phases/<phase>/metrics.txt` is a pattern, a unit and a sentence. Braces stand for alternatives
(`{a,b}`) or a range (`{0..50}`), so one line may declare many metrics of one meaning; `{tools}` and `{personas}` are
those that are built in. A `?` behind it: only some runs measure it, so nobody misses it and it is not counted. Names
begin with the phase when expanded. What a run really wrote is in `results/<phase>/all_metrics.json`; stages know
nothing of this list, so a better sentence there makes no model stale.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import forge.phases
from forge.data.personas import PERSONAS
from forge.phases import ORDER

TEXT = "text"  # the unit of a metric that is a name
GENERATIONS = 50  # of the declaration; a scale may run fewer
_PHASES = Path(forge.phases.__file__).parent
_BRACES = re.compile(r"\{([^{}]*)\}")
_HEAD = """# Metrics

Made by `make reference` from `forge/phases/<phase>/metrics.txt`: {count} metrics, each a distinct name; a time series
counts once. `agent-forge metrics` shows what the last run observed, `agent-forge metrics --missing` what it did not.
Those marked `?` are not counted: only runs with [own tools](../own_tools.md) have them.

A name begins with its phase: `cognate/model_1/train/loss`. `{{a,b}}` stands for one of several, `{{0..50}}` for one of
a range. Of a series the last point counts. A scale of fewer than 50 generations has fewer `generation_*`, and where
Grokfast is off there is no `forge/grokfast/*`: `--missing` asks only for what the active scale's parameters imply.

| where | what |
|---|---|
| `results/<phase>/all_metrics.json` | all of a phase, committed; the branches of phase 1 have files of their own |
| `results/<phase>/metrics.json` | the headline ones; `dvc metrics diff --targets` compares such a file |
| `.forge/runs/<stage>/metrics.jsonl` | every point of every series |
| `.forge/wandb/` | all, for Weights & Biases, offline; [more](../wandb.md) |"""


@dataclass(frozen=True)
class Metric:
    """One declared metric: full name with its phase, unit, what it says."""

    name: str
    phase: str
    unit: str
    description: str

    def holds(self, value: Any) -> bool:
        """Whether a recorded value is a measurement of it: a finite number, or a text where it is a name."""
        if self.unit == TEXT:
            return isinstance(value, str) and bool(value)
        return isinstance(value, int | float) and math.isfinite(value)


def metric_catalog_patterns() -> dict[str, list[tuple[str, str, str]]]:
    """(pattern, unit, description) of every line, by phase, those of optional metrics left out."""
    return {phase: [line for line in lines if line[0][-1] != "?"] for phase, lines in _metric_catalog_lines().items()}


def optional_metric_patterns() -> dict[str, list[tuple[str, str, str]]]:
    """The same of optional metrics."""
    return {
        phase: [(pattern[:-1], unit, words) for pattern, unit, words in lines if pattern[-1] == "?"]
        for phase, lines in _metric_catalog_lines().items()
    }


@lru_cache(maxsize=1)
def _metric_catalog_lines() -> dict[str, list[tuple[str, str, str]]]:
    return {phase: [_parse_metric_catalog_line(line) for line in _read_metric_catalog_lines(phase)] for phase in ORDER}


def _read_metric_catalog_lines(phase: str) -> list[str]:
    from forge.tools.toolbox import TOOL_NAMES  # here, for commands that ask for nothing of a catalog are to stay light

    text = (_PHASES / phase / "metrics.txt").read_text(encoding="utf-8")
    for word, names in {"{tools}": TOOL_NAMES, "{personas}": PERSONAS}.items():
        text = text.replace(word, f"{{{','.join(names)}}}")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _parse_metric_catalog_line(line: str) -> tuple[str, str, str]:
    pattern, unit, description = (part.strip() for part in line.split("|"))
    return pattern, unit, description


def count_catalog_metrics() -> dict[str, int]:
    """How many metrics each phase declares."""
    return {phase: len(list_catalog_metrics(phase)) for phase in ORDER}


def expand_metric_pattern(pattern: str) -> list[str]:
    """All names of a pattern: `a/{b,c}/{0..2}` has six."""
    pieces = _BRACES.split(pattern)
    options = [_metric_pattern_alternatives(piece) if place % 2 else [piece] for place, piece in enumerate(pieces)]
    return ["".join(parts) for parts in product(*options)]


def _metric_pattern_alternatives(inside: str) -> list[str]:
    if ".." in inside:
        first, last = inside.split("..")
        return [str(number) for number in range(int(first), int(last) + 1)]
    return inside.split(",")


def list_catalog_metrics(phase: str | None = None) -> list[Metric]:
    """The declared metrics, all or of one phase, in the order of declaration."""
    return _expand_metric_patterns(metric_catalog_patterns(), phase)


def list_optional_metrics(phase: str | None = None) -> list[Metric]:
    """Those that only some runs measure."""
    return _expand_metric_patterns(optional_metric_patterns(), phase)


def _expand_metric_patterns(patterns: Mapping[str, list[tuple[str, str, str]]], phase: str | None) -> list[Metric]:
    return [
        Metric(f"{name}/{key}", name, unit, description)
        for name, lines in patterns.items()
        if phase in (None, name)
        for pattern, unit, description in lines
        for key in expand_metric_pattern(pattern)
    ]


def implied_catalog_metrics(parameters: Mapping[str, Mapping[str, Any]], phase: str | None = None) -> list[Metric]:
    """The declared metrics that a run with these parameters has: all, less generations that it does not run and, where
    Grokfast is off, what only its filter measures.

    ``parameters``: blocks by phase with the active scale merged in; of use are ``evomerge.generations`` and
    ``forge.grokfast_lambda``.
    """
    generations = int(parameters.get("evomerge", {}).get("generations", GENERATIONS))
    filtered = bool(parameters.get("forge", {}).get("grokfast_lambda", 1))
    late = re.compile(r"evomerge/generation_(\d+)/")

    def runs(metric: Metric) -> bool:
        found = late.match(metric.name)
        if found is not None:
            return int(found[1]) <= generations
        return filtered or not metric.name.startswith("forge/grokfast/")

    return [metric for metric in list_catalog_metrics(phase) if runs(metric)]


def render_metric_catalog() -> str:
    """`docs/reference/metrics.md`."""
    lines = [_HEAD.format(count=sum(count_catalog_metrics().values()))]
    for phase, count in count_catalog_metrics().items():
        lines += ["", f"## {phase}: {count}", "", "| metric | unit | what it says |", "|---|---|---|"]
        lines += [
            f"| `{name}` | {unit} | {description} |" for name, unit, description in _metric_catalog_lines()[phase]
        ]
    return "\n".join(lines) + "\n"
