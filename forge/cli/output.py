"""How the commands speak: JSON on stdout's last line, tables for people, one line on stderr for a fault."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

JSON = Annotated[bool, typer.Option("--json", help="Print one line of JSON last.")]


def emit_command_json(obj: Any) -> None:
    """Print `obj` as one line of JSON; nothing follows it."""
    print(json.dumps(obj, ensure_ascii=False, allow_nan=False), flush=True)


def say(text: str) -> None:
    """Print a line for a person."""
    print(text, flush=True)


def fail_on_terminal(text: str) -> None:
    """Print one line on stderr."""
    print(f"agent-forge: {' '.join(text.split())}", file=sys.stderr, flush=True)


def print_terminal_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table: with rules and colors on a terminal, plain columns on a pipe."""
    listed = [list(row) for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        drawn = Table(*header)
        for row in listed:
            drawn.add_row(*(cell.replace("[", "\\[") for cell in row))
        Console().print(drawn)
        return
    widths = [max(len(row[i]) for row in [list(header), *listed]) for i in range(len(header))]
    for row in [list(header), *listed]:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
