"""Finished runs of the whole pipeline at scale smoke, made once and shared by the tests that ask about them.

A plugin of conftest.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forge.config import set_param
from forge.pipeline.dvc.runner import RunResult, dvc_process_environment, run_pipeline
from tests.support.made_once import made_once
from tests.support.toy_project import outside_stages

ROOT = Path(__file__).resolve().parents[2]
GIT = ("git", "-c", "user.name=smoke", "-c", "user.email=smoke@example.org", "-c", "commit.gpgsign=false")


def copy_tree(target: Path) -> Path:
    """Copy the project's own files (tracked or new, not ignored) into `target`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def clone(target: Path) -> Path:
    """The tree as a repository of its own, set to scale smoke and committed; nothing of earlier runs comes
    along.
    """
    copy_tree(target)
    (target / "dvc.lock").unlink(missing_ok=True)
    shutil.rmtree(target / "results", ignore_errors=True)
    set_param(target / "params.yaml", "scale", "smoke")
    for arguments in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "smoke")):
        subprocess.run([*GIT, *arguments], cwd=target, check=True)
    return target


@pytest.fixture(scope="session")
def _own_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """DVC's machine-wide files in a temporary place, and the environment of a user outside any stage."""
    place = tmp_path_factory.mktemp("dvc")
    with outside_stages(place) as patch:
        patch.delenv("PYTHONPATH", raising=False)
        yield


@dataclass
class Ran:
    """A clone whose pipeline ran."""

    root: Path
    result: RunResult


@pytest.fixture(scope="session")
def first(_own_caches: None, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One clone, run under whatever measures coverage."""
    root = clone(tmp_path_factory.mktemp("first") / "coverage-clone")
    result = run_pipeline(root=root)
    assert result.exit_code == 0, result.message
    return Ran(root, result)


@pytest.fixture(scope="session")
def pristine(_own_caches: None, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Another clone, run once for all test processes. Nobody changes it."""
    root, seconds = made_once(tmp_path_factory, "pristine", _run_as_a_user)
    return Ran(root, RunResult(seconds=seconds))


@pytest.fixture(scope="session")
def second(pristine: Ran, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A copy of it; whoever changes it puts it back as it was."""
    root = tmp_path_factory.mktemp("second") / "clone"
    shutil.copytree(pristine.root, root, symlinks=True)
    return Ran(root, pristine.result)


def _run_as_a_user(root: Path) -> float:
    """Run a new clone in a process of its own, without coverage; seconds."""
    clone(root)
    environment = {k: v for k, v in dvc_process_environment().items() if not k.startswith("COVERAGE_")}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "forge.cli.main", "run", "--json"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return time.monotonic() - began


def python_in(root: Path, *arguments: str) -> str:
    """What Python prints when it is run in a clone with these arguments; it must succeed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=dvc_process_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first clone's run, made by its session fixture, is measured for coverage: tracing DVC line by line is
    not what a user waits for, and the second clone's lines would count as another tree's."""
    for name in [key for key in os.environ if key.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)
