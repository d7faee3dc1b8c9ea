"""Every option that takes a number refuses what is none, and what is far out of bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from forge.cli.main import UsageError, app

ABSURD = {int: (str(10**30), str(-(10**30))), float: ("nan", "inf", "-inf", "1e30", "-1e30")}
COMMAND = typer.main.get_command(app)


def numeric_options(command: Any, words: tuple[str, ...] = ()) -> Iterator[Any]:
    for name, below in getattr(command, "commands", {}).items():
        yield from numeric_options(below, (*words, name))
    for option in command.params:
        descriptor = getattr(option, "type_descriptor", None)
        if descriptor is not None and descriptor.annotation in ABSURD:
            yield pytest.param(option, descriptor.annotation, id=" ".join((*words, option.name)))


OPTIONS = [found for found in numeric_options(COMMAND) if found.id not in ("merge density", "merge t")]  # see Recipe


def test_all_such_options_are_found() -> None:
    names = {str(option.id) for option in OPTIONS}
    assert {"chat ask_below", "generate temperature", "tools import timeout", "bench repeats"} <= names


@pytest.mark.parametrize(("option", "kind"), OPTIONS)
def test_numbers_beyond_reason_are_wrong_usage(option: Any, kind: type) -> None:
    context: Any = COMMAND
    for text in ABSURD[kind]:
        with pytest.raises(UsageError):
            option.process_value(context.context_class(COMMAND), text)
