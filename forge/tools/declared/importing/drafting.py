"""From what a source says about its tools to declared tools with drafted sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from forge.errors import ForgeError
from forge.tools.declared.importing.reducing import UnsupportedParameter, reduce_tool_schema, shorten_description
from forge.tools.declared.importing.sentences import draft_tool_sentences
from forge.tools.declared.schema import DeclaredTool


@dataclass(frozen=True)
class FoundTool:
    """A tool as its source describes it.

    Attributes:
        name: as it is to be declared.
        description: any text.
        schema: JSON Schema of its arguments; None if it takes none.
        run: the entry `run` of the tools file; None where the call is the product.
        null_is_optional: whether a required parameter that may be null can be left out.
        notes: what its source cannot say about it.
    """

    name: str
    description: str = ""
    schema: Any = None
    run: dict[str, Any] | None = None
    null_is_optional: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ToolsDraft:
    """Drafted tools; notes: a line for everything that was left out."""

    tools: tuple[DeclaredTool, ...]
    notes: tuple[str, ...]


def draft_tools(found: Iterable[FoundTool], source: str, wanted: Sequence[str] = ()) -> ToolsDraft:
    """Declared tools of a source, each with sentences that might ask for it.

    A tool that cannot be declared is left out with a note, so that one of them does not stand in the way of the others.

    Args:
        found: what the source has.
        source: its name, for the messages.
        wanted: names of the tools to draft; empty for all.

    Raises:
        ForgeError: nothing could be drafted, a wanted tool is not there or cannot be declared, or two have one name.
    """
    listed = list(found)
    unknown = [name for name in wanted if name not in {tool.name for tool in listed}]
    if unknown:
        raise ForgeError(f"{source}: has no tool {unknown[0]!r}; it has {_in_a_row(tool.name for tool in listed)}")
    tools: dict[str, DeclaredTool] = {}
    notes: list[str] = []
    for tool in listed:
        if wanted and tool.name not in wanted:
            continue
        try:
            told = tool.name.lower().replace("-", "_")
            if told in tools:
                raise UnsupportedParameter(f"{tool.name}: there is a tool {tools[told].name} already")
            tools[told] = _draft_tool(tool, notes)
        except UnsupportedParameter as error:
            if wanted:
                raise ForgeError(f"{source}: {error}") from error
            notes.append(f"{error}; the tool is left out")
    if not tools:
        raise ForgeError(f"{source}: {'no tool can be declared: ' + notes[0] if notes else 'holds no tools'}")
    return ToolsDraft(tuple(tools.values()), tuple(notes))


def _in_a_row(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:12]) + (", ..." if len(listed) > 12 else "") if listed else "none"


def _draft_tool(found: FoundTool, notes: list[str]) -> DeclaredTool:
    """Raises UnsupportedParameter."""
    reduced = reduce_tool_schema(found.name, found.schema, null_is_optional=found.null_is_optional)
    description = shorten_description(found.description)
    try:
        tool = DeclaredTool.model_validate(
            {
                "name": found.name,
                "description": description,
                "parameters": reduced.parameters,
                "values": reduced.values,
                "examples": draft_tool_sentences(found.name, description, reduced.parameters),
                "run": found.run,
            }
        )
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        raise UnsupportedParameter(f"{found.name}: {place}: {fault['msg'].removeprefix('Value error, ')}") from error
    notes += [f"{found.name}: {note}" for note in found.notes]
    notes += reduced.notes
    return tool
