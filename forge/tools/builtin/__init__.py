"""The tools that come with the project: every module here that declares a `TOOL`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from forge.tools.declaration import Tool

TOOLS: tuple[Tool, ...] = tuple(
    sorted((import_module(f"{__name__}.{found.name}").TOOL for found in iter_modules(__path__)), key=lambda t: t.place)
)
