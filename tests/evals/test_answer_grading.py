"""Grading of free answers: spellings of one value, shotguns, echoes, refusals where they are due and where not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.evals.answer_grading import AnswerForm, AnswerPattern, grade_free_answer, is_plain_refusal, numbers_in_answer

REFUSALS = (
    "I cannot do that, I can only add numbers.",
    "I could not do that: division by zero.",
    "I do not know.",
    "Sorry, I can't help with that.",
    "I’m not able to book flights.",
    "No such file.",
    "I have no answer to that.",
)
NO_REFUSALS = ("The penguin swims but cannot fly.", "25", "You do not need more.", "Hello!", "I can add numbers.")


def verdict(text: str, *accepted: Any, asked: str = "what is it", **options: Any) -> str:
    return grade_free_answer(text, accepted, turns=(asked,), **options)


@pytest.mark.parametrize(
    "text", ["1200", "1,200", "1 200", "1'200", "1200.0", "It is 1,200.00 euros.", "= 1200", "1200g", "$1,200"]
)
def test_a_number_counts_by_its_value(text: str) -> None:
    assert verdict(text, 1200) == "right"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("8 arms", 8),
        ("The octopus has eight arms.", 8),
        ("thirty five", 35),
        ("-15", -15),
        ("minus 15", -15),
        ("−15", -15),
        ("13.60 €", 13.6),
        ("13,60", 13.6),
        ("8.33", 8.33333333333),
        ("3 hours", 3),
        ("it leaves at nine", 9),
    ],
)
def test_spellings_of_a_number(text: str, wanted: float) -> None:
    assert verdict(text, wanted) == "right"


@pytest.mark.parametrize(
    ("text", "wanted"), [("15", -15), ("1.2", 1200), ("120", 12), ("0.8", 8), ("8", 8.4), ("8.3", 8.4), ("x12", 12)]
)
def test_another_number_is_wrong(text: str, wanted: float) -> None:
    assert verdict(text, wanted) != "right"


@given(st.integers(-(10**12), 10**12))
@settings(max_examples=200, deadline=None)
def test_groups_of_digits_change_no_value(value: int) -> None:
    for text in (f"{value}", f"{value:,}", f"{value:,}".replace(",", " "), f"{value:,}".replace(",", "'")):
        assert [found for found, _ in numbers_in_answer(f"so {text} it is")] == [value]


def test_naming_many_numbers_is_not_knowing() -> None:
    assert verdict("24, 25 or 26", 25) == "wrong"
    assert verdict("3 * 8 = 24", 24, asked="what's 3 times 8") == "right"
    assert verdict("The lamp is 25 and the chair 60, together 85.", 85) == "wrong"
    assert verdict("The lamp is 25 and the chair 60, together 85.", 85, worked=["calculator 25+60"]) == "right"
    assert verdict("25 and 60", (25, 60)) == "right"
    assert verdict("25", (25, 60)) == "wrong"


def test_repeating_the_question_is_no_answer() -> None:
    assert verdict("10% of 100", 10, asked="10% of 100") == "wrong"
    assert verdict("10% of 100 is 10", 10, asked="10% of 100") == "right"
    assert verdict("is a bat a mammal", "mammal", asked="is a bat a mammal") == "wrong"
    assert verdict("The bat is a mammal.", "mammal", asked="is a bat a mammal") == "right"


def test_texts_patterns_and_forms() -> None:
    assert verdict("It is OSLO.", "Oslo") == "right"
    assert verdict("Osloer Straße", "Oslo") == "junk"
    assert verdict("The capital is Vienna", "Oslo") == "wrong"
    assert verdict("orange", AnswerPattern(pattern=r"\bORANGE\b"), asked="orange in capitals") == "wrong"
    assert verdict("ORANGE", AnswerPattern(pattern=r"\bORANGE\b"), asked="orange in capitals") == "right"
    assert verdict("The answer is 3/4.", "3/4") == "right"
    assert verdict("Hello there!", AnswerForm(form="greeting")) == "right"
    assert verdict("I can add numbers.", AnswerForm(form="abilities")) == "wrong"
    assert verdict("I can add numbers and read files.", AnswerForm(form="abilities")) == "right"
    assert verdict("You are welcome.", AnswerForm(form="thanks")) == "right"
    with pytest.raises(ValueError, match="regular expression"):
        AnswerPattern(pattern="(")


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_is_right_only_where_it_is_due(text: str) -> None:
    assert is_plain_refusal(text)
    assert verdict(text, refusal=True) == "right"
    assert verdict(text, 25) == "refused"


@pytest.mark.parametrize("text", NO_REFUSALS)
def test_what_is_no_refusal(text: str) -> None:
    assert not is_plain_refusal(text)
    assert verdict(text, refusal=True) == "wrong"


@pytest.mark.parametrize("text", ["ererappot", "dough dough dough", "391 ererappot dddivis", "..."])
def test_junk_is_junk_whatever_is_asked_for(text: str) -> None:
    assert verdict(text, 391) == verdict(text, refusal=True) == "junk"


def test_a_wrong_sentence_is_no_junk_and_nothing_is_empty() -> None:
    assert verdict("moon is a cloud near the ground", ("moon", 27)) == "wrong"
    assert verdict(" \n", 391) == verdict("", refusal=True) == "empty"
    assert verdict("ananab", "ananab") == "right"
    assert verdict("ananba", "ananab") == "junk"
    assert verdict("ananba", "ananab", shown=["ananba"]) == "wrong", "it is what the tool gave"
