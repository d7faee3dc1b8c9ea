"""The house's rules, checked on every file: size, floors, honesty, and that `dvc.yaml` says what the code
does.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

from forge.config import load_params, read_yaml
from forge.files import read_json
from forge.pipeline.layout.phases import BRANCHES, PHASES, Phase, stage_names

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(p for folder in ("forge", "stages", "ablations") for p in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAX_FUNCTION, MAX_FILE = 60, 500
FLOORS = {
    **dict.fromkeys(("errors", "files", "config", "tools", "data", "model"), 0),
    **dict.fromkeys(("train", "evals"), 1),
    **dict.fromkeys(("merge", "thought", "quant", "bake", "edge", "compress", "runtime", "pretrain", "ablation"), 2),
    "pipeline": 3,
    "monitor": 4,
    "cli": 5,
}
# Code that can only refuse a run, or say where things are, is no dependency of a stage (see
# forge/pipeline/layout/phases.py).
HARMLESS = {
    "forge/__init__.py",
    "forge/config/__init__.py",
    "forge/config/load.py",
    "forge/config/fields.py",
    "forge/config/schema.py",
    "forge/config/thresholds.py",
    "forge/pipeline/__init__.py",
    "forge/pipeline/lifecycle/checkpoints.py",
    "forge/pipeline/handoff/contracts.py",
    "forge/host/disk.py",
    "forge/pipeline/layout/paths.py",
    "forge/pipeline/dvc/lockfile.py",
    "forge/pipeline/records/logs.py",
    "forge/pipeline/layout/phases.py",
    "forge/pipeline/registry/store.py",
    "forge/pipeline/registry/models.py",
    "forge/pipeline/registry/sessions.py",
    "forge/host/sampling.py",
    "forge/host/signals.py",
    "stages/__init__.py",
}
# Imports inside functions that a stage does not call, though it imports their file.
BRANCHES_NOT_TAKEN: dict[str, tuple[str, ...]] = {
    # The lifecycle serves all stages; it saves models and checks weights for those that have any.
    "forge/pipeline/lifecycle/stage.py": ("forge.model",),
    "forge/pipeline/handoff/contracts.py": ("forge.model",),
    # Opening an agent.forge file: no stage before the last one has any.
    "forge/runtime/load.py": ("forge.compress",),
    "forge/runtime/size.py": ("forge.compress",),
    # Thoughts are switched on by a person at the command line.
    "forge/runtime/agent.py": ("forge.thought",),
}


# Parameters that say how or where, never what: no stage depends on them.
INDIFFERENT = {"evomerge.backend"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported_modules(path: Path) -> set[str]:
    """Dotted names of our packages that a file imports anywhere, in functions too, with all parents."""
    found: set[str] = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    ours = {name for name in found if name.split(".")[0] in ("forge", "stages")}
    return {".".join(name.split(".")[:depth]) for name in ours for depth in range(1, name.count(".") + 2)}


def module_file(name: str) -> Path | None:
    """The file of a dotted name, None if it names something inside a module."""
    base = ROOT.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=relative)
def test_files_and_functions_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE
    too_long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION
    }
    assert not too_long


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parent.name == "stages"], ids=relative)
def test_stages_are_thin(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.parametrize("path", [p for p in SOURCES if relative(p) != "forge/__init__.py"], ids=relative)
def test_rooms_import_no_higher_floor(path: Path) -> None:
    parts = relative(path).split("/")
    own = 6 if parts[0] in ("stages", "ablations") else FLOORS[parts[1].removesuffix(".py")]
    for name in imported_modules(path):
        target = name.split(".")
        floor = 6 if target[0] == "stages" else FLOORS.get(target[1], 0) if len(target) > 1 else 0
        assert floor <= own, f"{relative(path)} (floor {own}) imports {name} (floor {floor})"
        assert target[0] != "stages" or parts[0] == "stages", f"{relative(path)} imports a stage"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_swallowed_exceptions_and_no_unfinished_work(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
            idle = all(isinstance(step, ast.Pass | ast.Expr) and _does_nothing(step) for step in node.body)
            assert not idle, f"line {node.lineno}: an exception is swallowed"
    unfinished = re.search(r"\b(TODO|FIXME|XXX|NotImplementedError|placeholder|simulated)\b", text)
    assert unfinished is None, unfinished
    assert re.search(r"^\s*(import|from) pickle\b", text, re.MULTILINE) is None


def _does_nothing(step: ast.stmt) -> bool:
    return isinstance(step, ast.Pass) or (isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant))


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_tests_can_fail(path: Path) -> None:
    """A test asserts something, or expects an exception, directly or through a helper of its file."""
    tree = parse(path)
    helpers = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("test_") and _asserts(node, set())
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            assert not (isinstance(node.test, ast.Constant) and node.test.value), f"line {node.lineno}"
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            assert _asserts(node, helpers), f"{node.name} cannot fail"


def _asserts(function: ast.FunctionDef, helpers: set[str]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.split(".")[-1] in {"raises", "fail", "warns", *helpers} or name.startswith(
                ("torch.testing.assert_", "np.testing.assert_")
            ):
                return True
    return False


def test_every_public_function_is_documented() -> None:
    missing = [
        f"{relative(path)}: {node.name}"
        for path in SOURCES
        for node in parse(path).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert not missing


# ---- dvc.yaml ----------------------------------------------------------------------------------------------


def dvc_stages() -> dict[str, Any]:
    stages = read_yaml(ROOT / "dvc.yaml")["stages"]
    assert isinstance(stages, dict)
    return stages


def paths(entries: list[Any] | None) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries or []]


def test_dvc_has_the_phases_in_order() -> None:
    assert list(dvc_stages()) == [phase.name for phase in PHASES]
    assert dvc_stages()["cognate"]["matrix"] == {"branch": list(BRANCHES)}
    assert tuple(load_params(ROOT / "params.yaml").phase("cognate").branches) == BRANCHES
    assert len(stage_names()) < 20


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_dvc_declares_what_the_code_says(phase: Phase) -> None:
    entry = dvc_stages()[phase.name]
    branch = "${item.branch}" if phase.branched else None
    assert entry["cmd"] == f"exec python -m stages.{phase.name}" + (f" --branch {branch}" if branch else "")
    assert sorted(paths(entry["deps"])) == sorted({*phase.reads(), *phase.code()})
    keys = [key.replace("{scale}", "${scale}").replace("{branch}", "${item.branch}") for key in phase.params]
    assert sorted(entry["params"]) == sorted(keys)
    cached = [out for out in entry.get("outs", []) if isinstance(out, str)]
    assert cached == list(phase.outputs(branch))
    written = {name: paths(entry.get(name)) for name in ("outs", "metrics", "plots")}
    records = [path for group in written.values() for path in group if path not in cached]
    assert sorted(records) == sorted(phase.records(branch))
    for name in ("outs", "metrics", "plots"):
        for out in entry.get(name, []):
            assert isinstance(out, str) or next(iter(out.values()))["cache"] is False
    if phase.name != "report":
        # DVC keeps no run-cache for a stage with plain outputs that are not cached.
        assert written["outs"] == cached


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_dvc_declares_all_code_that_a_stage_can_reach(phase: Phase) -> None:
    declared = [path for path in paths(dvc_stages()[phase.name]["deps"]) if not path.startswith(("data/", "models/"))]
    for path in declared:
        assert (ROOT / path).exists() or path.startswith("results/"), f"{path} does not exist"
    seen: set[str] = set()
    waiting = [ROOT / "stages" / f"{phase.name}.py"]
    while waiting:
        path = waiting.pop()
        if relative(path) in seen:
            continue
        seen.add(relative(path))
        skipped = BRANCHES_NOT_TAKEN.get(relative(path), ())
        names = {name for name in imported_modules(path) if not name.startswith(skipped)}
        waiting += [file for name in names if (file := module_file(name)) is not None]
    undeclared = {
        path for path in seen - HARMLESS if not any(path == dep or path.startswith(dep + "/") for dep in declared)
    }
    assert not undeclared


def test_every_parameter_is_somebodys() -> None:
    """A value in params.yaml that no stage depends on would change nothing, or change it unseen."""
    params = load_params(ROOT / "params.yaml")
    scale = params.scale
    keys = {
        key.format(scale=scale, branch=branch) for phase in PHASES for branch in phase.branches for key in phase.params
    }
    tree = {key: value for key, value in params.file.model_dump().items() if key not in ("scales", "registry")}
    tree["scales"] = {scale: params.file.scales[scale].model_dump()}

    def leaves(node: Any, prefix: str) -> list[str]:
        if not isinstance(node, dict):
            return [prefix]
        return [leaf for key, value in node.items() for leaf in leaves(value, f"{prefix}.{key}" if prefix else key)]

    loose = [
        leaf
        for leaf in leaves(tree, "")
        if leaf not in INDIFFERENT and not any(leaf == key or leaf.startswith(key + ".") for key in keys)
    ]
    assert not loose
    assert params.select(sorted(keys)), "every declared key must exist"


def test_artifacts_and_plots_point_at_outputs() -> None:
    document = read_yaml(ROOT / "dvc.yaml")
    models = {
        out
        for phase in PHASES
        if phase.name not in ("data", "report")
        for b in phase.branches
        for out in phase.outputs(b)
    }
    assert {entry["path"] for entry in document["artifacts"].values()} == models
    records = [record for phase in PHASES for branch in phase.branches for record in phase.records(branch)]
    for plot in document["plots"]:
        for source in [plot] if isinstance(plot, str) else next(iter(plot.values()))["y"]:
            assert source in records or any(source.startswith(f"{path}/") for path in records), source


def test_only_the_headline_is_a_metric() -> None:
    """Every key of a DVC metric is a column of `dvc exp show`."""
    tabulated = {stage: entry["metrics"] for stage, entry in dvc_stages().items() if "metrics" in entry}
    assert {stage: paths(entries) for stage, entries in tabulated.items()} == {"report": ["results/headline.json"]}
    assert "metrics" not in read_yaml(ROOT / "dvc.yaml")
    assert len(read_json(ROOT / "results/headline.json")) < 9


# ---- packaging ---------------------------------------------------------------------------------------------


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_covers_the_requirements_and_is_exact() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["test"],
        *project["optional-dependencies"]["parquet"],
    ]
    lines = [x for x in (ROOT / "requirements.lock").read_text().splitlines() if x and not x.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[^+\s]+", line) for line in lines)
    locked = {normal(line.split("==")[0]) for line in lines}
    assert {normal(re.match(r"[A-Za-z0-9_.\-]+", name)[0]) for name in wanted} <= locked  # type: ignore[index]


def test_what_is_installed_is_what_is_locked() -> None:
    differing = []
    for file in ("requirements.lock", "requirements-oracles.lock"):
        for line in (ROOT / file).read_text().splitlines():
            if "==" not in line or line.startswith("#"):
                continue
            name, version = line.split("==")
            try:
                installed = distribution(name).version.split("+")[0]
            except PackageNotFoundError:
                installed = "absent"
            if installed != version:
                differing.append((name, version, installed))
    assert not differing


def test_the_tree_is_clean_of_machines_and_big_files() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        path = ROOT / name
        if path.is_file():
            assert path.stat().st_size < 2_000_000, f"{name} belongs into DVC"
            assert not name.endswith((".bak", ".orig", ".backup", ".pkl", ".pt", ".bin")), name
