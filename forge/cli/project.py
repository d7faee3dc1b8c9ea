"""The project that a command is about: found from any folder in it, as Git and DVC find theirs.

Commands work in the project's folder, because all paths of the pipeline begin there. What a person names on the command
line begins where the person stands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import chdir
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from forge.errors import ForgeError
from forge.pipeline.layout.paths import find_project

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")
_STANDS: ContextVar[Path] = ContextVar("stands", default=Path())


def in_project(command: Callable[_Arguments, _Answer]) -> Callable[_Arguments, _Answer]:
    """A command that works in the project's folder, whichever of its folders it is called in.

    Raises:
        ForgeError: it is called outside of any project.
    """
    return _in_project_if_any(command, required=True)


def in_project_if_any(command: Callable[_Arguments, _Answer]) -> Callable[_Arguments, _Answer]:
    """As `in_project`; outside of any project the command works where it is called."""
    return _in_project_if_any(command, required=False)


def _in_project_if_any(command: Callable[_Arguments, _Answer], *, required: bool) -> Callable[_Arguments, _Answer]:
    @wraps(command)
    def moved(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Answer:
        stands = _current_folder()
        project = find_project(stands)
        if project is None:
            if required:
                raise ForgeError(
                    f"{stands}: no project, neither here nor above (a folder with dvc.yaml and params.yaml);"
                    " run this command in the project's folder"
                )
            return command(*arguments, **options)
        token = _STANDS.set(stands)
        try:
            with chdir(project):
                return command(*arguments, **options)
        finally:
            _STANDS.reset(token)

    return moved


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise ForgeError("the folder that this command was called in does not exist any more") from error


def given_path(path: Path) -> Path:
    """A path that a person named, from the project's folder: below where the person stands, if it is not absolute."""
    return Path(os.path.relpath(_STANDS.get() / path)) if _stands_elsewhere() and not path.is_absolute() else path


def given_file(path: Path) -> Path:
    """As `given_path`; where nothing is there, what the project has by that path."""
    below = given_path(path)
    return below if below.exists() else path


def command_line_ref(ref: str) -> str:
    """A word that may be a path: as `given_file`, and any other word as it is."""
    return str(given_file(Path(ref))) if _stands_elsewhere() and ref else ref


def _stands_elsewhere() -> bool:
    return _STANDS.get().absolute() != Path.cwd()


def model_in_project(path: str) -> str:
    """A model that a person named: from where the person stands, or else what the project has by that path."""
    project = find_project(_current_folder())
    if project is None or Path(path).exists() or not (project / path).exists():
        return path
    return os.path.relpath(project / path)
