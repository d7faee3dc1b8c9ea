"""DVC's own files as we read them: which lock files are whole, and whose bytes the objects of the cache are."""

from __future__ import annotations

import json
from hashlib import md5
from pathlib import Path

import pytest

from forge.errors import ForgeError
from forge.pipeline.dvc.lockfile import (
    Cache,
    Lock,
    Out,
    dvc_artifact_paths,
    dvc_md5_of_file,
    is_dvc_cache_draft,
    is_dvc_cache_object_intact,
    lock_fault,
    md5_path,
)

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]


def test_a_cut_lock_file_is_told_from_a_whole_one_as_dvc_tells_them() -> None:
    """Oracle: DVC's own schema, on a real lock file cut at many places."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML, YAMLError
    from voluptuous import Invalid

    text = (ROOT / "dvc.lock").read_text()
    text = text[: text.index("\n  bitnet:") + 3000] if "\n  bitnet:" in text else text[:6000]
    assert lock_fault((ROOT / "dvc.lock").read_text()) is None
    missed, too_strict = [], []
    for cut in [*range(0, 400, 7), *range(400, len(text), 97)]:
        piece = text[:cut]
        try:
            COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(piece))
            accepted = True
        except (Invalid, YAMLError):
            accepted = False
        fault = lock_fault(piece)
        if not accepted and fault is None:
            missed.append((cut, piece[-60:]))
        # DVC also accepts an entry that was cut before its hash, which no whole file holds.
        if accepted and fault is not None and not fault.startswith("cut off in "):
            too_strict.append((cut, fault))
    assert not missed
    assert not too_strict


def test_a_lock_file_that_is_read_must_be_whole(tmp_path: Path) -> None:
    text = (ROOT / "dvc.lock").read_text()
    assert len(Lock.parse(text).stages) > 9
    with pytest.raises(ForgeError, match=r"^v1:dvc\.lock is damaged, cut off in its last line$"):
        Lock.parse(text[:-1], "v1:dvc.lock")
    (tmp_path / "dvc.lock").write_bytes(b"\xff\xfe\n")
    with pytest.raises(ForgeError, match=r"^dvc\.lock is damaged, .*; fix it with: agent-forge doctor --fix$"):
        Lock.read(tmp_path)


def test_the_users_of_an_object_are_all_that_have_its_bytes(tmp_path: Path) -> None:
    for name in ("folder/a", "folder/b", "alone"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("same" if name != "folder/b" else "other")
    known: dict[Path, str] = {}
    folder, same, other = (md5_path(tmp_path / name, known) for name in ("folder", "alone", "folder/b"))
    cache = Cache(tmp_path / "cache")
    listing = cache.object(folder)
    listing.parent.mkdir(parents=True)
    rows = [{"md5": same, "relpath": "a"}, {"md5": other, "relpath": "b"}]
    listing.write_text(json.dumps(rows, sort_keys=True))
    assert is_dvc_cache_object_intact(listing)
    outs = [Out("folder", folder, 9, "stage"), Out("alone", same, 4, "stage")]
    assert cache.users(outs) == {folder: ["folder"], same: ["folder/a", "alone"], other: ["folder/b"]}
    listing.write_text("[]")
    assert cache.users(outs) == {folder: ["folder"], same: ["alone"]}


def test_drafts_in_the_cache_are_told_from_objects(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    name = dvc_md5_of_file(tmp_path / "f")[2:]
    assert [is_dvc_cache_draft(Path(each)) for each in (name, f"{name}.dir", f".{name}.tmp", f"{name}.tmp", ".x")] == [
        False,
        False,
        True,
        True,
        True,
    ]


def cache_of(folder: Path, rows: object) -> tuple[Cache, str]:
    """A cache with one `.dir` object that holds `rows` under its right name."""
    text = json.dumps(rows).encode()
    name = f"{md5(text).hexdigest()}.dir"
    cache = Cache(folder / "cache")
    cache.object(name).parent.mkdir(parents=True)
    cache.object(name).write_bytes(text)
    return cache, name


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"relpath": "../out", "md5": "0" * 32}], "no file of a folder"),
        ([{"relpath": "/out", "md5": "0" * 32}], "no file of a folder"),
        ([{"relpath": "a/../../out", "md5": "0" * 32}], "no file of a folder"),
        ([{"relpath": "", "md5": "0" * 32}], "no file of a folder"),
        ([{"relpath": "out", "md5": "../../../../etc/hostname"}], "no file of a folder"),
        ([{"path": "out"}], "not a list of files"),
        ({"out": 1}, "not a list of files"),
    ],
)
def test_a_strangers_listing_leads_nowhere_else(tmp_path: Path, rows: object, words: str) -> None:
    """A remote may hold any list under its right MD5; it names files of one folder or is refused."""
    cache, name = cache_of(tmp_path, rows)
    with pytest.raises(ForgeError, match=words):
        cache.copy(name, tmp_path / "deep/got")
    assert not list(tmp_path.glob("**/out"))


@pytest.mark.parametrize("content", ["", "x", "[1", "\xff"])
def test_a_strangers_metadata_need_not_be_json(tmp_path: Path, content: str) -> None:
    data = content.encode("latin-1")
    own = md5(data).hexdigest()
    cache, name = cache_of(tmp_path, [{"relpath": "metadata.json", "md5": own}])
    cache.object(own).parent.mkdir(exist_ok=True)
    cache.object(own).write_bytes(data)
    assert cache.file(name, "metadata.json") is not None
    assert cache.read_json(name, "metadata.json") is None


def test_artifacts_are_the_models_of_the_project() -> None:
    """DVC's users name data there as well, which is no model of ours."""
    paths = {
        "edge": "models/edge",
        "deep": "models/cognate/x",
        "data": "data/own",
        "all": "models",
        "up": "models/../x",
    }
    named = {name: {"path": path, "type": "model"} for name, path in paths.items()}
    assert dvc_artifact_paths({"artifacts": named}) == {"edge": "models/edge", "deep": "models/cognate/x"}
    assert dvc_artifact_paths({}) == dvc_artifact_paths({"artifacts": None}) == {}


@pytest.mark.parametrize("artifacts", [5, ["edge"], {"edge": 5}, {"edge": {"type": "model"}}, {"edge": {"path": 5}}])
def test_artifacts_of_another_form_are_named(artifacts: object) -> None:
    with pytest.raises(ForgeError, match=r"^v1:dvc\.yaml: artifacts"):
        dvc_artifact_paths({"artifacts": artifacts}, "v1:dvc.yaml")


def test_a_lock_file_that_is_being_written_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC writes it in place: who looks meanwhile would call half of it damaged."""
    whole = "schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n    - path: b\n"
    (tmp_path / "dvc.lock").write_text(whole[:-9])
    monkeypatch.setattr("time.sleep", lambda seconds: (tmp_path / "dvc.lock").write_text(whole))
    assert list(Lock.read(tmp_path).outs()) == ["b"]
    monkeypatch.setattr("forge.pipeline.dvc.lockfile.WRITING_SECONDS", 0.0)
    (tmp_path / "dvc.lock").write_text(whole[:-9])
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(ForgeError, match="agent-forge doctor --fix"):
        Lock.read(tmp_path)
