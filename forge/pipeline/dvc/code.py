"""What code a stage depends on: by what it does, not by how it is written down.

`data/code/<stage>.json` lists every module that a stage reaches, with a hash of its syntax tree without docstrings and
comments. DVC depends on that file, so a better comment makes nothing stale, and a changed expression makes every stage
stale that reaches it. The first stage of the pipeline (`python -m stages.code`) and `agent-forge run` write the files;
`agent-forge status` compares without writing; that it need not parse two hundred files, `.forge/code.json` remembers
what each did when the others were written.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from forge.errors import ForgeError
from forge.files import atomic_write_json, atomic_write_text, read_json
from forge.interface.phase import Stage
from forge.phases import PHASES
from forge.pipeline.layout.phases import STAGES

# Code that can only refuse a run, say where things are, or watch: nothing that a stage publishes depends on it.
INDIFFERENT = (
    "forge.cli",
    "forge.config",
    "forge.errors",
    "forge.host.disk",
    "forge.host.sampling",
    "forge.host.signals",
    "forge.interface.__init__",
    "forge.interface.fields",
    "forge.interface.limits",
    "forge.interface.params",
    "forge.interface.paths",
    "forge.interface.phase",
    "forge.interface.run",
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
_DEPLOYED = {phase.name: phase.deployed for phase in PHASES}
_DISCOVERED = "forge.tools.builtin"  # a package that imports whatever lies in it
_LIFECYCLE = "forge.pipeline.lifecycle"
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # where statements hold statements
_Understood = tuple[str, tuple[tuple[str, bool], ...]]
"""What a module does, as a hash, and what it imports of ours: dotted names, and whether inside a function."""
_REMEMBERED = Path(".forge/code.json")
_READER = Path(__file__).read_bytes()  # what is remembered of a file was found by this program


class ProjectCode:
    """The code of a project as its files are now; each is read once, however many stages reach it.

    Args:
        root: the project.
        remembered: take from an earlier `write_code_hashes` what files do that still have the same bytes.
    """

    def __init__(self, root: Path = Path(), *, remembered: bool = False) -> None:
        self.root, self._folder = root, f"{root.resolve()}/"
        self._by_content = _read_remembered_code(root / _REMEMBERED) if remembered else {}
        self._read: dict[str, tuple[str, _Understood]] = {}  # by file: hash of its bytes, what they do
        self._run: dict[str, list[str]] = {}  # by a dotted name: the modules that importing it runs

    def reached_by(self, stage: Stage) -> dict[str, str]:
        """The modules that a stage reaches, by path, and what each of them does, as a hash; of the declaration of its
        phase, which files are deployed.

        Raises:
            ForgeError: a module is not valid Python, or the stage has none.
        """
        found = self.reached_from(f"stages.{stage.name}", has_model=bool(stage.inputs or stage.publishes))
        if stage.phase in _DEPLOYED:
            told = hashlib.sha256("\0".join(_DEPLOYED[stage.phase]).encode()).hexdigest()[:32]
            found[f"forge/phases/{stage.phase}/phase.py"] = told
        return found

    def reached_from(self, module: str, *, has_model: bool = True) -> dict[str, str]:
        """The same of a module; ``has_model``: it runs in a stage that loads or saves one."""
        found, waiting = {}, [module]
        seen = set(waiting)
        while waiting:
            name = waiting.pop()
            found[_code_file_of_module(name)], imports = self._understand(name)
            for target in _followed_code_imports(name, imports, has_model=has_model):
                if target not in self._run:
                    self._run[target] = [m for m in self._modules(target) if not is_excluded_from_code_hash(m)]
                new = [module for module in self._run[target] if module not in seen]
                seen.update(new)
                waiting += new
        return found

    def text_of(self, stage: Stage) -> str:
        """The contents of `data/code/<stage>.json`. Raises ForgeError as `reached_by` does."""
        return _code_text(self.reached_by(stage))

    def changed_module(self, stage: Stage) -> str:
        """The first module that does something else than `data/code/` says; empty where there is none, or where nothing
        is said, as in a fresh clone."""
        path = self.root / stage.code
        if not path.is_file():
            return ""
        before, now = read_json(path), self.reached_by(stage)
        return next((name for name in sorted({*before, *now}) if before.get(name) != now.get(name)), "")

    def remember(self) -> None:
        """Keep what was read for later looks."""
        atomic_write_json(self.root / _REMEMBERED, dict(self._read.values()))

    def _understand(self, module: str) -> _Understood:
        file = _code_file_of_module(module)
        if file not in self._read:
            try:
                data = Path(self._folder + file).read_bytes()
            except (FileNotFoundError, NotADirectoryError) as error:
                raise ForgeError(f"{self.root / 'stages'}: there is no module {module}") from error
            key = hashlib.sha256(_READER + data).hexdigest()
            understood = self._by_content.get(key)
            self._read[file] = key, understood or _understand_code(data, f"{self._folder}{file}")
        return self._read[file][1]

    def _modules(self, target: str) -> Iterator[str]:
        """The modules that importing a dotted name runs: its packages, and itself if it is a module."""
        parts = target.split(".")
        for depth in range(1, len(parts) + 1):
            prefix = ".".join(parts[:depth])
            for name in (prefix, f"{prefix}.__init__"):
                if os.path.isfile(self._folder + _code_file_of_module(name)):
                    yield name
            if prefix == _DISCOVERED:
                folder = Path(self._folder, *parts[:depth])
                yield from (f"{prefix}.{path.stem}" for path in sorted(folder.glob("*.py")))


def write_code_hashes(root: Path = Path()) -> list[str]:
    """Bring `data/code/` up to date; the stages whose code has changed, a file that has not is not touched."""
    changed: list[str] = []
    if not (root / "stages").is_dir():  # somebody else's pipeline
        return changed
    code = ProjectCode(root)
    for stage in STAGES:
        path, text = root / stage.code, code.text_of(stage)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            atomic_write_text(path, text)
            changed.append(stage.name)
    code.remember()
    return changed


def write_code_hash_of_module(module: str, target: Path, root: Path = Path()) -> None:
    """Write what a module of a DVC project beside the pipeline reaches (`ablations.run`, `curve.run`)."""
    atomic_write_text(target, _code_text(ProjectCode(root).reached_from(module)))


def _code_text(reached: dict[str, str]) -> str:
    return json.dumps(dict(sorted(reached.items())), indent=1) + "\n"


def _read_remembered_code(path: Path) -> dict[str, _Understood]:
    """What files do, by a hash of their bytes and of this one; nothing where that cannot be read."""
    try:
        found = read_json(path)
        return {
            key: (str(digest), tuple((str(t), bool(i)) for t, i in imports)) for key, (digest, imports) in found.items()
        }
    except (ForgeError, AttributeError, TypeError, ValueError):
        return {}


def _followed_code_imports(name: str, imports: tuple[tuple[str, bool], ...], *, has_model: bool) -> Iterator[str]:
    """The imports of a module that a stage may take; (dotted name, whether it stands inside a function)."""
    barred = _NOT_TAKEN.get(name, ())
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


def _code_file_of_module(module: str) -> str:
    return f"{module.replace('.', '/')}.py"


def _understand_code(data: bytes, name: str) -> _Understood:
    try:
        tree = ast.parse(data.decode("utf-8"), name)
    except (SyntaxError, ValueError) as error:
        raise ForgeError(f"{name}: {error}") from error
    parts: list[str] = []
    _canonical_code_for_hash(tree, parts)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return digest[:32], tuple(dict.fromkeys(_imports(tree.body, inside=False)))


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


def _imports(statements: Iterable[ast.AST], *, inside: bool) -> Iterator[tuple[str, bool]]:
    """Dotted names of ours that statements import, less those that only a type checker sees."""
    for statement in statements:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        if isinstance(statement, ast.Import):
            yield from ((a.name, inside) for a in statement.names if _ours(a.name))
        elif isinstance(statement, ast.ImportFrom) and statement.module and _ours(statement.module):
            yield from ((f"{statement.module}.{a.name}", inside) for a in statement.names)
        else:
            within = inside or isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef)
            for block in _BLOCKS:
                yield from _imports(getattr(statement, block, ()), inside=within)


def _ours(name: str) -> bool:
    return name.split(".")[0] in ("forge", "stages", "ablations", "curve")


if __name__ == "__main__":  # a stage of those projects
    write_code_hash_of_module(sys.argv[1], Path(sys.argv[2]))
