"""A small project of three stages that publish as the real ones do, with Git, DVC and a local remote."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MAKE = """
import sys
from pathlib import Path
import numpy as np
from safetensors.numpy import save_file
from forge.config import read_params_yaml
from forge.files import atomic_write_json
from forge.pipeline.handoff.publish import publishing_directory, describe_published_model, read_published_metadata
name = sys.argv[1]
value = read_params_yaml("params.yaml")[name]["value"]
with publishing_directory(Path("data/prepared" if name == "data" else f"models/{name}")) as draft:
    if name == "data":
        (draft / "rows.txt").write_text(Path("data/own/rows.txt").read_text() * value)
    else:
        parents = {"trunk": [], "edge": ["models/trunk"]}[name]
        ids = [read_published_metadata(Path(path)).model_id for path in parents]
        save_file({"w": np.full((3, 4), value, np.float32)}, draft / "model.safetensors")
        describe_published_model(draft, phase=name, branch=None, session="ab" * 32, parents=ids, facts={"seed": value})
if name != "data":
    atomic_write_json(f"results/{name}/metrics.json", {"quality": {"value": value}})
"""
STAGES = """
stages:
  data:
    cmd: exec python stages/make.py data
    deps: [data/own, stages/make.py]
    params: [data]
    outs: [data/prepared]
  trunk:
    cmd: exec python stages/make.py trunk
    deps: [data/prepared, forge, stages/make.py]
    params: [seed, trunk]
    outs: [models/trunk]
    metrics:
      - results/trunk/metrics.json: {cache: false}
  edge:
    cmd: exec python stages/make.py edge
    deps: [data/prepared, models/trunk, stages/make.py]
    params: [seed, edge]
    outs: [models/edge]
    metrics:
      - results/edge/metrics.json: {cache: false}
artifacts:
  trunk: {path: models/trunk, type: model}
  edge: {path: models/edge, type: model}
  gone: {path: models/gone, type: model}
"""
PARAMS = "seed: 0\ndata: {value: 3}\ntrunk: {value: 1}\nedge: {value: 2}\n"


@contextmanager
def outside_stages(place: Path) -> Iterator[pytest.MonkeyPatch]:
    """The environment of a user outside any stage, DVC's machine-wide files being in a place of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(place / "site"))
        patch.setenv("DVC_GLOBAL_CONFIG_DIR", str(place / "global"))
        for name in ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
            patch.delenv(name, raising=False)
        yield patch


def sh(folder: Path, *command: str) -> str:
    """Run a command that must succeed; `dvc` and `python` are this interpreter's."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def commit(folder: Path, message: str) -> None:
    sh(folder, "git", "add", "-A")
    sh(folder, "git", "commit", "-q", "-m", message)


def identify(folder: Path) -> Path:
    """Give a repository an author, as tags need one."""
    sh(folder, "git", "config", "user.name", "toy")
    sh(folder, "git", "config", "user.email", "toy@example.org")
    return folder


def foreign_repository(patch: pytest.MonkeyPatch) -> None:
    """From here on every repository belongs to another user, as far as Git can see."""
    patch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # Git's own switch for its tests
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):  # which may call it safe all the same
        patch.setenv(name, "/dev/null")


def build_project(place: Path) -> Path:
    """`place/project`, run and committed; `place/remote` is its DVC remote and `place/origin.git` its Git remote."""
    project = place / "project"
    for name, text in {
        "stages/make.py": MAKE,
        "forge/code.py": "1\n",
        "data/own/rows.txt": "row\n",
        "dvc.yaml": STAGES,
        "params.yaml": PARAMS,
        ".gitignore": "/models/\n/data/prepared/\n/.forge/\n",
        ".dvcignore": "__pycache__/\n*.pyc\n/.forge/\n",
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    sh(place, "git", "init", "-q", "--bare", "-b", "main", "origin.git")
    sh(project, "git", "init", "-q", "-b", "main")
    sh(identify(project), "git", "remote", "add", "origin", str(place / "origin.git"))
    sh(project, "dvc", "init", "-q")
    sh(project, "dvc", "remote", "add", "-q", "-d", "storage", str(place / "remote"))
    sh(project, "dvc", "repro", "-q")
    commit(project, "run")
    return project
