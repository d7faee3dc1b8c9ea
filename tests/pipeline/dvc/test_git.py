"""Git's refusal is not taken for "there is nothing", and tags are read as GTO reads them, whatever else is tagged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from forge.errors import ForgeError
from forge.pipeline.dvc.git import (
    git_commit_of,
    git_committed_file,
    has_repository,
    lies_in_repository,
    require_git_identity,
)
from forge.pipeline.registry.tags import (
    make_model_tag,
    next_model_tag_count,
    read_model_tags,
    registered_versions,
)
from tests.support.toy_project import commit, foreign_repository, identify, sh


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    sh(root, "git", "init", "-q", "-b", "main")
    (root / "a").write_text("a\n")
    commit(identify(root), "first")
    return root


def test_no_repository_is_nothing_and_a_subfolder_is_in_one(repository: Path, tmp_path: Path) -> None:
    assert not has_repository(tmp_path)
    assert git_commit_of(tmp_path, "HEAD") is None
    assert read_model_tags(tmp_path) == []
    below = repository / "x"
    below.mkdir()
    assert has_repository(below)
    assert git_commit_of(below, "HEAD") == git_commit_of(repository, "main")
    assert git_commit_of(repository, "no such name") is None
    assert git_committed_file(repository, "HEAD", "a") == "a\n"
    assert git_committed_file(repository, "HEAD", "b") is None
    assert git_committed_file(tmp_path, "HEAD", "a") is None


def test_a_refusal_of_git_is_told_in_its_words(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    foreign_repository(monkeypatch)
    for ask in (has_repository, read_model_tags, lambda root: git_commit_of(root, "HEAD")):
        with pytest.raises(ForgeError, match=r"dubious ownership.*; git config --global --add safe.directory"):
            ask(repository)
    monkeypatch.undo()
    (repository / ".git/HEAD").unlink()
    with pytest.raises(ForgeError, match="not a git repository"):
        git_commit_of(repository, "HEAD")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ForgeError, match="git is not installed"):
        read_model_tags(repository)
    shutil.rmtree(repository / ".git")
    assert not lies_in_repository(repository)
    assert git_commit_of(repository, "HEAD") is None
    assert read_model_tags(repository) == [], "nobody needs git where there is no repository"


@pytest.mark.parametrize(
    "name", ["nope", "a..b", "x y", "-x", "", "~", "refs/tags/v1#2", "0" * 40, "é", "HEAD:params.yaml"]
)
def test_a_name_that_means_no_commit_is_none(repository: Path, name: str) -> None:
    assert git_commit_of(repository, name) is None


def test_a_damaged_repository_is_not_taken_for_an_empty_one(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / ".git/refs/tags").mkdir(exist_ok=True)
    (repository / ".git/refs/tags/edge@v0.0.1").write_text("cut of\n")
    assert read_model_tags(repository) == []
    assert capsys.readouterr().err == "git: warning: ignoring broken ref refs/tags/edge@v0.0.1\n"
    (repository / ".git/packed-refs").write_text("cut of\n")
    with pytest.raises(ForgeError, match="unexpected line"):
        git_commit_of(repository, "HEAD")


def test_who_tags_must_be_known(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_git_identity(repository)
    sh(repository, "git", "config", "--unset", "user.name")
    sh(repository, "git", "config", "user.useConfigOnly", "true")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    for name in ("GIT_COMMITTER_NAME", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ForgeError, match=r"Git does not know who makes the tag .* git config user.name NAME"):
        require_git_identity(repository)


# ---- tags ----


def state(root: Path) -> dict[str, tuple[str, ...]]:
    return {each.tag.tag: each.stages for each in registered_versions(read_model_tags(root))}


def gto_state(root: Path) -> dict[str, tuple[str, ...]]:
    """The same by GTO itself."""
    from gto import api

    return {
        entry["registrations"][0]["tag"]: tuple(sorted(stage["stage"] for stage in entry["stages"]))
        for artifact in api.show(str(root), registered_only=True)
        for entry in api.show(str(root), artifact, registered_only=True)
        if entry["registrations"]  # else a commit that only a stage was given to
    }


def test_tags_say_what_gto_says_they_do(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = 1_700_000_000
    history = [
        ("edge@v0.0.1", "trunk@v1.0.0", "old@v0.0.1"),
        ("edge@v0.1.0-rc.1", "edge#prod#1", "edge#dev#2"),
        ("edge@v0.0.2", "trunk#prod#1", "old@deprecated"),
        ("edge#prod#3", "trunk#prod!#2", "sub=edge@v9.9.9", "edge@vnext", "v1.0"),
        ("edge@v0.0.3", "edge@v0.0.3!"),
    ]
    for number, tags in enumerate(history):
        (repository / "a").write_text(str(number))
        for name in ("GIT_COMMITTER_DATE", "GIT_AUTHOR_DATE"):
            monkeypatch.setenv(name, f"{moment} +0000")
        commit(repository, str(number))
        for tag in tags:
            moment += 10
            monkeypatch.setenv("GIT_COMMITTER_DATE", f"{moment} +0000")
            where = f"HEAD~{number % 2}" if "#" in tag else "HEAD"
            sh(repository, "git", "tag", "-a", "-m", f"about {tag}", tag, where)
    sh(repository, "git", "tag", "edge@v7.0.0")  # lightweight: no registration
    found = state(repository)
    assert found == {tag: stages for tag, stages in gto_state(repository).items() if "=" not in tag and ":" not in tag}
    assert set(found) == {"edge@v0.0.1", "edge@v0.1.0-rc.1", "edge@v0.0.2", "trunk@v1.0.0"}
    assert "prod" in found["edge@v0.0.1"] + found["edge@v0.0.2"]


@pytest.mark.parametrize(
    "odd",
    [
        "edge#prod#99999999999999999999",
        "edge@v99999999999999999999.0.0",
        "edge@v1.0.0+build",
        "edge@v0.0.1!#3",
        "edge#x#0",
        "nobody#prod#1",
        "edge@v01.0.0",
    ],
)
def test_an_odd_tag_ends_nothing(repository: Path, odd: str) -> None:
    make_model_tag(repository, "edge@v0.0.1", "HEAD", "{}")
    sh(repository, "git", "tag", "-a", "-m", "odd", odd)
    found = state(repository)
    assert ("edge@v0.0.1" in found) is ("!" not in odd)
    assert next_model_tag_count(read_model_tags(repository), "edge") in (1, 4)
    for number, target in enumerate(("HEAD^{tree}", "HEAD:a")):  # a tag may be of anything
        sh(repository, "git", "tag", "-a", "-m", "odd", f"edge@v3.0.{number}", target)
    assert state(repository) == found


def test_a_tag_of_another_form_is_not_made(repository: Path) -> None:
    for name in ("edge", "edge#no stage!#1", "--delete", "edge@v1"):
        with pytest.raises(ForgeError, match="is no name of a model's tag"):
            make_model_tag(repository, name, "HEAD", "x")
    make_model_tag(repository, "edge@v0.0.1", "HEAD", "#1 stays\n")
    with pytest.raises(ForgeError, match="already exists"):
        make_model_tag(repository, "edge@v0.0.1", "HEAD", "x")
    (tag,) = read_model_tags(repository)
    assert (tag.message, tag.commit) == ("#1 stays\n", git_commit_of(repository, "HEAD"))
