"""Atomic writes, manifests, canonical bytes."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from forge import files
from forge.errors import ForgeError, Interrupted
from forge.files import (
    atomic_write_bytes,
    atomic_write_json,
    atomic_write_text,
    canonical_json,
    count_safetensors_file_parameters,
    directory_files,
    open_regular_file,
    parse_json_values,
    read_json,
    read_jsonl,
    safetensors_file_entries,
    save_safetensors_file,
    sha256_file,
    verify_manifest,
    write_manifest,
)


def test_errors_are_one_line() -> None:
    assert str(ForgeError("a\n  b\tc")) == "a b c"
    paused = Interrupted(3, 10)
    assert (paused.step, paused.total) == (3, 10)
    assert "3 of 10" in str(paused)


def test_write_creates_parents_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.bin"
    atomic_write_bytes(target, b"one")
    atomic_write_bytes(target, b"two")
    assert target.read_bytes() == b"two"
    assert [p.name for p in target.parent.iterdir()] == ["b.bin"]


def test_written_files_are_as_readable_as_any(tmp_path: Path) -> None:
    atomic_write_text(tmp_path / "ours", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    target = tmp_path / "f"
    atomic_write_bytes(target, b"old")

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, broken, fail)
        with pytest.raises(OSError, match="No space"):
            atomic_write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


@given(
    st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.floats(allow_nan=False, allow_infinity=False)))
)
def test_json_depends_on_content_only(values: dict[str, object]) -> None:
    shuffled = list(values.items())
    random.Random(0).shuffle(shuffled)
    text = canonical_json(values)
    assert text == canonical_json(dict(shuffled))
    assert json.loads(text) == values
    assert text.endswith("\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_json_refuses_what_it_cannot_say(tmp_path: Path, value: object) -> None:
    with pytest.raises(ForgeError, match=r"m\.json"):
        atomic_write_json(tmp_path / "m.json", {"x": value})
    assert not (tmp_path / "m.json").exists()


def test_read_json_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match=r"gone\.json: no such file"):
        read_json(tmp_path / "gone.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ForgeError, match=r"bad\.json: not readable as JSON"):
        read_json(tmp_path / "bad.json")


def test_json_that_would_hang_or_break_the_reader_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "marked.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "marked.json") == {"a": 1}
    (tmp_path / "deep.json").write_text("[" * 100_000)
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    for name in ("deep", "pipe", "zero"):
        with pytest.raises(ForgeError, match=rf"{name}\.json: not (readable as JSON|a regular file)"):
            read_json(tmp_path / f"{name}.json")
    with pytest.raises(ForgeError, match="not a regular file"):
        open_regular_file(tmp_path)


def test_json_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b'\xef\xbb\xbf{"a": "\xe2\x80\xa8\xc2\x85"}\r\n \n[1, "\\ud83d\\ude00"]')
    path = tmp_path / "x.jsonl"
    assert list(read_jsonl(path)) == [(f"{path}:1", {"a": "\u2028\x85"}), (f"{path}:3", [1, "😀"])]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" [] \n", []),
        ("[1,\n 2]", [("n:1", 1), ("n:2", 2)]),
        ("\n\n[[1],\n{}\n,3]", [("n:3", [1]), ("n:4", {}), ("n:5", 3)]),
        ('{"a": 1}\n{"a":\n2} 3', [("n:1", {"a": 1}), ("n:2", {"a": 2}), ("n:3", 3)]),
    ],
)
def test_values_of_a_json_file_have_their_lines(text: str, found: list[tuple[str, Any]]) -> None:
    assert list(parse_json_values(text, "n")) == found


@pytest.mark.parametrize("text", ["[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1] 2", "{", "1,2", "]", "[1]]"])
def test_a_json_file_that_is_not_whole_is_refused(text: str) -> None:
    with pytest.raises(ForgeError, match=r"n:1: not JSON"):
        list(parse_json_values(text, "n"))


def test_sha256_reads_more_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_BLOCK", 7)
    (tmp_path / "f").write_bytes(bytes(range(256)))
    assert sha256_file(tmp_path / "f") == hashlib.sha256(bytes(range(256))).hexdigest()


@pytest.fixture
def published(tmp_path: Path) -> Path:
    atomic_write_text(tmp_path / "a.txt", "alpha")
    atomic_write_text(tmp_path / "sub" / "b.txt", "beta")
    write_manifest(tmp_path)
    return tmp_path


def test_manifest_lists_every_other_file(published: Path) -> None:
    listed = read_json(published / "manifest.json")["files"]
    assert sorted(listed) == ["a.txt", "sub/b.txt"]
    assert listed["a.txt"] == {"sha256": hashlib.sha256(b"alpha").hexdigest(), "bytes": 5}
    verify_manifest(published)
    before = (published / "manifest.json").read_bytes()
    write_manifest(published)
    assert (published / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda d: (d / "a.txt").write_text("alphA"), r"a\.txt: changed"),
        (lambda d: (d / "a.txt").write_text("alph"), r"a\.txt: size differs"),
        (lambda d: (d / "sub" / "b.txt").unlink(), r"b\.txt: missing"),
        (lambda d: (d / "c.txt").write_text("x"), r"c\.txt: not in the manifest"),
        (lambda d: (d / "manifest.json").unlink(), r"manifest\.json: no such file"),
        (lambda d: (d / "manifest.json").write_text("[]"), "has no table of files"),
        (lambda d: (d / "manifest.json").write_text('{"files": {"a.txt": 1, "sub/b.txt": 1}}'), "malformed"),
    ],
)
def test_every_harm_is_found(published: Path, harm: object, message: str) -> None:
    harm(published)  # type: ignore[operator]
    with pytest.raises(ForgeError, match=message):
        verify_manifest(published)


def test_a_directory_that_is_removed_meanwhile_is_damaged(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(directory: str | Path) -> list[Path]:
        found = directory_files(directory)
        shutil.rmtree(directory)
        return found

    monkeypatch.setattr(files, "directory_files", listed)
    with pytest.raises(ForgeError, match=r"a\.txt: removed while it was verified"):
        verify_manifest(published)


def test_safetensors_takes_views_and_shared_storage(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    save_safetensors_file(tmp_path / "t.safetensors", {"view": base.t(), "row": base[1], "base": base}, {"k": "v"})
    with safe_open(tmp_path / "t.safetensors", "pt") as stored:
        assert torch.equal(stored.get_tensor("view"), base.t())
        assert torch.equal(stored.get_tensor("row"), base[1])
        assert stored.metadata() == {"k": "v"}


def test_safetensors_bytes_do_not_depend_on_order(tmp_path: Path) -> None:
    """The library writes metadata in the order of a hash map; eight keys agree by chance once in 40,320
    tries.
    """
    tensors = {name: torch.ones(2) for name in "ab"}
    metadata = dict.fromkeys("abcdefgh", "1")
    written = set()
    for turn in range(5):
        path = tmp_path / f"{turn}.safetensors"
        save_safetensors_file(path, dict(reversed(tensors.items())) if turn % 2 else tensors, metadata)
        written.add(path.read_bytes())
        with safe_open(path, "pt") as stored:
            assert torch.equal(stored.get_tensor("a"), torch.ones(2))
    assert len(written) == 1


def test_tensors_are_listed_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    tensors = {"scalar": torch.zeros(()), "half": torch.zeros(2, 3).half(), "flag": torch.zeros(5, dtype=torch.bool)}
    save_safetensors_file(path, {**tensors, "eighth": torch.zeros(7, dtype=torch.float8_e4m3fn)})
    assert safetensors_file_entries(path) == {
        "scalar": ((), 4),
        "half": ((2, 3), 12),
        "flag": ((5,), 5),
        "eighth": ((7,), 7),
    }
    assert count_safetensors_file_parameters(path) == 1 + 6 + 5 + 7
    whole = path.read_bytes()
    for blob in (b"", b"\xff" * 16, b"\x02\0\0\0\0\0\0\0[]", whole[:-1]):
        path.write_bytes(blob)
        with pytest.raises(ForgeError, match="not readable as safetensors"):
            safetensors_file_entries(path)
    path.unlink()
    with pytest.raises(ForgeError, match="not readable as safetensors"):
        count_safetensors_file_parameters(path)
