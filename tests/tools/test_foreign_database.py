"""Databases that a stranger has made: whatever tables and columns are called, they are told, asked, or left out."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from forge.data.asked_forms import AskedForms, forms_of_training_questions_about
from forge.tools import Toolbox
from forge.tools.database_query import Database
from forge.tools.database_questions import quote_name_for_tool_sql

NAMES = (
    "цена", "价格", "_", "{x}", "{e}", "{V0}", "{}", "[||]" * 15, "a\nb", "a\x1b[2J", 'a"b', "a'b", "order", "from",
    "x" * 61, "a b", "%s", "ʭ", "zqzq", "paid", "grid", "temperature", "price_per_hour", "Name",
    "name;--", "`a`", "sqlite",
)  # fmt: skip
ASKED = ("how many are there?", "what is the price of it?", "the cheapest one?", "x", "order", "paid?", "zqzq")


def create(folder: Path, script: str = "", **tables: str) -> Path:
    """A workspace of a database alone."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / "company.db")) as database:
        for name, columns in tables.items():
            database.execute(f"CREATE TABLE {quote_name_for_tool_sql(name)} ({columns})")
        database.executescript(script)
        database.commit()
    return folder


def calls(forms: AskedForms, question: str) -> list[str]:
    """Calls of the database that a question may lead to, one for each pattern without a choice."""
    patterns = [one for pattern in forms.patterns("database_query", question) for one in pattern.split("|")]
    return [re.sub(r"\\(.)", r"\1", pattern.strip("()")) for pattern in patterns]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_of_a_table_or_column_is_asked_or_left_out(tmp_path: Path, name: str) -> None:
    column = quote_name_for_tool_sql(name)
    folder = create(tmp_path / "w", **{name: f"{column} TEXT, other INT", "plain": f"label TEXT, {column} REAL"})
    with Toolbox(folder) as toolbox:
        forms = forms_of_training_questions_about(toolbox.about)
        for question in (*ASKED, f"how many {name} are there?", f"the {name} of it?"):
            forms.tools(question)
            assert all(re.compile(pattern) for pattern in forms.patterns("database_query", question))
        counted = calls(forms, "how many plains do we have?")
        assert [toolbox.execute(f"database_query {call}") for call in counted] == ["0"]


def test_what_has_no_value_is_not_the_least_and_keywords_are_names(tmp_path: Path) -> None:
    script = """INSERT INTO "order" VALUES ('a', NULL, 'Rome'), ('b', 3, 'Oslo'), ('c', 5, 'Rome');"""
    folder = create(tmp_path / "w", script, order='name TEXT, price INT, "from" TEXT')
    with Toolbox(folder) as toolbox:
        forms = forms_of_training_questions_about(toolbox.about)
        for question, told in (
            ("what is the cheapest order?", "b"),
            ("what is the most expensive order?", "c"),
            ("which orders are from Rome?", "a; c"),
            ("how many orders do we have?", "3"),
        ):
            assert [toolbox.execute(f"database_query {call}") for call in calls(forms, question)] == [told], question


def test_a_question_about_something_else_counts_no_rows(tmp_path: Path) -> None:
    with Toolbox(create(tmp_path / "w", boats="name TEXT, price INT")) as toolbox:
        forms = forms_of_training_questions_about(toolbox.about)
        assert calls(forms, "how many windows do we have?") == []
        assert calls(forms, "who won last sunday?") == []
        assert calls(forms, "what is 38 plus 40?") == []


def test_a_description_tells_what_can_be_read_and_opens_nothing_else(tmp_path: Path) -> None:
    script = """
        INSERT INTO good VALUES ('x', 1), ('y', 2), (x'ff00', 3), (CAST(x'ff41' AS TEXT), 4);
        CREATE VIEW seen AS SELECT * FROM good;
        CREATE VIRTUAL TABLE ghost USING fts5(a);
        CREATE TABLE made (a INT, b TEXT GENERATED ALWAYS AS (a || 'x') VIRTUAL);
    """
    folder = create(tmp_path / "w", script, good="name TEXT, price INT", empty="name TEXT")
    with closing(Database(folder / "company.db")) as database:
        found = database.describe()
        assert found["good"]["name"] == ("TEXT", ["x", "y", "\ufffdA"])
        assert found["good"]["price"] == ("INT", [])
        assert "seen" not in found
        assert "ghost" not in found
        assert database.query("PRAGMA table_info(good)").startswith("error:")
        assert database.query("SELECT typeof(1)").startswith("error:")
        assert database.query("DELETE FROM good").startswith("error:")
        assert database.query("  ") == "error: a query is needed"
        assert database.query("SELECT count(*) FROM good") == "4"
    with closing(Database(tmp_path / "none.db")) as database:
        assert database.describe() == {}


def test_many_tables_of_many_columns_are_asked_by_turns(tmp_path: Path) -> None:
    columns = ", ".join([*(f"text{n} TEXT" for n in range(10)), *(f"number{n} INT" for n in range(10))])
    with Toolbox(create(tmp_path / "w", **{f"things{n}x": columns for n in range(30)})) as toolbox:
        about = toolbox.about["database_query"]
        assert len(about.intents) == 150
        assert sum("COUNT(*)" in intent.argument and "WHERE" not in intent.argument for intent in about.intents) == 20
