"""What a conversation has said: numbers, names, words and pieces of its text that a call may hold."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge.tools import Toolbox
from forge.tools.declared.forms import CallForm, forms_of_tool
from forge.tools.declared.schema import DeclaredTool
from forge.tools.drawing import number_in_words, write_number_as_people_do
from forge.tools.said import (
    MOST_PIECES,
    digits_said,
    narrowed_schema,
    pieces_said,
    schema_without_calls,
    values_mentioned,
)
from forge.tools.words import CallWords, words_nearly_said, words_of_text, words_said

LIGHT = DeclaredTool.model_validate(
    {
        "name": "set_light",
        "parameters": {
            "properties": {
                "name": {"type": "string", "enum": ["kitchen light", "hall light", "desk lamp"]},
                "brightness": {"type": "integer", "minimum": 0, "maximum": 100},
                "warmth": {"type": "number"},
                "on": {"type": "boolean"},
                "label": {"type": "string", "maxLength": 12},
                "zones": {"type": "array", "items": {"type": "string", "enum": ["ground floor", "garage"]}},
            },
            "required": ["name"],
        },
        "synonyms": {"desk lamp": ["work light"]},
        "examples": [
            {"say": "dim the {name}", "arguments": {"brightness": 30}},
            "set the {name} to {brightness}, {warmth} warm, {on}, as {label}, in the {zones}",
        ],
    }
)


DIM, WHOLE = forms_of_tool(LIGHT)


def _narrowed(text: str, name: str, tool: DeclaredTool = LIGHT) -> Any:
    """Values of one argument, [] where the text says none, its own name where it has to."""
    found = narrowed_schema(CallForm(tool, {}, (name,), ()), text, lambda value: "ß" not in value)
    if isinstance(found, str):
        return found
    schema = found["properties"].get(name, {"enum": []})
    return schema.get("items", schema).get("enum")


def _tool(**parameter: Any) -> DeclaredTool:
    """A tool of one required argument."""
    return DeclaredTool.model_validate({"name": "t", "parameters": {"properties": {"x": parameter}, "required": ["x"]}})


@given(st.integers(0, 2**40), st.integers(0))
def test_every_spelling_of_a_number_says_its_digits(number: int, seed: int) -> None:
    typed = write_number_as_people_do(random.Random(seed), str(number))
    said = digits_said(f"what is {typed} plus 3?")
    assert said is None or str(number) in said
    assert (said is None) == any(letter.isalpha() for letter in typed)


@pytest.mark.parametrize("number", range(100))
def test_numbers_in_words_are_said(number: int) -> None:
    assert str(number) in (digits_said(f"set it to {number_in_words(number)} percent, please") or ())


def test_digits_that_nobody_said_are_not_among_those_said() -> None:
    assert digits_said("what is 1,100,339 plus 12.50?") == {
        *("1", "100", "339", "1100", "100339", "1100339", "12", "5", "50", "1250")
    }
    assert digits_said("no number here") == frozenset()
    for text in ("2k", "three hundred", "half of 8", "a dozen", "1.5 million"):
        assert digits_said(text) is None


def test_pieces_are_runs_of_words_of_one_line() -> None:
    assert pieces_said("play So\nin here!") == ["play", "So", "play So", "in", "here!", "here", "in here!", "in here"]
    assert "So What" in (pieces_said('play "So What", now') or ())


def test_text_without_blanks_and_endless_text_are_left_alone() -> None:
    assert pieces_said("把灯打开") is None
    assert pieces_said(" ".join(f"w{n}" for n in range(MOST_PIECES))) is None


def test_a_value_is_mentioned_by_name_synonym_typo_or_a_word_of_its_own() -> None:
    names = LIGHT.arguments["name"].enum or ()
    for text, wanted in {
        "the hall light, please": {"hall light"},
        "the work light": {"desk lamp"},
        "the ktichen light": {"kitchen light"},
        "and the hall one?": {"hall light"},
        "the kitchen light and the lamp": {"kitchen light", "desk lamp"},
        "turn on the disco ball": set(),
        "every light": set(),
    }.items():
        assert set(values_mentioned(LIGHT, names, text)) == wanted, text


def test_values_are_those_that_were_said() -> None:
    said = "dim the hall light to 45, label it cosy, 2.5 warm"
    assert _narrowed(said, "name") == ["hall light"]
    assert set(_narrowed(said, "brightness")) == {45, 2, 5, 25}
    assert 2.5 in _narrowed(said, "warmth")
    assert "cosy" in _narrowed(said, "label")
    assert all(len(piece) <= 12 and piece in said for piece in _narrowed(said, "label"))
    assert _narrowed("set it to -5", "warmth") == [5, -5]
    assert _narrowed(said, "on") is None
    assert _narrowed("half of it", "brightness") is None
    assert _narrowed("Gruß dich", "label") == ["dich"]
    assert _narrowed("the garage and the ground floor", "zones") == ["garage", "ground floor"]
    assert _narrowed("turn it on", "name") == "name"
    assert _narrowed("turn it on", "brightness") == _narrowed("turn it on", "zones") == []


def test_a_value_said_as_it_is_stands_for_no_other() -> None:
    names = {"type": "string", "enum": ["Maria", "Mario", "Sven"]}
    assert _narrowed("message maria: hi", "x", _tool(**names)) == ["Maria"]
    assert _narrowed("message marla: hi", "x", _tool(**names)) == ["Maria"]
    assert _narrowed("message maria and mario", "x", _tool(type="array", items=names)) == ["Maria", "Mario"]
    assert _narrowed("open the doors", "x", _tool(type="string", enum=["door", "lid"])) == ["door"]


def test_listed_numbers_are_said_as_numbers_are() -> None:
    amounts = {"type": "number", "enum": [0.5, 1.0, 2.0]}
    assert _narrowed("amount 2", "x", _tool(**amounts)) == [2.0]
    assert _narrowed("amount 0.5", "x", _tool(**amounts)) == [0.5]
    assert _narrowed("level two", "x", _tool(type="integer", enum=[1, 2, 3])) == [2]


def test_a_long_text_is_kept_to_its_end() -> None:
    said = "I will be late because the train is stuck again and nobody knows when it goes on"
    assert said in (pieces_said(f"message Anna {said}") or ())
    assert pieces_said("note a\tb") == ["note", "a", "b", "note a", "a b", "note a b"]


def test_a_call_that_was_made_is_not_made_again() -> None:
    def left(said: str, *made: dict[str, Any], slots: tuple[str, ...] = ("name", "brightness")) -> Any:
        form = CallForm(LIGHT, {}, slots, ())
        schema = narrowed_schema(form, said, bool)
        assert isinstance(schema, dict)
        without = schema_without_calls(form, schema, [("set_light", call) for call in made])
        return None if without is None else [without["properties"][slot]["enum"] for slot in slots]

    both = "the hall light and the desk lamp to 30"
    hall, desk = {"name": "hall light", "brightness": 30}, {"name": "desk lamp", "brightness": 30}
    assert left(both) == left(both, {"label": "x"}) == [["hall light", "desk lamp"], [30]]
    assert left(both, hall)[0] == ["desk lamp"]
    assert left(both, hall, desk) is None
    assert left("the hall light to 7", {"name": "hall light", "brightness": 7}) is None
    pieces = left("milk, oat milk", {"label": "milk"}, slots=("label",))[0]
    assert "oat milk" in pieces
    assert "milk" not in pieces
    # of another tool, or of another form, nothing is taken away
    form = CallForm(LIGHT, {"brightness": 30}, ("name",), ())
    schema = narrowed_schema(form, both, bool)
    assert isinstance(schema, dict)
    for call in (("lock", hall), ("set_light", {**hall, "brightness": 40}), ("set_light", {"name": "hall light"})):
        assert schema_without_calls(form, schema, [call]) == schema
    assert schema_without_calls(form, schema, [("set_light", hall)]) != schema


def test_a_form_has_its_own_arguments_and_no_others() -> None:
    found = narrowed_schema(DIM, "dim the hall light to 45", bool)
    assert isinstance(found, dict)
    assert list(found["properties"]) == found["required"] == ["name", "brightness"]
    assert found["properties"]["brightness"] == {"const": 30}
    # what is not required may be left out, what is required not
    found = narrowed_schema(WHOLE, "set the hall light to 45", bool)
    assert isinstance(found, dict)
    assert found["required"] == ["name", "brightness", "warmth", "on", "label"]
    assert narrowed_schema(WHOLE, "set it to 45", bool) == "name"


def test_words_come_in_every_case_and_without_the_plural() -> None:
    assert {"Japan", "japan", "JAPAN"} <= words_said("capital of japan?")
    assert "shelve" in words_said("shelves")
    assert words_of_text("naïve_x2 f(y)") == ["naïve", "x", "2", "f", "y"]


def test_a_known_word_is_nearly_said_with_a_typo_or_in_the_plural() -> None:
    known = ("butterfly", "shelf", "elephant", "Anna", "the")
    for said, wanted in {
        "butterflies": {"butterfly"},
        "how many shelves": {"shelf"},
        "an elehpant": {"elephant"},
        "tha table": set(),
        "zebra": set(),
    }.items():
        assert words_nearly_said(said, known) == wanted, said


def _words(toolbox: Toolbox, name: str, said: str) -> CallWords:
    found = toolbox.words_of_call(name, said)
    assert found is not None
    return found


def test_a_tool_knows_the_words_of_its_calls_and_of_its_workspace() -> None:
    with Toolbox() as toolbox:
        code = _words(toolbox, "code_executor", "spell therologic backwards")
        assert {"print", "therologic"} <= code.all
        assert "therogic" not in code.all
        files = _words(toolbox, "file_reader", "what is on my list?")
        assert {"todo", "txt"} <= files.all
        found = _words(toolbox, "search", "what do butterflies eat").all
        assert "butterfly" in found
        assert "Ottawa" not in found
        assert "Ottawa" in _words(toolbox, "search", "where is ottawa").all
        assert toolbox.words_of_call("set_light", "anything") is None


def test_what_a_call_quotes_was_said() -> None:
    with Toolbox() as toolbox:
        code = _words(toolbox, "code_executor", "how many vowels are in lamp")
        assert code.quoted is not None
        assert {"lamp", "aeiou"} <= code.quoted
        assert not {"print", "range", "sorted"} & code.quoted
        assert {"print", "range", "sorted"} <= code.all
        assert _words(toolbox, "search", "a children's book").quoted is None  # an apostrophe quotes nothing


def test_a_sum_copies_unknowns_and_digits_of_other_bases_only() -> None:
    with Toolbox() as toolbox:
        found = _words(toolbox, "calculator", "the square root of 10 for b95, 2x").all
        assert {"sqrt", "b", "x"} <= found
        assert not {"for", "of", "the"} & found


def test_a_database_of_ones_own_is_not_asked_as_the_usual_one(tmp_path: Path) -> None:
    with Toolbox() as toolbox:
        assert _words(toolbox, "database_query", "how many suppliers are there?").usual
        shutil.copytree(toolbox.workspace, tmp_path / "own")
    with closing(sqlite3.connect(tmp_path / "own" / "company.db")) as database:
        database.execute("CREATE TABLE suppliers (name TEXT)")
    with Toolbox(tmp_path / "own") as toolbox:
        assert not _words(toolbox, "database_query", "how many suppliers are there?").usual
        assert _words(toolbox, "calculator", "3 hours in minutes").usual


def test_a_long_list_of_numbers_is_not_narrowed() -> None:
    assert digits_said(", ".join(map(str, range(50)))) is not None
    assert digits_said(",".join(map(str, range(5000)))) is None
    assert digits_said("1,234,567") == {"1", "234", "567", "1234", "234567", "1234567"}
