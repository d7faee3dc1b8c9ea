"""What a stage's code is: what it does, not how it is written down, and all of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from forge.errors import ForgeError
from forge.files import read_json
from forge.interface.phase import Stage
from forge.pipeline.dvc.code import (
    INDIFFERENT,
    changed_code_module,
    code_of,
    is_excluded_from_code_hash,
    stage_code_hashes_text,
    write_code_hashes,
)
from forge.pipeline.layout.phases import STAGES, find_stage_in_layout

ROOT = Path(__file__).resolve().parents[3]
LOOP = "forge/train/loop.py"
FIRST, SECOND = "def f(x):\n    return x + 1\n", "def f(x):\n    return x + 2\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of our code, linked but for the files that a test rewrites."""
    for folder in ("forge", "stages"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    return tmp_path


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.unlink()
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def small(folder: Path, text: str) -> dict[str, str]:
    """The code of a stage whose one module is this text."""
    (folder / "stages").mkdir(exist_ok=True)
    (folder / "stages" / "one.py").write_text(text, encoding="utf-8")
    return code_of(Stage("one", "", "one", ()), folder)


@pytest.mark.parametrize(
    "other",
    [
        "# why\n" + FIRST,
        '"""What it is."""\n' + FIRST,
        'def f(x):\n    """What it does."""\n    return x + 1\n',
        "def f(x):\n\n    return (\n        x\n        + 1  # one\n    )\n",
        'def f(x):\n    "a text that stands alone"\n    return x + 1\n',
    ],
)
def test_words_and_layout_change_nothing(tmp_path: Path, other: str) -> None:
    assert small(tmp_path, other) == small(tmp_path, FIRST)


@pytest.mark.parametrize(
    "other",
    [
        SECOND,
        "def f(x):\n    return x - 1\n",
        "def f(x, y=0):\n    return x + 1\n",
        "def f(x):\n    return x + 1.0\n",
        "def f(x):\n    return x + '1'\n",
        "def g(x):\n    return x + 1\n",
        FIRST + "f(1)\n",
    ],
)
def test_what_is_done_changes_it(tmp_path: Path, other: str) -> None:
    assert small(tmp_path, other) != small(tmp_path, FIRST)


def test_a_module_that_is_no_python_is_named(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match=r"one\.py: .*never closed"):
        small(tmp_path, "f(\n")
    with pytest.raises(ForgeError, match="there is no module stages"):
        code_of(Stage("gone", "", "gone", ()), tmp_path)


def test_a_docstring_of_the_training_loop_is_nothing_and_a_constant_is_all(tree: Path) -> None:
    before = {stage.name: stage_code_hashes_text(stage, tree) for stage in STAGES}
    rewrite(tree / LOOP, '"""', '"""In other words: ')
    assert {stage.name: stage_code_hashes_text(stage, tree) for stage in STAGES} == before
    rewrite(tree / LOOP, "log_every: int = 10", "log_every: int = 11")
    changed = {stage.name for stage in STAGES if stage_code_hashes_text(stage, tree) != before[stage.name]}
    assert changed == {stage.name for stage in STAGES if LOOP in read_stage(stage)}
    assert changed == {s.name for s in STAGES} - {"data", "report"}


def read_stage(stage: Stage) -> dict[str, str]:
    return code_of(stage, ROOT)


def test_the_files_are_written_once_and_name_the_module(tree: Path) -> None:
    assert write_code_hashes(tree) == [stage.name for stage in STAGES]
    assert write_code_hashes(tree) == []
    trunk = find_stage_in_layout("trunk")
    assert read_json(tree / trunk.code) == code_of(trunk, tree)
    assert changed_code_module(trunk, tree) == ""
    rewrite(tree / LOOP, "log_every: int = 10", "log_every: int = 11")
    assert changed_code_module(trunk, tree) == LOOP
    assert "trunk" in write_code_hashes(tree)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_module_that_a_stage_imports_is_its_code_or_indifferent(stage: Stage) -> None:
    code = (
        f"import sys, stages.{stage.name}; print(*(n for n in sys.modules if n.split('.')[0] in ('forge', 'stages')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    reached = set(code_of(stage, ROOT))
    assert reached >= {f"stages/{stage.name}.py"}
    for name in done.stdout.split():
        path = Path(*name.split("."))
        file = path.with_suffix(".py") if (ROOT / path).with_suffix(".py").is_file() else path / "__init__.py"
        dotted = ".".join(file.with_suffix("").parts)
        assert file.as_posix() in reached or is_excluded_from_code_hash(dotted), f"{file} decides, and is not tracked"


def test_the_indifferent_are_there() -> None:
    for name in INDIFFERENT:
        path = ROOT.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
