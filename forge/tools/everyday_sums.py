"""Everyday problems that one expression solves: units, sharing, ages, areas, times; and how people put them."""

from __future__ import annotations

import random

from forge.tools.declaration import Drawn, Intent
from forge.tools.drawing import number_in_words, write_number_as_people_do
from forge.tools.everyday_money import MONEY_PROBLEMS, PERCENT_PROBLEMS
from forge.tools.everyday_slots import everyday_problem, whole_number

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
)
# fmt: on


def pick_calculator_unit_conversion(rng: random.Random) -> Drawn:
    """A measure, its unit and the one that is asked for."""
    to, given, tail, high = rng.choice(_UNITS)
    factor = float(tail[1:])
    number = str(rng.randint(2, high))
    if tail[0] == "/":  # most come out even, or in halves
        number = str(rng.randint(1, max(1, int(high / factor * 2))) * int(factor) // (1 if rng.random() < 0.7 else 2))
        number = number if number != "0" else str(int(factor))
    elif rng.random() < 0.2:
        number = f"{rng.randint(0, 20)}.{rng.choice((5, 25, 75, rng.randint(1, 9)))}"
    said = write_number_as_people_do(rng, number)
    if number.isdigit() and int(number) <= 12 and rng.random() < 0.12:
        said = number_in_words(int(number))
    return {"a": said, "A": number, "u": rng.choice(given), "v": rng.choice(to), "C": tail}, None


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
    ),
    7,
)

# fmt: off
_PAIR = {"a": whole_number(2, 400, 0), "b": whole_number(2, 12)}
_SHARING_PROBLEMS = (
    everyday_problem("split", "{A}/{B}", _PAIR,
        "split {a} [among|between|by] {b}", "split {a} [among|between] {b} {people}",
        "{a} [split|shared|divided] [among|between] {b} {people}",
        "{b} {people} share {a} {things}, how many each?",
        "share {a} {things} [among|between] {b} {people}", "{a} euros for {b} {people}, how much each?",
        "divide {a} {things} [among|between] {b}", "how much does each get if {b} {people} split {a}?",
        "we are {b} and have {a} {things}, how many each?", "{a} {things} in {b} equal piles, how many in each?",
        multiple=("a", "b"), weight=4),
    everyday_problem("double", "{A}*2", {"a": whole_number(2, 900)},
        "double {a}", "twice {a}", "[whats|what's|what is] double {a}?", "[whats|what's|what is] twice {a}?",
        "{a} doubled", "two times {a}", "what's {a} times two?", "the double of {a}",
        "{a} there and {a} back, in total?", weight=2),
    everyday_problem("half", "{A}/2", {"a": whole_number(2, 999)},
        "half of {a}", "[whats|what's|what is] half of {a}?", "half {a}", "one half of {a}", "{a} halved",
        "the half of {a}", "how much is half of {a}?", "cut {a} in half", "{a}, and half of it?", weight=2),
    everyday_problem("triple", "{A}*3", {"a": whole_number(2, 400)}, "triple {a}", "three times {a}", "{a} tripled",
        "[whats|what's|what is] triple {a}?", "thrice {a}", "the triple of {a}"),
    everyday_problem("part", "{A}/4", {"a": whole_number(1, 200, 0, 4)}, "a quarter of {a}",
        "[whats|what's|what is] a quarter of {a}?", "one quarter of {a}", "one fourth of {a}", "quarter of {a}?",
        "how much is a fourth of {a}?"),
    everyday_problem("third", "{A}/3", {"a": whole_number(1, 200, 0, 3)}, "a third of {a}",
        "[whats|what's|what is] a third of {a}?", "one third of {a}", "third of {a}?",
        "how much is a third of {a}?"),
    everyday_problem("left", "{A}-{B}", {"a": whole_number(20, 200, 0), "b": whole_number(2, 19)},
        "i have {a} {things} and give away {b}, how many are left?", "{a} {things}, {b} are gone, how many left?",
        "of {a} {things} {b} broke. how many are left?", "there were {a} {people} and {b} left, how many stayed?",
        "{a} {things} minus {b} {things}", "i had {a} {things} and lost {b}. left?",
        "{b} of {a} {things} are sold, how many remain?", weight=2),
    everyday_problem("older", "{A}+{B}", {"a": whole_number(2, 80), "b": whole_number(2, 30)},
        "my brother is {a}, i am {b} years older, my age?",
        "she is {a} and he is {b} years older, how old is he?", "i am {a} now, how old in {b} years?",
        "a boy is {a}, his sister {b} years older. her age?",
        "tom is {a}, ann is {b} years older, how old is ann?"),
    everyday_problem("younger", "{A}-{B}", {"a": whole_number(32, 80), "b": whole_number(2, 30)},
        "i am {a}, she is {b} years younger, how old is she?",
        "he is {a} and his wife {b} years younger, her age?", "i am {a} now, how old was i {b} years ago?",
        "mum is {a}, dad {b} years younger. dad's age?"),
    everyday_problem("days_until", "{B}-{A}", {"a": whole_number(4, 15, 0), "b": whole_number(16, 30, 0)},
        "from the {a}th to the {b}th, how many days?",
        "today is the {a}th, the party is on the {b}th, days left?",
        "how many days from the {a}th until the {b}th?",
        "it is the {a}th, when i leave it's the {b}th, how long do i wait?"),
    everyday_problem("without_quarter", "{A}-{A}/4", {"a": whole_number(1, 60, 0, 4)},
        "a quarter of {a} {things} is gone, how many are left?",
        "of {a} {people} a quarter stayed home, how many are here?", "{a} minus a quarter of it",
        "we are {a}, a quarter is ill. how many are here?", "{a} less one quarter"),
    everyday_problem("more", "{A}+{B}", {"a": whole_number(2, 200), "b": whole_number(2, 90)},
        "i have {a} {things} and get {b} more, how many now?", "{a} {things} plus {b} {things}",
        "{a} {things} and {b} more", "there are {a} {people}, {b} more come, how many?",
        "{a} red and {b} blue {things}, how many in all?",
        "{a} euros and {b} euros together?", "we sold {a} {things} today and {b} yesterday, total?", weight=2),
    everyday_problem("groups", "{A}*{B}", {"a": whole_number(2, 60), "b": whole_number(2, 40)},
        "{a} boxes with {b} {things} each, how many {things}?", "{a} bags of {b} {things}",
        "{a} {people} with {b} {things} each?",
        "every one of {a} {people} gets {b} {things}, how many do i need?",
        "{a} rows of {b} {things}, how many in all?", "{a} shelves with {b} {things} on each, total?",
        "{b} a day for {a} days", weight=2),
    everyday_problem("days_for", "{A}/{B}", {"a": whole_number(20, 400, 0), "b": whole_number(2, 30)},
        "{b} pages a day, {a} pages in all, how many days?", "i do {b} a day, how long for {a}?",
        "how many days for {a} {things} at {b} a day?", "{a} km at {b} km a day, how many days?", multiple=("a", "b")),
    everyday_problem("per_piece", "{A}/{B}*{C}", {"a": whole_number(2, 60, 0), "b": whole_number(2, 9), "c": whole_number(2, 20)},
        "{b} {things} cost {a}, how much for {c}?", "{b} weigh {a} grams, what do {c} weigh?",
        "if {b} {things} are {a} euros what are {c}?", "{b} take {a} minutes, how long for {c}?", multiple=("a", "b")),
    everyday_problem("unknown", "solve({B}*x+{A}={C})", {"a": whole_number(2, 40, 0), "b": whole_number(2, 9, 0), "c": whole_number(41, 99,
        0)},
        "solve {b}x + {a} = {c}", "{b}x+{a}={c}", "{b}x + {a} = {c}, what is x?", "find x: {b}x + {a} = {c}",
        "whats x if {b}x + {a} = {c}?"),
)
_SIDES = {"a": whole_number(2, 90, 0), "b": whole_number(2, 90, 0)}
_MEASURE_PROBLEMS = (
    everyday_problem("area", "{A}*{B}", _SIDES,
        "area of a room {a} by {b}", "a [room|garden|field|wall] is {a} by {b}, [area|how big]?",
        "area {a} x {b} m", "{a} m by {b} m, how many square meters?",
        "[whats|what is] the area of a rectangle {a} by {b}?"),
    everyday_problem("round", "4*{A}", {"a": whole_number(2, 200, 0)}, "perimeter of a square with side {a}",
        "a square has sides of {a}, perimeter?", "way around a square of {a} m?",
        "fence around a square garden of {a} m, how long?"),
    everyday_problem("perimeter", "2*({A}+{B})", _SIDES, "perimeter of a rectangle {a} by {b}",
        "a rectangle is {a} by {b}, perimeter?", "way around a field of {a} by {b}?",
        "[whats|what is] the perimeter of {a} by {b}?"),
    everyday_problem("distance", "{A}*{B}", {"a": whole_number(2, 130, 0), "b": whole_number(2, 12)},
        "{a} km/h for {b} hours, how far?", "i drive {a} km an hour for {b} hours, how far is that?",
        "how far in {b} hours at {a} km/h?", "{b} hours at {a} kmh, distance?"),
    everyday_problem("speed", "{A}/{B}", {"a": whole_number(2, 500, 0), "b": whole_number(2, 9)}, "{a} km in {b} hours, how fast?",
        "{a} km in {b} h, speed?", "i ran {a} km in {b} hours, what's my speed?", multiple=("a", "b")),
    everyday_problem("years", "{B}-{A}", {"a": whole_number(1900, 2010, 0), "b": whole_number(2011, 2060, 0)},
        "born in {a}, how old in {b}?", "how many years from {a} to {b}?", "from {a} to {b}, how many years?",
        "how old is someone in {b} who was born {a}?", "years between {a} and {b}?", "{a} until {b} is how long?",
        weight=2),
    everyday_problem("later", "{A}+{B}", {"a": whole_number(1900, 2030, 0), "b": whole_number(2, 99, 0)},
        "what year is {b} years after {a}?", "{b} years after {a}?", "{a} plus {b} years",
        "in {a} he started, {b} years later it was?"),
    everyday_problem("time", "{A}*60+{B}", {"a": whole_number(2, 23), "b": whole_number(2, 59, 0)},
        "{a} hours and {b} minutes in minutes", "{a} h {b} min in minutes",
        "how many minutes are {a} hours {b} minutes?", "{a} hours {b} minutes, in minutes?",
        "[whats|what is] {a}h {b}m in minutes?"),
    everyday_problem("clock", "({C}*60+{D})-({A}*60+{B})", {"a": whole_number(6, 12, 0), "b": whole_number(10, 59, 0), "c": whole_number(13,
        22, 0), "d": whole_number(10, 59, 0)}, "from {a}:{b} to {c}:{d}, how many minutes?",
        "minutes from {a}:{b} to {c}:{d}?", "{a}:{b} to {c}:{d} in minutes",
        "how many minutes between {a}:{b} and {c}:{d}?"),
    everyday_problem("fahrenheit", "{A}*9/5+32", {"a": whole_number(1, 60, 0)}, "{a} celsius in fahrenheit",
        "{a} degrees celsius to fahrenheit", "convert {a} c to f", "how hot is {a} celsius in fahrenheit?",
        "{a}°C in °F"),
    everyday_problem("celsius", "({A}-32)*5/9", {"a": whole_number(1, 12, 0, 9)}, "{a} fahrenheit in celsius", "{a} f to c",
        "convert {a} fahrenheit to celsius", "how warm is {a} fahrenheit in celsius?", "{a}°F in °C"),
    everyday_problem("binary", "base({A},10,2)", {"a": whole_number(2, 200, 0)}, "{a} in binary",
        "[whats|what is] {a} in binary?", "convert {a} to binary", "binary of {a}", "{a} as a binary number"),
    everyday_problem("simplify", "frac({A}, {B})", {"a": whole_number(1, 12, 0, 6), "b": whole_number(2, 12, 0, 9)},
        "simplify {a}/{b}", "{a}/{b} as a simple fraction", "reduce the fraction {a}/{b}", "shorten {a}/{b}",
        "simplest form of {a}/{b}?"),
)
# fmt: on


def everyday_calculator_intents() -> tuple[Intent, ...]:
    """Intents of the calculator."""
    return (_CONVERSION, *PERCENT_PROBLEMS, *MONEY_PROBLEMS, *_SHARING_PROBLEMS, *_MEASURE_PROBLEMS)
