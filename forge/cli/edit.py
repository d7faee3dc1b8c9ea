"""`agent-forge config edit`: params.yaml in an editor, put in place only if it is valid."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from forge.cli.output import JSON, emit_command_json, fail_on_terminal, say, terminal_answers
from forge.cli.project import given_file
from forge.errors import ForgeError
from forge.files import atomic_write_bytes, sha256_file


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
    from forge.config import ParamsChanged, load_params, read_params_bytes, replace_params

    file = given_file(file)
    if not file.is_file():
        raise ForgeError(f"{file}: no such file; run this command in the project's folder")
    before = read_params_bytes(file)
    draft = _open_draft_of_params(file, before)
    while True:
        _open_terminal_editor(draft)
        try:
            params = load_params(draft)
            break
        except ForgeError as error:
            reason = str(error).replace(draft.name, file.name)
            if as_json or not terminal_answers():
                raise ForgeError(f"{reason}; {file} is as it was, your edit is kept in {draft}") from error
            fail_on_terminal(reason)
            if not typer.confirm("Edit again?", default=True):
                raise ForgeError(f"{file} is as it was, your edit is kept in {draft}") from error
    try:
        changed = replace_params(file, before, read_params_bytes(draft))
    except ParamsChanged as error:
        # Not as the draft that the next edit goes on with: that one would undo what somebody else has written.
        kept = draft.rename(file.with_name(f"{file.stem}.late-{sha256_file(draft)[:8]}{file.suffix}"))
        raise ForgeError(f"{error}; your edit is kept in {kept}, take it over by hand") from error
    except ForgeError as error:
        raise ForgeError(f"{error}; your edit is kept in {draft}") from error
    draft.unlink()
    if as_json:
        emit_command_json({"changed": changed, "file": file.as_posix(), "scale": params.scale, "seed": params.seed})
        return
    say(f"{file}: {'changed and valid' if changed else 'not changed'} (scale {params.scale})")


def _open_draft_of_params(file: Path, before: bytes) -> Path:
    """The copy that the editor gets: a new one, or what an earlier edit left if the file has not changed since."""
    draft = file.with_name(f"{file.stem}.draft{file.suffix}")
    if not draft.exists():
        atomic_write_bytes(draft, before)
    elif draft.stat().st_mtime_ns < file.stat().st_mtime_ns:
        raise ForgeError(
            f"{draft}, which an earlier edit left, is older than {file}: take over what differs by hand, then delete it"
        )
    else:
        say(f"going on with {draft}, which an earlier edit left")
    return draft


def _open_terminal_editor(path: Path) -> None:
    """Wait until the user has closed the editor."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        done = subprocess.run([*shlex.split(command), str(path)], check=False)
    except (OSError, ValueError) as error:
        raise ForgeError(f"the editor {command!r} cannot be started ({error}); set EDITOR") from error
    if done.returncode != 0:
        raise ForgeError(f"the editor {command!r} ended with code {done.returncode}; the file is as it was")
