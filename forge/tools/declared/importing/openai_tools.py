"""OpenAI's `tools`, as they are in a request to the chat API, in one to the responses API, or in a file of their own.

Three forms of an entry are read: `{"type": "function", "function": {"name": ..., "parameters": {...}}}` (chat), the
same without the inner object (responses), and `{"name": ..., "parameters": {...}}` (the older `functions`).
Source: OpenAI's API reference, https://platform.openai.com/docs/api-reference/chat/create.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import decode_utf8, parse_json, parse_json_values, read_regular_file
from forge.tools.declared.importing.drafting import FoundTool

LARGEST_JSON = 4 << 20  # bytes


def find_openai_tools(path: Path) -> list[FoundTool]:
    """The functions of a JSON file: an array of tools, or an object with `tools` or `functions`.

    Raises:
        ForgeError: not such a file; the message is `FILE:LINE: ...`.
    """
    text = decode_utf8(read_regular_file(path, LARGEST_JSON), str(path))
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise ForgeError(f"{path}:{error.lineno}: not JSON ({error.msg})") from error
    except (RecursionError, ValueError) as error:
        raise ForgeError(f"{path}:1: not JSON (nested too deeply, or a number of too many digits)") from error
    if text.lstrip().startswith("["):
        return [_openai_tool(where, entry) for where, entry in parse_json_values(text, path)]
    tree = parse_json(text, f"{path}:1")
    key = next((key for key in ("tools", "functions") if isinstance(tree, dict) and key in tree), None)
    entries = tree[key] if key else [tree]
    if not isinstance(entries, list):
        raise ForgeError(f"{path}:{_line_of_key(text, str(key))}: {key} is not an array")
    line = _line_of_key(text, key) if key else 1
    return [_openai_tool(f"{path}:{line}: tool {number}", entry) for number, entry in enumerate(entries, 1)]


def _line_of_key(text: str, key: str) -> int:
    return text.count("\n", 0, text.index(f'"{key}"')) + 1


def _openai_tool(where: str, entry: Any) -> FoundTool:
    if not isinstance(entry, dict):
        raise ForgeError(f"{where}: a tool is an object")
    if entry.get("type", "function") != "function":
        raise ForgeError(f"{where}: a tool of type {str(entry['type'])[:40]!r}; only functions can be declared")
    function = entry.get("function", entry)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ForgeError(f"{where}: a function without a name")
    description = function.get("description")
    return FoundTool(
        function["name"],
        description if isinstance(description, str) else "",
        function.get("parameters"),
        null_is_optional=True,
    )
