"""Tools of a running MCP server (Model Context Protocol, https://modelcontextprotocol.io)."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from forge.errors import ForgeError
from forge.tools.declared.importing.drafting import FoundTool
from forge.tools.declared.running.run_mcp import McpServer
from forge.tools.declared.schema import McpRun


def find_mcp_tools(source: str, folder: Path, timeout_s: float) -> list[FoundTool]:
    """What a server lists.

    Args:
        source: a command that starts one, as a shell would split it, or the address of one.
        folder: where the tools file goes: the command is started there, so the paths in it are made to begin there.
        timeout_s: seconds that the server may take for an answer.

    Raises:
        ForgeError: `mcp` is not installed, or the server cannot be started or asked.
    """
    run = _mcp_server_of_source(source, folder)
    server = run.model_dump(mode="json", exclude_none=True)
    with McpServer(run, folder, timeout_s) as opened:
        listed = opened.list_tools()
    found = []
    for name, description, schema in listed:
        ours = re.sub(r"[^A-Za-z0-9_-]", "_", name)
        renamed: dict[str, Any] = {} if ours == name else {"tool": name}
        found.append(FoundTool(ours, description, schema, {"mcp": server | renamed}))
    return found


def _mcp_server_of_source(source: str, folder: Path) -> McpRun:
    try:
        if re.match(r"https?://", source):
            return McpRun(url=source)
        words = shlex.split(source)
        if not words:
            raise ForgeError("mcp: needs a command or an address, as in 'mcp:python server.py'")
        return McpRun(command=tuple(_path_from_folder(word, folder) for word in words))
    except ValidationError as error:
        raise ForgeError(f"mcp:{source}: no tools file can hold it ({error.errors()[0]['msg']})") from error
    except ValueError as error:  # a quotation mark without its other half
        raise ForgeError(f"mcp:{source}: not a command ({error})") from error


def _path_from_folder(word: str, folder: Path) -> str:
    """A word of a command; where it is the path of a file, below or beside where we stand, that path from `folder`."""
    if os.path.isabs(word) or not Path(word).is_file():
        return word
    moved = os.path.relpath(word, folder)
    return moved if os.sep in moved or os.sep not in word else f".{os.sep}{moved}"
