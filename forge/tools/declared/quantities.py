"""Numbers that a sentence says: in digits, in words up to 999, and as "half an hour"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from forge.tools.declared.tokens import Token, stem_of
from forge.tools.words import NUMBER_WORDS

SECONDS = {stem_of("second"): 1, stem_of("minute"): 60, stem_of("hour"): 3600}
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_LONGEST = 16  # digits of a number; none that is longer is exact
_PARTS = {"half": 0.5, "quarter": 0.25}
_MINUS = frozenset({"-", "−", "minus"})


@dataclass(frozen=True)
class Quantity:
    """A number of a sentence. first, end: its tokens. unsure: it may be no number, as in "which one"."""

    first: int
    end: int
    value: float
    unsure: bool = False


def quantities_of(tokens: Sequence[Token]) -> list[Quantity]:
    """The numbers of a sentence, in order; NaN for one that is written in no known way: no part of it is taken."""
    words, found, place = [token.text.lower() for token in tokens], list[Quantity](), 0
    while place < len(words):
        read = next((q for q in _ways_to_read(words, tokens, place) if q is not None), None)
        if read is not None:
            found.append(read)
        place = read.end if read is not None else place + 1
    return found


def _ways_to_read(words: Sequence[str], tokens: Sequence[Token], place: int) -> Iterator[Quantity | None]:
    if words[place][0].isdigit():
        yield _in_digits(words, tokens, place)
    if words[place] in _PARTS:
        yield _part_of_unit(words, place)
    if words[place] in ("a", "an"):
        yield _with_article(words, place)
    yield _in_words(words, place)


def _in_digits(words: Sequence[str], tokens: Sequence[Token], place: int) -> Quantity:
    numeral = words[place]
    plain = numeral.replace(",", "") if _GROUPED.fullmatch(numeral) else numeral.replace(",", ".")
    value = float(plain) if plain.count(".") <= 1 and len(plain) <= _LONGEST else float("nan")
    signed = place > 0 and words[place - 1] in _MINUS and not _joins(tokens, place)
    return Quantity(place - signed, place + 1, -value if signed else value)


def _joins(tokens: Sequence[Token], place: int) -> bool:
    """Whether the mark before a number stands behind a word or number without a blank: `10-20`."""
    return place > 1 and tokens[place - 2].end == tokens[place - 1].start and tokens[place - 1].text != "minus"


def _part_of_unit(words: Sequence[str], place: int) -> Quantity | None:
    """Half an hour."""
    after = place + 1 + (words[place + 1 : place + 2] == ["of"])
    unit = words[after : after + 2]
    said = len(unit) == 2 and unit[0] in ("a", "an") and stem_of(unit[1]) in SECONDS
    return Quantity(place, after + 1, _PARTS[words[place]]) if said else None


def _with_article(words: Sequence[str], place: int) -> Quantity | None:
    """A hundred and fifty, a dozen, an hour and a half."""
    following = words[place + 1 : place + 2]
    if following == ["dozen"]:
        return Quantity(place, place + 2, 12.0)
    if following == ["hundred"]:
        return _hundreds(words, place, place + 2, 100)
    if following and stem_of(following[0]) in SECONDS:
        return Quantity(place, place + 1, 1.0)
    return None


def _in_words(words: Sequence[str], place: int) -> Quantity | None:
    value, end = _below_hundred(words, place)
    if end == place:
        return None
    if words[end : end + 1] == ["hundred"] and value:
        return _hundreds(words, place, end + 1, 100 * value)
    return Quantity(place, end, float(value), unsure=words[place:end] == ["one"])


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
