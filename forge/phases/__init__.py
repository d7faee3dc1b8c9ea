"""The eight phases, a folder each, in the order in which they run."""

from __future__ import annotations

from importlib import import_module

from forge.interface.phase import Phase

ORDER = ("cognate", "evomerge", "quietstar", "bitnet", "forge", "baking", "edge", "compress")
PHASES: tuple[Phase, ...] = tuple(import_module(f"{__name__}.{name}.phase").PHASE for name in ORDER)
