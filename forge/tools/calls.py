"""The text of a call: `calculator 3+4` of a tool that takes one text, `set_light {"name":"hall","brightness":30}` else.

JSON is compact, its keys in the order of the schema, optional ones left out where they are not given: an arguments
object has one text only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from forge.errors import ForgeError
from forge.files import parse_json
from forge.tools.declared.schema import DeclaredTool

_LONGEST_REASON = 200


def tool_call_text(tool: DeclaredTool, arguments: Mapping[str, Any]) -> str:
    """The one text of a call with these arguments; a whole number has no point, whatever its type in Python.

    Raises:
        ForgeError: an argument that the tool does not have, or a tool that takes one text got none.
    """
    unknown = [name for name in arguments if name not in tool.arguments]
    if unknown:
        raise ForgeError(f"{tool.name}: there is no argument {unknown[0]!r}")
    if tool.plain is not None:
        if not isinstance(arguments.get(tool.plain), str):
            raise ForgeError(f"{tool.name}: needs the text {tool.plain!r}")
        return f"{tool.name} {arguments[tool.plain]}"
    ordered = {name: _shortest_number(arguments[name]) for name in tool.arguments if name in arguments}
    return f"{tool.name} {json.dumps(ordered, separators=(',', ':'), ensure_ascii=False, allow_nan=False)}"


def _shortest_number(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_shortest_number(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def parse_tool_call(text: str, tools: Mapping[str, DeclaredTool]) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a call's text, the reverse of `tool_call_text`; whether they fit, `refuse_call` says.

    Args:
        tools: by name.

    Raises:
        ForgeError: no such tool, or the text is not what its calls look like.
    """
    name, _, rest = text.partition(" ")
    tool = tools.get(name)
    if tool is None:
        raise ForgeError(f"unknown tool {name[:40]}")
    if tool.plain is not None:
        return name, {tool.plain: rest}
    arguments = parse_json(rest, name)
    if not isinstance(arguments, dict):
        raise ForgeError(f"{name}: arguments are an object, as JSON")
    return name, arguments


def refuse_call(tool: DeclaredTool, arguments: Mapping[str, Any]) -> str | None:
    """Why the tool does not take these arguments, in one line; None if it does."""
    from jsonschema.exceptions import best_match

    fault = best_match(tool.validator.iter_errors(dict(arguments)))
    if fault is None:
        return None
    place = "".join(f"{part}: " if isinstance(part, str) else f"item {part + 1}: " for part in fault.absolute_path)
    return " ".join(f"{place}{fault.message}".split())[:_LONGEST_REASON]
