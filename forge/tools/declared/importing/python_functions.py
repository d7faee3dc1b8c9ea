"""Functions of a Python module as tools, by their type hints and docstrings.

The module is imported by the process that would also run its functions (`forge.tools.declared.running.run_python`), and
nothing of it is called.
"""

from __future__ import annotations

from pathlib import Path

from forge.errors import ForgeError
from forge.tools.declared.importing.drafting import FoundTool
from forge.tools.declared.running.run_python import PythonWorker


def find_python_tool_functions(source: str, folder: Path, timeout_s: float) -> list[FoundTool]:
    """Public functions that a module defines (or names in `__all__`), in their order.

    Args:
        source: a file in or below the folder, or the dotted name of a module that can be imported there.
        folder: where the tools file goes: that is where its functions are looked for when they are run.
        timeout_s: seconds that importing the module may take.

    Raises:
        ForgeError: no such file or module, or importing it fails; `FILE:LINE: ...` where there is a line.
    """
    path = Path(source)
    if path.suffix == ".py":
        module = _module_below(path, folder)
    else:
        module, path = source, Path()
    with PythonWorker(folder, timeout_s) as worker:
        described = worker.describe(module, path.resolve() if path.suffix else None)
    return [
        FoundTool(
            entry["name"],
            entry["description"],
            entry["schema"],
            {"python": f"{module}:{entry['name']}"},
            notes=tuple(entry["notes"]),
        )
        for entry in described
    ]


def _module_below(path: Path, folder: Path) -> str:
    """The dotted name by which a file is imported from a folder."""
    if not path.is_file():
        raise ForgeError(f"{path}: no such file")
    resolved = path.resolve()
    if not resolved.is_relative_to(folder.resolve()):
        raise ForgeError(
            f"{path}: functions are run from the folder of the tools file; write that beside it: "
            f"-o {path.parent / 'tools.yaml'}"
        )
    parts = resolved.relative_to(folder.resolve()).with_suffix("").parts
    if not all(part.isidentifier() for part in parts):
        raise ForgeError(f"{path}: {'.'.join(parts)} is no name of a module, so no tools file can name its functions")
    return ".".join(parts)
