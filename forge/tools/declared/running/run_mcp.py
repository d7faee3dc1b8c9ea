"""Tools of an MCP server, from code that is not asynchronous; the session stays open between calls."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from forge.errors import ForgeError
from forge.tools.declared.running.run_command import tool_program_words
from forge.tools.declared.schema import McpRun

if TYPE_CHECKING:
    from mcp import Client

_MOST_PAGES = 64


class McpServer:
    """A server that a command starts, or one at an address.

    It is started with the first request, and anew after one that it did not survive.

    Args:
        run: command or address.
        folder: where the command is started.
        timeout_s: seconds for each answer.
    """

    def __init__(self, run: McpRun, folder: Path, timeout_s: float) -> None:
        self._run = run
        self._folder = folder
        self._timeout_s = timeout_s
        self._open: ExitStack | None = None
        self._portal: Any = None
        self._client: Client | None = None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self._run.url or " ".join(self._run.command or ())

    def list_tools(self) -> list[tuple[str, str, Any]]:
        """Name, description and JSON Schema of the arguments of each of its tools.

        Raises:
            ForgeError: `mcp` is not installed, or the server cannot be started or asked.
        """
        found: list[tuple[str, str, Any]] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = self._ask("list_tools", cursor=cursor)
            found += [(tool.name, tool.description or "", tool.input_schema) for tool in page.tools]
            cursor = page.next_cursor
            if not cursor:
                return found
        raise ForgeError(f"{self.name}: its list of tools does not end")

    def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """The text of a tool's result.

        Raises:
            ForgeError: as `list_tools`, or the tool says that it failed.
        """
        answer = self._ask("call_tool", tool, dict(arguments))
        text = "\n".join(part.text for part in answer.content if part.type == "text").strip()
        if answer.is_error:
            raise ForgeError(text or f"{tool} failed")
        if answer.structured_content is not None and (not text or text[0] in "{["):
            # what the text says too, without its indentation: a result has 200 characters
            text = json.dumps(answer.structured_content, ensure_ascii=False, separators=(",", ":"))
        return text or (f"({answer.content[0].type})" if answer.content else "ok")

    def _ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """The answer to a request; a server that is gone is dropped, so that the next request starts it anew."""
        client = self._connected()
        import anyio
        from mcp import MCPError

        async def ask() -> Any:
            with anyio.fail_after(self._timeout_s):
                return await getattr(client, method)(*arguments, **options)

        try:
            return self._portal.call(ask)
        except MCPError as error:
            if self._is_gone(str(error)):
                self.close()
            raise ForgeError(str(error)) from error
        except TimeoutError as error:
            self.close()
            raise ForgeError(f"no answer within {self._timeout_s:g} s") from error
        except Exception as error:  # a transport has errors of many libraries
            self.close()
            raise ForgeError(f"{type(error).__name__}: {error}") from error

    @staticmethod
    def _is_gone(reason: str) -> bool:
        return "closed" in reason.lower()

    def _connected(self) -> Client:
        if self._client is None:
            try:
                from anyio.from_thread import start_blocking_portal
                from mcp import Client
            except ImportError as error:
                raise ForgeError("MCP servers need the package mcp: pip install 'agent-forge[mcp]'") from error
            with ExitStack() as stack:
                portal = stack.enter_context(start_blocking_portal())
                client = Client(self._transport(stack), read_timeout_seconds=self._timeout_s)
                try:
                    self._client = stack.enter_context(portal.wrap_async_context_manager(client))
                except Exception as error:  # a transport has errors of many libraries
                    raise ForgeError(f"{self.name}: no MCP server answers ({_innermost(error)})") from error
                self._portal, self._open = portal, stack.pop_all()
        return self._client

    def _transport(self, stack: ExitStack) -> Any:
        """What a client connects to: an address, or a command whose complaints are not for the agent's terminal."""
        if self._run.url is not None:
            return self._run.url
        from mcp.client.stdio import StdioServerParameters, stdio_client

        program, *rest = tool_program_words(self._run.command or ())
        null = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        return stdio_client(StdioServerParameters(command=program, args=rest, cwd=self._folder), errlog=null)

    def close(self) -> None:
        """End the session, and the server if it was started here. Safe to call twice."""
        opened, self._open, self._client, self._portal = self._open, None, None, None
        if opened is not None:
            with contextlib.suppress(Exception):  # a session whose server is gone cannot be ended well
                opened.close()

    def __enter__(self) -> McpServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _innermost(error: BaseException) -> str:
    """What lies within groups of exceptions, which say only how many they are."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(": ")
