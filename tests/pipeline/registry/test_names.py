"""Names that nobody gave a model: each ends in one line, nothing is found, read or written by it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forge.cli.main import main
from forge.errors import UNPRINTABLE
from forge.pipeline.registry.versions import versions
from tests.attacks.names import TEXTS, VERSIONS, hostile_names
from tests.support.toy_project import build_project, outside_stages, sh

pytestmark = pytest.mark.long
NAMES = tuple(hostile_names())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A project with a model `edge@v0.0.1`."""
    place = tmp_path_factory.mktemp("toy")
    with outside_stages(place) as patch:
        patch.chdir(build_project(place))
        assert main(["models", "register", "edge"]) == 0
        yield place


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run_it(*arguments: str) -> Any:
        capsys.readouterr()
        code = main(["models", *arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run_it


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below, the registry's own and Git's left out: asking may be noted there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {".forge", ".git", "tmp"} & set(path.relative_to(folder).parts)
    }


def test_there_are_as_many_as_were_tried_once() -> None:
    assert len(NAMES) >= 140
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("command", ["show", "lineage", "get", "register"])
def test_each_is_refused_in_one_line_and_writes_nothing(project: Path, call: Any, command: str) -> None:
    before = contents(project)
    tags = sh(project / "project", "git", "tag")
    for name in NAMES:
        target = ("-o", "got") if command == "get" else ()
        told = call(command, *target, "--", name)
        assert told.code in (1, 2), (name, told.out)
        assert told.out == "", name
        assert len(told.err.splitlines()) == 1, (name, told.err)
        assert told.err.startswith("agent-forge: "), (name, told.err)
        assert "fault of the program" not in told.err, (name, told.err)
        assert UNPRINTABLE.search(told.err.rstrip("\n")) is None, (name, told.err)
        shutil.rmtree("got", ignore_errors=True)
    assert contents(project) == before
    assert sh(project / "project", "git", "tag") == tags


def test_tags_of_such_names_are_no_versions_of_ours(project: Path, call: Any) -> None:
    known = {version.tag for version in versions(Path())}
    made = []
    for name in (*VERSIONS, *TEXTS):
        if "\0" not in name and name.isprintable() and not name.startswith("-"):
            with suppress(AssertionError):  # Git itself has no such tag
                sh(project / "project", "git", "tag", "-a", "-m", "theirs", name)
                made.append(name)
    assert len(made) > 15
    try:
        for command in ("list", "reindex", "verify"):
            told = call(command)
            assert told.code == 0, (command, told.err)
        ours = {version.tag for version in versions(Path()) if version.facts}
        assert ours == known
    finally:
        sh(project / "project", "git", "tag", "-d", "--", *made)
