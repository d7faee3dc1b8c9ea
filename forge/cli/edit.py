"""`agent-forge config edit`: params.yaml in an editor, put in place only if it is valid."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from forge.cli.output import JSON, emit_command_json, fail_on_terminal, say
from forge.errors import ForgeError


def config_edit(
    file: Annotated[Path, typer.Argument(help="The file to edit.")] = Path("params.yaml"),
    as_json: JSON = False,
) -> None:
    """Edit params.yaml in $VISUAL or $EDITOR; what is not valid is not put in place.

    The editor gets a copy. A run that is under way meets either the old file or the new one, never half of it.

    \b
    Examples:
      agent-forge config edit
      EDITOR='code --wait' agent-forge config edit
    """
    from forge.config import load_params, replace_params
    from forge.files import atomic_write_bytes

    if not file.is_file():
        raise ForgeError(f"{file}: no such file; run this command in the project's folder")
    before = file.read_bytes()
    draft = file.with_name(f"{file.stem}.draft{file.suffix}")
    if draft.exists():
        say(f"going on with {draft}, which an earlier edit left")
    else:
        atomic_write_bytes(draft, before)
    while True:
        _open_terminal_editor(draft)
        try:
            params = load_params(draft)
            break
        except ForgeError as error:
            reason = str(error).replace(draft.name, file.name)
            if not (sys.stdin.isatty() and not as_json):
                raise ForgeError(f"{reason}; {file} is as it was, your edit is kept in {draft}") from error
            fail_on_terminal(reason)
            if not typer.confirm("Edit again?", default=True):
                raise ForgeError(f"{file} is as it was, your edit is kept in {draft}") from error
    try:
        changed = replace_params(file, before, draft.read_bytes())
    except ForgeError as error:
        raise ForgeError(f"{error}; your edit is kept in {draft}") from error
    draft.unlink()
    if as_json:
        emit_command_json({"changed": changed, "file": file.as_posix(), "scale": params.scale, "seed": params.seed})
        return
    say(f"{file}: {'changed and valid' if changed else 'not changed'} (scale {params.scale})")


def _open_terminal_editor(path: Path) -> None:
    """Wait until the user has closed the editor."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        done = subprocess.run([*shlex.split(command), str(path)], check=False)
    except (OSError, ValueError) as error:
        raise ForgeError(f"the editor {command!r} cannot be started ({error}); set EDITOR") from error
    if done.returncode != 0:
        raise ForgeError(f"the editor {command!r} ended with code {done.returncode}; the file is as it was")
