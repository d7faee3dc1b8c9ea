"""Five real tools: calculator, sandboxed code, search, file reader and read-only SQL."""

from forge.tools.toolbox import TOOL_NAMES, Toolbox
from forge.tools.workspace import build_tool_workspace

__all__ = ["TOOL_NAMES", "Toolbox", "build_tool_workspace"]
