"""`agent-forge tools`: draft and check a file of own tools, and see what would be trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forge.cli.output import JSON, emit_command_json, say, whisper
from forge.cli.tools_import import tools_import_command

tools_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Your own tools, declared in YAML.")
tools_app.command("import")(tools_import_command)
_FILES = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Tools files, for one agent together.")]
_FEWEST_ROWS = 200  # drawn for each split of what is shown, so that every kind is among them


@tools_app.command("check")
def check_tools_command(files: _FILES, as_json: JSON = False) -> None:
    """Say what is missing or ambiguous, with line numbers; exit code 1 if there is an error.

    \b
    Examples:
      agent-forge tools check tools.yaml
      agent-forge tools check home.yaml office.yaml --json
    """
    from forge.tools.declared.checking import check_tool_files
    from forge.tools.declared.reading import read_own_tool_files

    read = read_own_tool_files(files)
    found = check_tool_files(read)
    errors = sum(finding.level == "error" for finding in found)
    tools = sum(len(file.tools) for file in read)
    if as_json:
        emit_command_json({"tools": tools, "errors": errors, "findings": [vars(finding) for finding in found]})
    else:
        for finding in found:
            say(finding.line())
        say(f"{tools} tools: {errors} errors, {len(found) - errors} warnings")
    if errors:
        raise typer.Exit(1)


@tools_app.command("show")
def show_tools_command(
    files: _FILES,
    n: Annotated[int, typer.Option(min=1, max=10_000, help="Rows to show.")] = 20,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Another one, other rows.")] = 0,
    category: Annotated[str | None, typer.Option(help="Only this kind: call, two, missing, ...")] = None,
    held_out: Annotated[bool, typer.Option("--held-out", help="Rows of the test split instead.")] = False,
    as_json: JSON = False,
) -> None:
    """Print rows that would be trained on: what the user says, what is called, what is answered.

    \b
    Examples:
      agent-forge tools show tools.yaml --n 50
      agent-forge tools show tools.yaml --category followup --held-out
    """
    from forge.data.declared.rows import SHARES, own_tool_rows
    from forge.errors import ForgeError
    from forge.tools.declared.reading import read_own_tool_files

    if category is not None and category not in SHARES:
        raise ForgeError(f"no kind of rows {category!r}; there are {', '.join(SHARES)}")
    tools = [tool for file in read_own_tool_files(files) for tool in file.tools]
    shares = SHARES if category is None else {category: 1.0}
    split = "test" if held_out else "train"
    counts = {"train": 0, "val": 0, "test": _FEWEST_ROWS, split: n}
    rows = own_tool_rows(tools, counts, seed, shares)[split]
    if as_json:
        emit_command_json({"split": split, "rows": rows})
        return
    for row in rows:
        whisper(f"[{row['category']}]")
        for message in row["messages"]:
            say(f"  {message['role']:<9} {message['content']}")
