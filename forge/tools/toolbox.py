"""The tools behind one `execute(call)`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from forge.tools.builtin import TOOLS
from forge.tools.declaration import ToolSetting
from forge.tools.scratch import ScratchFolder
from forge.tools.workspace import examine_tool_workspace, set_up_tool_workspace

TOOL_NAMES = tuple(tool.name for tool in TOOLS)
MAX_RESULT = 200


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
            return toolbox_result_line(f"error: unknown tool {name[:40]}")
        if not argument.strip():
            return f"error: {name} needs an argument"
        return toolbox_result_line(tool(argument.strip()))

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


def toolbox_result_line(text: str) -> str:
    """One line of at most 200 characters that is never empty; lone surrogates would not survive a JSON file."""
    line = " ".join(text.split()).encode("utf-8", "replace").decode("utf-8") or "error: the result is empty"
    return line if len(line) <= MAX_RESULT else line[: MAX_RESULT - 3] + "..."
