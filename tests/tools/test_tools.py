"""Toolbox dispatch, search, file reader, database and the workspace's bytes."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from forge.errors import ForgeError
from forge.tools import TOOL_NAMES, Toolbox, database_worker, set_up_tool_workspace
from forge.tools.content import CARDS, FILES, TABLES
from forge.tools.database_query import Database
from forge.tools.file_reader import read_file_for_tool
from forge.tools.search import SearchIndex


@pytest.fixture(scope="module")
def toolbox() -> Iterator[Toolbox]:
    with Toolbox() as box:
        yield box


def test_workspace_is_the_same_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        set_up_tool_workspace(tmp_path / name)
    set_up_tool_workspace(tmp_path / "b")  # over an existing one
    found = {p.relative_to(tmp_path / "a"): p.read_bytes() for p in (tmp_path / "a").rglob("*") if p.is_file()}
    again = {p.relative_to(tmp_path / "b"): p.read_bytes() for p in (tmp_path / "b").rglob("*") if p.is_file()}
    assert found == again
    assert len(found) == len(FILES) + 2


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("calculator 3+4", "7"),
        ("  calculator   3 + 4 ", "7"),
        ("search octopus", "The octopus has eight arms."),
        ("file_reader garden.txt", "Water the roses on Monday."),
        ("database_query SELECT price FROM products WHERE name='lamp'", "25"),
        ("code_executor print('lamp'[::-1])", "pmal"),
        ("calculator 1/0", "error: division by zero"),
        ("calculator", "error: calculator needs an argument"),
        ("search  ", "error: search needs an argument"),
        ("", "error: unknown tool "),
        ("rm -rf", "error: unknown tool rm"),
        ("Calculator 3+4", "error: unknown tool Calculator"),
    ],
)
def test_execute(toolbox: Toolbox, call: str, expected: str) -> None:
    assert toolbox.execute(call) == expected.strip()


def test_bad_calls_never_raise_and_stay_short(toolbox: Toolbox) -> None:
    arguments = [
        "\0",
        "\ud800",
        "\n\n",
        "'" * 500,
        "x" * 9000,
        "../../etc/passwd",
        "☃",
        "SELECT",
        "1" * 5000,
        "(((",
    ]
    for name in (*TOOL_NAMES, "\0", "☃" * 300):
        for argument in arguments:
            result = toolbox.execute(f"{name} {argument}")
            assert 0 < len(result) <= 200, (name, argument)
            assert "\n" not in result
            result.encode("utf-8")


def test_a_result_is_never_empty(tmp_path: Path) -> None:
    set_up_tool_workspace(tmp_path)
    (tmp_path / "documents.jsonl").write_text('{"title": "blank", "text": " "}\n')
    with Toolbox(tmp_path) as box:
        assert box.execute("search blank") == "error: the result is empty"
        assert box.execute("database_query SELECT ' '") == "error: the result is empty"


def test_long_results_are_cut(toolbox: Toolbox) -> None:
    result = toolbox.execute("code_executor print('ab ' * 500)")
    assert len(result) == 200
    assert result.startswith("ab ab")
    assert result.endswith("...")


def test_temporary_workspace_goes_with_the_toolbox() -> None:
    box = Toolbox()
    assert box._temporary is not None
    folder = box._temporary.path
    assert folder.is_dir()
    box.close()
    box.close()
    assert not folder.exists()


def test_incomplete_workspaces_are_named(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match=r"no workspace; it has one of documents\.jsonl"):
        Toolbox(tmp_path)
    (tmp_path / "documents.jsonl").write_text('{"title": "a", "text": "b"}\n{"title": 3}\n')
    with pytest.raises(ForgeError, match=r"documents\.jsonl:2: needs 'title' and 'text'"):
        Toolbox(tmp_path)
    (tmp_path / "documents.jsonl").write_text('{"title": "a", "text": "b"}\n')
    with Toolbox(tmp_path) as toolbox:
        assert toolbox.execute("database_query SELECT 1").startswith("error:")
    assert not (tmp_path / "company.db").exists()


# --- search ---


def test_every_card_is_found_by_its_title() -> None:
    index = SearchIndex(list(CARDS))
    for title, text in CARDS:
        assert index.answer(title) == text
        assert index.answer(f"Tell me about the {title.upper()}, please!") == text
        assert len(text) <= 80
    assert len({title.lower() for title, _ in CARDS}) == len(CARDS)


def test_search_by_content_and_ranking() -> None:
    index = SearchIndex(list(CARDS))
    assert index.answer("capital of Norway") == "Oslo is the capital of Norway."
    assert index.answer("who invented dynamite") == "Alfred Nobel invented dynamite."
    assert index.answer("do penguins fly") == "The penguin swims but cannot fly."
    assert index.answer("the of is") == "error: nothing found"
    assert index.answer("qwertz") == "error: nothing found"
    # BM25: more of a rare word beats more of a common one; a longer card is worth less at equal counts
    small = SearchIndex([("a", "red red red"), ("b", "red blue"), ("c", "red green tall wide"), ("d", "red")])
    scores = small.scores("red blue")
    assert max(scores) == scores[1]
    short, long = small.scores("red")[1], small.scores("red")[2]
    assert short > long
    assert SearchIndex([]).answer("x") == "error: nothing found"


def test_search_returns_a_short_text_or_the_sentence_of_a_long_one() -> None:
    long = f"Fish swim. {'All of them ' * 20}do. Sharks have many teeth."
    index = SearchIndex([("cat", "Cats purr. They sleep."), ("dog", "dog " * 60), ("fish", long)])
    assert index.answer("cat") == "Cats purr. They sleep."
    assert len(index.answer("dog")) == 200
    assert index.answer("teeth of sharks") == "Sharks have many teeth."
    assert index.answer("fish") == "Fish swim."


# --- file reader ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    inside = tmp_path / "files"
    (inside / "notes").mkdir(parents=True)
    (inside / "a.txt").write_text("one\n  two\n")
    (inside / "notes" / "b.txt").write_text("deep")
    (inside / "empty.txt").write_text(" \n")
    (inside / "binary.bin").write_bytes(b"ab\0cd")
    (inside / "latin.txt").write_bytes("größe und maß".encode("latin-1"))
    (inside / "long.txt").write_text("é" * 5000)
    (inside / "out.txt").symlink_to(tmp_path / "secret.txt")
    (inside / "in.txt").symlink_to(inside / "a.txt")
    (inside / "up").symlink_to(tmp_path)
    (inside / "loop").symlink_to(inside / "loop")
    os.mkfifo(inside / "pipe")
    return inside


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", "one two"),
        ("notes/b.txt", "deep"),
        ("notes\\b.txt", "deep"),
        ("in.txt", "one two"),
        ("empty.txt", "error: the file is empty"),
        ("binary.bin", "error: not a text file"),
        ("latin.txt", "error: not a text file"),
        ("none.txt", "error: no such file none.txt"),
        ("a.txt/x", "error: no such file a.txt/x"),
        ("loop", "error: no such file loop"),
        ("notes", "error: not a file"),
        ("pipe", "error: not a file"),
        (".", "error: not a file"),
        ("", "error: a file name is needed"),
        ("a\0b", "error: a file name is needed"),
        ("x" * 300, "error: a file name is needed"),
    ],
)
def test_read_start(folder: Path, name: str, expected: str) -> None:
    assert read_file_for_tool(folder, name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "notes/../../secret.txt",
        "/etc/passwd",
        "..\\secret.txt",
        "C:\\x",
        "out.txt",
        "up/secret.txt",
    ],
)
def test_the_folder_is_not_left(folder: Path, name: str) -> None:
    assert read_file_for_tool(folder, name) == "error: only files inside the folder can be read"
    assert read_file_for_tool(folder, f"{folder.parent}/secret.txt").startswith("error: only files inside")


def test_a_cut_character_is_no_error(folder: Path) -> None:
    (folder / "odd.txt").write_text("x" + "é" * 5000)
    assert set(read_file_for_tool(folder, "odd.txt")) == {"x", "é"}
    assert set(read_file_for_tool(folder, "long.txt")) == {"é"}


def test_only_the_cut_may_fall_inside_a_character(folder: Path) -> None:
    (folder / "end.txt").write_bytes("né".encode()[:-1])
    (folder / "mark.txt").write_text("a\ufffdb\ufffd")
    assert read_file_for_tool(folder, "end.txt") == "error: not a text file"
    assert read_file_for_tool(folder, "mark.txt") == "a\ufffdb\ufffd"


def test_a_missing_folder_is_an_error_line(tmp_path: Path) -> None:
    assert read_file_for_tool(tmp_path / "none", "a.txt").startswith("error: no such file")


# --- database ---


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    set_up_tool_workspace(tmp_path)
    base = Database(tmp_path / "company.db", timeout_s=0.5)
    yield base
    base.close()


def test_every_row_can_be_asked(database: Database) -> None:
    for table, (columns, rows) in TABLES.items():
        for row in rows:
            for (column, _), value in zip(columns, row, strict=True):
                assert database.query(f"SELECT {column} FROM {table} WHERE name='{row[0]}'") == str(value)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT COUNT(*) FROM products", "12"),
        ("SELECT name, city FROM customers ORDER BY orders DESC LIMIT 2", "Felix, Zurich; Ben, London"),
        ("SELECT avg(price) FROM products WHERE name IN ('lamp','vase')", "23.5"),
        ("SELECT NULL", "null"),
        ("SELECT x'00ff'", "(binary)"),
        ("SELECT name FROM products WHERE price > 999", "error: nothing found"),
    ],
)
def test_query(database: Database, sql: str, expected: str) -> None:
    assert database.query(sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM products",
        "UPDATE products SET price=1",
        "INSERT INTO products VALUES ('x',1,1)",
        "DROP TABLE products",
        "CREATE TEMP TABLE t (a)",
        "ATTACH DATABASE '/tmp/stolen.db' AS s",
        "PRAGMA writable_schema=1",
        "PRAGMA table_info(products)",
        "VACUUM INTO '/tmp/stolen.db'",
        "SELECT load_extension('x')",
        "SELECT hex(zeroblob(100000000))",
        "SELECT randomblob(1000000000)",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM r) SELECT count(*) FROM r",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM nowhere",
        "BEGIN EXCLUSIVE",
        "garbage",
    ],
)
def test_only_reading_is_possible(database: Database, tmp_path: Path, sql: str) -> None:
    before = (tmp_path / "company.db").read_bytes()
    assert database.query(sql).startswith("error: ")
    assert (tmp_path / "company.db").read_bytes() == before
    assert database.query("SELECT COUNT(*) FROM products") == "12"


def test_the_file_itself_is_opened_read_only(tmp_path: Path) -> None:
    set_up_tool_workspace(tmp_path)
    with closing(database_worker.open_tool_database_read_only(tmp_path / "company.db")) as connection:
        assert database_worker.answer_query(connection, "SELECT stock FROM products WHERE name='lamp'") == "14"
        assert database_worker.answer_query(connection, "DELETE FROM products").startswith("error: ")
        connection.set_authorizer(None)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM products")


def test_long_queries_are_stopped(database: Database) -> None:
    start = time.monotonic()
    joins = ", ".join(f"products p{n}" for n in range(9))
    assert database.query(f"SELECT count(*) FROM {joins}") == "error: the query took too long"
    assert time.monotonic() - start < 3
    assert database.query("SELECT 1") == "1"


@pytest.mark.parametrize(
    "expression",
    [
        ", ".join(["length(trim(x, y))"] * 8),  # 9e9 comparisons each
        ", ".join(["length(replace(x, y, 'z'))"] * 400),
        ", ".join(["instr(x, y)"] * 400),
        ", ".join(["x LIKE '%a%a%a_a%a%ab'"] * 400),
    ],
)
def test_functions_that_nothing_interrupts_are_stopped(tmp_path: Path, expression: str) -> None:
    set_up_tool_workspace(tmp_path)
    database = Database(tmp_path / "company.db", timeout_s=0.2)
    a, b = "a" * 300, "b" * 300
    texts = f"SELECT replace('{a}', 'a', '{a}') x, replace('{a}', 'a', '{b}') || 'a' y FROM products"
    answer = database.query(f"SELECT {expression} FROM ({texts}) LIMIT 100 OFFSET 11")
    assert answer.startswith("error: ")
    assert database.query("SELECT count(*) FROM products") == "12"
    database.close()


@pytest.mark.long
def test_memory_of_a_query_is_bounded(tmp_path: Path) -> None:
    set_up_tool_workspace(tmp_path)
    database = Database(tmp_path / "company.db", timeout_s=20.0)
    parts = " || ".join(f"p{n}.name" for n in range(4))
    joins = ", ".join(f"products p{n}" for n in range(4))
    long = "x" * 300
    distinct = f"SELECT DISTINCT {parts} || replace('{long}', 'x', '{long}') FROM {joins}"
    assert database.query(f"SELECT count(*) FROM ({distinct})") == "error: the query takes too much memory"
    assert database.query("SELECT count(*) FROM products") == "12"
    database.close()


def test_a_worker_that_dies_is_replaced(database: Database) -> None:
    assert database.query("SELECT 1") == "1"
    assert database._process is not None
    database._process.kill()
    assert database.query("SELECT 1") == "error: the database stopped"
    assert database.query("SELECT 1") == "1"
    database.close()
    database.close()
    assert database.query("SELECT 2") == "2"


def test_a_missing_database_is_an_error_line(tmp_path: Path) -> None:
    database = Database(tmp_path / "none.db")
    assert database.query("SELECT 1") == "error: unable to open database file"
    assert not (tmp_path / "none.db").exists()
    database.close()


def test_rows_are_capped(database: Database) -> None:
    assert len(database.query("SELECT name FROM products").split("; ")) == 5
    assert database.query(f"SELECT group_concat('{'x' * 60000}') FROM products").startswith("error: ")


def test_documents_are_plain_json_lines(tmp_path: Path) -> None:
    set_up_tool_workspace(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "documents.jsonl").read_text().splitlines()]
    assert [(row["title"], row["text"]) for row in rows] == list(CARDS)
