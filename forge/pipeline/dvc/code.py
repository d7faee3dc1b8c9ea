"""What code a stage depends on: by what it does, not by how it is written down.

`data/code/<stage>.json` lists every module that a stage reaches, with a hash of its syntax tree without docstrings and
comments. DVC depends on that file, so a better comment makes nothing stale, and a changed expression makes every stage
stale that reaches it. The first stage of the pipeline (`python -m stages.code`) and `agent-forge run` write the files;
`agent-forge status` compares without writing.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from forge.errors import ForgeError
from forge.files import atomic_write_text, read_json
from forge.interface.phase import Stage
from forge.pipeline.layout.phases import STAGES

# Code that can only refuse a run, say where things are, or watch: nothing that a stage publishes depends on it.
INDIFFERENT = (
    "forge.cli",
    "forge.config",
    "forge.errors",
    "forge.host",
    "forge.interface",
    "forge.monitor",
    "forge.phases.__init__",
    "forge.pipeline.dvc",
    "forge.pipeline.handoff.contracts",
    "forge.pipeline.layout",
    "forge.pipeline.lifecycle.checkpoints",
    "forge.pipeline.metrics",
    "forge.pipeline.records.curves",
    "forge.pipeline.records.logs",
    "forge.pipeline.registry",
    "forge.pipeline.upkeep",
    "stages.__init__",
)
_DECLARATIONS = ("__init__", "phase", "params")  # of a phase: what they say acts through dvc.yaml and params.yaml
# Imports inside functions that no stage calls, though stages import their module.
_NOT_TAKEN = {
    "forge.runtime.agent": ("forge.thinking",),  # thoughts are switched on by a person at the command line
    "forge.runtime.load": ("forge.agentfile",),  # no stage opens a file that it has not made itself
    "forge.runtime.size": ("forge.agentfile",),
}
_DISCOVERED = "forge.tools.builtin"  # a package that imports whatever lies in it
_LIFECYCLE = "forge.pipeline.lifecycle"


def code_of(stage: Stage, root: Path = Path()) -> dict[str, str]:
    """The modules that a stage reaches, by path, and what each of them does, as a hash.

    Raises:
        ForgeError: a module is not valid Python, or the stage has none.
    """
    folder, found, waiting = root.resolve(), {}, [f"stages.{stage.name}"]
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        path = _module_path_for_code_hash(folder, name)
        if path is None:
            raise ForgeError(f"{root / 'stages'}: there is no module {name}")
        digest, imports = _hash_code_module(path, path.stat().st_mtime_ns)
        found[path.relative_to(folder).as_posix()] = digest
        for target in _followed_code_imports(stage, name, imports):
            for module in _modules(folder, target):
                if module not in seen and not is_excluded_from_code_hash(module):
                    seen.add(module)
                    waiting.append(module)
    return dict(sorted(found.items()))


def stage_code_hashes_text(stage: Stage, root: Path = Path()) -> str:
    """The contents of `data/code/<stage>.json`."""
    return json.dumps(code_of(stage, root), indent=1) + "\n"


def write_code_hashes(root: Path = Path()) -> list[str]:
    """Bring `data/code/` up to date; the stages whose code has changed, a file that has not is not touched."""
    changed: list[str] = []
    if not (root / "stages").is_dir():  # somebody else's pipeline
        return changed
    for stage in STAGES:
        path, text = root / stage.code, stage_code_hashes_text(stage, root)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            atomic_write_text(path, text)
            changed.append(stage.name)
    return changed


def changed_code_module(stage: Stage, root: Path = Path()) -> str:
    """The first module that does something else than `data/code/` says; empty where there is none."""
    path, now = root / stage.code, code_of(stage, root)
    before = read_json(path) if path.is_file() else {}
    return next((name for name in sorted({*before, *now}) if before.get(name) != now.get(name)), "")


def _followed_code_imports(stage: Stage, name: str, imports: tuple[tuple[str, bool], ...]) -> Iterator[str]:
    """The imports of a module that a stage may take; (dotted name, whether it stands inside a function)."""
    barred = _NOT_TAKEN.get(name, ())
    has_model = bool(stage.inputs or stage.publishes)
    for target, inside in imports:
        if inside and name.startswith(_LIFECYCLE) and not has_model:
            continue  # the lifecycle loads, measures and saves models for the stages that have any
        if not target.startswith(barred):
            yield target


def is_excluded_from_code_hash(module: str) -> bool:
    """Whether nothing that a stage publishes depends on a module."""
    parts = module.split(".")
    if parts[:2] == ["forge", "phases"] and parts[-1] in _DECLARATIONS:
        return True
    return any(module == name or module.startswith(f"{name}.") for name in INDIFFERENT)


def _module_path_for_code_hash(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split(".")).with_suffix(".py")
    return path if path.is_file() else None


def _modules(root: Path, target: str) -> Iterator[str]:
    """The modules that importing a dotted name runs: its packages, and itself if it is a module."""
    parts = target.split(".")
    for depth in range(1, len(parts) + 1):
        prefix = ".".join(parts[:depth])
        for name in (prefix, f"{prefix}.__init__"):
            if _module_path_for_code_hash(root, name) is not None:
                yield name
        if prefix == _DISCOVERED:
            yield from (f"{prefix}.{path.stem}" for path in sorted((root / prefix.replace(".", "/")).glob("*.py")))


@cache
def _hash_code_module(path: Path, changed: int) -> tuple[str, tuple[tuple[str, bool], ...]]:
    """A module's hash and its imports of our own packages; `changed`, its time of change, is for the cache alone."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except (SyntaxError, ValueError) as error:
        raise ForgeError(f"{path}: {error}") from error
    parts: list[str] = []
    _canonical_code_for_hash(tree, parts)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return digest[:32], tuple(dict.fromkeys(_imports(tree, inside=False)))


def _canonical_code_for_hash(node: object, out: list[str]) -> None:
    """Append a syntax tree as text: no positions, no docstrings (any text that stands alone as a statement), and no
    empty fields, of which every version of Python has others."""
    if isinstance(node, ast.AST):
        out.append(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != [] and name not in ("kind", "type_comment"):
                out.append(name)
                _canonical_code_for_hash(value, out)
        out.append(";")
    elif isinstance(node, list):
        for part in node:
            if not _is_docstring(part):
                _canonical_code_for_hash(part, out)
        out.append(".")
    else:
        out.append(repr(node))


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imports(node: ast.AST, *, inside: bool) -> Iterator[tuple[str, bool]]:
    """Dotted names of ours that a tree imports, less those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from ((a.name, inside) for a in child.names if _ours(a.name))
        elif isinstance(child, ast.ImportFrom) and child.module and _ours(child.module):
            yield from ((f"{child.module}.{a.name}", inside) for a in child.names)
        else:
            within = inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(child, inside=within)


def _ours(name: str) -> bool:
    return name.split(".")[0] in ("forge", "stages", "ablations")
