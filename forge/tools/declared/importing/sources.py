"""`agent-forge tools import`: from a source's name to a tools file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from forge.errors import ForgeError
from forge.files import atomic_write_text
from forge.tools.declared.importing.drafting import FoundTool, ToolsDraft, draft_tools
from forge.tools.declared.importing.mcp_tools import find_mcp_tools
from forge.tools.declared.importing.openai_tools import find_openai_tools
from forge.tools.declared.importing.python_functions import find_python_tool_functions
from forge.tools.declared.importing.writing import refuse_to_overwrite_tools_file, tools_file_text
from forge.tools.declared.running.run_http import refuse_tool_host

MCP = "mcp:"


def import_tools(
    source: str, out: Path, *, timeout_s: float = 30.0, wanted: Sequence[str] = (), force: bool = False
) -> ToolsDraft:
    """Draft a tools file from what a source says about its tools, and write it whole.

    Args:
        source: a `.json` file of OpenAI's `tools`; a Python file or the dotted name of a module; `mcp:` with a command
            that starts an MCP server, or with the address of one.
        out: the file to write.
        timeout_s: seconds that a module or server may take.
        wanted: names of the tools to draft; empty for all.
        force: replace the file if there is one.

    Raises:
        ForgeError: the file exists already, or the source cannot be read or has no tool that can be declared.
    """
    refuse_to_overwrite_tools_file(out, force=force)
    draft = draft_tools(find_tools(source, out.parent, timeout_s), source, wanted)
    atomic_write_text(out, tools_file_text(draft, source, out.name, _host_to_list(source)))
    return draft


def find_tools(source: str, folder: Path, timeout_s: float) -> list[FoundTool]:
    """What a source says about its tools; `folder` is where the tools file goes.

    Raises:
        ForgeError: as `import_tools`.
    """
    if source.startswith(MCP):
        _refuse_missing_folder(folder)
        return find_mcp_tools(source.removeprefix(MCP), folder, timeout_s)
    if source.endswith(".json"):
        return find_openai_tools(Path(source))
    if source.endswith(".py") or re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", source):
        _refuse_missing_folder(folder)
        return find_python_tool_functions(source, folder, timeout_s)
    raise ForgeError(
        f"{source}: not a source of tools; name a .json file of OpenAI's tools, a Python file or module, or"
        f" {MCP} with the command or address of a server"
    )


def _refuse_missing_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ForgeError(
            f"{folder}: no such folder; tools are run from the folder of their file, so it has to be there"
        )


def _host_to_list(source: str) -> tuple[str, ...]:
    """The host of a server elsewhere, which the user has just named."""
    address = source.removeprefix(MCP)
    if not source.startswith(MCP) or not re.match(r"https?://", address):
        return ()
    try:
        refuse_tool_host(address, ())
    except ForgeError:
        return (urlsplit(address).hostname or "",)
    return ()
