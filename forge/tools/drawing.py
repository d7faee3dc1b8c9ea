"""Numbers and words that dialogues about tools are made of."""

from __future__ import annotations

import random

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
CONSONANTS, VOWELS = "bdfghklmnprstvz", "aeiou"
# fmt: on
_SYLLABLES = 0.25  # share of made-up words


def pick_tool_argument_number(rng: random.Random, digits: int) -> int:
    """A number of 1 to `digits` digits, each length equally likely, never 0 or 1."""
    size = rng.randint(1, digits)
    return rng.randint(max(2, 10 ** (size - 1)), 10**size - 1)


def pick_tool_argument_word(rng: random.Random) -> str:
    """A word of the list, or one of random syllables, so that copying is learned rather than a word list."""
    if rng.random() >= _SYLLABLES:
        return WORDS[int(rng.random() * len(WORDS))]
    made = "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.randint(2, 3)))
    return made + (rng.choice(CONSONANTS) if rng.random() < 0.5 else "")
