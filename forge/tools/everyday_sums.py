"""Everyday problems that one expression solves: units, money, percent, sharing, ages, areas; and how people put them.

A slot is a number as people write it (`{a}`; `{A}` in the call), a sum of money (`{m}`, `{M}`), or a word that only
makes the sentence (`{things}`, `{people}`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from forge.tools.declaration import Drawn, Intent
from forge.tools.drawing import number_in_words, write_number_as_people_do

# fmt: off
_THINGS_TEXT = (
    "apples pens tickets books bottles cookies shirts stamps cups pizzas plants oranges bags boxes cakes coffees eggs "
    "bikes hats cards sandwiches candles batteries mugs socks sweets cans birds cows points pencils stickers steps"
)
_THINGS = _THINGS_TEXT.split()
_PEOPLE = ("friends", "people", "kids", "students", "guests", "children", "players", "of us", "workers", "families")
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
Slot = Callable[[random.Random], tuple[str, str]]  # as the user writes it, as the call takes it


def _whole(low: int, high: int, words: float = 0.1, step: int = 1) -> Slot:
    """A whole number; a share of those up to twelve is written in words."""

    def draw(rng: random.Random) -> tuple[str, str]:
        number = rng.randint(low, high) * step
        said = number_in_words(number) if 1 < number <= 12 and rng.random() < words else str(number)
        return (write_number_as_people_do(rng, said) if said.isdigit() else said), str(number)

    return draw


def _money(high: int, cents: float = 0.4) -> Slot:
    """A sum of money, with its sign or its name or neither."""

    def draw(rng: random.Random) -> tuple[str, str]:
        number = str(rng.randint(2, high))
        if rng.random() < cents:
            number = f"{rng.randint(0, high)}.{rng.choice((50, 99, 95, 20, 80, rng.randint(10, 99)))}"
        written = write_number_as_people_do(rng, number)
        forms = (
            "{}",
            "{}",
            "{} euros",
            "{} dollars",
            "${}",
            "${}",
            "€{}",
            "{} bucks",
            "{}€",
            "{} eur",
            "{} pounds",
            "{} euro",
        )
        return rng.choice(forms).format(written), number

    return draw


def _exchange_rate(rng: random.Random) -> tuple[str, str]:
    rate = f"{rng.randint(50, 160) / 100:.2f}"
    return rate, rate


def pick_everyday_calculator_slots(
    rng: random.Random, slots: dict[str, Slot], multiple: tuple[str, str] | None = None
) -> Drawn:
    """Slots of a problem and words for its sentence. `multiple`: `(a, b)` makes the first number the second one's
    multiple, so that shares come out even (four times in five)."""
    drawn = {name: draw(rng) for name, draw in slots.items()}
    if multiple and rng.random() < 0.8:
        number, parts = tuple(multiple)
        whole = str(int(drawn[parts][1]) * rng.randint(2, 30))
        drawn[number] = (write_number_as_people_do(rng, whole), whole)
    typed = {name: said for name, (said, _) in drawn.items()} | {name.upper(): n for name, (_, n) in drawn.items()}
    return typed | {"things": rng.choice(_THINGS), "people": rng.choice(_PEOPLE)}, None


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


def _problem(
    name: str,
    argument: str,
    slots: dict[str, Slot],
    *says: str,
    multiple: tuple[str, str] | None = None,
    weight: float = 0.8,
) -> Intent:
    draw = partial(pick_everyday_calculator_slots, slots=slots, multiple=multiple)
    return Intent(name, argument, draw, (), says, weight)


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
_RATE = _whole(1, 19, 0, 5)
_PERCENT_PROBLEMS = (
    _problem("off", "{M}*(100-{P})/100", {"m": _money(300, 0.1), "p": _RATE},
        "{m} minus {p}%", "{p}% off {m}", "{m} with {p}% off", "{p} percent off {m}?", "take {p}% off {m}",
        "[a shirt|a jacket|a ticket|a phone|a bag] costs {m}, {p}% off, [what do i pay|new price]?",
        "{m} with a {p}% discount",
        "[whats|what's|what is] {m} with {p}% off?", "discount of {p}% on {m}, what's left to pay?",
        "reduce {m} by {p} percent",
        "price {m}, sale {p}% off, what do i pay?", weight=2),
    _problem("on_top", "{M}*(100+{P})/100", {"m": _money(300, 0.1), "p": _RATE},
        "{m} plus {p}%", "add {p}% to {m}", "{m} plus {p}% [tax|vat|tip|interest]", "increase {m} by {p} percent",
        "[tax|vat] of {p}% on top of {m}?", "{m} with {p}% [tax|vat] added",
        "{m} goes up by {p}%, what is it then?",
        "my rent of {m} rises {p} percent, new rent?", weight=2),
    _problem("part_in_percent", "{A}/{B}*100", {"a": _whole(1, 60, 0), "b": _whole(2, 10, 0, 10)},
        "{a} out of {b} in percent", "{a} of {b} as a percentage", "what percent of {b} is {a}?",
        "how many percent is {a} of {b}?",
        "{a} out of {b}, what percentage is that?", "i got {a} of {b} right, percent?", "{a}/{b} in percent",
        "what percentage of {b} is {a}?", "{a} from {b} people came, how many percent?", weight=2),
    _problem("growth", "({B}-{A})/{A}*100", {"a": _whole(2, 50, 0, 10), "b": _whole(51, 99, 0, 10)},
        "from {a} to {b}, how many percent is that?", "percent increase from {a} to {b}?",
        "it rose from {a} to {b}, by what percentage?",
        "growth from {a} to {b} in percent", "{a} went up to {b}, percent change?"),
    _problem("tip", "{M}*{P}/100", {"m": _money(150, 0.4), "p": _RATE},
        "{p}% tip on {m}", "tip {p} percent, bill {m}", "how much is a {p}% tip on {m}?",
        "the bill is {m}, i tip {p}%, how much is that?",
        "[vat|tax|interest|fee] of {p}% on {m}?", "{p} percent [interest|tax|vat] on {m}, how much?", weight=2),
    _problem("of_many", "{A}*{B}/100", {"a": _whole(2, 95, 0), "b": _whole(1, 60, 0, 50)},
        "{a}% of {b} {people}, how many?", "{a} percent of the {b} {things} are broken, how many is that?",
        "we have {b} {people} and {a}% are ill, how many?", "out of {b} {things}, {a} percent sold. how many?"),
)
_MONEY_PROBLEMS = (
    _problem("each", "{A}*{M}", {"a": _whole(2, 40), "m": _money(60)},
        "{a} {things} at {m} each", "{a} {things} at {m} [each|apiece], [total|how much|what do i pay]?",
        "{a} {things} for {m} each, how much?",
        "[how much|what] do {a} {things} cost at {m} each?", "one costs {m}, [how much|what] for {a}?",
        "i buy {a} {things} at {m} each, what's the total?",
        "{a} times {m}, the {things}", "price of {a} {things} if one is {m}?",
        "[cost|total] of {a} {things} at {m}?",
        "each of the {a} {things} costs {m}. how much together?", weight=4),
    _problem("change", "{A}-{M}", {"a": _whole(1, 20, 0, 10), "m": _money(9)},
        "i pay with {a}, it costs {m}, how much change?", "change from {a} if i pay {m}?",
        "bill of {m}, i give {a}. change?",
        "i have {a} and spend {m}, what's left?", "{a} minus the {m} i spent",
        "paid {a} for something that costs {m}, what do i get back?", weight=2),
    _problem("spent", "{A}-{B}-{C}", {"a": _whole(10, 90, 0, 10), "b": _whole(5, 60, 0), "c": _whole(2, 40, 0)},
        "i had {a}, spent {b} and {c}, how much is left?", "{a} euros minus {b} minus {c}",
        "started with {a}, gave away {b}, then {c}. left?",
        "from {a} take {b} and then {c}"),
    _problem("rate", "{M}*{A}", {"m": _money(60), "a": _whole(2, 52)},
        "{m} an hour for {a} hours", "{m} [a|per] hour, {a} hours, how much?",
        "i [earn|make|get] {m} per hour, how much for {a} hours?", "{m} a week for {a} weeks?",
        "saving {m} [a|per|every] [week|month|day] for {a} [weeks|months|days], how much is that?",
        "{m} per [month|day], how much in {a} [months|days]?",
        "i work {a} hours at {m} an hour, what's my pay?", "{a} nights at {m} a night?", weight=3),
    _problem("per_year", "{M}*12", {"m": _money(900)},
        "{m} a month, how much per year?", "{m} monthly, yearly?", "what is {m} a month in a year?",
        "rent is {m} a month, so per year?",
        "my phone costs {m} per month, what's that per year?", "i pay {m} every month, how much a year?"),
    _problem("per_month", "{M}/12", {"m": _whole(2, 60, 0, 120)},
        "{m} a year, how much per month?", "{m} yearly, what's that a month?",
        "i earn {m} a year, what per month?", "{m} per year in months"),
    _problem("one_of", "{M}/{A}", {"m": _whole(2, 40, 0), "a": _whole(2, 12)},
        "{a} {things} cost {m}, [how much|what] is one?", "{a} {things} for {m}, price of one?",
        "if {a} {things} cost {m}, what does each cost?", "{m} for {a} {things}, how much each?",
        multiple=("m", "a")),
    _problem("two_kinds", "{A}*{M}+{B}*{N}", {"a": _whole(2, 9), "m": _money(20), "b": _whole(2, 9),
        "n": _money(12)},
        "{a} {things} at {m} and {b} at {n}", "{a} {things} at {m} and {b} at {n}, total?",
        "{a} for {m} each plus {b} for {n} each", "{a} adults at {m}, {b} children at {n}, what do we pay?"),
    _problem("exchange", "{A}*{R}", {"a": _whole(1, 50, 0, 10), "r": _exchange_rate},
        "{a} dollars in euros at {r}", "{a} euros in dollars at a rate of {r}", "exchange {a} at {r}",
        "{a} francs at {r}, how many euros?", "change {a} dollars at {r} to euros"),
)
_PAIR = {"a": _whole(2, 400, 0), "b": _whole(2, 12)}
_SHARING_PROBLEMS = (
    _problem("split", "{A}/{B}", _PAIR,
        "split {a} [among|between|by] {b}", "split {a} [among|between] {b} {people}",
        "{a} [split|shared|divided] [among|between] {b} {people}",
        "{b} {people} share {a} {things}, how many each?",
        "share {a} {things} [among|between] {b} {people}", "{a} euros for {b} {people}, how much each?",
        "divide {a} {things} [among|between] {b}", "how much does each get if {b} {people} split {a}?",
        "we are {b} and have {a} {things}, how many each?", "{a} {things} in {b} equal piles, how many in each?",
        multiple=("a", "b"), weight=4),
    _problem("double", "{A}*2", {"a": _whole(2, 900)},
        "double {a}", "twice {a}", "[whats|what's|what is] double {a}?", "[whats|what's|what is] twice {a}?",
        "{a} doubled", "two times {a}", "what's {a} times two?", "the double of {a}",
        "{a} there and {a} back, in total?", weight=2),
    _problem("half", "{A}/2", {"a": _whole(2, 999)},
        "half of {a}", "[whats|what's|what is] half of {a}?", "half {a}", "one half of {a}", "{a} halved",
        "the half of {a}", "how much is half of {a}?", "cut {a} in half", "{a}, and half of it?", weight=2),
    _problem("triple", "{A}*3", {"a": _whole(2, 400)}, "triple {a}", "three times {a}", "{a} tripled",
        "[whats|what's|what is] triple {a}?", "thrice {a}", "the triple of {a}"),
    _problem("part", "{A}/4", {"a": _whole(1, 200, 0, 4)}, "a quarter of {a}",
        "[whats|what's|what is] a quarter of {a}?", "one quarter of {a}", "one fourth of {a}", "quarter of {a}?",
        "how much is a fourth of {a}?"),
    _problem("third", "{A}/3", {"a": _whole(1, 200, 0, 3)}, "a third of {a}",
        "[whats|what's|what is] a third of {a}?", "one third of {a}", "third of {a}?",
        "how much is a third of {a}?"),
    _problem("left", "{A}-{B}", {"a": _whole(20, 200, 0), "b": _whole(2, 19)},
        "i have {a} {things} and give away {b}, how many are left?", "{a} {things}, {b} are gone, how many left?",
        "of {a} {things} {b} broke. how many are left?", "there were {a} {people} and {b} left, how many stayed?",
        "{a} {things} minus {b} {things}", "i had {a} {things} and lost {b}. left?",
        "{b} of {a} {things} are sold, how many remain?", weight=2),
    _problem("older", "{A}+{B}", {"a": _whole(2, 80), "b": _whole(2, 30)},
        "my brother is {a}, i am {b} years older, my age?",
        "she is {a} and he is {b} years older, how old is he?", "i am {a} now, how old in {b} years?",
        "a boy is {a}, his sister {b} years older. her age?",
        "tom is {a}, ann is {b} years older, how old is ann?"),
    _problem("younger", "{A}-{B}", {"a": _whole(32, 80), "b": _whole(2, 30)},
        "i am {a}, she is {b} years younger, how old is she?",
        "he is {a} and his wife {b} years younger, her age?", "i am {a} now, how old was i {b} years ago?",
        "mum is {a}, dad {b} years younger. dad's age?"),
    _problem("days_until", "{B}-{A}", {"a": _whole(4, 15, 0), "b": _whole(16, 30, 0)},
        "from the {a}th to the {b}th, how many days?",
        "today is the {a}th, the party is on the {b}th, days left?",
        "how many days from the {a}th until the {b}th?",
        "it is the {a}th, when i leave it's the {b}th, how long do i wait?"),
    _problem("without_quarter", "{A}-{A}/4", {"a": _whole(1, 60, 0, 4)},
        "a quarter of {a} {things} is gone, how many are left?",
        "of {a} {people} a quarter stayed home, how many are here?", "{a} minus a quarter of it",
        "we are {a}, a quarter is ill. how many are here?", "{a} less one quarter"),
    _problem("more", "{A}+{B}", {"a": _whole(2, 200), "b": _whole(2, 90)},
        "i have {a} {things} and get {b} more, how many now?", "{a} {things} plus {b} {things}",
        "{a} {things} and {b} more", "there are {a} {people}, {b} more come, how many?",
        "{a} red and {b} blue {things}, how many in all?",
        "{a} euros and {b} euros together?", "we sold {a} {things} today and {b} yesterday, total?", weight=2),
    _problem("groups", "{A}*{B}", {"a": _whole(2, 60), "b": _whole(2, 40)},
        "{a} boxes with {b} {things} each, how many {things}?", "{a} bags of {b} {things}",
        "{a} {people} with {b} {things} each?",
        "every one of {a} {people} gets {b} {things}, how many do i need?",
        "{a} rows of {b} {things}, how many in all?", "{a} shelves with {b} {things} on each, total?",
        "{b} a day for {a} days", weight=2),
    _problem("days_for", "{A}/{B}", {"a": _whole(20, 400, 0), "b": _whole(2, 30)},
        "{b} pages a day, {a} pages in all, how many days?", "i do {b} a day, how long for {a}?",
        "how many days for {a} {things} at {b} a day?", "{a} km at {b} km a day, how many days?", multiple=("a", "b")),
    _problem("per_piece", "{A}/{B}*{C}", {"a": _whole(2, 60, 0), "b": _whole(2, 9), "c": _whole(2, 20)},
        "{b} {things} cost {a}, how much for {c}?", "{b} weigh {a} grams, what do {c} weigh?",
        "if {b} {things} are {a} euros what are {c}?", "{b} take {a} minutes, how long for {c}?", multiple=("a", "b")),
    _problem("unknown", "solve({B}*x+{A}={C})", {"a": _whole(2, 40, 0), "b": _whole(2, 9, 0), "c": _whole(41, 99,
        0)},
        "solve {b}x + {a} = {c}", "{b}x+{a}={c}", "{b}x + {a} = {c}, what is x?", "find x: {b}x + {a} = {c}",
        "whats x if {b}x + {a} = {c}?"),
)
_SIDES = {"a": _whole(2, 90, 0), "b": _whole(2, 90, 0)}
_MEASURE_PROBLEMS = (
    _problem("area", "{A}*{B}", _SIDES,
        "area of a room {a} by {b}", "a [room|garden|field|wall] is {a} by {b}, [area|how big]?",
        "area {a} x {b} m", "{a} m by {b} m, how many square meters?",
        "[whats|what is] the area of a rectangle {a} by {b}?"),
    _problem("round", "4*{A}", {"a": _whole(2, 200, 0)}, "perimeter of a square with side {a}",
        "a square has sides of {a}, perimeter?", "way around a square of {a} m?",
        "fence around a square garden of {a} m, how long?"),
    _problem("perimeter", "2*({A}+{B})", _SIDES, "perimeter of a rectangle {a} by {b}",
        "a rectangle is {a} by {b}, perimeter?", "way around a field of {a} by {b}?",
        "[whats|what is] the perimeter of {a} by {b}?"),
    _problem("distance", "{A}*{B}", {"a": _whole(2, 130, 0), "b": _whole(2, 12)},
        "{a} km/h for {b} hours, how far?", "i drive {a} km an hour for {b} hours, how far is that?",
        "how far in {b} hours at {a} km/h?", "{b} hours at {a} kmh, distance?"),
    _problem("speed", "{A}/{B}", {"a": _whole(2, 500, 0), "b": _whole(2, 9)}, "{a} km in {b} hours, how fast?",
        "{a} km in {b} h, speed?", "i ran {a} km in {b} hours, what's my speed?", multiple=("a", "b")),
    _problem("years", "{B}-{A}", {"a": _whole(1900, 2010, 0), "b": _whole(2011, 2060, 0)},
        "born in {a}, how old in {b}?", "how many years from {a} to {b}?", "from {a} to {b}, how many years?",
        "how old is someone in {b} who was born {a}?", "years between {a} and {b}?", "{a} until {b} is how long?",
        weight=2),
    _problem("later", "{A}+{B}", {"a": _whole(1900, 2030, 0), "b": _whole(2, 99, 0)},
        "what year is {b} years after {a}?", "{b} years after {a}?", "{a} plus {b} years",
        "in {a} he started, {b} years later it was?"),
    _problem("time", "{A}*60+{B}", {"a": _whole(2, 23), "b": _whole(2, 59, 0)},
        "{a} hours and {b} minutes in minutes", "{a} h {b} min in minutes",
        "how many minutes are {a} hours {b} minutes?", "{a} hours {b} minutes, in minutes?",
        "[whats|what is] {a}h {b}m in minutes?"),
    _problem("clock", "({C}*60+{D})-({A}*60+{B})", {"a": _whole(6, 12, 0), "b": _whole(10, 59, 0), "c": _whole(13,
        22, 0), "d": _whole(10, 59, 0)}, "from {a}:{b} to {c}:{d}, how many minutes?",
        "minutes from {a}:{b} to {c}:{d}?", "{a}:{b} to {c}:{d} in minutes",
        "how many minutes between {a}:{b} and {c}:{d}?"),
    _problem("fahrenheit", "{A}*9/5+32", {"a": _whole(1, 60, 0)}, "{a} celsius in fahrenheit",
        "{a} degrees celsius to fahrenheit", "convert {a} c to f", "how hot is {a} celsius in fahrenheit?",
        "{a}°C in °F"),
    _problem("celsius", "({A}-32)*5/9", {"a": _whole(1, 12, 0, 9)}, "{a} fahrenheit in celsius", "{a} f to c",
        "convert {a} fahrenheit to celsius", "how warm is {a} fahrenheit in celsius?", "{a}°F in °C"),
    _problem("binary", "base({A},10,2)", {"a": _whole(2, 200, 0)}, "{a} in binary",
        "[whats|what is] {a} in binary?", "convert {a} to binary", "binary of {a}", "{a} as a binary number"),
    _problem("simplify", "frac({A}, {B})", {"a": _whole(1, 12, 0, 6), "b": _whole(2, 12, 0, 9)},
        "simplify {a}/{b}", "{a}/{b} as a simple fraction", "reduce the fraction {a}/{b}", "shorten {a}/{b}",
        "simplest form of {a}/{b}?"),
)
# fmt: on


def everyday_calculator_intents() -> tuple[Intent, ...]:
    """Intents of the calculator."""
    return (_CONVERSION, *_PERCENT_PROBLEMS, *_MONEY_PROBLEMS, *_SHARING_PROBLEMS, *_MEASURE_PROBLEMS)
