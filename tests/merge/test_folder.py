"""Model directories of strangers: what a merge reads and copies of them, and what it leaves alone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from forge.cli.main import main
from forge.merge import folder as folders
from forge.merge.folder import ModelFolder

SECRET = "a private key"


def model(path: Path, seed: int = 0) -> Path:
    path.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    save_file({"embed.weight": torch.randn(4, 2, generator=generator)}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps({"architectures": ["Gizmo"]}))
    (path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}}}))
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "private").write_text(SECRET)
    model(tmp_path / "one", 1)
    model(tmp_path / "two", 2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def merge(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def run(*models: str) -> tuple[int, str, str]:
        given = [word for name in models for word in ("--model", name)]
        code = main(["merge", "--method", "linear", *given, "-o", "out"])
        return (code, *capsys.readouterr())

    return run


# How to put something bad in a file's place.
BAD: dict[str, Callable[[Path], Any]] = {
    "a link out of the directory": lambda path: path.symlink_to("../private"),
    "a link by way of a folder": lambda path: ((path.parent / "up").symlink_to(".."), path.symlink_to("up/private")),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("/nowhere/at/all"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a file of a terabyte": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer.model", "vocab.json"])
def test_what_lies_elsewhere_or_has_no_end_is_not_copied(merge: Any, home: Path, bad: str, name: str) -> None:
    BAD[bad](home / "one" / name)
    code, out, err = merge("one", "two")
    assert (code, err) == (0, ""), err
    assert out.startswith("note: not copied from one: ")
    assert f"{name} (" in out.splitlines()[0]
    assert not (home / "out" / name).exists()
    for file in (home / "out").iterdir():
        assert file.is_file()
        assert not file.is_symlink()
        assert SECRET.encode() not in file.read_bytes()


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("place", ["one", "two"])
def test_what_is_needed_is_refused_by_its_name(merge: Any, home: Path, bad: str, name: str, place: str) -> None:
    if (name, bad) == ("model.safetensors", "a file of a terabyte"):
        pytest.skip("weights may be large; a sparse file is no safetensors")
    (home / place / name).unlink()
    BAD[bad](home / place / name)
    code, out, err = merge("one", "two")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"{place}/{name}: " in err
    assert not list(home.glob("*out*"))
    assert not list(home.glob(".out*"))


def test_programs_and_unknown_files_are_left_out_and_named(merge: Any, home: Path) -> None:
    for name in ("modeling_gizmo.py", "README.md", "optimizer.pt", "pytorch_model.bin"):
        (home / "one" / name).write_text("import os")
    (home / "one" / "\x1b[2Jx.py").write_text("import os")
    (home / "one" / "runs").mkdir()
    (home / "one" / "LICENSE").write_text("do as you like")
    (home / "one" / "manifest.json").write_text("{}")
    code, out, _ = merge("one", "two")
    assert code == 0
    note = out.splitlines()[0]
    for name in ("modeling_gizmo.py (a program)", "README.md (", "optimizer.pt (", "runs (a folder)", "\\x1b[2Jx.py"):
        assert name in note
    assert "manifest.json" not in note
    assert {file.name for file in (home / "out").iterdir()} == {
        "model.safetensors", "config.json", "tokenizer.json", "LICENSE", "merge.json", "manifest.json",
    }  # fmt: skip


def test_no_code_is_named_that_is_not_there(merge: Any, home: Path) -> None:
    config = json.loads((home / "one/config.json").read_text())
    (home / "one/modeling_gizmo.py").write_text("import os")
    for named, kept in (({"AutoModel": "modeling_gizmo.G"}, False), ({"AutoModel": "owner/name--modeling.G"}, True)):
        (home / "one/config.json").write_text(json.dumps(config | {"auto_map": named}))
        (home / "one/tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["t.T", None]}}))
        assert merge("one", "two")[0] == 0
        written = (home / "out").rename(home / f"kept-{kept}")
        assert ("auto_map" in json.loads((written / "config.json").read_text())) is kept
        assert json.loads((written / "tokenizer_config.json").read_text()) == {}


def test_a_tokenizer_that_would_break_its_library_is_copied_and_not_run(merge: Any, home: Path) -> None:
    hostile = json.dumps(
        {
            "model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a"] * 3]},
            "padding": {"strategy": {"Fixed": 2**62}},
            "normalizer": {"type": "Replace", "pattern": {"Regex": "(a*)*b"}, "content": ""},
        }
    )
    for name in ("one", "two"):
        (home / name / "tokenizer.json").write_text(hostile)
    assert merge("one", "two")[0] == 0
    assert (home / "out" / "tokenizer.json").read_text() == hostile


def test_a_snapshot_in_a_hub_cache_is_read_through_its_links(merge: Any, home: Path) -> None:
    cache = home / "models--gizmo--small"
    snapshot = cache / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for file in (home / "one").iterdir():
        shutil.copy(file, cache / "blobs" / f"{file.name}-blob")
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}-blob")
    (snapshot / "vocab.txt").symlink_to("../../../private")
    (cache / "blobs" / "sly").symlink_to("../../private")
    (snapshot / "merges.txt").symlink_to("../../blobs/sly")
    code, out, err = merge(str(snapshot.relative_to(home)), "two")
    assert (code, err) == (0, "")
    assert "merges.txt (a link out of the directory), vocab.txt (a link out of the directory)" in out
    assert (home / "out" / "tokenizer.json").read_bytes() == (home / "one" / "tokenizer.json").read_bytes()
    assert all(SECRET.encode() not in file.read_bytes() for file in (home / "out").iterdir())


def test_a_file_that_grows_meanwhile_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ModelFolder.look_through(home / "one")
    monkeypatch.setattr(folders, "LARGEST_COPY", 10)
    (home / "out").mkdir()
    with pytest.raises(folders.ForgeError, match="too large, 11 bytes of at most 10"):
        found.copy_beside_weights(home / "out")


def test_a_draft_of_somebody_elses_is_left_alone(merge: Any, home: Path) -> None:
    (home / ".out.building").mkdir()
    (home / ".out.building" / "thesis.tex").write_text("years of work")
    assert merge("one", "two")[0] == 0
    assert (home / ".out.building" / "thesis.tex").read_text() == "years of work"
    assert (home / "out").stat().st_mode == (home / "one").stat().st_mode
    assert len({file.stat().st_mode for file in (home / "out").iterdir()}) == 1
    assert {path.name for path in home.glob(".*")} == {".out.building"}


@pytest.mark.parametrize("meanwhile", [False, True])
def test_what_is_in_the_way_is_never_replaced(
    merge: Any, home: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: bool
) -> None:
    from forge.merge import directories

    def appear() -> None:
        (home / "out").symlink_to("nowhere")

    write = directories.write_merged
    if meanwhile:
        monkeypatch.setattr(directories, "write_merged", lambda *given: (appear(), write(*given))[1])
    else:
        appear()
    code, out, err = merge("one", "two")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "meanwhile" in err if meanwhile else "exists already" in err
    assert (home / "out").is_symlink()
    assert not list(home.glob(".out*"))


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_appears_while_the_result_is_flushed_is_not_deleted(
    merge: Any, home: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from forge.pipeline.handoff import publish

    theirs, flush = home / "out" / "theirs" if kind == "folder" else home / "out", publish.write_manifest

    def appear(draft: Path) -> None:
        flush(draft)
        theirs.parent.mkdir(exist_ok=True)
        theirs.write_text("mine")

    monkeypatch.setattr(publish, "write_manifest", appear)
    code, out, err = merge("one", "two")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "was made by somebody else meanwhile" in err
    assert theirs.read_text() == "mine"
    assert not list(home.glob(".out*"))


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device", "out"), OSError(30, "Read-only file system", "out")]
)
def test_a_disk_that_takes_no_more_is_one_line(
    merge: Any, home: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    from forge.merge import directories

    def fail(*given: Any) -> None:
        raise error

    monkeypatch.setattr(directories, "write_merged", fail)
    code, out, err = merge("one", "two")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert str(error.strerror) in err
    assert "fault of the program" not in err
    assert not list(home.glob(".out*"))
