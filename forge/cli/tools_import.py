"""The command `tools import`: a tools file drafted from what somebody already has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forge.cli.options import option_without_nan
from forge.cli.output import JSON, emit_command_json, say

OUTPUT = Annotated[Path, typer.Option("--output", "-o", help="The tools file to write.")]


def tools_import_command(
    source: Annotated[
        str,
        typer.Argument(
            help="OpenAI's tools (a .json file), a Python file or module, or mcp: with a command or address."
        ),
    ],
    out: OUTPUT,
    tool: Annotated[list[str] | None, typer.Option(help="Only this tool; may be given several times.")] = None,
    timeout: Annotated[
        float,
        typer.Option(min=0.1, max=600, callback=option_without_nan, help="Seconds that a server or module may take."),
    ] = 30.0,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
    as_json: JSON = False,
) -> None:
    """Draft a tools file, with example sentences for you to extend.

    \b
    Examples:
      agent-forge tools import functions.json -o tools.yaml
      agent-forge tools import lights.py -o tools.yaml
      agent-forge tools import "mcp:python -m mcp_server_time" -o tools.yaml
    """
    from forge.tools.declared.importing.sources import import_tools

    draft = import_tools(source, out, timeout_s=timeout, wanted=tool or (), force=force)
    if as_json:
        emit_command_json({"out": str(out), "tools": [found.name for found in draft.tools], "notes": draft.notes})
        return
    for note in draft.notes:
        say(f"note: {note}")
    count = len(draft.tools)
    say(f"{out}: {count} tool{'s' if count != 1 else ''}; extend the examples, then: agent-forge tools check {out}")
