"""Everyday problems that one expression solves: conversions of units here, the others in modules beside it."""

from __future__ import annotations

import math
import random
import re

from forge.tools.declaration import Drawn, Intent
from forge.tools.drawing import number_in_words, write_number_as_people_do
from forge.tools.wordings.measures import MEASURE_PROBLEMS
from forge.tools.wordings.money import MONEY_PROBLEMS, PERCENT_PROBLEMS
from forge.tools.wordings.sharing import HEAP_PROBLEMS, PUZZLE_PROBLEMS, SHARING_PROBLEMS
from forge.tools.wordings.times import TIME_PROBLEMS

# fmt: off
# What is asked for, what is given, tail of the call, largest number drawn.
_UNITS = (
    (("minutes", "min", "mins"), ("hours", "hrs", "h"), "*60", 50),
    (("seconds", "secs", "sec"), ("minutes", "min", "mins"), "*60", 90),
    (("seconds",), ("hours",), "*3600", 24),
    (("hours",), ("days",), "*24", 60),
    (("days",), ("weeks",), "*7", 60),
    (("months",), ("years",), "*12", 60),
    (("weeks",), ("years",), "*52", 30),
    (("hours", "h"), ("minutes", "min"), "/60", 600),
    (("minutes",), ("seconds",), "/60", 900),
    (("weeks",), ("days",), "/7", 140),
    (("days",), ("hours",), "/24", 240),
    (("years",), ("months",), "/12", 144),
    (("meters", "metres", "m"), ("km", "kilometers", "kilometres"), "*1000", 90),
    (("km", "kilometers"), ("meters", "metres", "m"), "/1000", 9000),
    (("cm", "centimeters"), ("meters", "m", "metres"), "*100", 90),
    (("m", "meters"), ("cm", "centimeters"), "/100", 2000),
    (("mm",), ("cm",), "*10", 200),
    (("grams", "g"), ("kg", "kilos", "kilograms"), "*1000", 90),
    (("kg", "kilos"), ("grams", "g"), "/1000", 9000),
    (("ml", "milliliters", "millilitres"), ("liters", "litres", "l"), "*1000", 50),
    (("liters", "litres"), ("ml",), "/1000", 9000),
    (("inches",), ("feet",), "*12", 40),
    (("feet",), ("inches",), "/12", 240),
    (("feet",), ("yards",), "*3", 200),
    (("cm",), ("inches",), "*2.54", 90),
    (("km", "kilometers"), ("miles",), "*1.609", 200),
    (("kg", "kilos"), ("pounds", "lbs"), "*0.4536", 300),
    (("cents",), ("euros", "dollars"), "*100", 90),
    (("euros", "dollars"), ("cents",), "/100", 9000),
    (("pieces", "eggs", "items"), ("dozen",), "*12", 30),
    (("minutes", "min"), ("days",), "*24*60", 30),
    (("hours",), ("weeks",), "*7*24", 20),
    (("days",), ("years",), "*365", 40),
    (("years",), ("decades",), "*10", 20),
    (("days",), ("fortnights",), "*14", 20),
    (("days",), ("minutes",), "/60/24", 12),
    (("hours",), ("seconds",), "/3600", 36000),
    (("mm",), ("meters", "m"), "*1000", 40),
    (("cm",), ("mm",), "/10", 900),
    (("miles",), ("km", "kilometers"), "/1.609", 300),
    (("pounds", "lbs"), ("kg", "kilos"), "/0.4536", 200),
    (("inches",), ("cm",), "/2.54", 250),
    (("ounces", "oz"), ("pounds", "lbs"), "*16", 40),
    (("pounds",), ("ounces", "oz"), "/16", 400),
    (("pounds",), ("stone",), "*14", 25),
    (("mph",), ("km/h", "kmh"), "/1.609", 250),
    (("km/h", "kmh"), ("mph",), "*1.609", 150),
    (("kg",), ("tons", "tonnes"), "*1000", 40),
    (("mg",), ("grams", "g"), "*1000", 40),
    (("watts", "w"), ("kw", "kilowatts"), "*1000", 20),
    (("pints",), ("gallons",), "*8", 20),
    (("dollars",), ("quarters",), "/4", 100),
    (("dozen",), ("eggs",), "/12", 144),
)
# Written without a blank before the unit, plain digits alone.
_GLUED_UNITS = (
    (("inches", "in"), ("ft",), "*12", 20),
    (("ft", "feet"), ("in",), "/12", 240),
    (("cm",), ("in", '"'), "*2.54", 90),
    (("inches", "in"), ("cm",), "/2.54", 250),
    (("ft",), ("yd",), "*3", 90),
    (("g", "grams"), ("kg",), "*1000", 40),
    (("kg",), ("g",), "/1000", 9000),
    (("lbs", "lb", "pounds"), ("kg",), "/0.4536", 150),
    (("kg",), ("lbs", "lb"), "*0.4536", 300),
    (("m", "meters"), ("km",), "*1000", 60),
    (("miles", "mi"), ("km",), "/1.609", 200),
    (("km",), ("mi",), "*1.609", 200),
    (("m", "meters"), ("cm",), "/100", 2000),
    (("mm",), ("cm",), "*10", 200),
    (("cm",), ("mm",), "/10", 900),
    (("ml",), ("l",), "*1000", 20),
    (("l", "liters"), ("ml",), "/1000", 9000),
    (("min", "minutes"), ("h", "hrs", "hr"), "*60", 30),
    (("sec", "s", "seconds"), ("min",), "*60", 60),
    (("h", "hours"), ("min",), "/60", 600),
    (("min", "minutes"), ("s", "sec"), "/60", 900),
    (("oz",), ("lb", "lbs"), "*16", 30),
    (("mph",), ("kmh",), "/1.609", 250),
    (("kmh",), ("mph",), "*1.609", 120),
)
# One thing, what it is counted in, the sum.
_WHOLES = (
    ("a day", "minutes", "24*60"), ("a day", "seconds", "24*60*60"), ("an hour", "seconds", "60*60"),
    ("a week", "hours", "7*24"), ("a week", "minutes", "7*24*60"), ("a week", "seconds", "7*24*60*60"),
    ("a year", "hours", "365*24"), ("a year", "minutes", "365*24*60"), ("a year", "seconds", "365*24*60*60"),
    ("a decade", "months", "10*12"), ("a century", "months", "100*12"), ("a century", "days", "100*365"),
    ("a decade", "weeks", "10*52"), ("a century", "weeks", "100*52"), ("a decade", "days", "10*365"),
    ("half a day", "minutes", "12*60"), ("half an hour", "seconds", "30*60"), ("half a day", "seconds", "12*60*60"),
    ("a weekend", "hours", "2*24"), ("a fortnight", "hours", "14*24"), ("a fortnight", "minutes", "14*24*60"),
    ("a kilometer", "cm", "1000*100"), ("a kilometer", "mm", "1000*1000"), ("a ton", "grams", "1000*1000"),
    ("a gross", "pieces", "12*12"), ("a dozen dozens", "pieces", "12*12"), ("a yard", "inches", "3*12"),
    ("a stone", "ounces", "14*16"), ("a month of 30 days", "hours", "30*24"), ("a month of 31 days", "hours", "31*24"),
    ("a working week of 5 days at 8 hours", "hours", "5*8"),
)
# fmt: on


def pick_whole_measure(rng: random.Random) -> Drawn:
    """Such as a day, the minutes that it has and their sum."""
    whole, small, total = rng.choice(_WHOLES)
    return {"n": whole, "v": small, "C": total}, None


def pick_calculator_unit_conversion(rng: random.Random) -> Drawn:
    """A measure, its unit and the one that is asked for."""
    to, given, tail, high = rng.choice(_UNITS)
    number = _measure_that_converts(rng, tail, high)
    said = write_number_as_people_do(rng, number)
    if number.isdigit() and int(number) <= 12 and rng.random() < 0.12:
        said = number_in_words(int(number))
    return {"a": said, "A": number, "u": rng.choice(given), "v": rng.choice(to), "C": tail}, None


def pick_glued_unit_conversion(rng: random.Random) -> Drawn:
    """The same in plain digits, with the sign of a unit."""
    to, given, tail, high = rng.choice(_GLUED_UNITS)
    number = _measure_that_converts(rng, tail, high)
    return {"a": number, "A": number, "u": rng.choice(given), "v": rng.choice(to), "C": tail}, None


def _measure_that_converts(rng: random.Random, tail: str, high: int) -> str:
    """A number to be multiplied or divided; most that are divided come out even, or in halves."""
    factor = math.prod(float(part) for part in re.findall(r"[\d.]+", tail))
    if tail[0] == "/" and factor == int(factor):
        number = rng.randint(1, max(1, int(high / factor * 2))) * int(factor) // (1 if rng.random() < 0.7 else 2)
        return str(number or int(factor))
    if rng.random() < 0.2:
        return f"{rng.randint(0, 20)}.{rng.choice((5, 25, 75, rng.randint(1, 9)))}"
    return str(rng.randint(2, high))


_CONVERSION = Intent(
    "units",
    "{A}{C}",
    pick_calculator_unit_conversion,
    (),
    (
        "{a} {u} in {v}[|?]",
        "how many {v} [are|is|in|make] {a} {u}?",
        "{a} {u} to {v}",
        "convert {a} {u} [to|into] {v}",
        "[what is|whats|what's|how much is] {a} {u} in {v}?",
        "how many {v} are [there in|in] {a} {u}?",
        "{a} {u} [is|are|equals|makes] how many {v}?",
        "{a} {u} = ? {v}",
        "[change|turn] {a} {u} into {v}",
        "[i need|give me|tell me] {a} {u} in {v}",
        "{a} {u}, how many {v} [is that|are that|is it]?",
        "[can|could] you convert {a} {u} [to|into] {v}?",
        "how many {v} do {a} {u} have?",
        "{a} {u} as {v}?",
        "express {a} {u} in {v}",
        "i have {a} {u}, what's that in {v}?",
        "what would {a} {u} be in {v}?",
        "{v} in {a} {u}?",
        "in {v}, how much is {a} {u}?",
        "it says {a} {u} here, how many {v} would that be?",
        "{a} {u} {v} ?",
        "how do i get from {a} {u} to {v}?",
        "if something is {a} {u}, how much is it in {v}?",
        "number of {v} in {a} {u}?",
        "{a} {u} expressed in {v}",
        "i don't know {u}, what is {a} {u} in {v}?",
        "{a} {u} -> {v}",
        "[translate|switch] {a} {u} to {v}",
        "the label says {a} {u}, but i need {v}. how many?",
        "{a} {u} equal to how much {v}?",
        "would you kindly tell me how many {v} there are in {a} {u}?",
        "my teacher wants {a} {u} in {v}, what do i write?",
        "we got {a} {u}. how much in {v}?",
        "how much {v} is {a} {u}?",
    ),
    7,
)
_GLUED_CONVERSION = Intent(
    "units_glued",
    "{A}{C}",
    pick_glued_unit_conversion,
    (),
    (
        "{a}{u} in {v}[|?]",
        "{a}{u} to {v}",
        "convert {a}{u} to {v}",
        "[what is|whats|what's] {a}{u} in {v}?",
        "how many {v} is {a}{u}?",
        "how many {v} in {a}{u}?",
        "{a}{u} = ? {v}",
        "{a}{u} into {v}",
        "{a}{u} -> {v}",
        "{a}{u} is how many {v}?",
        "{a}{u} as {v}",
        "[i need|give me] {a}{u} in {v}",
        "how much is {a}{u} in {v}?",
        "{a}{u}, how many {v} is that?",
        "it's {a}{u}, what's that in {v}?",
        "can you convert {a}{u} into {v}?",
        "turn {a}{u} into {v}",
        "in {v}: {a}{u}",
        "the box says {a}{u}, how much in {v}?",
        "{a}{u} equals how many {v}?",
    ),
    2,
)
_WHOLE_MEASURE = Intent(
    "whole_measure",
    "{C}",
    pick_whole_measure,
    (),
    (
        "how many {v} in {n}?",
        "how many {v} are in {n}?",
        "how many {v} are there in {n}?",
        "how many {v} does {n} have?",
        "{v} in {n}?",
        "{n} in {v}",
        "number of {v} in {n}?",
        "how many {v} has {n}?",
        "{n} has how many {v}?",
        "[calculate|compute|work out] the {v} in {n}",
        "what is {n} in {v}?",
        "{n} is how many {v}?",
        "how many {v} make {n}?",
        "my son asks how many {v} {n} has",
        "do you know how many {v} there are in {n}?",
        "{n} - how many {v} is that?",
        "convert {n} to {v}",
        "can you tell me how many {v} make up {n}?",
        "how much is {n} in {v}?",
        "i wonder how many {v} {n} has",
        "tell me the number of {v} in {n}",
        "{n} consists of how many {v}?",
        "total {v} in {n}?",
    ),
    2,
)


def everyday_calculator_intents() -> tuple[Intent, ...]:
    """Intents of the calculator."""
    return (
        *(_CONVERSION, _GLUED_CONVERSION, _WHOLE_MEASURE),
        *(*PERCENT_PROBLEMS, *MONEY_PROBLEMS),
        *(*SHARING_PROBLEMS, *HEAP_PROBLEMS, *PUZZLE_PROBLEMS),
        *(*MEASURE_PROBLEMS, *TIME_PROBLEMS),
    )
