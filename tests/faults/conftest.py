"""One fork server a test process, and one small pipeline, made once, that all tests start from."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forge.interface.paths import declared_stage_name
from forge.pipeline.dvc.code import write_code_hashes
from tests.faults.lab import Lab, Running, link_project
from tests.faults.torture import Reference, Victim, prepare
from tests.support.made_once import made_once
from tests.support.smoke_runs import clone


@dataclass
class Finished:
    """A project whose stages have all run once without disturbance, and what each of them made. Nobody changes it."""

    project: Path
    references: dict[str, Reference]

    def copy(self, target: Path) -> Path:
        """A project of one's own in the same state; its files are links, to be replaced and not rewritten."""
        return link_project(self.project, target)

    def victim(self, lab: Lab, target: Path, phase: str, branch: str | None = None) -> Victim:
        """A stage in a project of its own."""
        return Victim(lab, self.copy(target), phase, branch, self.references[declared_stage_name(phase, branch)])


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab() as started:
        yield started


@pytest.fixture(scope="session")
def finished(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Made once for all test processes."""

    def make(project: Path) -> dict[str, dict[str, Any]]:
        return {name: vars(reference) for name, reference in prepare(lab, project).items()}

    project, references = made_once(tmp_path_factory, "finished", make)
    return Finished(project, {name: Reference(**values) for name, values in references.items()})


@pytest.fixture(scope="session")
def committed(lab: Lab, finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished project as a repository whose outputs DVC knows and caches, as after a run of the whole pipeline."""
    place = tmp_path_factory.mktemp("committed")
    root = clone(place / "repository")
    shutil.copytree(finished.project / "data", root / "data", dirs_exist_ok=True)
    for name in ("params.yaml", "models", "results"):
        source = finished.project / name
        shutil.copytree(source, root / name) if source.is_dir() else shutil.copy2(source, root / name)
    write_code_hashes(root)
    run = lab.start(root, "report", environment={"DVC_ROOT": str(root)})
    assert run.wait() == 0, run.output()
    done = lab.command(root, [sys.executable, "-m", "dvc", "commit", "--force"], **own_caches(place))
    assert done.wait() == 0, done.output()
    return root


@dataclass
class Repository:
    """A repository of one's own, and commands in it."""

    root: Path
    lab: Lab
    caches: dict[str, str]

    def start(self, *arguments: str, **environment: str) -> Running:
        """Start `agent-forge` (or, with `dvc` as its first word, DVC) in a session of its own."""
        module = ["dvc", *arguments[1:]] if arguments[0] == "dvc" else ["forge.cli.main", *arguments]
        return self.lab.command(self.root, [sys.executable, "-m", *module], **self.caches | environment)


def own_caches(place: Path) -> dict[str, str]:
    """DVC's machine-wide files in a place of their own; W&B switched off; the tree's own code."""
    return {
        "DVC_SITE_CACHE_DIR": str(place / "site"), "DVC_GLOBAL_CONFIG_DIR": str(place / "global"),
        "WANDB_MODE": "disabled", "PYTHONPATH": "",
    }  # fmt: skip


@pytest.fixture
def repository(committed: Path, lab: Lab, tmp_path: Path) -> Repository:
    """A copy of the repository that a test may damage."""
    root = tmp_path / "repository"
    shutil.copytree(committed, root, symlinks=True)
    return Repository(root, lab, own_caches(tmp_path))
