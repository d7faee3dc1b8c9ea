"""What a conversation has said: numbers and words that a call of a built-in tool may hold."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge.tools import Toolbox
from forge.tools.drawing import number_in_words, write_number_as_people_do
from forge.tools.said import digits_said_to_calculator
from forge.tools.words import CallWords, words_nearly_said, words_of_text, words_said


@given(st.integers(0, 2**40), st.integers(0))
def test_every_spelling_of_a_number_says_its_digits(number: int, seed: int) -> None:
    typed = write_number_as_people_do(random.Random(seed), str(number))
    said = digits_said_to_calculator(f"what is {typed} plus 3?")
    assert said is None or str(number) in said
    assert (said is None) == any(letter.isalpha() for letter in typed)


@pytest.mark.parametrize("number", range(100))
def test_numbers_in_words_are_said(number: int) -> None:
    assert str(number) in (digits_said_to_calculator(f"set it to {number_in_words(number)} percent, please") or ())


def test_digits_that_nobody_said_are_not_among_those_said() -> None:
    assert digits_said_to_calculator("what is 1,100,339 plus 12.50?") == {
        *("1", "100", "339", "1100", "100339", "1100339", "12", "5", "50", "1250")
    }
    assert digits_said_to_calculator("no number here") == frozenset()
    for text in ("2k", "three hundred", "half of 8", "a dozen", "1.5 million"):
        assert digits_said_to_calculator(text) is None


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
        assert toolbox.about == {}
        shutil.copytree(toolbox.workspace, tmp_path / "own")
    with closing(sqlite3.connect(tmp_path / "own" / "company.db")) as database:
        database.execute("CREATE TABLE suppliers (name TEXT)")
    with Toolbox(tmp_path / "own") as toolbox:
        assert list(toolbox.about) == ["database_query"]
        assert "suppliers" in _words(toolbox, "database_query", "how many of them are there?").all


def test_a_long_list_of_numbers_is_not_narrowed() -> None:
    assert digits_said_to_calculator(", ".join(map(str, range(50)))) is not None
    assert digits_said_to_calculator(",".join(map(str, range(5000)))) is None
    assert digits_said_to_calculator("1,234,567") == {"1", "234", "567", "1234", "234567", "1234567"}
