"""The house's rules, checked on every file: size, shape, honesty, and what `dvc.yaml` says.

Which room may import which is held by import-linter (pyproject.toml).
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

from forge.config import load_params, read_params_yaml
from forge.files import read_json
from forge.interface.phase import Stage
from forge.phases import ORDER
from forge.phases.cognate.phase import BRANCHES
from forge.pipeline.layout.phases import STAGES, stage_names

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(p for folder in ("forge", "stages", "ablations", "curve") for p in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAX_FUNCTION, MAX_FILE = 60, 500
# Parameters that say how or where, never what: no stage depends on them.
INDIFFERENT = {"evomerge.backend"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


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


def test_stages_are_all_alike() -> None:
    """Their names apart: a line that says what it does, two imports, one call."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in SOURCES if path.parent.name == "stages"}
    assert texts.keys() == {"__init__", "code", *(stage.name for stage in STAGES)}
    for stage in STAGES:
        lines = texts[stage.name].splitlines()
        assert len(lines) <= 10, stage.name
        assert lines[-2:] == ['if __name__ == "__main__":', f'    run_stage("{stage.name}", {lines[-1].split(", ")[1]}']


@pytest.mark.parametrize("name", ORDER)
def test_every_phase_has_the_same_files(name: str) -> None:
    files = {path.name for path in (ROOT / "forge" / "phases" / name).iterdir()}
    assert {"__init__.py", "phase.py", "params.py", "run.py", "claims.py", "metrics.py", "metrics.txt"} <= files


@pytest.mark.parametrize("path", sorted((ROOT / "forge" / "phases").rglob("*.py")), ids=relative)
def test_signatures_of_a_phase_are_precise(path: Path) -> None:
    vague = [
        f"{node.name}, line {node.lineno}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef)
        for annotation in (*(a.annotation for a in _arguments(node)), node.returns)
        if annotation is not None and re.search(r"\bAny\b", ast.unparse(annotation))
    ]
    assert not vague


def _arguments(node: ast.FunctionDef) -> list[ast.arg]:
    given = node.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_nothing_private_is_imported_from_another_room(path: Path) -> None:
    private = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("forge", "stages"))
        for alias in node.names
        if alias.name.startswith("_") and alias.name != "__version__"
    ]
    assert not private


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


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_pages_quote_the_code_as_it_is(page: str) -> None:
    """Indentation apart, each Python block of these pages stands in a file of the project."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    code = [_unindented(path.read_text(encoding="utf-8")) for path in SOURCES + TESTS]
    assert blocks
    for block in blocks:
        assert any(_unindented(block) in text for text in code), block


def _unindented(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


# ---- dvc.yaml ----------------------------------------------------------------------------------------------


def dvc_stages() -> dict[str, Any]:
    stages = read_params_yaml(ROOT / "dvc.yaml")["stages"]
    assert isinstance(stages, dict)
    return stages


def paths(entries: list[Any] | None) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries or []]


def test_dvc_has_the_stages_in_order() -> None:
    assert list(dvc_stages()) == ["code", *(stage.name for stage in STAGES)]
    assert dvc_stages()["cognate"]["matrix"] == {"branch": list(BRANCHES)}
    assert tuple(load_params(ROOT / "params.yaml").block("cognate").branches) == BRANCHES
    assert len(stage_names()) < 20


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_dvc_keeps_small_results_in_git_and_models_in_its_cache(stage: Stage) -> None:
    entry = dvc_stages()[stage.name]
    branch = "${item.branch}" if stage.branched else None
    cached = [out for out in entry.get("outs", []) if isinstance(out, str)]
    assert cached == list(stage.outputs(branch))
    for name in ("outs", "metrics", "plots"):
        for out in entry.get(name, []):
            assert isinstance(out, str) or next(iter(out.values()))["cache"] is False
    if stage.name != "report":
        # DVC keeps no run-cache for a stage with plain outputs that are not cached.
        assert paths(entry.get("outs")) == cached


def test_every_parameter_is_somebodys() -> None:
    """A value in params.yaml that no stage depends on would change nothing, or change it unseen."""
    params = load_params(ROOT / "params.yaml")
    scale = params.scale
    keys = {
        key.format(scale=scale, branch=branch) for stage in STAGES for branch in stage.branches for key in stage.params
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
    document = read_params_yaml(ROOT / "dvc.yaml")
    models = {out for stage in STAGES if stage.publishes for b in stage.branches for out in stage.outputs(b)}
    assert {entry["path"] for entry in document["artifacts"].values()} == models
    records = [record for stage in STAGES for branch in stage.branches for record in stage.records(branch)]
    for plot in document["plots"]:
        for source in [plot] if isinstance(plot, str) else next(iter(plot.values()))["y"]:
            assert source in records or any(source.startswith(f"{path}/") for path in records), source


def test_only_the_headline_is_a_metric() -> None:
    """Every key of a DVC metric is a column of `dvc exp show`."""
    tabulated = {stage: entry["metrics"] for stage, entry in dvc_stages().items() if "metrics" in entry}
    assert {stage: paths(entries) for stage, entries in tabulated.items()} == {"report": ["results/headline.json"]}
    assert "metrics" not in read_params_yaml(ROOT / "dvc.yaml")
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
