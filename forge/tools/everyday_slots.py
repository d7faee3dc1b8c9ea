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
    draw = partial(pick_everyday_calculator_slots, slots=slots, multiple=multiple)
    return Intent(name, argument, draw, (), says, weight)
