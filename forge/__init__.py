"""Agent Forge: from nothing to one file that answers, on two CPU cores."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forge.runtime.load import load_agent as load_agent

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`load_agent`, imported when it is first asked for, so that `import forge` stays light.

    By its name as a text: every stage imports this package, and is not to depend on what uses finished agents.
    """
    if name == "load_agent":
        return import_module("forge.runtime.load").load_agent
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
