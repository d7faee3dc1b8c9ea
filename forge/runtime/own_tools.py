"""A user's own tools at run time: what a model's metadata say of them, and the tools files that say how they are run.

A model may be a stranger's. Its metadata say what may be called, never what a call runs: that is said by a tools file,
which whoever uses the model names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from forge.data.personas import PERSONAS
from forge.errors import ForgeError
from forge.tools.declared.reading import (
    LARGEST_TOOLS_FILE,
    MOST_PERSONAS,
    MOST_TOOLS,
    ToolFile,
    list_tools_files,
    read_own_tool_files,
)
from forge.tools.declared.schema import DeclaredPersona, DeclaredTool, Parameter

TOOLS_KEY = "declared_tools"  # of metadata.json
PERSONAS_KEY = "declared_personas"
_OF_SENTENCES = ("examples", "values", "synonyms")
_LONGEST_REASON = 160


class ModelDeclarations(BaseModel):
    """The tools and personas of the user's that a model was trained on."""

    declared_tools: tuple[DeclaredTool, ...] = Field(default=(), max_length=MOST_TOOLS)
    declared_personas: tuple[DeclaredPersona, ...] = Field(default=(), max_length=MOST_PERSONAS)


def read_agent_declarations(metadata: Mapping[str, Any], where: str) -> ModelDeclarations:
    """What a model's metadata declare; nothing where they say nothing.

    Raises:
        ForgeError: names `where`: longer than a tools file may be, not what `forge.tools.declared.schema` describes, a
            name that stands twice or is a built-in one, a tool that says what its calls run.
    """
    found = {key: metadata[key] for key in (TOOLS_KEY, PERSONAS_KEY) if metadata.get(key) is not None}
    if not found:
        return ModelDeclarations()
    try:
        size = len(json.dumps(found))
    except RecursionError as error:
        raise ForgeError(f"{where}: {' and '.join(found)}: nested too deeply") from error
    if size > LARGEST_TOOLS_FILE:
        raise ForgeError(f"{where}: {' and '.join(found)} hold more than {LARGEST_TOOLS_FILE:,} characters")
    tools = found.get(TOOLS_KEY)
    if isinstance(tools, list):
        found[TOOLS_KEY] = [_without_values_to_match(tool) for tool in tools]
    try:
        read = ModelDeclarations.model_validate(found)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in (*fault["loc"], *fault.get("ctx", {}).get("at", ())))
        reason = " ".join(fault["msg"].split())[:_LONGEST_REASON]
        raise ForgeError(f"{where}: {place[:_LONGEST_REASON]}: {reason}") from error
    for tool in read.declared_tools:
        if tool.run is not None:
            raise ForgeError(f"{where}: {tool.name} says what its calls run, which a model may not")
    _refuse_taken_names(read, where)
    return read


def _without_values_to_match(tool: Any) -> Any:
    """A tool without what would be held against its patterns, which a stranger may make endless."""
    parameters = tool.get("parameters") if isinstance(tool, dict) else None
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    given = list(properties.values()) if isinstance(properties, dict) else []
    given += [parameter.get("items") for parameter in given if isinstance(parameter, dict)]
    if not any(isinstance(parameter, dict) and "pattern" in parameter for parameter in given):
        return tool
    return {key: kept for key, kept in tool.items() if key not in _OF_SENTENCES}


def _refuse_taken_names(read: ModelDeclarations, where: str) -> None:
    from forge.tools.toolbox import TOOL_NAMES

    for declared, taken in ((read.declared_tools, set(TOOL_NAMES)), (read.declared_personas, set(PERSONAS))):
        for item in declared:
            if item.name in taken:
                raise ForgeError(f"{where}: {item.name} is built in, or declared twice")
            taken.add(item.name)


def read_agent_tools_to_run(path: str | Path, declared: Sequence[DeclaredTool], model: str) -> list[ToolFile]:
    """Tools files that say how calls of a model's own tools are run.

    Args:
        path: a tools file, or a folder of such files.
        declared: what the model was trained to call. A tool of these that no file has stays a mere call.
        model: its name, for messages.

    Raises:
        ForgeError: as `read_own_tool_files`; a tool that the model does not know, or knows with other parameters.
    """
    files = read_own_tool_files(list_tools_files(path))
    known = {tool.name: tool for tool in declared}
    for file in files:
        for number, tool in enumerate(file.tools):
            trained = known.get(tool.name)
            if trained is None:
                names = f"it knows {', '.join(known)}"[:_LONGEST_REASON] if known else "nor any other of your own"
                place = file.place("tools", number, "name")
                raise ForgeError(f"{place}: {model} was not trained to call {tool.name}; {names}")
            if _parameters_of_calls(tool) != _parameters_of_calls(trained):
                place = file.place("tools", number, "parameters")
                raise ForgeError(f"{place}: {tool.name}: {model} was trained on other parameters; train it anew")
    return files


def _parameters_of_calls(tool: DeclaredTool) -> tuple[list[tuple[str, Parameter]], tuple[str, ...]]:
    """What decides which calls there are: descriptions do not."""
    return [(name, _undescribed(parameter)) for name, parameter in tool.arguments.items()], tool.required


def _undescribed(parameter: Parameter) -> Parameter:
    items = None if parameter.items is None else _undescribed(parameter.items)
    return parameter.model_copy(update={"description": "", "items": items})
