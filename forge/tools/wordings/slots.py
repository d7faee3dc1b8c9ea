"""What the sentences of everyday problems are filled with: numbers, sums of money, things and people.

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
# fmt: on
Slot = Callable[[random.Random], tuple[str, str]]  # as the user writes it, as the call takes it


def whole_number(low: int, high: int, words: float = 0.1, step: int = 1) -> Slot:
    """A whole number; a share of those up to twelve is written in words."""

    def draw(rng: random.Random) -> tuple[str, str]:
        number = rng.randint(low, high) * step
        said = number_in_words(number) if 1 < number <= 12 and rng.random() < words else str(number)
        return (write_number_as_people_do(rng, said) if said.isdigit() else said), str(number)

    return draw


def money_sum(high: int, cents: float = 0.4) -> Slot:
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


def exchange_rate(rng: random.Random) -> tuple[str, str]:
    """What one unit of a currency is in another."""
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


def everyday_problem(
    name: str,
    argument: str,
    slots: dict[str, Slot],
    *says: str,
    multiple: tuple[str, str] | None = None,
    weight: float = 0.8,
) -> Intent:
    """An intent whose sentences are said in full. `multiple`: as for `pick_everyday_calculator_slots`."""
    draw = partial(pick_everyday_calculator_slots, slots=slots, multiple=multiple)
    return Intent(name, argument, draw, (), says, weight)


def tax_rate(rng: random.Random) -> tuple[str, str]:
    """A rate of tax or interest in percent, most of them usual ones."""
    rate = str(rng.choice((5, 7, 8, 10, 12, 15, 18, 19, 20, 21, 22, 25, rng.randint(2, 30), rng.randint(2, 30))))
    return rate, rate


def weight_in_kilos(rng: random.Random) -> tuple[str, str]:
    """Some kilos or litres, half of them with a decimal."""
    weight = str(rng.randint(2, 30))
    if rng.random() < 0.5:
        weight = f"{rng.randint(0, 9)}.{rng.choice((5, 25, 75, rng.randint(1, 9)))}"
    return weight, weight


def pick_falling_numbers(rng: random.Random, slots: dict[str, Slot], falling: tuple[str, str]) -> Drawn:
    """Slots of a problem in which the first number of two is the greater one."""
    greater, smaller = tuple(name.upper() for name in falling)
    while True:
        drawn, result = pick_everyday_calculator_slots(rng, slots)
        if float(drawn[greater]) > float(drawn[smaller]):
            return drawn, result


def falling_problem(
    name: str, argument: str, slots: dict[str, Slot], falling: tuple[str, str], *says: str, weight: float = 0.8
) -> Intent:
    """An everyday problem whose first number of `falling` is greater than the second."""
    return Intent(name, argument, partial(pick_falling_numbers, slots=slots, falling=falling), (), says, weight)


def bare_sum(high: int, cents: float = 0.4) -> Slot:
    """A sum of money without a sign or a name."""

    def draw(rng: random.Random) -> tuple[str, str]:
        number = str(rng.randint(2, high))
        if rng.random() < cents:
            number = f"{rng.randint(0, high)}.{rng.choice((50, 99, 95, 20, 80, rng.randint(10, 99)))}"
        return write_number_as_people_do(rng, number), number

    return draw


def pick_sums_in_one_currency(
    rng: random.Random, slots: dict[str, Slot], sums: str, falling: tuple[str, str] | None = None
) -> Drawn:
    """Slots of a problem in which the sums of money, one letter each, are all said in one currency or in none."""
    drawn, result = pick_falling_numbers(rng, slots, falling) if falling else pick_everyday_calculator_slots(rng, slots)
    forms = ("{}", "{}", "{}", "{} euros", "{} dollars", "${}", "${}", "€{}", "{} bucks", "{}€", "{} eur", "{} pounds")
    form = rng.choice(forms)
    return drawn | {name: form.format(drawn[name]) for name in sums}, result


def several_sums_problem(
    name: str,
    argument: str,
    slots: dict[str, Slot],
    sums: str,
    *says: str,
    falling: tuple[str, str] | None = None,
    weight: float = 0.8,
) -> Intent:
    """An everyday problem with more than one sum of money."""
    draw = partial(pick_sums_in_one_currency, slots=slots, sums=sums, falling=falling)
    return Intent(name, argument, draw, (), says, weight)
