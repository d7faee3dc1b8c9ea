"""The sandbox of the code tool with layers missing, as systems lack them."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.tools import code_executor, zygote
from forge.tools.code_executor import CodeExecutor

# A stand-in for zygote.py that takes layers away before the real one runs.
_LAUNCHER = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("zygote", {path!r})
zygote = importlib.util.module_from_spec(spec)
spec.loader.exec_module(zygote)
{change}
filters = bytes.fromhex(sys.argv[4]), bytes.fromhex(sys.argv[5])
zygote.main(sys.argv[1], float(sys.argv[2]), sys.argv[3] == "unsafe", filters)
"""
NO_NAMESPACES = "zygote.namespaces_are_granted = lambda private: False"
OLD_LANDLOCK = "zygote.landlock_abi = lambda: 1"
# Systems that snippets are run on. A newer Landlock that is taken for an old one is asked for no more than that has.
SYSTEMS = {
    "all layers": "",
    "no namespaces": NO_NAMESPACES,
    "old Landlock": OLD_LANDLOCK,
    "no namespaces, old Landlock": f"{NO_NAMESPACES}\n{OLD_LANDLOCK}",
}


def start_sandbox(
    folder: Path, patch: pytest.MonkeyPatch, change: str, timeout_s: float = 1.0, *, unsafe: bool = False
) -> CodeExecutor:
    """An executor whose sandbox runs the Python statements of `change` first."""
    script = folder / "launcher.py"
    script.write_text(_LAUNCHER.format(path=zygote.__file__, change=change))
    patch.setattr(code_executor, "_ZYGOTE", script)
    return CodeExecutor(timeout_s, unsafe=unsafe)
