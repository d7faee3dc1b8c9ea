"""Sums that people ask for: what is typed and what is called are the same numbers, and problems come out right."""

from __future__ import annotations

import random
import re
from fractions import Fraction

import pytest

from forge.evals.answer_grading import grade_free_answer
from forge.tools.builtin import TOOLS
from forge.tools.builtin.calculator import answer_with_calculator
from forge.tools.content import CARDS, TABLES
from forge.tools.database_query import Database
from forge.tools.declaration import Intent
from forge.tools.drawing import number_in_words, write_number_as_people_do
from forge.tools.search import SearchIndex
from forge.tools.wordings.cards import CARD_QUESTIONS
from forge.tools.wordings.everyday import pick_calculator_unit_conversion
from forge.tools.words import NUMBER_WORDS
from forge.tools.workspace import set_up_tool_workspace

CALCULATOR, _, _, _, DATABASE = TOOLS
# Base units: seconds, meters, grams, liters (pints), cents, pieces, watts, km/h.
SIZES = {
    "second": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3600, "hr": 3600, "h": 3600, "day": 86400, "week": 604800,
    "month": 2629800, "year": 31557600, "mm": 0.001, "cm": 0.01, "centimeter": 0.01, "inche": 0.0254, "feet": 0.3048,
    "yard": 0.9144, "m": 1, "meter": 1, "metre": 1, "km": 1000, "kilometer": 1000, "kilometre": 1000, "mile": 1609.344,
    "g": 1, "gram": 1, "pound": 453.59237, "lb": 453.59237, "kg": 1000, "kilo": 1000, "kilogram": 1000, "ml": 0.001,
    "milliliter": 0.001, "millilitre": 0.001, "l": 1, "liter": 1, "litre": 1, "cent": 1, "euro": 100, "dollar": 100,
    "piece": 1, "egg": 1, "item": 1, "dozen": 12, "decade": 315576000, "fortnight": 1209600, "gallon": 8, "pint": 1,
    "kilowatt": 1000, "kw": 1000, "watt": 1, "w": 1, "km/h": 1, "kmh": 1, "mph": 1.609344, "mg": 0.001, "ounce": 28.35,
    "oz": 28.35, "stone": 6350.29, "tonne": 1e6, "ton": 1e6, "quarter": 25,
}  # fmt: skip


NUMERAL = re.compile(r"-?\d+(?:\.\d+)?")
_SUMS = ("add", "subtract", "multiply", "divide")
_ABROAD = {f"{name}_in_{tongue}_words" for name in _SUMS for tongue in ("german", "french")}
WORDED = {"decimal_comma", "whole_measure", "number_of_hex", *_ABROAD, *(f"{name}_of_hundreds" for name in _SUMS)}


def _is_number_typed(text: str) -> bool:
    return any(map(str.isdigit, text)) or text.replace("-", " ") in NUMBER_WORDS


@pytest.mark.parametrize("intent", CALCULATOR.intents, ids=lambda intent: intent.name)
def test_the_number_typed_is_the_number_called(intent: Intent) -> None:
    """By the reader of numbers that grades answers, which knows nothing of how they were written here."""
    rng = random.Random(intent.name)
    for _ in range(150):
        slots, _ = intent.draw(rng)
        pairs = [
            (slots[name.lower()], number) for name, number in slots.items() if name.isupper() and name.lower() in slots
        ]
        # 3,5 is copied as it is; a unit, a fraction or a number abroad is said in words that no answer has
        pairs = [(typed, number) for typed, number in pairs if NUMERAL.fullmatch(number) and _is_number_typed(typed)]
        assert pairs or intent.name in WORDED
        for typed, number in pairs:
            if re.search("hundred|thousand|million|[kM]$", typed):  # no answer is written so
                continue
            plain = re.sub(r"(?<=\d)(?:st|nd|rd|th)$", "", typed)
            assert grade_free_answer(plain, (float(number),), shown=(plain,)) == "right", (typed, number)


def test_numbers_are_written_in_words() -> None:
    assert [number_in_words(n) for n in (0, 7, 12, 40, 99)] == ["zero", "seven", "twelve", "forty", "ninety-nine"]
    assert [number_in_words(n) for n in (100, 300, 12000)] == ["one hundred", "three hundred", "twelve thousand"]
    assert len({number_in_words(n) for n in range(101)}) == 101


def test_digits_are_grouped_and_kept() -> None:
    made = {write_number_as_people_do(random.Random(n), "-1234567.50") for n in range(200)}
    assert {"-1,234,567.50", "-1234567.50", "minus 1,234,567.50"} <= made
    assert {re.sub(r"[^\d.]", "", text) for text in made} == {"1234567.50"}
    assert {write_number_as_people_do(random.Random(n), "999") for n in range(50)} == {"999"}
    made = {write_number_as_people_do(random.Random(n), "-5000000") for n in range(400)}
    assert {"-5 million", "-5M", "-5000000", "-5,000,000"} <= made
    assert {write_number_as_people_do(random.Random(n), "20000") for n in range(400)} >= {"20k", "20 thousand", "20000"}


@pytest.mark.parametrize("intent", CALCULATOR.intents, ids=lambda intent: intent.name)
def test_sums_are_answered_unless_they_are_meant_to_fail(intent: Intent) -> None:
    rng = random.Random(intent.name)
    results = [answer_with_calculator(intent.argument.format(**intent.draw(rng)[0])) for _ in range(100)]
    failed = [result.startswith("error:") for result in results]
    if intent.name in ("by_zero", "decimal_comma", "negative_root"):
        assert all(failed)
    else:
        assert not any(failed), results[failed.index(True)]


def test_units_are_converted_by_their_sizes() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        slots, _ = pick_calculator_unit_conversion(rng)
        given, wanted = (SIZES[unit if unit in SIZES else unit.removesuffix("s")] for unit in (slots["u"], slots["v"]))
        result = float(answer_with_calculator(slots["A"] + slots["C"]))
        # months and weeks of a year are counted in whole ones
        assert result == pytest.approx(float(slots["A"]) * given / wanted, rel=0.005), slots


PROBLEMS = (
    "off on_top part_in_percent growth each change spent two_kinds split half per_piece unknown perimeter years time "
    "celsius fahrenheit subtract_from mean"
)


def solved(name: str, slots: dict[str, str]) -> Fraction:
    """What a problem comes to, counted out in another way."""
    a, b, c, m, n, p = (Fraction(slots.get(key, "0")) for key in "ABCMNP")
    return {
        "off": lambda: m - m * p / 100,
        "on_top": lambda: m + m * p / 100,
        "part_in_percent": lambda: 100 * a / b,
        "growth": lambda: 100 * (b / a - 1),
        "each": lambda: sum([m] * int(a), Fraction(0)),
        "change": lambda: a - m,
        "spent": lambda: a - (b + c),
        "two_kinds": lambda: sum([m] * int(a) + [n] * int(b), Fraction(0)),
        "split": lambda: a * (1 / b),
        "half": lambda: a - a / 2,
        "per_piece": lambda: c * (a / b),
        "unknown": lambda: (c - a) / b,
        "perimeter": lambda: a + b + a + b,
        "years": lambda: b - a,
        "time": lambda: (a + b / 60) * 60,
        "celsius": lambda: (a - 32) / Fraction("1.8"),
        "fahrenheit": lambda: Fraction("1.8") * a + 32,
        "subtract_from": lambda: b - a,
        "mean": lambda: (a + b + c) * Fraction(1, 3),
    }[name]()


@pytest.mark.parametrize("name", PROBLEMS.split())
def test_everyday_problems_come_out_right(name: str) -> None:
    (intent,) = (intent for intent in CALCULATOR.intents if intent.name == name)
    rng = random.Random(name)
    for _ in range(60):
        slots, _ = intent.draw(rng)
        result = answer_with_calculator(intent.argument.format(**slots))
        assert float(Fraction(result)) == pytest.approx(float(solved(name, slots)), rel=1e-9, abs=1e-9), slots


def test_the_words_to_search_for_find_the_document() -> None:
    index, texts = SearchIndex(list(CARDS)), dict(CARDS)
    assert {title for title, text in CARDS if "is the capital of" not in text} == set(CARD_QUESTIONS)
    for title, (query, questions) in CARD_QUESTIONS.items():
        assert index.answer(query) == texts[title]
        assert len(questions) >= 4


def test_every_query_is_answered_by_the_tables(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of columns the value in the row, of the others an answer; only what is missing is not found, or may not be."""
    folder = tmp_path_factory.mktemp("company")
    set_up_tool_workspace(folder)
    database = Database(folder / "company.db", timeout_s=10.0)
    rng = random.Random(2)
    for intent in DATABASE.intents:
        for _ in range(12):
            slots, _ = intent.draw(rng)
            result = database.query(intent.argument.format(**slots))
            if intent.name not in ("is_product", "is_customer", "is_employee", "sold_out"):
                assert result.startswith("error: nothing found") == intent.name.startswith("missing_"), intent.name
            assert "error" not in result or "nothing found" in result, intent.name
            assert not result.startswith("error: ") or result == "error: nothing found", result
            table, _, column = intent.name.partition(".")
            if column:
                names = [name for name, _ in TABLES[table][0]]
                row = next(row for row in TABLES[table][1] if row[0] == slots["E"])
                assert result == str(row[names.index(column)])
                assert slots["e"].lower() == slots["E"].lower()
    database.close()
    shelves = [intent.draw(random.Random(n))[0] for intent in DATABASE.intents[:1] for n in range(100)]
    assert {slots["es"] for slots in shelves if slots["E"] == "shelf"} == {"shelves"}
