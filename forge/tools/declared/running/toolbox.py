"""Calls of declared tools, checked by their schemas and run: the counterpart of `forge.tools.toolbox` for own tools."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from forge.errors import ForgeError
from forge.tools.calls import parse_tool_call, refuse_call
from forge.tools.declared.reading import ToolFile
from forge.tools.declared.running.run_command import run_tool_command
from forge.tools.declared.running.run_http import refuse_tool_host, send_tool_request
from forge.tools.declared.running.run_mcp import McpServer
from forge.tools.declared.running.run_python import PythonWorker
from forge.tools.declared.schema import DeclaredTool, McpRun
from forge.tools.toolbox import shorten_tool_result

CALL_SECONDS = 10.0


class CallExecutor(Protocol):
    """What answers a call's text with one line, never with an exception."""

    def execute(self, call: str) -> str:
        """The result, `error: ...` for every bad call."""
        ...

    def close(self) -> None:
        """Give back what is held open."""
        ...


@dataclass(frozen=True)
class _Home:
    """Where a tool's file is, and whom its tools may ask."""

    folder: Path
    hosts: Collection[str]


class DeclaredToolbox:
    """Executes calls such as `set_light {"name":"hall light"}` and answers with one short line.

    Processes of Python functions and sessions with MCP servers are started by the first call that needs them, shared by
    all tools of a folder or server, and kept until `close`: what they remember lasts from call to call.

    Args:
        files: the tools; paths in `run` begin in the folder of the tool's file.
        timeout_s: wall-clock limit of a call.

    Raises:
        ForgeError: two tools have one name.
    """

    def __init__(self, files: Sequence[ToolFile], timeout_s: float = CALL_SECONDS) -> None:
        self._timeout_s = timeout_s
        self._tools: dict[str, DeclaredTool] = {}
        self._homes: dict[str, _Home] = {}
        for file in files:
            home = _Home(file.path.absolute().parent, file.hosts)
            for tool in file.tools:
                if tool.name in self._tools:
                    raise ForgeError(f"{file.path}: {tool.name} is declared twice")
                self._tools[tool.name], self._homes[tool.name] = tool, home
        self._workers: dict[Path, PythonWorker] = {}
        self._servers: dict[tuple[Path, McpRun], McpServer] = {}

    @property
    def tools(self) -> Mapping[str, DeclaredTool]:
        """The tools by name."""
        return self._tools

    def execute(self, call: str) -> str:
        """Result of one call, at most 200 characters on one line; `error: ...` for every bad call."""
        try:
            name, arguments = parse_tool_call(call.strip(), self._tools)
        except ForgeError as error:
            return shorten_tool_result(f"error: {error}")
        return self.run(name, arguments)

    def run(self, name: str, arguments: Mapping[str, Any]) -> str:
        """As `execute`, for a call that has been parsed."""
        tool = self._tools.get(name)
        if tool is None:
            return shorten_tool_result(f"error: unknown tool {name[:40]}")
        refused = refuse_call(tool, arguments)
        if refused is not None:
            return shorten_tool_result(f"error: {name}: {refused}")
        try:
            return shorten_tool_result(self._run_tool(tool, arguments, self._homes[name]))
        except ForgeError as error:
            return shorten_tool_result(f"error: {error}")

    def _run_tool(self, tool: DeclaredTool, arguments: Mapping[str, Any], home: _Home) -> str:
        """Raises ForgeError for whatever goes wrong."""
        run = tool.run
        if run is None:  # the call itself is what is wanted
            return "ok"
        if run.command is not None:
            text = json.dumps(dict(arguments), ensure_ascii=False) + "\n"
            return run_tool_command(run.command, text, home.folder, self._timeout_s).strip() or "ok"
        if run.python is not None:
            worker = self._workers.setdefault(home.folder, PythonWorker(home.folder, self._timeout_s))
            return worker.call(run.python, arguments).strip() or "ok"
        if run.http is not None:
            return send_tool_request(run.http, arguments, home.hosts, self._timeout_s)
        assert run.mcp is not None
        if run.mcp.url is not None:
            refuse_tool_host(run.mcp.url, home.hosts)
        key = home.folder, run.mcp.model_copy(update={"tool": None})
        server = self._servers.setdefault(key, McpServer(run.mcp, home.folder, self._timeout_s))
        return server.call(run.mcp.tool or tool.name, arguments)

    def close(self) -> None:
        """End processes and sessions. Safe to call twice."""
        with ExitStack() as stack:
            for worker in self._workers.values():
                stack.callback(worker.close)
            for server in self._servers.values():
                stack.callback(server.close)

    def __enter__(self) -> DeclaredToolbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class JoinedToolbox:
    """Own tools and other ones behind one `execute`: a call goes to the own tool of its name, or else to the others."""

    def __init__(self, own: DeclaredToolbox, others: CallExecutor) -> None:
        self._own = own
        self._others = others

    def execute(self, call: str) -> str:
        """Result of one call, at most 200 characters on one line; `error: ...` for every bad call."""
        name = call.strip().partition(" ")[0]
        return (self._own if name in self._own.tools else self._others).execute(call)

    def close(self) -> None:
        """Close both."""
        try:
            self._own.close()
        finally:
            self._others.close()

    def __enter__(self) -> JoinedToolbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
