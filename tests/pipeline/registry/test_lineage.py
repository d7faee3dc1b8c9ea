"""Versions and lineage on a small real project: register, promote, trace from a bare clone, fetch, verify, fix."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forge.cli.main import main
from forge.errors import ForgeError
from forge.files import read_json, sha256_file, verify_manifest
from forge.pipeline.dvc.lockfile import Cache, Lock
from forge.pipeline.registry.index import reindex
from forge.pipeline.registry.lineage import lineage
from forge.pipeline.registry.versions import find_version, register, versions
from tests.support.rot import flip
from tests.support.toy_project import build_project, commit, foreign_repository, identify, outside_stages, sh

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with `trunk@v0.0.1` and `edge@v0.0.1` registered and pushed to both remotes."""
    place = tmp_path_factory.mktemp("toy")
    with outside_stages(place) as patch:
        project = build_project(place)
        patch.chdir(project)
        register(Path(), "trunk")
        register(Path(), "edge")
        sh(project, "dvc", "push", "-q")
        sh(project, "git", "push", "-q", "origin", "main", "--tags")
        yield place


@pytest.fixture
def project(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project to change; the remotes are shared."""
    copy = tmp_path / "project"
    shutil.copytree(place / "project", copy, symlinks=True)
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def clone(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a stranger gets from Git alone: no models, no cache, no registry."""
    sh(tmp_path, "git", "clone", "-q", str(place / "origin.git"), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    assert not Path("models").exists()
    return identify(tmp_path / "clone")


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run_it(*arguments: str) -> Any:
        code = main(["models", *arguments])
        out, err = capsys.readouterr()
        found = json.loads(out.strip().splitlines()[-1]) if "--json" in arguments and out.strip() else None
        return SimpleNamespace(code=code, out=out, err=err, json=found)

    return run_it


def cached(project: Path, path: str, name: str | None = None) -> Path:
    """The cache object of an output, or of a file in it."""
    md5 = Lock.read(project).outs()[path].md5
    cache = Cache(project / ".dvc/cache/files/md5")
    return cache.object(md5) if name is None else cache.object((cache.listing(md5) or {})[name])


# ---- register, promote ----


def test_a_version_says_what_the_model_is(place: Path) -> None:
    root = place / "project"
    edge = find_version(root, "edge@v0.0.1")
    assert sh(root, "git", "cat-file", "-t", "edge@v0.0.1") == "tag\n"
    assert json.loads(sh(root, "git", "tag", "-l", "--format=%(contents)", "edge@v0.0.1")) == edge.facts
    assert edge.facts["parents"] == ["trunk@v0.0.1"]
    assert edge.facts["manifest_sha256"] == sha256_file(root / "models/edge/manifest.json")
    assert edge.facts["metrics"] == {"quality": {"value": 2}}
    assert edge.facts["model"]["model_id"] == read_json(root / "models/edge/metadata.json")["model_id"]
    assert len(edge.facts["params_sha256"]) == 64
    assert find_version(root, "trunk").facts["params_sha256"] != edge.facts["params_sha256"]
    assert find_version(root, "trunk").facts["parents"] == []


def spoil_cache(project: Path) -> None:
    cached(project, "models/edge", "model.safetensors").unlink()


def spoil_ancestor(project: Path) -> None:
    cached(project, "data/prepared", "rows.txt").unlink()


def rewrite(project: Path) -> None:
    """Another model, with a manifest of its own that holds."""
    from forge.files import write_manifest

    flip(project / "models/edge/model.safetensors")
    write_manifest(project / "models/edge")


REFUSALS: list[tuple[str, Any, str]] = [
    ("edge", lambda p: (p / "params.yaml").write_text("seed: 1\n"), "params.yaml is not committed"),
    ("edge", lambda p: (p / "dvc.lock").write_text("stages: {}\n"), "dvc.lock is not committed"),
    ("edge", lambda p: (p / "stages/new.py").touch(), "stages/new.py is not committed"),
    ("edge", lambda p: (p / "forge/code.py").unlink(), "forge/code.py is not committed"),
    ("edge", lambda p: (p / "results/edge/metrics.json").write_text("{}"), "results/edge/metrics.json is not comm"),
    ("nope", lambda p: None, "'nope' is not under artifacts in dvc.yaml; known: trunk, edge, gone"),
    ("gone", lambda p: None, "dvc.lock has no models/gone"),
    ("edge", spoil_cache, "models/edge: not in the DVC cache: model.safetensors (dvc commit edge)"),
    ("edge", spoil_ancestor, "data/prepared, of which it is made, is not in the DVC cache: rows.txt"),
    ("edge", lambda p: flip(p / "models/edge/model.safetensors"), "changed since the manifest was written"),
    ("edge", lambda p: (p / "models/edge/metadata.json").unlink(), "missing, though the manifest lists it"),
    ("edge", rewrite, "models/edge is not what dvc.lock names"),
    ("edge", lambda p: shutil.rmtree(p / "models/edge"), "models/edge is not in the workspace"),
    ("edge", lambda p: flip(cached(p, "models/edge", "model.safetensors")), "damaged in the DVC cache"),
]


@pytest.mark.parametrize(("name", "harm", "reason"), REFUSALS, ids=[reason for *_, reason in REFUSALS])
def test_register_refuses_with_the_reason_in_one_line(
    project: Path, call: Any, name: str, harm: Any, reason: str
) -> None:
    (project / "later.txt").write_text("a commit that has no version yet")
    commit(project, "later")
    harm(project)
    told = call("register", name)
    assert told.code == 1
    assert reason in told.err
    assert len(told.err.splitlines()) == 1
    assert {version.tag for version in versions(project)} == {"trunk@v0.0.1", "edge@v0.0.1"}


def test_a_commit_has_one_version_of_a_model(project: Path, call: Any) -> None:
    told = call("register", "edge")
    assert (told.code, "this commit is edge@v0.0.1 already" in told.err) == (1, True)


def retrain(project: Path, value: int) -> None:
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("edge: {value: 2}", f"edge: {{value: {value}}}"))
    sh(project, "dvc", "repro", "-q")
    commit(project, "retrain")


def test_the_next_version_is_another_model_and_the_old_one_stays(
    place: Path, project: Path, call: Any, tmp_path: Path
) -> None:
    retrain(project, 5)
    sh(tmp_path, "git", "init", "-q", "--bare", "own.git")
    sh(project, "git", "remote", "set-url", "origin", str(tmp_path / "own.git"))
    told = call("register", "edge", "--bump", "minor", "--push", "--json")
    assert told.code == 0, told.err
    assert "refs/tags/edge@v0.1.0" in sh(project, "git", "ls-remote", "--tags", "origin")
    pushed = cached(project, "models/edge", "model.safetensors").relative_to(project / ".dvc/cache")
    assert (place / "remote" / pushed).is_file()
    assert told.json["tag"] == "edge@v0.1.0"
    assert told.json["parents"] == ["trunk@v0.0.1"], "the trunk is the same, so it is that version"
    assert call("promote", "edge", "v0.0.1", "prod", "--json").json["stages"] == ["prod"]
    again = call("promote", "edge", "0.0.1", "prod")
    assert (again.code, "is in stage prod already" in again.err) == (1, True)
    assert "no registered version" in call("promote", "edge", "v9.9.9", "prod").err
    assert "cannot go to stage" in call("promote", "edge", "v0.1.0", "no stage!").err
    # Found by version, stage and name; each with its own parameters.
    for ref, value in (("edge@v0.0.1", 2), ("edge#prod", 2), ("edge#prod#1", 2), ("edge@v0.1.0", 5), ("edge", 5)):
        assert lineage(project, ref)["nodes"][0]["params"]["edge"] == {"value": value}, ref
    rows = call("list", "--phase", "edge", "--json").json["models"]
    assert [[v["tag"] for v in row["versions"]] for row in rows] == [["edge@v0.1.0"], ["edge@v0.0.1"]]
    (prod,) = call("list", "--tag", "prod", "--json").json["models"]
    assert prod["metrics"]["quality"]["value"] == 2
    assert call("list", "--query", "nothing").out.count("\n") == 2
    assert call("show", "edge@v0.0.1", "--json").json["model_id"] == prod["model_id"]
    assert "edge@v0.0.1" in call("show", prod["model_id"]).out
    # The old one comes out of the cache while the workspace holds the new one.
    told = call("get", "edge#prod", "-o", str(tmp_path / "old"), "--json")
    assert told.json["tag"] == "edge@v0.0.1", told.err
    verify_manifest(tmp_path / "old")
    assert read_json(tmp_path / "old/metadata.json")["metrics"] == {"seed": 2}
    assert read_json("models/edge/metadata.json")["metrics"] == {"seed": 5}
    # A copy is known by its content, wherever it lies.
    assert lineage(project, str(tmp_path / "old"))["tag"] == "edge@v0.0.1"
    assert lineage(project, str(tmp_path / "old/model.safetensors"))["tag"] == "edge@v0.0.1"


def test_foreign_tags_are_versions_too(project: Path) -> None:
    """A tag made by `gto register` says nothing about the model, but its commit does."""
    (project / "later.txt").touch()
    commit(project, "later")
    sh(project, "gto", "register", "edge")
    assert lineage(project, "edge@v0.0.2")["nodes"][0]["versions"] == ["edge@v0.0.1", "edge@v0.0.2"]
    assert reindex(project)["versions"] == 3


# ---- lineage from a clone ----


def test_a_clone_alone_tells_the_whole_ancestry(clone: Path, call: Any) -> None:
    told = call("lineage", "edge@v0.0.1", "--json")
    assert told.code == 0, told.err
    nodes = {node["path"]: node for node in told.json["nodes"]}
    assert list(nodes) == ["models/edge", "data/prepared", "models/trunk", "data/own"]
    assert {path: node["kind"] for path, node in nodes.items()} == {
        "models/edge": "model",
        "models/trunk": "model",
        "data/prepared": "data",
        "data/own": "source",
    }
    assert nodes["models/edge"]["parents"] == ["data/prepared", "models/trunk"]
    assert nodes["models/trunk"]["parents"] == ["data/prepared"]
    assert nodes["data/prepared"]["parents"] == ["data/own"]
    assert nodes["models/trunk"]["params"] == {"seed": 0, "trunk": {"value": 1}}
    assert list(nodes["models/trunk"]["code"]) == ["forge", "stages/make.py"]
    assert nodes["models/trunk"]["versions"] == ["trunk@v0.0.1"]
    assert nodes["models/trunk"]["model_id"].startswith("trunk_tinytitan_trunk_")
    assert told.json["commit"] == sh(clone, "git", "rev-parse", "HEAD").strip()
    tree = call("lineage", "models/edge").out
    (edge,) = [line for line in tree.splitlines() if "models/edge edge@v0.0.1" in line]
    assert edge.endswith("]"), "a pipe gets whole lines"
    assert not [line for line in tree.splitlines() if line != line.rstrip()]
    for words in ("models/trunk trunk@v0.0.1", "data/own [source", "see above"):
        assert words in tree, tree
    full = call("lineage", "models/edge", "--params").out
    assert "trunk.value=1" in full
    assert "data.value=3" in full
    assert "trunk.value=1" not in tree
    assert max(map(len, tree.splitlines())) < 160


def test_pull_gives_the_models_and_reindex_the_registry(clone: Path, call: Any, tmp_path: Path) -> None:
    assert "agent-forge models reindex" in call("list").out
    assert call("reindex", "--json").json["models"] == 2, "tags alone describe the registered models"
    assert "edge" in call("list").out
    told = call("verify", "--json")
    assert told.code == 0
    assert set(told.json["absent"]) == {"data/prepared", "models/trunk", "models/edge"}
    # From the remote, without the workspace; then all of it.
    assert call("get", "edge", "-o", str(tmp_path / "got")).code == 0
    verify_manifest(tmp_path / "got")
    sh(clone, "dvc", "pull", "-q")
    told = call("verify")
    assert told.code == 0, told.out
    assert "3 outputs" in told.out
    before = call("lineage", "edge@v0.0.1", "--json").json
    assert call("lineage", "models/edge/model.safetensors", "--json").json["nodes"] == before["nodes"]


def test_a_model_that_is_nowhere_is_not_half_fetched(clone: Path, call: Any, tmp_path: Path) -> None:
    sh(clone, "dvc", "remote", "modify", "-q", "--local", "storage", "url", str(tmp_path / "empty"))
    told = call("get", "edge", "-o", str(tmp_path / "got"))
    assert told.code == 1
    assert "edge@v0.0.1: neither in the cache nor in a remote" in told.err
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("place_in_listing", [0, 12])
def test_a_damaged_listing_harms_nothing(project: Path, call: Any, tmp_path: Path, place_in_listing: int) -> None:
    """The object that lists a folder's files: no JSON any more, or with another hash in it."""
    flip(cached(project, "models/trunk"), place_in_listing)
    shutil.rmtree(project / "models/trunk")
    sh(project, "dvc", "remote", "remove", "-q", "storage")
    told = call("get", "trunk@v0.0.1", "-o", str(tmp_path / "got"))
    if told.code == 0:  # DVC may still know the folder from before; then it must be whole
        verify_manifest(tmp_path / "got")
    else:
        assert "a fault of the program" not in told.err
        assert not (tmp_path / "got").exists()
    told = call("lineage", "edge", "--json")
    assert told.code == 0, told.err
    assert reindex(project)["models"] == 2
    assert call("verify").code == 1


def test_a_version_is_made_though_the_registry_is_damaged(project: Path, call: Any) -> None:
    (project / "later.txt").touch()
    commit(project, "later")
    (project / ".forge").mkdir(exist_ok=True)
    (project / ".forge/registry.db").write_bytes(b"nothing like it" * 99)
    told = call("register", "trunk")
    assert told.code == 0
    assert "registered trunk@v0.0.2" in told.out
    assert "models reindex" in told.err
    assert call("reindex", "--json").json["versions"] == 3


def test_what_is_not_known_is_said(project: Path, call: Any, tmp_path: Path) -> None:
    for ref, words in (
        ("nope", "no model 'nope'; artifacts: trunk, edge, gone; versions: "),
        ("edge#prod", "no registered version 'edge#prod'"),
        ("params.yaml", "no model that is registered"),
    ):
        told = call("lineage", ref)
        assert (told.code, words in told.err) == (1, True), told.err
    rewrite(project)
    assert "has it been changed?" in call("lineage", "models/edge").err
    told = call("get", "edge", "-o", str(project / "models/edge"))
    assert (told.code, "exists already" in told.err) == (1, True)
    (project / "dvc.lock").write_text("sch")
    assert "dvc.lock" in call("lineage", "models/trunk").err
    with pytest.raises(ForgeError, match=r"dvc\.lock is damaged, cut off"):
        reindex(project)


# ---- verify ----


def test_a_sound_project_verifies(project: Path, call: Any) -> None:
    told = call("verify", "--json")
    assert (told.code, told.json["damaged"], told.json["absent"]) == (0, [], [])
    assert told.json["checked"]["outputs"] == 3
    assert told.json["checked"]["versions"] == 2
    assert told.json["checked"]["objects"] > 6


def test_a_flipped_byte_in_the_cache_is_found_and_mended(project: Path, call: Any, tmp_path: Path) -> None:
    target = cached(project, "models/edge", "model.safetensors")
    flip(target)
    told = call("verify", "--json")
    assert told.code == 1
    (damage,) = told.json["damaged"]
    assert damage["path"] == target.relative_to(project).as_posix() or damage["path"] == target.as_posix()
    assert "it is models/edge/model.safetensors" in damage["what"]
    refused = call("get", "edge@v0.0.1", "-o", str(tmp_path / "got"))
    assert (refused.code, "damaged in the cache" in refused.err) == (1, True), refused.err
    assert not (tmp_path / "got").exists()
    assert not list(tmp_path.glob(".*")), "nothing half-made is left"
    command = damage["fix"].partition("   (")[0]
    sh(project, "bash", "-c", command)
    assert call("verify").code == 0


def test_a_flipped_byte_in_a_published_model_is_found_and_mended(project: Path, call: Any) -> None:
    flip(project / "models/edge/model.safetensors")
    told = call("verify")
    assert told.code == 1
    assert "damaged: models/edge\n" in told.out
    assert "model.safetensors: changed since the manifest was written" in told.out
    (command,) = [line.partition("fix: ")[2] for line in told.out.splitlines() if "fix: " in line]
    sh(project, "bash", "-c", command.partition("   (")[0])
    assert call("verify").code == 0


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (rewrite, "is whole, but not what dvc.lock names"),
        (spoil_cache, "is missing from the DVC cache"),
        (lambda p: flip(cached(p, "models/edge")), "its bytes do not have the MD5"),
        (lambda p: (p / "models/edge/extra").touch(), "not in the manifest"),
        (lambda p: (p / "models/edge/manifest.json").unlink(), "no such file"),
        (lambda p: (cached(p, "models/edge").parent / ".x.tmp").touch(), "half-written"),
        (lambda p: (p / ".forge/registry.db").write_bytes(b"nothing like it" * 99), "cannot be read"),
    ],
)
def test_other_damage_is_found(project: Path, call: Any, harm: Any, what: str) -> None:
    reindex(project)
    harm(project)
    told = call("verify", "--json")
    assert told.code == 1
    assert what in " ".join(damage["what"] for damage in told.json["damaged"])


# ---- reindex ----


def test_a_damaged_registry_is_rebuilt(project: Path, call: Any) -> None:
    reindex(project)
    before = call("list", "--json").json
    assert [row["artifact"] for row in before["models"]] != []
    flip(project / ".forge/registry.db", 2)
    told = call("list")
    assert (told.code, "agent-forge models reindex" in told.err) == (1, True)
    told = call("reindex")
    assert told.code == 0
    assert "the registry was damaged" in told.out
    after = call("list", "--json").json

    def without_time(found: Any) -> Any:
        return [{key: value for key, value in row.items() if key != "recorded"} for row in found["models"]]

    assert without_time(after) == without_time(before)


def test_reindex_drops_what_nothing_names(project: Path, call: Any) -> None:
    retrain(project, 7)
    assert reindex(project)["models"] == 3
    retrain_back = (project / "params.yaml").read_text().replace("value: 7", "value: 2")
    (project / "params.yaml").write_text(retrain_back)
    sh(project, "dvc", "repro", "-q")
    assert "1 dropped that nothing names any more" in call("reindex").out
    assert len(call("list", "--json").json["models"]) == 2


# ---- Git that does not answer, and places where it is not looked for ----


def test_a_repository_that_git_refuses_loses_nothing(
    project: Path, call: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reindex(project)
    before = (project / ".forge/registry.db").read_bytes()
    foreign_repository(monkeypatch)
    for command in (
        ("reindex",),
        ("register", "edge"),
        ("promote", "edge", "v0.0.1", "prod"),
        ("get", "edge", "-o", str(tmp_path / "got")),
        ("lineage", "edge@v0.0.1"),
        ("verify",),
    ):
        told = call(*command)
        assert (told.code, "dubious ownership" in told.err, len(told.err.splitlines())) == (1, True, 1), told
    assert (project / ".forge/registry.db").read_bytes() == before
    monkeypatch.undo()
    monkeypatch.chdir(project)
    assert len(versions(project)) == 2


def test_without_a_name_nothing_is_begun(project: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "later.txt").touch()
    commit(project, "later")
    sh(project, "git", "config", "--unset", "user.email")
    sh(project, "git", "config", "user.useConfigOnly", "true")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setattr("forge.pipeline.registry.versions._push_registered_objects", lambda root: pytest.fail("pushed"))
    for command in (("register", "edge", "--push"), ("promote", "edge", "v0.0.1", "prod")):
        told = call(*command)
        assert (told.code, "git config user.name NAME" in told.err, len(told.err.splitlines())) == (1, True, 1), told
    assert {version.tag for version in versions(project)} == {"trunk@v0.0.1", "edge@v0.0.1"}


def test_one_odd_tag_spoils_no_other(project: Path, call: Any, tmp_path: Path) -> None:
    facts = find_version(project, "edge@v0.0.1").facts
    strange = {**facts, "model": {**facts["model"], "parameters": 10**30}}
    for tag, text in (
        ("edge#prod#99999999999999999999", "x"),
        ("edge@v0.0.7", json.dumps(strange)),
        ("trunk@v0.0.7", '{"manifest_sha256": "x", "model": 5}'),
    ):
        sh(project, "git", "tag", "-a", "-m", text, tag)
    assert call("reindex", "--json").json["versions"] == 4
    assert call("get", "edge@v0.0.1", "-o", str(tmp_path / "got")).code == 0
    assert call("verify").code == 0
    assert call("promote", "edge", "v0.0.1", "dev", "--json").json["stages"] == ["dev", "prod"]
    (project / "later.txt").touch()
    commit(project, "later")
    told = call("register", "trunk", "--json")
    assert told.json["tag"] == "trunk@v0.0.8", told.err


def test_a_project_below_the_root_of_its_repository(
    place: Path, tmp_path: Path, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A monorepo: Git's root is above the folder that DVC and we call the project."""
    below = tmp_path / "mono/agents/toy"
    shutil.copytree(place / "project", below, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    sh(tmp_path / "mono", "git", "init", "-q", "-b", "main")
    commit(identify(tmp_path / "mono"), "all")
    monkeypatch.chdir(below)
    told = call("register", "edge", "--json")
    assert told.json["tag"] == "edge@v0.0.1", told.err
    monkeypatch.chdir(below / "models")
    told = call("get", "edge@v0.0.1", "-o", "../got", "--json")
    assert told.code == 0, told.err
    verify_manifest(below / "got")
    assert call("lineage", "edge", "--json").json["path"] == "models/edge"
    monkeypatch.chdir(below)
    shutil.rmtree(".dvc/cache")
    told = call("get", "edge", "-o", str(tmp_path / "remote"))
    assert told.code == 0, f"from the remote: {told.err}"
    sh(tmp_path / "mono", "git", "tag", "-d", "edge@v0.0.1")
    (below / "params.yaml").write_text("seed: 1\n")
    assert "agents/toy/params.yaml is not committed" in call("register", "edge").err


def test_a_draft_of_somebody_elses_stays(project: Path, call: Any, tmp_path: Path) -> None:
    theirs = tmp_path / ".got.building"
    theirs.mkdir()
    (theirs / "work").write_text("theirs")
    assert call("get", "edge", "-o", str(tmp_path / "got")).code == 0
    assert (theirs / "work").read_text() == "theirs"
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert "exists already" in call("get", "edge", "-o", str(tmp_path / "link")).err
