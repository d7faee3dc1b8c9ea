"""What of a call a conversation has said: numbers, words for a value, and pieces of its text.

A small model knows what is asked for before it can copy a long number or a name that it never saw. So what a call may
hold is narrowed to what was said: pointing instead of spelling (as CopyNet, Gu et al. 2016, section 3, does by
learning).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import regex

from forge.tools.declared.schema import DeclaredTool, refuse_value
from forge.tools.drawing import number_in_words

# Numbers that a sum may need though nobody says them: small ones, and of units.
CONSTANTS = frozenset(str(n) for n in (*range(20), 24, 30, 31, 32, 52, 54, 60, 100, 365, 609, 1000, 3600, 4536))
MOST_PIECES = 3000  # beyond them a text is not narrowed
_LONGEST_PIECE = 12  # words
_HEARD = 2000  # last characters in which words for values are looked for: every value is, in each
_NUMERAL = re.compile(r"\d+(?:[,.' ]\d+)*")
_NUMBER_WORDS = {number_in_words(number).replace("-", " "): number for number in range(100)}
_IN_WORDS = re.compile(rf"\b(?:{'|'.join(sorted(_NUMBER_WORDS, key=len, reverse=True))})\b")
# With these a number is said whose digits stand nowhere.
_MULTIPLES = re.compile(r"(?i)\b(?:hundred|thousand|million|billion|dozen|score|half|quarter)s?\b|\d ?[km]\b")
_SCRIPTS_WITHOUT_BLANKS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Khmer}\p{Lao}\p{Myanmar}]")
_MARKS = ".,;:!?\"'()[]«»“”‘’„"


def digits_said(text: str) -> frozenset[str] | None:
    """Runs of digits that numbers of a text have, in whatever spelling: as they stand, without separators, without
    needless zeros, and of numbers in words up to ninety-nine. None where a number is said whose digits stand nowhere,
    as in "2k" or "three hundred"."""
    if _MULTIPLES.search(text):
        return None
    found: set[str] = set()
    for numeral in _NUMERAL.findall(text):
        runs = re.findall(r"\d+", numeral)
        ends = range(1, len(runs) + 1)
        found.update("".join(runs[first:last]) for last in ends for first in range(last))
    found |= {run.lstrip("0") for run in found} | {run.rstrip("0") for run in found}
    found |= {str(_NUMBER_WORDS[said]) for said in _IN_WORDS.findall(text.lower().replace("-", " "))}
    return frozenset(found - {""})


def pieces_said(text: str) -> list[str] | None:
    """Every run of words of each line of a text, at most 12, with and without the marks around it, shorter ones first;
    None where they are too many, or of a script that writes no blanks between words."""
    if _SCRIPTS_WITHOUT_BLANKS.search(text):
        return None
    found: dict[str, None] = {}
    for line in text.splitlines():
        words = [(word.start(), word.end()) for word in re.finditer(r"\S+", line)]
        for size in range(1, min(_LONGEST_PIECE, len(words)) + 1):
            for first in range(len(words) - size + 1):
                piece = line[words[first][0] : words[first + size - 1][1]]
                found |= dict.fromkeys((piece, piece.strip(_MARKS).strip()))
        if len(found) > MOST_PIECES:
            return None
    return [piece for piece in found if piece]


def narrowed_schema(tool: DeclaredTool, text: str, spells: Callable[[str], bool]) -> dict[str, Any]:
    """The schema of a tool's arguments with no values but those that a text says, that an example brings along, or
    that the tool lists with a word for it that is said. An argument of which nothing is said may hold whatever its
    schema allows. ``spells``: whether the model can write a text."""
    schema = tool.json_schema()
    narrowed = {}
    for name, parameter in tool.arguments.items():
        item = parameter.items or parameter
        values = _values_said(tool, name, text)
        fit = [value for value in values or () if refuse_value(item, value) is None and spells(str(value))]
        own = schema["properties"][name]
        if fit:
            short = {"enum": fit, "type": item.type}
            own = {**own, "items": short} if parameter.items else short
        narrowed[name] = own
    return {**schema, "properties": narrowed}


def missing_argument(tool: DeclaredTool, text: str) -> str | None:
    """The first required argument of which a text says no value, and no example brings one along."""
    return next((name for name in tool.required if _values_said(tool, name, text) == []), None)


def _values_said(tool: DeclaredTool, name: str, text: str) -> list[Any] | None:
    """Values that an argument, or an item of it, may have after a text; None for any."""
    parameter = tool.arguments[name]
    item, known, listed = parameter.items or parameter, tool.values_of_examples(name), tool.values.get(name)
    if item.type == "boolean":
        return None
    if item.enum is not None:
        said = values_mentioned(tool, item.enum, text)
        return [value for value in item.enum if value in said or value in known]
    if isinstance(listed, tuple):
        said = values_mentioned(tool, listed, text)
        known += [value for value in listed if value in said]
    if item.type == "string":
        pieces = pieces_said(text)
        return None if pieces is None else list(dict.fromkeys([*known, *pieces]))
    digits = digits_said(text)
    return None if digits is None else list(dict.fromkeys([*known, *_numbers_said(text, digits, item.type)]))


def values_mentioned(tool: DeclaredTool, values: Sequence[Any], text: str) -> set[Any]:
    """Which values a text speaks of: by name or synonym, a typo allowed, or by a word that no other of them has."""
    text = text[-_HEARD:]
    words = {value: {word.lower() for word in re.findall(r"\w{3,}", str(value))} for value in values}
    found = set()
    for value in values:
        others: set[str] = set().union(*(words[other] for other in values if other != value))
        names = [str(value).replace("_", " "), *tool.synonyms_for(value), *sorted(words[value] - others)]
        if any(_is_mentioned(name, text) for name in names):
            found.add(value)
    return found


@lru_cache(maxsize=4096)  # tools of one home have the same rooms
def _is_mentioned(name: str, text: str) -> bool:
    # A letter more, less, other, or two swapped, which is one less and one more.
    cost = 0 if len(name) < 5 or any(letter.isdigit() for letter in name) else 2
    pattern = rf"(?i)(?<!\w)(?:{regex.escape(name)}){{1i+1d+2s<={cost}}}(?!\w)"
    return regex.search(pattern, text) is not None


def _numbers_said(text: str, digits: frozenset[str], kind: str) -> list[int | float]:
    """Numbers that runs of digits may be, negative ones where a minus is said, and with kind "number" decimals."""
    found: list[int | float] = sorted(int(run) for run in digits if len(run) <= 16)
    if kind == "number":
        found += [float(f"{whole}.{part}") for whole, part in re.findall(r"(?<!\d)(\d{1,15})[.,](\d{1,9})(?!\d)", text)]
    signed = re.search(r"(?i)[-−]\s?\d|\bminus\b|\bnegative\b|\bbelow\b", text) is not None
    return [*found, *(-number for number in found)] if signed else found
