"""How the commands speak: JSON on stdout's last line, tables for people, one line on stderr for a fault.

Whatever is shown may come from outside (documents, results of tools, file names, tags), so all of it is made printable
here.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

from forge.errors import UNPRINTABLE, printable

JSON = Annotated[bool, typer.Option("--json", help="Print one line of JSON last.")]


def emit_command_json(obj: Any) -> None:
    """Print `obj` as one line of JSON; nothing follows it."""
    text = json.dumps(obj, ensure_ascii=False, allow_nan=False)
    print(UNPRINTABLE.sub(_json_escape, text), flush=True)


def _json_escape(found: re.Match[str]) -> str:
    """A character as JSON may write it, in units of UTF-16: the same text for whoever parses it."""
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def say(text: str) -> None:
    """Print a line for a person."""
    print(printable(text), flush=True)


def whisper(text: str) -> None:
    """Print a line that is not the answer, dimmed on a terminal."""
    if not on_terminal():
        say(text)
        return
    from rich.console import Console
    from rich.text import Text

    Console().print(Text(printable(text), style="dim"), soft_wrap=True)


def fail_on_terminal(text: str) -> None:
    """Print one line on stderr."""
    print(f"agent-forge: {printable(' '.join(text.split()))}", file=sys.stderr, flush=True)


def on_terminal() -> bool:
    """Whether a person reads stdout; it may be closed."""
    return sys.stdout is not None and sys.stdout.isatty()


def terminal_answers() -> bool:
    """Whether a person writes stdin; it may be closed."""
    return sys.stdin is not None and sys.stdin.isatty()


def print_terminal_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table: with rules and colors on a terminal, plain columns on a pipe."""
    listed = [[printable(cell.replace("\n", " ")) for cell in row] for row in rows]
    if on_terminal():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(*header)
        for row in listed:
            drawn.add_row(*map(Text, row))
        Console().print(drawn)
        return
    widths = [max(len(row[i]) for row in [list(header), *listed]) for i in range(len(header))]
    for row in [list(header), *listed]:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
