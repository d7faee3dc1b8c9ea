"""Numbers that a sentence says: in digits, in words up to 999, with a unit of time, and as "half an hour".

A number of which a part would be another one (`two thousand`, `1.5 million`, `10+5`, `20-22`, `7:30`) is NaN: it is
asked for, not shortened.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from forge.tools.declared.tokens import Token, stem_of_tool_word
from forge.tools.words import NUMBER_WORDS

SECONDS = {
    stem_of_tool_word(unit): seconds
    for unit, seconds in {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}.items()
}
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
CLOCK = "clock"  # unit of a whole hour of the day: 14:00
_LONGEST = 16  # digits of a number; none that is longer is exact
_PARTS = {"half": 0.5, "quarter": 0.25}
_MINUS = frozenset({"-", "−", "minus", "negative"})
# Behind a number: it is another one; and right behind it, without a blank.
_GOES_ON, _SPELLED_ON = frozenset({"thousand", "million", "billion", "k", "hundred", "point"}), frozenset({"e", "x"})
_JOINS = frozenset("+*/^=×÷:-–−")  # right beside a number


@dataclass(frozen=True)
class Quantity:
    """A number of a sentence. first, end: its tokens, those of its unit included. unit: of time, as a stem, or
    `CLOCK`. unsure: it
    may be no number, as in "which one"."""

    first: int
    end: int
    value: float
    unit: str = ""
    unsure: bool = False


def quantities_in_tool_request(tokens: Sequence[Token]) -> list[Quantity]:
    """The numbers of a sentence, in order; NaN for one that is written in no known way: no part of it is taken."""
    words, found, place = [token.text.lower() for token in tokens], list[Quantity](), 0
    while place < len(words):
        read = next((q for q in _ways_to_read(words, tokens, place) if q is not None), None)
        if read is None:
            place += 1
            continue
        found.append(_with_unit(words, _whole(words, tokens, read)))
        place = found[-1].end
    return _durations(words, tokens, found)


def _ways_to_read(words: Sequence[str], tokens: Sequence[Token], place: int) -> Iterator[Quantity | None]:
    if words[place][0].isdecimal():
        yield _in_digits(words, tokens, place)
    if words[place] in _PARTS:
        yield _part_of_unit(words, place)
    if words[place] in ("a", "an"):
        yield _with_article(words, place)
    yield _in_words(words, place)


def _in_digits(words: Sequence[str], tokens: Sequence[Token], place: int) -> Quantity:
    numeral = words[place]
    plain = numeral.replace(",", "") if _GROUPED.fullmatch(numeral) else numeral.replace(",", ".")
    value = float(plain) if plain.count(".") <= 1 and len(plain) <= _LONGEST else math.nan
    if words[place + 1 : place + 3] == [":", "00"]:
        return Quantity(place, place + 3, value, CLOCK)
    bare = place > 0 and words[place - 1] == "." and not _touches(tokens, place - 1)  # .5
    value, place_of_sign = (value / 10 ** len(numeral) if bare else value), place - bare
    signed = place_of_sign > 0 and words[place_of_sign - 1] in _MINUS and not _touches(tokens, place_of_sign - 1)
    return Quantity(place_of_sign - signed, place + 1, -value if signed else value)


def _touches(tokens: Sequence[Token], place: int) -> bool:
    """Whether a token stands behind another one without a blank: the mark of `10-20`."""
    return place > 0 and tokens[place - 1].end == tokens[place].start and tokens[place - 1].text[-1].isalnum()


def _whole(words: Sequence[str], tokens: Sequence[Token], read: Quantity) -> Quantity:
    """A number, or NaN with all that belongs to it where it is part of another one."""
    first, end, known = read.first, read.end, not math.isnan(read.value)
    behind = words[first - 1] if first > 0 and tokens[first - 1].end == tokens[first].start else ""
    spelled = behind[:1].isalpha() and stem_of_tool_word(behind) not in SECONDS  # b95
    if spelled or (behind in _JOINS and first > 1 and _touches(tokens, first - 1)):  # x=5
        first, known = first - 1, False
    while end < len(words):
        beside = tokens[end - 1].end == tokens[end].start
        joined = beside and words[end] in _JOINS and "".join(words[end + 1 : end + 2])[:1].isalnum()
        grouped = words[end][0].isdecimal() and words[end - 1][0].isdecimal()  # 1 000
        spelled = words[end] in _GOES_ON or (beside and words[end] in _SPELLED_ON)
        if not (joined or grouped or spelled or (not known and words[end] in NUMBER_WORDS)):
            break
        end, known = end + 1 + joined, False
    return read if known else Quantity(first, end, math.nan)


def _part_of_unit(words: Sequence[str], place: int) -> Quantity | None:
    """Half an hour."""
    after = place + 1 + (words[place + 1 : place + 2] == ["of"])
    unit = words[after : after + 2]
    said = len(unit) == 2 and unit[0] in ("a", "an") and stem_of_tool_word(unit[1]) in SECONDS
    return Quantity(place, after + 1, _PARTS[words[place]]) if said else None


def _with_article(words: Sequence[str], place: int) -> Quantity | None:
    """A hundred and fifty, a dozen, an hour."""
    following = words[place + 1 : place + 2]
    if following == ["dozen"]:
        return Quantity(place, place + 2, 12.0)
    if following == ["hundred"]:
        return _hundreds(words, place, place + 2, 100)
    if following and stem_of_tool_word(following[0]) in SECONDS:
        return Quantity(place, place + 1, 1.0)
    return None


def _in_words(words: Sequence[str], place: int) -> Quantity | None:
    value, end = _below_hundred(words, place)
    if end == place:
        return None
    if words[end : end + 1] == ["hundred"] and value:
        found = _hundreds(words, place, end + 1, 100 * value)
    else:
        found = Quantity(place, end, float(value), unsure=words[place:end] == ["one"])
    if words[found.end : found.end + 3] == ["and", "a", "half"]:  # two and a half hours
        found = replace(found, end=found.end + 3, value=found.value + 0.5, unsure=False)
    signed = place > 0 and words[place - 1] in _MINUS - {"-", "−"}
    return replace(found, first=place - 1, value=-found.value) if signed else found


def _hundreds(words: Sequence[str], first: int, end: int, value: int) -> Quantity:
    more, after = _below_hundred(words, end + (words[end : end + 1] == ["and"]))
    return Quantity(first, after, float(value + more)) if more else Quantity(first, end, float(value))


def _below_hundred(words: Sequence[str], place: int) -> tuple[int, int]:
    """The number in words that begins at a place, and the place behind it, which is the same where none does."""
    for size in (3, 2, 1):  # forty - five, forty five, forty
        said = " ".join(word for word in words[place : place + size] if word != "-")
        if said in NUMBER_WORDS and len(words) >= place + size and words[place + size - 1] != "-":
            return NUMBER_WORDS[said], place + size
    return 0, place


def _with_unit(words: Sequence[str], read: Quantity) -> Quantity:
    """A number with the unit of time behind it, and with the half behind that: an hour and a half."""
    unit = stem_of_tool_word(words[read.end]) if read.end < len(words) else ""
    if unit not in SECONDS:
        return read
    half = words[read.end + 1 : read.end + 4] == ["and", "a", "half"]
    return replace(read, end=read.end + 1 + 3 * half, value=read.value + 0.5 * half, unit=unit, unsure=False)


def _durations(words: Sequence[str], tokens: Sequence[Token], read: Sequence[Quantity]) -> list[Quantity]:
    """Numbers of which those with units of time that follow each other are one, in the smaller unit: 1 hour 30
    minutes."""
    found: list[Quantity] = []
    for quantity in read:
        before = found[-1] if found else None
        between = words[before.end : quantity.first] if before is not None else [""]
        beside = between in ([], ["and"], [","]) and (quantity.unit or _touches(tokens, quantity.first))
        if before is None or not beside or before.unit not in SECONDS or not _is_smaller(quantity, before):
            found.append(quantity)
            continue
        known = quantity.unit or stem_of_tool_word("minute" if before.unit == stem_of_tool_word("hour") else "second")
        value = before.value * SECONDS[before.unit] / SECONDS[known] + quantity.value
        found[-1] = Quantity(before.first, quantity.end, value, known)
    return found


def _is_smaller(quantity: Quantity, before: Quantity) -> bool:
    """Whether a number may be the rest of a duration: its unit is a smaller one, or it has none."""
    return not quantity.unit or SECONDS.get(quantity.unit, math.inf) < SECONDS[before.unit]
