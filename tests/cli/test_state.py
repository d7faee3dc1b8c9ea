"""Fresh or stale: our quick look against DVC itself, on a small project with a matrix and templated
parameters.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forge.errors import ForgeError
from forge.pipeline.dvc.states import _expand_dvc_stage, look_up_dvc_param, read_yaml_as_dvc, stage_states

PARAMS = """scale: tiny
seed: 0
rate: 0.00001
scales:
  tiny: {one: {n: 1}, two: {n: 2}}
  spec: {one: {n: 9}, two: {n: 9}}
"""
STAGES = """
stages:
  count:
    cmd: ls logs > count
    deps: [logs]
    outs: [count]
  join:
    cmd: cat models/branch/a/w models/branch/b/w > models/joined
    deps: [code/join.txt, models/branch/a, models/branch/b]
    params: [seed, "scales.${scale}.two"]
    outs: [models/joined]
  branch:
    matrix: {name: [a, b]}
    cmd: mkdir -p models/branch/${item.name} && echo ${item.name} > models/branch/${item.name}/w
    deps: [code/shared]
    params: [rate, "scales.${scale}.one"]
    outs:
      - "models/branch/${item.name}"
    metrics:
      - "logs/${item.name}.json": {cache: false}
"""


def _dvc(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "code" / "shared" / "deep").mkdir(parents=True)
    for name in ("code/join.txt", "code/shared/z.txt", "code/shared/deep/a.txt"):
        (folder / name).write_text(name)
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "dvc.yaml").write_text(
        STAGES.replace("${item.name}/w\n", "${item.name}/w && mkdir -p logs && echo {} > logs/${item.name}.json\n")
    )
    _dvc(folder, "init", "--no-scm", "-q")
    (folder / ".dvcignore").write_text("__pycache__\n*.pyc\n")
    _dvc(folder, "repro", "-q")
    return folder


def _ours(folder: Path) -> dict[str, str]:
    return {state.name: state.state for state in stage_states(folder)}


def _theirs(folder: Path) -> set[str]:
    return set(json.loads(_dvc(folder, "status", "--json")))


def test_everything_is_fresh_after_a_run_and_producers_come_first(project: Path) -> None:
    assert _theirs(project) == set()
    assert _ours(project) == dict.fromkeys(("branch@a", "branch@b", "count", "join"), "fresh")
    assert [state.name for state in stage_states(project)] == ["branch@a", "branch@b", "count", "join"]
    cache = project / "code" / "shared" / "__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_bytes(b"1")
    assert set(_ours(project).values()) == {"fresh"}


@pytest.mark.parametrize(
    ("file", "old", "new", "direct", "after"),
    [
        ("params.yaml", "spec: {one: {n: 9}", "spec: {one: {n: 8}", set(), set()),
        (
            "params.yaml",
            "tiny: {one: {n: 1}",
            "tiny: {one: {n: 7}",
            {"branch@a", "branch@b"},
            {"count", "join"},
        ),
        ("params.yaml", "seed: 0", "seed: 1", {"join"}, set()),
        ("params.yaml", "rate: 0.00001", "rate: 1e-05", set(), set()),
        ("code/shared/deep/a.txt", "a", "b", {"branch@a", "branch@b"}, {"count", "join"}),
        ("code/join.txt", "join", "joined", {"join"}, set()),
    ],
)
def test_a_change_makes_the_same_stages_stale_as_dvc_says(
    project: Path, file: str, old: str, new: str, direct: set[str], after: set[str]
) -> None:
    path = project / file
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))
    try:
        states = {state.name: state for state in stage_states(project)}
        stale = {name for name, state in states.items() if state.state == "stale"}
        assert _theirs(project) == direct
        assert stale == direct | after
        assert all(states[name].why.startswith("after ") for name in after)
    finally:
        path.write_text(before)


def test_missing_outputs_inputs_and_locks_are_seen(project: Path) -> None:
    for name, stage, words in (
        ("models/joined", "join", "output models/joined is missing"),
        ("code/join.txt", "join", "input code/join.txt is missing"),
    ):
        content = (project / name).read_text()
        (project / name).unlink()
        found = {state.name: state.why for state in stage_states(project)}
        (project / name).write_text(content)
        assert found[stage] == words
    lock = project / "dvc.lock"
    content = lock.read_text()
    lock.unlink()
    assert {state.state for state in stage_states(project)} == {"new"}
    lock.write_text(content)


def test_foreach_and_two_axes_are_expanded_as_dvc_names_them() -> None:
    body = {
        "foreach": {"x": 1, "y": 2},
        "do": {"cmd": ["run ${item}", "say ${key}"], "params": [{"p.yaml": ["q"]}]},
    }
    stages = _expand_dvc_stage("s", body, {})
    assert [(stage.name, stage.cmd) for stage in stages] == [("s@x", "run 1\nsay x"), ("s@y", "run 2\nsay y")]
    assert stages[0].params == {"p.yaml": ["q"]}
    grid = _expand_dvc_stage("g", {"matrix": {"a": [1, 2], "b": ["u"]}, "cmd": "${item.a}${item.b} ${other}"}, {})
    assert [(stage.name, stage.cmd) for stage in grid] == [("g@1-u", "1u ${other}"), ("g@2-u", "2u ${other}")]


def test_circles_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match=r"params\.yaml: no such file"):
        stage_states(tmp_path)
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(ForgeError, match="not valid YAML"):
        stage_states(tmp_path)
    (tmp_path / "params.yaml").write_text("- a")
    with pytest.raises(ForgeError, match="mapping"):
        stage_states(tmp_path)
    (tmp_path / "params.yaml").write_text("a: 1")
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: x, deps: [o], outs: [p]}, b: {cmd: x, deps: [p], outs: [o]}}")
    with pytest.raises(ForgeError, match="wait for each other: a, b"):
        stage_states(tmp_path)


def test_numbers_are_read_as_dvc_writes_them(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("a: 1e-05\nb: 5e5\nc: 1.5E+3\nd: e5\n")
    assert read_yaml_as_dvc(tmp_path / "p.yaml") == {"a": 1e-05, "b": 5e5, "c": 1500.0, "d": "e5"}
    assert look_up_dvc_param({"a": {"b": 1}}, "a.b") == 1
    assert look_up_dvc_param({"a": 1}, "a.b") is None
