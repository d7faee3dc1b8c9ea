"""`agent-forge clean`: remove what old runs have left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forge.cli.output import JSON, emit_command_json, print_terminal_table, say
from forge.host.units import human_bytes, human_seconds


def clean_command(
    older_than: Annotated[
        str, typer.Option(help="Only what was last written longer ago: a number and s, m, h, d or w.")
    ] = "7d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
    as_json: JSON = False,
) -> None:
    """Remove orphan checkpoints, old records of runs, logs and W&B runs under .forge.

    A checkpoint is an orphan when parameters, inputs or code have changed since, so that no run would resume
    from it. What a killed agent left in the temporary directory goes at any age. Models, results and DVC's cache are
    not touched.

    \b
    Examples:
      agent-forge clean --dry-run
      agent-forge clean --older-than 12h
      agent-forge clean --older-than 0s --json
    """
    from forge.config import load_params
    from forge.pipeline.upkeep.retention import leftovers, parse_retention_age

    age = parse_retention_age(older_than)
    found = leftovers(load_params(), age)
    gone = [each for each in found if dry_run or each.remove()]
    busy = [each for each in found if each not in gone]
    freed = sum(each.size for each in gone)
    if as_json:
        rows = [
            {"path": shown(each.path), "kind": each.kind, "bytes": each.size, "age_seconds": round(each.age)}
            for each in gone
        ]
        emit_command_json(
            {
                "removed": [] if dry_run else rows,
                "would_remove": rows if dry_run else [],
                "bytes": freed,
                "in_use": [shown(each.path) for each in busy],
            }
        )
        return
    if gone:
        print_terminal_table(
            ("what", "kind", "size", "age"),
            [(shown(each.path), each.kind, human_bytes(each.size), human_seconds(each.age)) for each in gone],
        )
    for each in busy:
        say(f"{shown(each.path)}: in use, kept")
    verb = "would be freed" if dry_run else "freed"
    say(f"{human_bytes(freed)} {verb}" if gone else f"nothing is older than {older_than}")


def shown(path: Path) -> str:
    """A path as a person reads it: from here where it lies below."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_posix()
