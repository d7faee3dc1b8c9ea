"""What of a call a conversation has said: numbers, words for a value, and pieces of its text.

A small model knows what is asked for before it can copy a long number or a name that it never saw. So what a call may
hold is narrowed to what was said: pointing instead of spelling (as CopyNet, Gu et al. 2016, section 3, does by
learning).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import regex

from forge.tools.declared.forms import CallForm
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
    found |= {run.lstrip("0") for run in found} | {part.rstrip("0") for part in re.findall(r"\d[.,](\d+)", text)}
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


def narrowed_schema(form: CallForm, text: str, spells: Callable[[str], bool]) -> dict[str, Any] | str:
    """The schema of a form's arguments with no values but those that a text says, or the name of the first argument of
    which it says none. ``spells``: whether the model can write a text."""
    tool = form.tool
    schema = tool.json_schema()
    narrowed: dict[str, Any] = {}
    for name in tool.arguments:
        if name in form.arguments:
            narrowed[name] = {"const": form.arguments[name]}
        elif name in form.slots:
            values = _values_said(tool, name, text, spells)
            if values == []:
                return name
            narrowed[name] = schema["properties"][name] if values is None else _one_of(tool, name, values, text)
    return {**schema, "properties": narrowed, "required": list(narrowed)}


def schema_without_calls(
    form: CallForm, schema: dict[str, Any], calls: Sequence[tuple[str, Mapping[str, Any]]]
) -> dict[str, Any] | None:
    """A narrowed schema that calls, (name, arguments) each, no longer fit, because one argument must be another than
    theirs: one of an `enum` if it can be, else a number, else a text of other words. None where none can be."""
    own = [
        arguments
        for name, arguments in calls
        if name == form.tool.name
        and arguments.keys() == form.arguments.keys() | set(form.slots)
        and all(arguments[key] == value for key, value in form.arguments.items())
    ]
    if not own:
        return schema
    listed = [slot for slot in form.slots if form.tool.arguments[slot].enum is not None]
    texts = [slot for slot in form.slots if form.tool.arguments[slot].free]
    for slot in [*listed, *(s for s in form.slots if s not in listed and s not in texts), *texts]:
        known = [call[slot] for call in own]
        words = {word for value in known if slot in texts for word in str(value).lower().split()}
        values = schema["properties"][slot].get("enum", ())
        left = [v for v in values if v not in known and words.isdisjoint(str(v).lower().split())]
        if left:
            return {**schema, "properties": {**schema["properties"], slot: {"enum": left}}}
    return None


def _one_of(tool: DeclaredTool, name: str, values: list[Any], text: str) -> dict[str, Any]:
    """A schema of these values. Of a list of an `enum`: all that were mentioned last, in their order."""
    parameter = tool.arguments[name]
    if parameter.items is None:
        return {"enum": values, "type": parameter.type}
    known = parameter.items.enum or ()
    lines = (values_mentioned(tool, known, line) for line in reversed(text.splitlines()))
    last = next((said for said in lines if said), {})
    together = sorted(last, key=lambda value: last[value])
    if together and refuse_value(parameter, together) is None:
        return {"const": together}
    return {**parameter.json_schema(), "items": {"enum": values, "type": parameter.items.type}}


def _values_said(tool: DeclaredTool, name: str, text: str, spells: Callable[[str], bool]) -> list[Any] | None:
    """Values that an argument, or an item of it, may have after a text; None for any."""
    parameter = tool.arguments[name]
    item = parameter.items or parameter
    if item.type == "boolean":
        return None
    values: list[Any]
    if item.enum is not None:
        said = values_mentioned(tool, item.enum, text)
        values = [value for value in item.enum if value in said]
    else:
        listed = tool.listed_with_words(name)
        mentioned = values_mentioned(tool, listed, text)
        values = [value for value in listed if value in mentioned]
        found = pieces_said(text) if item.type == "string" else numbers_said(text, item.type)
        if found is None:
            return None
        values = list(dict.fromkeys([*values, *found]))
    return [value for value in values if refuse_value(item, value) is None and spells(str(value))]


def values_mentioned(tool: DeclaredTool, values: Sequence[Any], text: str) -> dict[Any, int]:
    """Which values a text speaks of, and where first: by name or synonym, a typo allowed, or by a word that no other of
    them has."""
    text = text[-_HEARD:]
    words = {value: {word.lower() for word in re.findall(r"\w{3,}", str(value))} for value in values}
    found = {}
    for value in values:
        others: set[str] = set().union(*(words[other] for other in values if other != value))
        names = [str(value).replace("_", " "), *tool.synonyms_for(value), *sorted(words[value] - others)]
        places = [place for name in names if (place := _place_of_mention(name, text)) >= 0]
        if places:
            found[value] = min(places)
    return found


@lru_cache(maxsize=4096)  # tools of one home have the same rooms
def _place_of_mention(name: str, text: str) -> int:
    # A letter more, less, other, or two swapped, which is one less and one more.
    cost = 0 if len(name) < 5 or any(letter.isdigit() for letter in name) else 2
    pattern = rf"(?i)(?<!\w)(?:{regex.escape(name)}){{i<=1,d<=1,1i+1d+2s<={cost}}}(?!\w)"
    found = regex.search(pattern, text)
    return -1 if found is None else int(found.start())


def numbers_said(text: str, kind: str) -> list[int | float] | None:
    """Numbers that a text says, negative ones where a minus is said, and with kind "number" decimals; None where one is
    said whose digits stand nowhere."""
    digits = digits_said(text)
    if digits is None:
        return None
    found: list[int | float] = sorted(int(run) for run in digits if len(run) <= 16)
    if kind == "number":
        found += [float(f"{whole}.{part}") for whole, part in re.findall(r"(?<!\d)(\d{1,15})[.,](\d{1,9})(?!\d)", text)]
    signed = re.search(r"(?i)[-−]\s?\d|\bminus\b|\bnegative\b|\bbelow\b", text) is not None
    return [*found, *(-number for number in found)] if signed else found
