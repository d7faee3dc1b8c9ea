"""A workspace of strangers is looked through before anything in it is read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from forge.data.asked_forms import forms_of_training_questions_about
from forge.errors import ForgeError
from forge.runtime.load import load_agent
from forge.tools import Toolbox, examine_tool_workspace, set_up_tool_workspace
from forge.tools.file_reader import read_file_for_tool
from forge.tools.search import read_documents_of_search_tool
from tests.attacks.rows import BROKEN_LINES


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    set_up_tool_workspace(tmp_path / "mine")
    return tmp_path / "mine"


def test_a_whole_one_is_fit(workspace: Path) -> None:
    examine_tool_workspace(workspace)
    (workspace / "files").rename(workspace / "texts")
    (workspace / "files").symlink_to("texts")  # a link that stays inside
    examine_tool_workspace(workspace)
    other = workspace.parent / "other"
    other.symlink_to(workspace)  # and one to the whole
    with Toolbox(other) as toolbox:
        assert toolbox.execute("file_reader garden.txt") == "Water the roses on Monday."


def _replace(name: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        target = folder / name
        if target.is_dir():
            target.rename(folder.parent / "moved")
        else:
            target.unlink(missing_ok=True)
        make(target)

    return harm


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_replace("files", lambda p: p.symlink_to("/etc")), "files: leads out of the workspace"),
        (_replace("files", lambda p: p.symlink_to("..")), "files: leads out of the workspace"),
        (_replace("files", lambda p: p.symlink_to("files")), "files: leads nowhere"),
        (_replace("files", lambda p: p.write_text("x")), "files: not a folder"),
        (_replace("files", os.mkfifo), "files: not a folder"),
        (_replace("documents.jsonl", lambda p: p.symlink_to("gone")), "documents.jsonl: leads nowhere"),
        (_replace("documents.jsonl", os.mkfifo), "documents.jsonl: not a regular file"),
        (_replace("documents.jsonl", os.mkdir), "documents.jsonl: not a regular file"),
        (_replace("documents.jsonl", lambda p: p.symlink_to("/dev/zero")), "documents.jsonl: leads out"),
        (_replace("documents.jsonl", lambda p: p.symlink_to("/etc/passwd")), "documents.jsonl: leads out"),
        (_replace("company.db", os.mkfifo), "company.db: not a regular file"),
        (_replace("company.db", lambda p: p.symlink_to("/dev/zero")), "company.db: leads out"),
        (_replace("company.db", lambda p: p.write_text("no database " * 99)), "company.db: not readable as an SQLite"),
        (_replace("company.db-wal", os.mkfifo), "company.db-wal: not a regular file"),
        (_replace("company.db-journal", os.mkfifo), "company.db-journal: not a regular file"),
        (_replace("company.db-shm", lambda p: p.symlink_to("/nowhere")), "company.db-shm: leads nowhere"),
        (_replace("company.db-wal", lambda p: p.symlink_to("/etc/passwd")), "company.db-wal: leads out"),
    ],
)
def test_an_unfit_one_is_refused_before_it_is_read(workspace: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(workspace)
    for reader in (examine_tool_workspace, Toolbox):
        with pytest.raises(ForgeError) as caught:
            reader(workspace)
        assert words in str(caught.value)


@pytest.mark.parametrize("kept", ["documents.jsonl", "files", "company.db"])
def test_any_part_alone_is_a_workspace(workspace: Path, kept: str) -> None:
    alone = workspace.parent / "alone"
    alone.mkdir()
    (workspace / kept).rename(alone / kept)
    calls = {
        "documents.jsonl": ("search capital of Norway", "Oslo is the capital of Norway."),
        "files": ("file_reader garden.txt", "Water the roses on Monday."),
        "company.db": ("database_query SELECT stock FROM products WHERE name='lamp'", "14"),
    }
    with Toolbox(alone) as toolbox:
        for part, (call, result) in calls.items():
            told = toolbox.execute(call)
            assert told == result if part == kept else told.startswith("error:"), (part, told)
        assert forms_of_training_questions_about(toolbox.about).tools("what is 3 + 4?") >= {"calculator"}
    with pytest.raises(ForgeError, match=r"no workspace; it has one of documents\.jsonl, files, company\.db"):
        examine_tool_workspace(_emptied(alone, kept))


def _emptied(folder: Path, name: str) -> Path:
    (folder / name).rename(folder.parent / "elsewhere")
    return folder


def test_it_is_examined_before_the_model_is_loaded(workspace: Path) -> None:
    (workspace.parent / "model").write_bytes(b"not looked at")
    (workspace / "documents.jsonl").write_text('{"title": "a"}\n')
    with pytest.raises(ForgeError, match=r"documents\.jsonl:1: needs 'title' and 'text'"):
        load_agent(workspace.parent / "model", workspace=workspace)
    with pytest.raises(ForgeError, match="no such workspace"):
        load_agent(workspace.parent / "model", workspace=workspace / "none")


@pytest.mark.parametrize("part", ["files", "company.db"])
def test_all_of_it_is_examined_before_the_model_is_loaded(workspace: Path, part: str) -> None:
    _replace(part, os.mkfifo)(workspace)
    (workspace.parent / "model").write_bytes(b"not looked at")
    with pytest.raises(ForgeError, match=f"{part}: not a"):
        load_agent(workspace.parent / "model", workspace=workspace)


def test_a_database_in_use_is_fit(workspace: Path) -> None:
    writer = sqlite3.connect(workspace / "company.db")
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("INSERT INTO products VALUES ('stool', 12, 1)")
    writer.commit()
    assert (workspace / "company.db-wal").exists()
    with Toolbox(workspace) as toolbox:
        assert toolbox.execute("database_query SELECT price FROM products WHERE name='stool'") == "12"
    writer.close()


def test_a_byte_order_mark_is_no_text(workspace: Path) -> None:
    (workspace / "files" / "marked.txt").write_bytes(b"\xef\xbb\xbfHello")
    assert read_file_for_tool(workspace / "files", "marked.txt") == "Hello"


# ---- documents -----------------------------------------------------------------------------------------------


def test_documents_are_read_by_the_rules_of_all_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf" + '{"title": "a", "text": "one\u2028two"}\r\n\n{"title": "b", "text": "c"}\n\n'.encode()
    )
    assert read_documents_of_search_tool(path) == [("a", "one\u2028two"), ("b", "c")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"title": 3, "text": "b"}', ":1: needs 'title' and 'text'"),
        (b'{"title": "a", "text": null}', ":1: needs"),
        (b"\n[1]", ":2: needs"),
        *((line.replace(b'{"text": "ok"}', b'{"title": "a", "text": "b"}'), words) for line, words in BROKEN_LINES),
    ],
)
def test_a_bad_document_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "documents.jsonl").write_bytes(content)
    with pytest.raises(ForgeError) as caught:
        read_documents_of_search_tool(tmp_path / "documents.jsonl")
    assert f"documents.jsonl{words}" in str(caught.value)
