"""What a sentence says for the arguments of a tool: listed values, numbers, a piece of its text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forge.tools.declared.pieces import best_pieces
from forge.tools.declared.quantities import SECONDS, Quantity, quantities_of
from forge.tools.declared.schema import DeclaredTool, Parameter, refuse_value
from forge.tools.declared.tokens import ARTICLES, FUNCTION_WORDS, Token, stems_of
from forge.tools.declared.vocabulary import SLOT, ToolWords

Spells = Callable[[str], bool]
# How well a number fits an argument: its unit beside it, another unit of time, a word that examples have beside the
# slot (or the name of the argument) next to it, one further, before it, the name of the argument further before it.
_OWN_UNIT, _OTHER_UNIT, _NEXT, _NEXT_BUT_ONE, _BEFORE, _NAMED_BEFORE = 2.0, 1.2, 2.0, 1.0, 0.8, 0.7
_FOREIGN_UNIT, _BEFORE_VALUE = -1.5, 1.5
_FIT_UNSURE, _FIT_OPTIONAL, _REQUIRED = 1.0, 0.7, 0.1
_NAMED_AT = 3  # tokens before a number
# How well listed values are named: in full, by one of their words; with a word beside it that examples have there.
_IN_FULL, _BY_A_WORD, _A_WORD_MORE, _VALUE_AFTER, _VALUE_BEFORE = 2.0, 1.0, 0.1, 0.8, 0.5
_OF_ALL = {  # words for shares of a hundred
    50: frozenset(stems_of("half halfway")),
    100: frozenset(stems_of("full fully max maximum completely")),
}
_AFTERNOON = frozenset({"pm"})


@dataclass
class Filled:
    """What a sentence says for some arguments.

    Attributes:
        values: of each the likeliest first.
        used: tokens that name values and numbers.
        led: those of a text to which words of the tool's examples lead.
    """

    values: dict[str, list[Any]] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    led: set[int] = field(default_factory=set)


def fill_arguments(words: ToolWords, text: str, tokens: Sequence[Token], spells: Spells) -> Filled:
    """What a text says for the arguments of a tool; nothing for those of which it says nothing."""
    filled = Filled()
    for name, parameter in words.tool.arguments.items():
        _fill_listed(words, name, parameter, tokens, filled)
    _fill_numbers(words, tokens, filled)
    for name, parameter in words.tool.arguments.items():
        if parameter.free and name not in filled.values:
            _fill_text(words, name, text, tokens, filled)
    for name, values in list(filled.values.items()):
        fitting = [value for value in values if spells(str(value))]
        filled.values[name] = fitting
        if not fitting:
            del filled.values[name]
    return filled


def _fill_listed(words: ToolWords, name: str, parameter: Parameter, tokens: Sequence[Token], filled: Filled) -> None:
    mentions = sorted(_mentions(words, name, tokens), key=lambda mention: (-mention[0], mention[1]))
    if not mentions:
        return
    values = list(dict.fromkeys(value for _, _, _, value in mentions))
    if parameter.items:
        listed = list(dict.fromkeys(v for _, _, _, v in sorted(mentions, key=lambda m: m[1])))
        values = [listed] if refuse_value(parameter, listed) is None else []
    if values:
        filled.values[name] = values
        filled.used.update(place for _, first, end, _ in mentions for place in range(first, end))


def _mentions(words: ToolWords, name: str, tokens: Sequence[Token]) -> Iterator[tuple[float, int, int, Any]]:
    """Where listed values are named in full, or by a word that no other of them has: how well, from where to where."""
    said = tuple(token.word for token in tokens)
    count = Counter(word for _, names in words.values[name] for word in {word for known in names[:1] for word in known})
    for value, names in words.values[name]:
        own = {(word,) for known in names[:1] if len(known) > 1 for word in known}
        partly = [known for known in sorted(own) if count[known[0]] == 1 and _tells(words, known[0])]
        in_full = [(known, _IN_FULL + _A_WORD_MORE * len(known)) for known in names]
        for known, worth in (*in_full, *((known, _BY_A_WORD) for known in partly)):
            for first in range(len(said)):
                if said[first : first + len(known)] == known:
                    end = first + len(known)
                    yield worth + _beside(words, name, said, first, end), first, end, value


def _tells(words: ToolWords, word: str) -> bool:
    return len(word) > 2 and word not in FUNCTION_WORDS and word not in words.of_examples


def _beside(words: ToolWords, name: str, said: Sequence[str], first: int, end: int) -> float:
    before = first - 1 - (first > 1 and said[first - 1] in ARTICLES)
    led = before >= 0 and said[before] in words.before[name]
    followed = end < len(said) and said[end] in words.after[name]
    return _VALUE_AFTER * led + _VALUE_BEFORE * followed


def _fill_numbers(words: ToolWords, tokens: Sequence[Token], filled: Filled) -> None:
    tool, said = words.tool, [token.word for token in tokens]
    names = [n for n, p in tool.arguments.items() if p.type in ("integer", "number") and n not in filled.values]
    quantities = [q for q in quantities_of(tokens) if filled.used.isdisjoint(range(q.first, q.end))]
    fits = [
        (_fit(words, name, said, quantity, filled.used) + _REQUIRED * (name in tool.required), -number, name, quantity)
        for number, quantity in enumerate(quantities)
        for name in names
    ]
    taken: set[int] = set()
    for fit, number, name, quantity in sorted(fits, key=lambda f: (-f[0], -f[1])):
        least = _FIT_UNSURE if quantity.unsure else 0.0
        least = least if name in tool.required else max(least, _FIT_OPTIONAL)
        if name in filled.values or number in taken or fit < least:
            continue
        taken.add(number)
        value = _as_number(tool.arguments[name], _in_unit(words, name, said, quantity))
        if value is None:
            continue  # a number that does not fit is no other one
        filled.values[name] = [value]
        filled.used.update(range(quantity.first, quantity.end + _has_unit(words, name, said, quantity)))
    for name in names:
        if name not in filled.values and (share := _share_of_all(tool.arguments[name], said)) is not None:
            filled.values[name] = [share]


def _fit(words: ToolWords, name: str, said: Sequence[str], quantity: Quantity, used: set[int]) -> float:
    """How well a number fits an argument by the words beside it."""
    own = (words.after[name] | words.of_name[name]) - FUNCTION_WORDS
    following = [*said[quantity.end : quantity.end + 2], "", ""]
    units = [unit for unit in SECONDS if unit in own]
    if following[0] in SECONDS:
        fit = _FOREIGN_UNIT if not units else _OWN_UNIT if following[0] in units else _OTHER_UNIT
    else:
        fit = _NEXT if following[0] in own else _NEXT_BUT_ONE if following[1] in own else 0.0
    before = said[max(0, quantity.first - _NAMED_AT) : quantity.first]
    fit += _BEFORE * (bool(before) and before[-1] in words.before[name])
    fit += _NAMED_BEFORE * (not words.of_name[name].isdisjoint(before))
    return fit + _BEFORE_VALUE * (quantity.end in used and SLOT in words.after[name])


def _in_unit(words: ToolWords, name: str, said: Sequence[str], quantity: Quantity) -> float:
    """A number in the unit of time of an argument: 120 for two hours, where that takes minutes."""
    own = words.after[name] | words.of_name[name]
    unit = "".join(said[quantity.end : quantity.end + 1])
    units = [known for known in SECONDS if known in own]
    if unit not in SECONDS or not units:
        afternoon = unit in _AFTERNOON and quantity.value < 12
        return quantity.value + 12 * (afternoon and (words.tool.arguments[name].maximum or 0) >= 13)
    return quantity.value * SECONDS[unit] / SECONDS[unit if unit in units else units[0]]


def _has_unit(words: ToolWords, name: str, said: Sequence[str], quantity: Quantity) -> bool:
    unit = "".join(said[quantity.end : quantity.end + 1])
    return unit in SECONDS or unit in (words.after[name] | words.of_name[name]) - {SLOT} - FUNCTION_WORDS


def _as_number(parameter: Parameter, value: float) -> int | float | None:
    if math.isnan(value):
        return None
    number = int(value) if value.is_integer() else value
    return number if refuse_value(parameter, number) is None else None


def _share_of_all(parameter: Parameter, said: Sequence[str]) -> int | None:
    """Half, of an argument from 0 to 100."""
    if (parameter.minimum, parameter.maximum) != (0, 100) or parameter.enum:
        return None
    return next((share for share, words in _OF_ALL.items() if not words.isdisjoint(said)), None)


def _fill_text(words: ToolWords, name: str, text: str, tokens: Sequence[Token], filled: Filled) -> None:
    parameter = words.tool.arguments[name]
    pieces = best_pieces(words, name, text, tokens, filled.used)
    fitting = [piece for piece in pieces if refuse_value(parameter, piece.text) is None]
    if fitting:
        filled.values[name] = [piece.text for piece in fitting]
        filled.led.update(range(fitting[0].first, fitting[0].end) if fitting[0].led else ())


def missing_arguments(tool: DeclaredTool, values: Mapping[str, Any]) -> list[str]:
    """The required arguments that have no value, in the order of the schema."""
    return [name for name in tool.required if name not in values]
