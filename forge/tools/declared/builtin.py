"""The built-in tools as declared ones."""

from __future__ import annotations

from functools import lru_cache

from forge.tools.builtin import TOOLS
from forge.tools.declared.schema import DeclaredTool


@lru_cache(maxsize=1)
def declared_builtin_tools() -> tuple[DeclaredTool, ...]:
    """The built-in tools, in their order."""
    return tuple(tool.declared for tool in TOOLS)
