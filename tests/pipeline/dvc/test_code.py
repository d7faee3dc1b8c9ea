"""What a stage's code is: what it does, not how it is written down, and all of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forge.errors import ForgeError
from forge.files import read_json
from forge.interface.phase import Stage
from forge.pipeline.dvc import code as code_module
from forge.pipeline.dvc.code import (
    INDIFFERENT,
    ProjectCode,
    is_excluded_from_code_hash,
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
    return ProjectCode(folder).reached_by(Stage("one", "", "one", ()))


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


def test_imports_are_followed_wherever_they_stand(tmp_path: Path) -> None:
    """In branches, loops, handlers, cases and functions; not where only a type checker looks."""
    (tmp_path / "forge/train").mkdir(parents=True)
    for name in "abcdefgh":
        (tmp_path / f"forge/train/{name}.py").write_text("1\n")
    text = """
if a:
    import forge.train.a
else:
    from forge.train import b
try:
    for x in y:
        from forge.train.c import anything
except E:
    with z:
        import forge.train.d
finally:
    match x:
        case 1:
            import forge.train.e
class C:
    async def f(self):
        while x:
            import forge.train.f
if TYPE_CHECKING:
    import forge.train.g
"""
    assert {Path(name).stem for name in small(tmp_path, text)} == {"one", *"abcdef"}


def test_a_module_that_is_no_python_is_named(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match=r"one\.py: .*never closed"):
        small(tmp_path, "f(\n")
    with pytest.raises(ForgeError, match="there is no module stages"):
        ProjectCode(tmp_path).reached_by(Stage("gone", "", "gone", ()))


def texts(folder: Path) -> dict[str, str]:
    code = ProjectCode(folder)
    return {stage.name: code.text_of(stage) for stage in STAGES}


def test_a_docstring_of_the_training_loop_is_nothing_and_a_constant_is_all(tree: Path) -> None:
    before = texts(tree)
    rewrite(tree / LOOP, '"""', '"""In other words: ')
    assert texts(tree) == before
    rewrite(tree / LOOP, "log_every: int = 10", "log_every: int = 11")
    changed = {name for name, text in texts(tree).items() if text != before[name]}
    ours = ProjectCode(ROOT)
    assert changed == {stage.name for stage in STAGES if LOOP in ours.reached_by(stage)}
    assert changed == {s.name for s in STAGES} - {"data", "tools", "report"}


def test_the_files_are_written_once_and_name_the_module(tree: Path) -> None:
    assert write_code_hashes(tree) == [stage.name for stage in STAGES]
    assert write_code_hashes(tree) == []
    trunk = find_stage_in_layout("trunk")
    assert read_json(tree / trunk.code) == ProjectCode(tree).reached_by(trunk)
    assert ProjectCode(tree).changed_module(trunk) == ""
    rewrite(tree / LOOP, "log_every: int = 10", "log_every: int = 11")
    assert ProjectCode(tree).changed_module(trunk) == LOOP
    (tree / trunk.code).unlink()
    assert ProjectCode(tree).changed_module(trunk) == ""  # nothing to compare with: no module is blamed
    assert "trunk" in write_code_hashes(tree)


def test_what_is_remembered_saves_work_and_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, part = Stage("one", "", "one", ()), tmp_path / "forge/train/part.py"
    part.parent.mkdir(parents=True)
    part.write_text(FIRST, encoding="utf-8")
    text = "from forge.train import part\n"
    small(tmp_path, text)
    parsed: list[str] = []
    monkeypatch.setattr(code_module, "_understand_code", spy(code_module._understand_code, parsed))
    code = ProjectCode(tmp_path)
    assert set(code.reached_by(one)) == {"stages/one.py", "forge/train/part.py"}
    code.remember()
    parsed.clear()
    assert ProjectCode(tmp_path, remembered=True).reached_by(one) == code.reached_by(one)
    assert parsed == []
    part.write_text(SECOND, encoding="utf-8")
    now = ProjectCode(tmp_path, remembered=True).reached_by(one)
    assert [Path(name).name for name in parsed] == ["part.py"]
    assert now == ProjectCode(tmp_path).reached_by(one) != code.reached_by(one)
    for damaged in ("", "[]", '{"a": 1}', '{"a": ["b", [1]]}', '{"a": ["b", [[1, 2, 3]]]}'):
        (tmp_path / ".forge/code.json").write_text(damaged)
        assert ProjectCode(tmp_path, remembered=True).reached_by(one) == now, damaged


def spy(call: Any, told: list[str]) -> Any:
    def spied(data: bytes, name: str) -> Any:
        told.append(name)
        return call(data, name)

    return spied


IMPORT = """
import os, sys
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast  # what takes long, and torch
for stage in sys.argv[1:]:
    if os.fork() == 0:
        __import__(f"stages.{stage}")
        print(stage, *(name for name in sys.modules if name.split(".")[0] in ("forge", "stages")), flush=True)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"stages.{stage} cannot be imported")
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """The modules of ours that each stage imports, in a process of its own: a fork of one that has none of them."""
    names = [stage.name for stage in STAGES]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}  # traced, it takes long
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, *names], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, *_ in lines] == names
    return {name: modules for name, *modules in lines}


@pytest.fixture(scope="module")
def ours() -> ProjectCode:
    """This project's code, each module parsed once."""
    return ProjectCode(ROOT)


@pytest.mark.long
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_module_that_a_stage_imports_is_its_code_or_indifferent(
    stage: Stage, imported: dict[str, list[str]], ours: ProjectCode
) -> None:
    reached = set(ours.reached_by(stage))
    assert reached >= {f"stages/{stage.name}.py"}
    assert f"stages.{stage.name}" in imported[stage.name]
    for name in imported[stage.name]:
        path = Path(*name.split("."))
        file = path.with_suffix(".py") if (ROOT / path).with_suffix(".py").is_file() else path / "__init__.py"
        dotted = ".".join(file.with_suffix("").parts)
        if dotted == "forge.interface.yaml12" and stage.name != "tools":
            continue  # it reads the parameters, and DVC compares their values
        assert file.as_posix() in reached or is_excluded_from_code_hash(dotted), f"{file} decides, and is not tracked"


def test_the_indifferent_are_there() -> None:
    for name in INDIFFERENT:
        path = ROOT.joinpath(*name.split("."))
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
