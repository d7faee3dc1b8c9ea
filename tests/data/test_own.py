"""A user's own files: which are read, in which layouts, and what is refused by its place."""

from __future__ import annotations

import datetime
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from forge.data.layouts import ROLE_OF, own_record_rows
from forge.data.own import find_own_data, read_own_data
from forge.data.render import ROLES
from forge.errors import ForgeError
from forge.interface.paths import PREPARED, WORKSPACE
from tests.attacks.rows import BROKEN_LINES, PRODUCT, READ, REFUSED, random_records

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def _rows(*paths: Path) -> list[dict[str, Any]]:
    return read_own_data([str(path) for path in paths]).rows


def test_files_of_every_kind_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfOne sentence. Another one.")
    (tmp_path / "b.MD").write_text("# Title", encoding="utf-8")
    lines = [
        json.dumps({"text": "From a line\u2028with a separator."}, ensure_ascii=False),
        "",
        json.dumps({"messages": TURNS}),
    ]
    (tmp_path / "c.jsonl").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\n \n")
    parquet.write_table(pa.table({"text": ["From a table."]}), tmp_path / "d.parquet")
    parquet.write_table(pa.table({"messages": [TURNS]}), tmp_path / "e.parquet")
    (tmp_path / "f.json").write_text(json.dumps([{"text": "From an array."}, {"messages": TURNS}], indent=2))
    (tmp_path / "g.json").write_text('{"text": "One"}\n{"text": "by one"}\n')
    with gzip.open(tmp_path / "h.jsonl.gz", "wt") as stream:
        stream.write('{"text": "Packed."}\n')
    expected = [
        {"text": "One sentence. Another one."},
        {"text": "# Title"},
        {"text": "From a line with a separator."},
        {"messages": TURNS},
        {"text": "From a table."},
        {"messages": TURNS},
        {"text": "From an array."},
        {"messages": TURNS},
        {"text": "One"},
        {"text": "by one"},
        {"text": "Packed."},
    ]
    assert _rows(tmp_path) == expected
    assert _rows(tmp_path / "d.parquet", tmp_path / "a.txt") == [expected[4], expected[0]]
    assert _rows() == []


def test_of_a_folder_hidden_files_are_not_read_and_others_are_named(tmp_path: Path) -> None:
    own, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    for name in ("own/.git", "own/deep/er", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (own / ".git" / "config.txt").write_text("hidden")
    (own / ".secret.txt").write_text("hidden")
    (own / "deep" / "er" / "z.txt").write_text("seen")
    (own / "table.csv").write_text("a,b")
    (elsewhere / "far.txt").write_text("behind a link")
    (own / "linked").symlink_to(elsewhere)
    found = read_own_data([str(own)])
    assert found.rows == [{"text": "seen"}]
    assert [path.name for path in found.skipped] == ["linked", "table.csv"]
    assert "1 rows, files read: 1; not read: " in found.summary()
    assert "table.csv (only .txt" in found.summary()
    assert found.counts()["skipped"] == [str(own / "linked"), str(own / "table.csv")]
    for number in range(9):
        (own / f"{number}.docx").touch()
    assert " and 6 more (" in read_own_data([str(own)]).summary()


@pytest.mark.parametrize("place", [".", "..", "/", "data", "data/workspace/files", "data/prepared"])
def test_what_the_pipeline_writes_is_no_own_data(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for made in (PREPARED, WORKSPACE / "files"):
        (tmp_path / made).mkdir(parents=True)
        (tmp_path / made / "train.jsonl").write_text('{"text": "of the last run"}')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ForgeError, match=r"data\.own_data: .*holds what the pipeline writes"):
        find_own_data([place])


def test_what_is_no_file_is_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    words = {
        "pipe.txt": "not a regular file",
        "zero.jsonl": "not a regular file",
        "gone.txt": "does not exist",
        "nowhere.txt": "does not exist",
        "a\0b.txt": "does not exist",
        "x" * 300 + ".txt": "cannot be read",
        "empty": "holds no file that is read",
    }
    for name, reason in words.items():
        with pytest.raises(ForgeError, match=reason):
            find_own_data([str(tmp_path / name)])
    with pytest.raises(ForgeError, match=r"gone\.txt: no such file"):
        read_own_data([str(tmp_path)])
    (tmp_path / "gone.txt").unlink()
    with pytest.raises(ForgeError, match=r"pipe\.txt: not a regular file"):
        read_own_data([str(tmp_path)])
    with pytest.raises(ForgeError, match=r"only \.txt"):
        find_own_data(["/dev/zero"])


def test_no_file_is_read_twice_nor_what_the_last_run_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    PREPARED.mkdir(parents=True)
    (PREPARED / "train.jsonl").write_text('{"text": "of the last run"}')
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.txt").write_text("Mine.")
    for names in (["own", "own/a.txt"], ["own/a.txt", "./own/../own/a.txt"], ["own", str(tmp_path / "own")]):
        with pytest.raises(ForgeError, match=r"a\.txt: is read already, as own/a\.txt"):
            find_own_data(names)
    with pytest.raises(ForgeError, match=r"train\.jsonl: holds what the pipeline writes"):
        find_own_data([str(PREPARED / "train.jsonl")])
    (tmp_path / "own" / "linked.jsonl").symlink_to(PREPARED.absolute() / "train.jsonl")
    with pytest.raises(ForgeError, match=r"linked\.jsonl: holds what the pipeline writes"):
        find_own_data(["own"])


def test_names_that_are_not_utf8_can_be_said(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).touch()
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("Read.")
    found = read_own_data([str(tmp_path)])
    assert found.counts()["skipped"] == [f"{tmp_path}/caf\\udce9.csv"]
    assert "caf\\udce9.csv" in found.summary()
    (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"\xff")
    with pytest.raises(ForgeError, match=r"caf\\udce9\.txt: not UTF-8"):
        read_own_data([str(tmp_path)])


def test_what_would_fill_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forge.data.own.LARGEST_FILE", 1 << 12)
    for name, inside in (("x.txt", b"a" * 5000), ("x.jsonl", b'{"text": "' + b"a" * 5000), ("y.json", b"\n" * 5000)):
        (tmp_path / name).write_bytes(inside)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(inside, mtime=0))
        for path in (tmp_path / name, tmp_path / f"{name}.gz"):
            with pytest.raises(ForgeError, match=rf"{path.name}: holds more than 4,096 bytes, unpacked"):
                _rows(path)
    parquet.write_table(pa.table({"text": ["a" * 9000]}), tmp_path / "x.parquet", compression="zstd")
    with pytest.raises(ForgeError, match=r"x\.parquet: holds more than 4,096 bytes"):
        _rows(tmp_path / "x.parquet")
    monkeypatch.setattr("forge.data.own.MOST_ROWS", 3)
    (tmp_path / "z.jsonl").write_text('{"text": "a"}\n' * 4)
    with pytest.raises(ForgeError, match=r"z\.jsonl: more than 3 rows"):
        _rows(tmp_path / "z.jsonl")


def test_columns_that_are_not_read_may_hold_anything(tmp_path: Path) -> None:
    for odd in (
        pa.array([2**60], pa.timestamp("ms")),
        pa.array([1], pa.timestamp("ms", tz="Mars/Phobos")),
        pa.array([2**30], pa.date32()),
        pa.array([2**62], pa.duration("s")),
    ):
        parquet.write_table(pa.table({"text": ["Fine."], "odd": odd}), tmp_path / "x.parquet")
        assert _rows(tmp_path / "x.parquet") == [{"text": "Fine."}]
        parquet.write_table(pa.table({"text": odd}), tmp_path / "x.parquet")
        with pytest.raises(ForgeError, match=r"x\.parquet: (not readable as parquet|row 1: needs text)"):
            _rows(tmp_path / "x.parquet")
    parquet.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), tmp_path / "x.parquet")
    with pytest.raises(ForgeError, match=r"x\.parquet: a column stands twice"):
        _rows(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("x.jsonl", b'{"text": "ok"}\n\n[1]', "x.jsonl:3: needs 'text' or 'messages'"),
        ("x.jsonl", b'{"messages": [{"role": "user"}]}', "x.jsonl:1: needs"),
        ("x.json", b'[{"text": "ok"},\n {"text": 3}]', "x.json:2: needs text"),
        ("x.json", b'[{"text": "ok"},\n\n {"text": "cut', "x.json:3: not JSON"),
        ("x.json", b'[{"text": "ok"}\n', "x.json:1: not JSON (the array does not end"),
        ("x.json", b'[{"text": "ok"},]', "x.json:1: not JSON"),
        ("x.json", b'[{"text": "ok"}] 3', "x.json:1: not JSON (the array does not end"),
        ("x.json", b'{"data": [{"text": "ok"}]}', "x.json:1: needs"),
        ("x.txt", b"caf\xe9", "x.txt: not UTF-8"),
        ("x.txt", "UTF-16".encode("utf-16-le"), "x.txt: not UTF-8 text (it holds zero bytes)"),
        ("x.csv", b"a,b", "x.csv: only .txt"),
        ("x.parquet.gz", b"a", "x.parquet.gz: only .txt"),
        ("x.parquet", b"PAR1 not really", "x.parquet: not readable as parquet"),
        ("x.txt.gz", b"not packed", "x.txt.gz: not readable"),
        ("x.txt.gz", gzip.compress(b"cut short" * 99, mtime=0)[:-9], "x.txt.gz: not readable"),
        ("x.jsonl.gz", gzip.compress(b'{"text": "a"}\n{"text": 1}\n', mtime=0), "x.jsonl.gz:2: needs text"),
        *(("x.jsonl", line, f"x.jsonl{words}") for line, words in BROKEN_LINES),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, content: bytes, where: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ForgeError) as caught:
        read_own_data([str(tmp_path / name)])
    assert where in str(caught.value)
    assert str(caught.value).startswith("data.own_data: ")


# ---- layouts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("record", "row"), READ.values(), ids=READ)
def test_forms_of_the_field_are_read(record: Any, row: Any) -> None:
    assert own_record_rows(record, "here") == [row]


@pytest.mark.parametrize(("record", "words"), REFUSED)
def test_what_is_no_text_is_refused(record: Any, words: str) -> None:
    with pytest.raises(ForgeError) as caught:
        own_record_rows(record, "own.jsonl:7")
    assert str(caught.value).startswith("own.jsonl:7: ")
    assert words in str(caught.value)


def test_roles_are_those_of_the_renderer() -> None:
    assert set(ROLE_OF.values()) == set(ROLES) - {"thought"}  # thoughts are written by our own procedures alone


def test_no_spoiled_record_becomes_text() -> None:
    read = 0
    for record in random_records(0, 2000):
        try:
            rows = own_record_rows(record, "here")
        except ForgeError:
            continue
        for row in rows:
            read += 1
            contents = [row["text"]] if "text" in row else [turn["content"] for turn in row["messages"]]
            assert all(isinstance(content, str) for content in contents)
            roles = [turn["role"] for turn in row.get("messages", [])]
            calls = [place for place, role in enumerate(roles) if role == "call"]
            assert all(roles[place + 1 : place + 2] in ([], ["result"]) for place in calls)
            assert roles.count("result") == sum(place + 1 < len(roles) for place in calls)
    assert read > 100


def test_rows_of_a_table_keep_to_the_same_rules(tmp_path: Path) -> None:
    call = {"id": "x", "function": {"name": "calculator", "arguments": {"e": "3*4", "city": None}}}
    other = {"id": "y", "function": {"name": "weather", "arguments": {"e": None, "city": "Rome"}}}
    turns = [
        {"role": "user", "content": "What is 3*4?", "tool_calls": None},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "12", "tool_calls": []},
        {"role": "assistant", "content": "12", "tool_calls": None},
    ]
    asking = [turns[0], {"role": "assistant", "content": None, "tool_calls": [other]}]
    parquet.write_table(pa.table({"messages": [turns, asking], "n": [1, 2]}), tmp_path / "chat.parquet")
    rows = _rows(tmp_path / "chat.parquet")
    assert rows[0] == PRODUCT
    assert rows[1]["messages"][1] == {"role": "call", "content": "weather Rome"}
    for values, words in (
        (["fine", None], "row 2: needs"),
        ([1, 2], "row 1: needs text as 'text', not a number"),
        ([datetime.date(2020, 1, 1)], "row 1: needs text as 'text', not date"),
        ([b"bytes"], "row 1: needs text as 'text', not bytes"),
    ):
        parquet.write_table(pa.table({"text": values}), tmp_path / "t.parquet")
        with pytest.raises(ForgeError) as caught:
            _rows(tmp_path / "t.parquet")
        assert f"t.parquet: {words}" in str(caught.value)
    spoiled = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"\xed\xa0\x80"))
    parquet.write_table(pa.table({"text": spoiled}), tmp_path / "s.parquet")
    with pytest.raises(ForgeError, match=r"s\.parquet: not readable as parquet"):
        _rows(tmp_path / "s.parquet")
    inner = tmp_path / "text=fake"  # not a column, though the path looks like one
    inner.mkdir()
    parquet.write_table(pa.table({"n": [1]}), inner / "p.parquet")
    with pytest.raises(ForgeError, match="row 1: needs 'text'"):
        _rows(inner / "p.parquet")
