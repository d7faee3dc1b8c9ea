"""What a sentence says for the arguments of a tool: listed values, numbers, a piece of its text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from forge.tools.declared.pieces import best_tool_argument_pieces
from forge.tools.declared.quantities import CLOCK, SECONDS, Quantity, quantities_in_tool_request
from forge.tools.declared.schema import DeclaredTool, Parameter, refuse_tool_value
from forge.tools.declared.tokens import ARTICLES, FUNCTION_WORDS, Token, stems_of_tool_words
from forge.tools.declared.vocabulary import SLOT, ToolWords

Spells = Callable[[str], bool]
# How well a number fits an argument: its unit beside it, another unit of time, a word that examples have beside the
# slot (or the name of the argument) next to it, one further, before it, the name of the argument further before it.
_OWN_UNIT, _OTHER_UNIT, _NEXT, _NEXT_BUT_ONE, _BEFORE, _NAMED_BEFORE = 2.0, 1.2, 2.0, 1.0, 0.8, 0.7
_FOREIGN_UNIT, _BEFORE_VALUE, _RELATIVE = -1.5, 1.5, -9.0
_FIT_UNSURE, _FIT_OPTIONAL, _REQUIRED = 1.0, 0.7, 0.1
_NAMED_AT = 3  # tokens before a number
# How well listed values are named: in full, as they are written, by one of their words; with a word beside it that
# examples have there.
_IN_FULL, _AS_WRITTEN, _BY_A_WORD, _A_WORD_MORE, _VALUE_AFTER, _VALUE_BEFORE = 2.0, 0.3, 1.0, 0.1, 0.8, 0.5
_OF_ALL = {  # words for shares of a hundred
    50: frozenset(stems_of_tool_words("half halfway")),
    100: frozenset(stems_of_tool_words("full fully max maximum completely")),
}
_AFTERNOON = frozenset({"pm"})
_OF_CLOCK = frozenset(stems_of_tool_words("hour time clock o'clock at"))
# What says that a number is a difference, not a value.
_BY = frozenset({"by"})
_COMPARED = frozenset(
    stems_of_tool_words(
        "brighter colder cooler darker faster higher hotter less longer louder lower more quieter shorter warmer"
    )
)


class Mention(NamedTuple):
    """Of a listed value of an argument. first, end: its tokens."""

    worth: float
    name: str
    first: int
    end: int
    value: Any


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


def fill_tool_arguments(words: ToolWords, text: str, tokens: Sequence[Token], spells: Spells) -> Filled:
    """What a text says for the arguments of a tool; nothing for those of which it says nothing."""
    filled = Filled()
    _fill_listed(words, tokens, filled)
    _fill_numbers(words, tokens, filled)
    texts = [name for name, parameter in words.tool.arguments.items() if parameter.free and name not in filled.values]
    taken = set(filled.used)
    for name in texts:
        taken |= _fill_text(words, name, text, tokens, filled, taken)
    for name, values in list(filled.values.items()):
        fitting = [value for value in values if spells(str(value))]
        filled.values[name] = fitting
        if not fitting:
            del filled.values[name]
    return filled


def _fill_listed(words: ToolWords, tokens: Sequence[Token], filled: Filled) -> None:
    """Each mention says one argument, the one that it fits best; a name within a longer one says none."""
    found = [mention for name in words.tool.arguments for mention in tool_value_mentions(words, name, tokens)]
    longest = longest_tool_mentions(found)
    mentions: dict[str, list[Mention]] = {}
    for mention in sorted(longest, key=lambda m: (-m.worth, m.first)):
        known = mentions.get(mention.name)
        # Its first mention is not to be the first of another; further ones are not to be any other's.
        others = [m for name, own in mentions.items() if name != mention.name for m in own[: None if known else 1]]
        if not any(m.first < mention.end and mention.first < m.end for m in others):
            mentions.setdefault(mention.name, []).append(mention)
    for name, own in mentions.items():
        parameter = words.tool.arguments[name]
        values = list(dict.fromkeys(m.value for m in own))
        if parameter.items:
            listed = list(dict.fromkeys(m.value for m in sorted(own, key=lambda m: m.first)))
            values = [listed] if refuse_tool_value(parameter, listed) is None else []
        if values:
            filled.values[name] = values
            filled.used.update(place for m in own for place in range(m.first, m.end))


def longest_tool_mentions(found: Sequence[Mention]) -> list[Mention]:
    """Mentions without those within a longer one."""
    return [mention for mention in found if not any(_is_inside(mention, other) for other in found)]


def _is_inside(mention: Mention, other: Mention) -> bool:
    return (
        other.first <= mention.first
        and mention.end <= other.end
        and other.end - other.first > mention.end - mention.first
    )


def tool_value_mentions(words: ToolWords, name: str, tokens: Sequence[Token]) -> Iterator[Mention]:
    """Where listed values of an argument are named in full, or by a word that no other of them has."""
    said = tuple(token.word for token in tokens)
    names = words.names_of_values[name]
    for first, word in enumerate(said):
        for known, in_full, value, written in names.get(word, ()):
            end = first + len(known)
            if said[first:end] != known:
                continue
            beside = _beside(words, name, said, first, end)
            if FUNCTION_WORDS.issuperset(known) and not beside:
                continue  # a value such as "a" or "it", which sentences have for other reasons
            worth = _IN_FULL + _A_WORD_MORE * len(known) if in_full else _BY_A_WORD
            worth += _AS_WRITTEN * (" ".join(token.text.lower() for token in tokens[first:end]) == written)
            yield Mention(worth + beside, name, first, end, value)


def _beside(words: ToolWords, name: str, said: Sequence[str], first: int, end: int) -> float:
    before = first - 1 - (first > 1 and said[first - 1] in ARTICLES)
    led = before >= 0 and said[before] in words.before[name]
    followed = end < len(said) and said[end] in words.after[name]
    return _VALUE_AFTER * led + _VALUE_BEFORE * followed


def _fill_numbers(words: ToolWords, tokens: Sequence[Token], filled: Filled) -> None:
    tool, said = words.tool, [token.word for token in tokens]
    quantities = [q for q in quantities_in_tool_request(tokens) if filled.used.isdisjoint(range(q.first, q.end))]
    _fill_lists_of_numbers(tool, quantities, filled)
    names = [n for n, p in tool.arguments.items() if p.type in ("integer", "number") and n not in filled.values]
    fits = [
        (_fit(words, name, said, quantities, number, filled.used) + _REQUIRED * (name in tool.required), number, name)
        for number in range(len(quantities))
        for name in names
    ]
    taken: set[int] = set()
    for fit, number, name in sorted(fits, key=lambda f: (-f[0], f[1])):
        quantity = quantities[number]
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
    counted = filled.used.union(*(range(quantity.first, quantity.end) for quantity in quantities))
    rest = [word for place, word in enumerate(said) if place not in counted]
    for name in names:
        if name not in filled.values and (share := _share_of_all(tool.arguments[name], rest)) is not None:
            filled.values[name] = [share]


def _fill_lists_of_numbers(tool: DeclaredTool, quantities: Sequence[Quantity], filled: Filled) -> None:
    """A list takes all numbers of a sentence."""
    for name, parameter in tool.arguments.items():
        items = parameter.items
        if items is None or items.enum or items.type not in ("integer", "number") or not quantities:
            continue
        numbers = [_as_number(items, quantity.value) for quantity in quantities]
        if None not in numbers and refuse_tool_value(parameter, numbers) is None:
            filled.values[name] = [numbers]
            filled.used.update(place for quantity in quantities for place in range(quantity.first, quantity.end))


def _fit(
    words: ToolWords, name: str, said: Sequence[str], quantities: Sequence[Quantity], number: int, used: set[int]
) -> float:
    """How well a number fits an argument by the words beside it."""
    quantity = quantities[number]
    own = (words.after[name] | words.of_name[name]) - FUNCTION_WORDS
    following = [*said[quantity.end : quantity.end + 2], "", ""]
    begin = max(0, quantity.first - _NAMED_AT, quantities[number - 1].end if number else 0)
    before = said[begin : quantity.first]
    if (_COMPARED - words.of_examples) & set(following) or (_BY - words.before[name]) & set(before[-1:]):
        return _RELATIVE
    if quantity.unit in SECONDS:
        units = [unit for unit in SECONDS if unit in own]
        fit = _FOREIGN_UNIT if not units else _OWN_UNIT if quantity.unit in units else _OTHER_UNIT
    elif quantity.unit == CLOCK:
        fit = _OWN_UNIT if _OF_CLOCK & (own | words.before[name]) else _FOREIGN_UNIT
    else:
        fit = _NEXT if following[0] in own else _NEXT_BUT_ONE if following[1] in own else 0.0
    named = not words.of_name[name].isdisjoint(before)
    fit += _BEFORE * (bool(before) and before[-1] in words.before[name]) + _NAMED_BEFORE * named
    fit += _NEXT * (bool(before) and before[-1] in words.of_name[name])
    return fit + _BEFORE_VALUE * (quantity.end in used and SLOT in words.after[name])


def _in_unit(words: ToolWords, name: str, said: Sequence[str], quantity: Quantity) -> float:
    """A number in the unit of time of an argument: 120 for two hours, where that takes minutes."""
    own = words.after[name] | words.of_name[name]
    units = [known for known in SECONDS if known in own]
    if quantity.unit not in SECONDS or not units:
        afternoon = bool(_AFTERNOON & set(said[quantity.end : quantity.end + 1])) and quantity.value < 12
        return quantity.value + 12 * (afternoon and (words.tool.arguments[name].maximum or 0) >= 13)
    return quantity.value * SECONDS[quantity.unit] / SECONDS[quantity.unit if quantity.unit in units else units[0]]


def _has_unit(words: ToolWords, name: str, said: Sequence[str], quantity: Quantity) -> bool:
    unit = "".join(said[quantity.end : quantity.end + 1])
    return unit in (words.after[name] | words.of_name[name]) - {SLOT} - FUNCTION_WORDS


def _as_number(parameter: Parameter, value: float) -> int | float | None:
    if math.isnan(value):
        return None
    number = int(value) if value.is_integer() else value
    return number if refuse_tool_value(parameter, number) is None else None


def _share_of_all(parameter: Parameter, said: Sequence[str]) -> int | None:
    """Half or full, of an argument from 0 to 100; None where neither is said."""
    if (parameter.minimum, parameter.maximum) != (0, 100) or parameter.enum:
        return None
    return next((share for share, words in _OF_ALL.items() if not words.isdisjoint(said)), None)


def _fill_text(
    words: ToolWords, name: str, text: str, tokens: Sequence[Token], filled: Filled, taken: set[int]
) -> set[int]:
    """Fills a text from what is not taken. Returns what it takes."""
    parameter = words.tool.arguments[name]
    pieces = best_tool_argument_pieces(words, name, text, tokens, taken)
    fitting = [piece for piece in pieces if refuse_tool_value(parameter, piece.text) is None]
    if not fitting:
        return set()
    own = set(range(fitting[0].first, fitting[0].end))
    filled.values[name] = [piece.text for piece in fitting]
    filled.led |= own if fitting[0].led else set()
    return own


def is_tool_argument_readable(words: ToolWords, name: str) -> bool:
    """Whether a sentence can say an argument in a way that is read here."""
    parameter = words.tool.arguments[name]
    item = parameter.items or parameter
    if item.type == "boolean" or item.enum:
        return bool(words.values[name]) or any(name in fixed for fixed, _ in words.commands)
    return parameter.items is None or item.type in ("integer", "number")


def missing_arguments(words: ToolWords, values: Mapping[str, Any]) -> list[str]:
    """The required arguments without a value, in the order of the schema, but for those that no sentence could say."""
    return [name for name in words.tool.required if name not in values and is_tool_argument_readable(words, name)]
