"""The tools behind one `execute(call)`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from forge.tools.builtin import TOOLS
from forge.tools.declaration import SHOWN, About, Tool, ToolSetting
from forge.tools.scratch import ScratchFolder
from forge.tools.words import CallWords, words_nearly_said, words_of_text, words_said
from forge.tools.workspace import examine_tool_workspace, set_up_tool_workspace

TOOL_NAMES = tuple(tool.name for tool in TOOLS)
MOST_WORDS = 5000  # of a tool's calls, beyond which they are not held to words


class _ToolWords(NamedTuple):
    """Words that a tool's calls may always have, those that must nearly be said, those that they may always quote, and
    which of those said a call may copy."""

    always: frozenset[str]
    spelled: frozenset[str]
    quoted: frozenset[str] | None
    copies: Callable[[frozenset[str]], frozenset[str]]


class Toolbox:
    """Executes calls such as `calculator 3+4` and answers with one short line.

    `workspace` is a folder with documents.jsonl, files/ and company.db; without one the built-in workspace is
    written to a temporary folder. `timeout_s` is the wall-clock limit of a snippet and of a query.
    `unsafe_code=True` lets code run on systems without Landlock, with resource limits only.
    Raises `ForgeError` if a given workspace is not fit (`examine_tool_workspace`).
    """

    def __init__(self, workspace: Path | None = None, timeout_s: float = 2.0, *, unsafe_code: bool = False) -> None:
        self._temporary: ScratchFolder | None = None
        if workspace is None:
            self._temporary = ScratchFolder("workspace")
            workspace = self._temporary.path
            set_up_tool_workspace(workspace)
        else:
            examine_tool_workspace(workspace)
        self.workspace = workspace
        self._open = ExitStack()
        setting = ToolSetting(workspace, timeout_s, unsafe_code)
        with ExitStack() as stack:  # what was opened is closed where a later tool cannot be
            self._tools = {tool.name: tool.open(setting, stack) for tool in TOOLS}
            self._open = stack.pop_all()

    def execute(self, call: str) -> str:
        """Result of one call, at most 200 characters on one line; `error: ...` for every bad call."""
        name, _, argument = call.strip().partition(" ")
        tool = self._tools.get(name)
        if tool is None:
            return shorten_tool_result(f"error: unknown tool {name[:40]}")
        if not argument.strip():
            return f"error: {name} needs an argument"
        return shorten_tool_result(tool(argument.strip()))

    def words_of_call(self, name: str, said: str) -> CallWords | None:
        """Words that a call of a tool may have after what was said; None of a tool that knows too many, or of another's
        tool."""
        known = self._words.get(name)
        if known is None or len(known.always) + len(known.spelled) > MOST_WORDS:
            return None
        copied = known.copies(words_said(said)) | words_nearly_said(said, known.spelled)
        quoted = None if known.quoted is None else known.quoted | copied
        return CallWords(known.always | copied, quoted, known.spelled)

    @cached_property
    def about(self) -> dict[str, About]:
        """What the workspace is asked about, by the name of a tool; those are left out for which it is of the usual
        kind."""
        found = {tool.name: tool.about(self.workspace) for tool in TOOLS}
        return {name: about for name, about in found.items() if about is not None}

    @cached_property
    def _words(self) -> dict[str, _ToolWords]:
        return {tool.name: self._words_of_tool(tool) for tool in TOOLS}

    def _words_of_tool(self, tool: Tool) -> _ToolWords:
        always = frozenset[str]().union(*map(words_of_text, tool.known(self.workspace)))
        spelled = frozenset[str]().union(*map(words_of_text, tool.spelled(self.workspace)))
        about = self.about.get(tool.name)
        if about is None:
            return _ToolWords(tool.literal_words | always, spelled, tool.quoted_words, tool.copies)
        told = (text for texts in about.fillings.values() for text in texts)
        shown = (argument for argument, *_ in about.contents)
        always |= replace(tool, intents=about.intents).literal_words.union(*map(words_of_text, (*told, *shown)))
        return _ToolWords(always, spelled, None if tool.quoted_words is None else always, tool.copies)

    def close(self) -> None:
        """Close what the tools hold open and remove a temporary workspace."""
        self._open.close()
        if self._temporary is not None:
            self._temporary.close()
            self._temporary = None

    def __enter__(self) -> Toolbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def shorten_tool_result(text: str) -> str:
    """One line of at most 200 characters that is never empty; lone surrogates would not survive a JSON file."""
    line = " ".join(text.split()).encode("utf-8", "replace").decode("utf-8") or "error: the result is empty"
    return line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."
