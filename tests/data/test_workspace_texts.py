"""What a question names of a workspace that nobody has seen."""

from __future__ import annotations

import pytest

from forge.data.asked_forms import (
    forms_of_training_questions,
    forms_of_training_questions_about,
    training_forms_ask_for_call,
)
from forge.data.workspace_texts import STAND_IN, ColumnTexts, ContentIndex, without_words
from forge.tools.database_questions import ask_tool_about_tables, quote_name_for_tool_sql, read_tables_of_tool_database

BOATS = ["Blue Heron", "Pike", "Marigold", "Old Pike"]
TABLES = read_tables_of_tool_database(
    {
        "boats": {
            "boat_id": ("INTEGER", []),
            "name": ("TEXT", BOATS),
            "kind": ("TEXT", ["dinghy", "kayak"]),
            "price_per_hour": ("REAL", []),
        },
        "order list": {"Customer": ("TEXT", ["O'Brien", "Weil"]), "seats": ("INT", [])},
        "empty": {},
    }
)
FORMS = forms_of_training_questions_about({"database_query": ask_tool_about_tables(TABLES)})


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("how much is the blue heron?", ["Blue Heron"]),
        ("how much is heron", ["Blue Heron"]),
        ("what about the marigould?", ["Marigold"]),
        ("is the old pike free?", ["Old Pike"]),
        ("pikes", ["Pike"]),
        ("how old is it?", []),
        ("", []),
    ],
)
def test_texts_are_named_in_full_or_by_a_word_of_their_own(question: str, named: list[str]) -> None:
    assert [text for text, _ in ColumnTexts(BOATS).named(question)] == named


def test_words_are_replaced_whole_and_once() -> None:
    assert without_words("pike or pikes, pike?", ["pike"]) == f"{STAND_IN} or pikes, pike?"


def test_texts_are_found_by_what_they_say() -> None:
    index = ContentIndex(
        [("Opening hours", "We open at nine."), ("Dogs", "Dogs may sail."), ("Deposit", "Fifty euros.")]
    )
    hours, dogs, deposit = index.shares("is there a depossit?")
    assert deposit > max(hours, dogs) == 0
    assert index.shares("may my dog come?")[1] > 0.4
    assert index.shares("who are you?") == [0, 0, 0]
    assert ContentIndex([]).shares("what is this?") == []


@pytest.mark.parametrize(
    ("question", "call"),
    [
        ("how much is the blue heron?", "SELECT price_per_hour FROM boats WHERE name='Blue Heron'"),
        ("which boats are kayaks?", "SELECT name FROM boats WHERE kind='kayak'"),
        ("how many dinghies are there?", "SELECT COUNT(*) FROM boats WHERE kind='dinghy'"),
        ("how many boats do we have?", "SELECT COUNT(*) FROM boats"),
        (
            "what is the cheapest boat?",
            "SELECT name FROM boats WHERE price_per_hour IS NOT NULL ORDER BY price_per_hour LIMIT 1",
        ),
        ("average price of the kayaks?", "SELECT AVG(price_per_hour) FROM boats WHERE kind='kayak'"),
        ("how many seats does O'Brien have?", "SELECT seats FROM \"order list\" WHERE Customer='O''Brien'"),
    ],
)
def test_a_database_is_asked_by_the_words_of_its_columns(question: str, call: str) -> None:
    import re

    patterns = FORMS.patterns("database_query", question)
    assert any(re.fullmatch(pattern, call) for pattern in patterns), patterns
    assert training_forms_ask_for_call(FORMS, question) is True


def test_what_names_nothing_of_a_column_is_no_call_about_it() -> None:
    likeness = FORMS.likeness("how much is the submarine?")
    assert not any("WHERE" in form.template for form in likeness)
    assert training_forms_ask_for_call(FORMS, "hello there") is False


def test_the_built_in_workspace_has_the_learned_index() -> None:
    assert forms_of_training_questions_about({}) is forms_of_training_questions()


def test_names_that_are_no_words_are_quoted() -> None:
    assert [quote_name_for_tool_sql(name) for name in ("a_b", "a b", 'a"b', "2x")] == ["a_b", '"a b"', '"a""b"', '"2x"']
    assert [table.one for table in TABLES] == ["boat", "order list"]
    assert TABLES[0].key is not None
    assert TABLES[0].key.name == "name"
