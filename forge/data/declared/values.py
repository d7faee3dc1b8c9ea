"""Values for the slots of example sentences: drawn from a tool's schema, and how a person says them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from forge.data.declared.word_lists import WORD_LISTS
from forge.errors import ForgeError
from forge.tools.declared.schema import DeclaredTool, Parameter, refuse_tool_value
from forge.tools.drawing import WORDS, number_in_words, pick_made_up_tool_word, pick_tool_argument_number

_TRIES = 200
_MANY = 10_000  # values of what is not counted
_REACH = 100  # of numbers without bounds, from the bound that there is
_LONGEST_LIST = 3  # items of an array without a bound
_SYNONYM = 0.4  # share of values with synonyms that are said by one
_IN_WORDS = 0.15  # share of whole numbers that are said in words
_ROUND = 0.5  # share of whole numbers that are multiples of five
_QUOTED = 0.1  # share of free texts in quotation marks
_MONTHS, _DAYS, _NAMES = WORD_LISTS["month"], WORD_LISTS["day"], WORD_LISTS["name"]
_SENTENCES = (
    "the {0} is in the {1}",
    "I will be late because of the {0}",
    "please bring the {0} and the {1}",
    "the {0} needs a new {1}",
    "we meet at the {0} after the {1}",
    "do not forget the {0}",
    "can you pick up a {0}",
    "dinner with the {0} is moved",
)


@dataclass(frozen=True)
class Said:
    """Words of a sentence. verbatim: they go into the call letter by letter, so no noise may touch them."""

    text: str
    verbatim: bool = False


def spoken_number(number: int) -> str:
    """English words of a number from 0 to 999.

    Raises:
        ValueError: another number.
    """
    if not 0 <= number < 1000:
        raise ValueError(f"no words for {number}")
    hundreds, rest = divmod(number, 100)
    parts = [100 * hundreds] * (hundreds > 0) + [rest] * (rest > 0 or number == 0)
    return " and ".join(map(number_in_words, parts)).replace("-", " ")


def pick_free_word(rng: random.Random) -> str:
    """A common word or one of random syllables. (The dictionary of the built-in tools takes a second to import.)"""
    return rng.choice(WORDS) if rng.random() < 0.5 else pick_made_up_tool_word(rng)


def _draw_words(rng: random.Random) -> str:
    return " ".join(pick_free_word(rng) for _ in range(rng.choices((1, 2, 3), (5, 4, 1))[0]))


def _draw_name(rng: random.Random) -> str:
    made = rng.choice(_NAMES) if rng.random() < 0.6 else pick_free_word(rng).capitalize()
    return f"{made} {pick_free_word(rng).capitalize()}" if rng.random() < 0.3 else made


def _draw_date(rng: random.Random) -> str:
    month, day = rng.randint(1, 12), rng.randint(1, 28)
    return rng.choice(
        (
            f"{rng.randint(2025, 2035)}-{month:02}-{day:02}",
            f"{WORD_LISTS['month'][month - 1]} {day}",
            f"{day} {WORD_LISTS['month'][month - 1]}",
            rng.choice(_DAYS),
            f"next {rng.choice(WORD_LISTS['day'])}",
            rng.choice(("today", "tomorrow", "the day after tomorrow")),
        )
    )


def _draw_duration(rng: random.Random) -> str:
    unit = rng.choices(("second", "minute", "hour", "day", "week"), (2, 5, 3, 1, 1))[0]
    number = rng.choice((1, 2, 3, 5, 10, 15, 20, 30, 45, 90, rng.randint(1, 99)))
    said = spoken_number(number) if rng.random() < 0.3 else str(number)
    return f"{said} {unit}" + ("s" if number > 1 else "")


def _draw_sentence(rng: random.Random) -> str:
    return rng.choice(_SENTENCES).format(pick_free_word(rng), pick_free_word(rng))


_GENERATORS: dict[str, Callable[[random.Random], str]] = {
    "words": _draw_words,
    "name": _draw_name,
    "number": lambda rng: str(pick_tool_argument_number(rng, 4)),
    "date": _draw_date,
    "duration": _draw_duration,
    "sentence": _draw_sentence,
}


def row_number_bounds(parameter: Parameter) -> tuple[float, float]:
    """Least and greatest number to draw; where the schema sets no bound, a hundred from the other one, or 0."""
    low, high = parameter.minimum, parameter.maximum
    if low is None:
        low = 0 if high is None or high >= 0 else high - _REACH
    return low, low + _REACH if high is None else high


def count_row_values(tool: DeclaredTool, name: str) -> int:
    """How many values an argument may have in rows, for whoever holds some out."""
    parameter = tool.arguments[name]
    item = parameter.items or parameter
    listed = tool.values.get(name)
    if parameter.type == "boolean":
        return 2
    if isinstance(listed, tuple) or item.enum is not None:
        count = len(listed if isinstance(listed, tuple) else item.enum or ())
    elif item.type == "integer":
        low, high = row_number_bounds(item)
        count = int(high) - math.ceil(low) + 1
    else:
        count = _MANY
    return min(count ** _list_sizes(parameter)[1] if parameter.items else count, _MANY)


def draw_value(rng: random.Random, tool: DeclaredTool, name: str) -> Any:
    """A value for an argument that its schema allows.

    Raises:
        ForgeError: what `values` says, or the generator draws, never fits the schema.
    """
    parameter = tool.arguments[name]
    for _ in range(_TRIES):
        if parameter.items is None:
            value = _draw_single_value(rng, parameter, tool.values.get(name))
        else:
            size = rng.randint(*_list_sizes(parameter))
            value = list(
                dict.fromkeys(_draw_single_value(rng, parameter.items, tool.values.get(name)) for _ in " " * size)
            )
        if refuse_tool_value(parameter, value) is None:
            return value
    raise ForgeError(
        f"{tool.name}: values: {_TRIES} values were drawn for {name!r}, and its schema allows none of them"
    )


def _list_sizes(parameter: Parameter) -> tuple[int, int]:
    """Fewest and most items that are drawn for an array."""
    least = parameter.min_items or 1
    return least, max(least, min(parameter.max_items or _LONGEST_LIST, least + _LONGEST_LIST - 1))


def _draw_single_value(rng: random.Random, parameter: Parameter, listed: str | Sequence[Any] | None) -> Any:
    if isinstance(listed, tuple):
        return rng.choice(listed)
    if parameter.enum is not None:
        return rng.choice(parameter.enum)
    if parameter.type == "boolean":
        return rng.random() < 0.5
    if parameter.type == "string":
        return _GENERATORS[str(listed or "words")](rng)
    low, high = row_number_bounds(parameter)
    least, most = math.ceil(low), math.floor(high)
    if parameter.type == "number" and (most < least or rng.random() < 0.5):
        return round(rng.uniform(low, high), 1 if high - low > 2 else 2)
    fives = (-(-least // 5) * 5, most // 5 * 5)
    if rng.random() < _ROUND and fives[0] <= fives[1]:
        return 5 * rng.randint(fives[0] // 5, fives[1] // 5)
    return rng.randint(least, most)


def say_value_in_row(rng: random.Random, tool: DeclaredTool, name: str, value: Any) -> list[Said]:
    """How a person says a value: literally, by a synonym, a number in words, true as `on`, a list with `and`."""
    if isinstance(value, list):
        parts: list[Said] = []
        for place, item in enumerate(value):
            if place:
                parts.append(Said(" and " if place == len(value) - 1 else ", "))
            parts += _say_single_value(rng, tool, tool.arguments[name], item)
        return parts
    return _say_single_value(rng, tool, tool.arguments[name], value)


def _say_single_value(rng: random.Random, tool: DeclaredTool, parameter: Parameter, value: Any) -> list[Said]:
    item = parameter.items or parameter
    synonyms = tool.synonyms_for(value)
    if isinstance(value, bool):
        return [Said(rng.choice(synonyms or (("off", "on")[value],)))]
    if synonyms and rng.random() < _SYNONYM:
        return [Said(rng.choice(synonyms))]
    if isinstance(value, float | int):
        if isinstance(value, int) and 0 <= value < 1000 and rng.random() < _IN_WORDS:
            return [Said(spoken_number(value))]
        return [Said(f"{value:.10g}", verbatim=True)]
    if not item.free:
        return [Said(value.replace("_", " "))]
    mark = rng.choice("'\"") if rng.random() < _QUOTED and not set("'\"") & set(value) else ""
    return [Said(mark), Said(value, verbatim=True), Said(mark)] if mark else [Said(value, verbatim=True)]
