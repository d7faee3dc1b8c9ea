"""The built-in tools as declared ones: each takes one text."""

from __future__ import annotations

from functools import lru_cache

from forge.tools.builtin import TOOLS
from forge.tools.declared.schema import DeclaredTool


@lru_cache(maxsize=1)
def declared_builtin_tools() -> tuple[DeclaredTool, ...]:
    """The built-in tools, in their order."""
    parameters = {"properties": {"text": {"type": "string"}}, "required": ["text"]}
    return tuple(DeclaredTool.model_validate({"name": tool.name, "parameters": parameters}) for tool in TOOLS)
