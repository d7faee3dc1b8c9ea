"""Numbers and words that dialogues about tools are made of, and how people write them."""

from __future__ import annotations

import functools
import random

from forge.files import package_file_text
from forge.tools.content import CARDS, TABLES

# fmt: off
_WORDS_TEXT = (
    "apple anchor autumn bakery banana basket beach bicycle bird bottle branch bread bridge brother "
    "bucket button cabin camera candle canvas carrot castle cellar cherry circle cloud coffee copper "
    "corner cotton cradle crystal desert dinner doctor dragon drawer eagle engine evening fabric falcon "
    "farmer feather fiddle finger flower forest fountain friend galaxy garden garlic ginger glass goose "
    "grape guitar hammer harbor helmet hill honey horse island jacket jungle kettle kitchen kitten "
    "ladder lamp lantern lemon letter library light lizard lunch magnet maple marble market meadow "
    "melon metal mirror monkey morning mountain mouse needle noodle ocean onion orange orchid oven "
    "owner oyster paddle paint palace panther paper parade parcel pencil pepper picnic pillow pirate "
    "planet plate pocket poem potato prairie prince pumpkin puppet puzzle rabbit raven ribbon river "
    "robin rocket roof saddle sailor salad sandal school shadow sheep shelter silver singer sister "
    "spring squash stable station stone summer sunset table teapot temple thunder ticket tiger timber "
    "tomato tower train tunnel turtle valley velvet village violin wagon walnut water whistle window "
    "winter wizard wolf wonder yogurt zipper"
)
WORDS = tuple(_WORDS_TEXT.split())
_TALK = "hello hey yes maybe thanks sorry name world happy music summer people money number word letter"
CONSONANTS, VOWELS = "bdfghklmnprstvz", "aeiou"
# fmt: on
# Shares of common words and of made-up ones; the others are of a dictionary.
_LISTED, _SYLLABLES = 0.4, 0.3
# Shares of the numbers that people ask sums of.
_LONG, _ROUND, _DECIMAL, _NEGATIVE = 0.12, 0.05, 0.12, 0.1
_NAMED = 0.3  # share of round thousands and millions that are written as such
_GROUPED = 0.5  # share of the numbers from 1,000 on that are written in groups of digits
_SMALL_TEXT = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_SMALL = _SMALL_TEXT.split()
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def pick_tool_argument_number(rng: random.Random, digits: int) -> int:
    """A number of 1 to `digits` digits, each length equally likely, never 0 or 1."""
    size = rng.randint(1, digits)
    return rng.randint(max(2, 10 ** (size - 1)), 10**size - 1)


def pick_calculator_operand(rng: random.Random, digits: int) -> str:
    """A number as the calculator reads it: mostly a short whole one, some are long, have decimals or are negative."""
    text = str(pick_tool_argument_number(rng, digits))
    if rng.random() < _LONG:
        text = str(rng.randint(10**3, 10 ** rng.randint(4, 7) - 1))
    elif rng.random() < _ROUND:
        text = str(rng.randint(2, 20) * rng.choice((1000, 10**6)))
    elif rng.random() < _DECIMAL:
        text = f"{rng.randint(0, 200)}.{rng.choice((5, 25, 75, rng.randint(1, 9), rng.randint(1, 99)))}"
    return f"-{text}" if rng.random() < _NEGATIVE else text


def write_number_as_people_do(rng: random.Random, number: str) -> str:
    """A number with its digits as they are: some from 1,000 on are grouped, some minus signs are said in words."""
    sign, digits = ("-", number[1:]) if number.startswith("-") else ("", number)
    whole, point, decimals = digits.partition(".")
    for size, names in ((10**6, (" million", " million", "M")), (1000, (" thousand", "k", "k"))):
        if digits.isdigit() and int(digits) >= size and int(digits) % size == 0 and rng.random() < _NAMED:
            return f"{sign}{int(digits) // size}{rng.choice(names)}"
    if len(whole) > 3 and rng.random() < _GROUPED:
        separator = rng.choices((",", " ", "'"), (20, 2, 1))[0]
        whole = f"{int(whole):,}".replace(",", separator)
    if sign and rng.random() < 0.2:
        sign = rng.choice(("minus ", "negative "))
    return f"{sign}{whole}{point}{decimals}"


def number_in_words(number: int) -> str:
    """A whole number of 0 to 100, or of hundreds or thousands up to twenty of them, in words."""
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if number >= size and number % size == 0:
            return f"{number_in_words(number // size)} {name}"
    if number < len(_SMALL):
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_SMALL[ones]}" if ones else "")


@functools.cache
def _dictionary() -> tuple[str, ...]:
    """English words of 4 to 10 letters, of the list that reasoning_gym ships."""
    words = package_file_text("reasoning_gym", "data/words3to10.txt").split()
    return tuple(word for word in words if word.isascii() and word.islower() and len(word) > 3)


@functools.cache
def _common_words() -> tuple[str, ...]:
    """Words of talk, and names of what the tools know."""
    names = [title for title, _ in CARDS] + [str(row[0]) for _, rows in TABLES.values() for row in rows]
    return tuple(dict.fromkeys((*WORDS, *(name.lower() for name in names), *_TALK.split())))


def pick_tool_argument_word(rng: random.Random) -> str:
    """A common word, one of random syllables or any word of a dictionary, so that copying is learned rather than a word
    list."""
    kind = rng.random()
    if kind < _LISTED:
        return rng.choice(_common_words())
    return pick_made_up_tool_word(rng) if kind < _LISTED + _SYLLABLES else rng.choice(_dictionary())


def pick_made_up_tool_word(rng: random.Random) -> str:
    """Two or three random syllables."""
    made = "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.randint(2, 3)))
    return made + (rng.choice(CONSONANTS) if rng.random() < 0.5 else "")
