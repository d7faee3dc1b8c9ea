"""Five real tools: calculator, sandboxed code, search, file reader and read-only SQL."""

from forge.tools.toolbox import TOOL_NAMES, Toolbox
from forge.tools.workspace import examine_tool_workspace, set_up_tool_workspace

__all__ = ["TOOL_NAMES", "Toolbox", "examine_tool_workspace", "set_up_tool_workspace"]
