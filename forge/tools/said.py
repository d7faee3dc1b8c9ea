"""What of a call a conversation has said: numbers, words for a value, and pieces of its text.

A small model knows what is asked for before it can copy a long number or a name that it never saw. So what a call may
hold is narrowed to what was said: pointing instead of spelling (as CopyNet, Gu et al. 2016, section 3, does by
learning).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import regex

from forge.tools.declared.aligned import bare_value, follows_up, is_joined, slots_as_said
from forge.tools.declared.schema import DeclaredTool, Parameter, refuse_value, value_as_said
from forge.tools.words import NUMBER_WORDS

if TYPE_CHECKING:
    from forge.tools.declared.forms import CallForm

# Numbers that a sum may need though nobody says them: small ones, and of units.
CONSTANTS = frozenset(str(n) for n in (*range(20), 24, 30, 31, 32, 52, 54, 60, 100, 365, 609, 1000, 3600, 4536))
MOST_PIECES = 3000  # beyond them a text is not narrowed
_LONGEST_PIECE = 12  # words
_MOST_GROUPS = 6  # of digits that are one number
_SHORTEST_WITH_TYPO = 5  # letters of a name that a typo leaves recognizable
_LONGEST_NUMBER = 16  # digits
_DROPPED = re.compile(r"(?i)\b(?:stop|undo|cancel|never ?mind|forget|nothing|thanks?|thank you|bye|sorry|no)\b")
_HEARD = 2000  # last characters in which words for values are looked for: every value is, in each
_NUMERAL = re.compile(r"\d+(?:[,.' ]\d+)*")
_WORDED = "|".join(sorted(NUMBER_WORDS, key=len, reverse=True)).replace(" ", "[ -]")
_IN_WORDS = re.compile(rf"\b(?:{_WORDED})\b")
_NUMBER_SAID = re.compile(
    rf"(?:(?<![\d.,)])([-−]|minus |negative ))?((?<![A-Za-z_\d])(?:\d+(?:[,.' ]\d+)*|\.\d+)|\b(?!one\b)(?:{_WORDED})\b)"
)
_ONE_COUNTED = re.compile(r"(?i)\bone (?:plus|minus|times|by|over|and)\b|\b(?:plus|minus|times|by|over|and|add) one\b")
# With these a number is said whose digits stand nowhere.
_MULTIPLES = re.compile(r"(?i)\b(?:hundred|thousand|million|billion|dozen|score|half|quarter)s?\b|\d ?[km]\b")
_SCRIPTS_WITHOUT_BLANKS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Khmer}\p{Lao}\p{Myanmar}]")
MARKS = ".,;:!?\"'()[]«»“”‘’„"


def digits_said(text: str) -> frozenset[str] | None:
    """Runs of digits that numbers of a text have, in whatever spelling: as they stand, without separators, without
    needless zeros, and of numbers in words up to ninety-nine. None where a number is said whose digits stand nowhere,
    as in "2k" or "three hundred", and where they are too many."""
    if _MULTIPLES.search(text):
        return None
    found: set[str] = set()
    for numeral in _NUMERAL.findall(text):
        runs = re.findall(r"\d+", numeral)
        if len(found) + _MOST_GROUPS * len(runs) > MOST_PIECES:
            return None
        ends = range(1, len(runs) + 1)
        found.update("".join(runs[first:last]) for last in ends for first in range(max(0, last - _MOST_GROUPS), last))
    found |= {run.lstrip("0") for run in found} | {part.rstrip("0") for part in re.findall(r"\d[.,](\d+)", text)}
    found |= {str(NUMBER_WORDS[said.replace("-", " ")]) for said in _IN_WORDS.findall(text.lower())}
    return frozenset(found - {""})


def numbers_as_written(text: str) -> list[tuple[str, ...]] | None:
    """Numbers that a text says, in their order, each in the spellings that a calculator may be given: without
    separators, as it stands, with a point; with a minus where one is said before it. None where a number is said whose
    digits stand nowhere."""
    if _MULTIPLES.search(text) or _ONE_COUNTED.search(text):
        return None
    found = []
    for match in _NUMBER_SAID.finditer(text.lower()):
        sign, said = match[1], match[2]
        spelled = [str(NUMBER_WORDS[said.replace("-", " ")])] if said[0].isalpha() else spellings_of_numeral(said)
        negative = [f"-{number}" for number in spelled]
        # "10 minus 8" is a difference, "minus 8" and "times minus 8" are no such thing.
        found.append(tuple({None: spelled, "minus": [*spelled, *negative]}.get(sign and sign.strip(), negative)))
    return found


def spellings_of_numeral(numeral: str) -> list[str]:
    """A number in digits as a calculator may be given it: without separators, as it stands, with a point, without zeros
    at its end."""
    plain = re.sub(r"[ ']", "", f"0{numeral}" if numeral[0] == "." else numeral)
    found = [re.sub(r"[,.]", "", plain)] if re.fullmatch(r"\d{1,3}(?:[,.' ]\d{3})+", numeral) else []
    whole, mark, part = plain.rpartition(".")
    found += [f"{whole.replace(',', '')}.{part}"] if mark and "." not in whole else []
    found += [plain, plain.replace(",", ".")] if len(re.findall("[,.]", plain)) <= 1 else []
    found += [number.rstrip("0").rstrip(".") for number in found if "." in number]
    return list(dict.fromkeys(found)) or [re.sub(r"\D", "", plain)]


def pieces_said(text: str) -> list[str] | None:
    """Runs of words of each line of a text, at most 12 or to its end, with and without the marks around them, shorter
    ones first; None where they are too many, or of a script that writes no blanks between words."""
    if _SCRIPTS_WITHOUT_BLANKS.search(text):
        return None
    found: dict[str, None] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > MOST_PIECES:
            return None
        sizes = range(1, min(_LONGEST_PIECE, len(words)) + 1)
        pieces = [" ".join(words[first : first + size]) for size in sizes for first in range(len(words) - size + 1)]
        pieces += [" ".join(words[first:]) for first in range(len(words) - _LONGEST_PIECE)]
        found |= dict.fromkeys(form for piece in pieces for form in (piece, piece.strip(MARKS).strip()))
        if len(found) > MOST_PIECES:
            return None
    return [piece for piece in found if piece.isprintable() and piece]


def narrowed_schema(
    form: CallForm, text: str, spells: Callable[[str], bool], request: str = "", *, whole: bool = True
) -> dict[str, Any] | str:
    """The schema of a form's arguments with no values but those that a text says, or the name of the first required
    argument of which it says none; other arguments of which it says none are left out.

    Args:
        spells: whether the model can write a text.
        request: the sentence that the form is about, if that is known: where it has the words of an example of the
            form, its slots hold what it has in their places.
        whole: all values that a request names, not the first of them only (`mute the hall and the kitchen`).
    """
    tool, schema = form.tool, form.tool.json_schema()
    aligned = slots_as_said(form.says, request, joined=is_joined(request)) if request else None
    narrowed: dict[str, Any] = {}
    for name, parameter in tool.arguments.items():
        if name in form.arguments:
            narrowed[name] = {"const": form.arguments[name]}
        elif name in form.slots:
            values = _values_in_place(tool, name, aligned[name], spells) if aligned else None
            if values is None:
                values = _values_said(tool, name, text, spells)
            elif not whole:
                values = values[:1]
            if values is None:
                narrowed[name] = schema["properties"][name]
            elif values:
                narrowed[name] = _one_of(values, parameter)
            elif name in tool.required:
                return name
    return {**schema, "properties": narrowed, "required": list(narrowed)}


def follow_up_schema(
    form: CallForm, request: str, last: str, spells: Callable[[str], bool]
) -> dict[str, Any] | str | None:
    """As `narrowed_schema`, for a request to which a later turn gives another value, or the one that it lacks; None
    where that turn has none for it."""
    tool, schema = form.tool, form.tool.json_schema()
    aligned, bare, changed = slots_as_said(form.says, request) or {}, bare_value(last), False
    goes_on = follows_up(last)
    narrowed: dict[str, Any] = {name: {"const": value} for name, value in form.arguments.items()}
    missing = ""
    for name in sorted(form.slots, key=lambda name: tool.arguments[name].free):
        before = aligned.get(name, request)
        text = bare if goes_on or not tool.arguments[name].free or not before else ""
        text = "" if tool.arguments[name].free and before and changed else text
        old = _values_in_place(tool, name, before, spells) or []
        new = (_values_in_place(tool, name, text, spells) if text and not _DROPPED.search(bare) else None) or []
        changed = changed or bool(new and new[:1] != old[:1])
        values = new or old
        if values:
            narrowed[name] = _one_of(values[:1], tool.arguments[name])
        elif name in tool.required:
            missing = missing or name
    ordered = {name: narrowed[name] for name in tool.arguments if name in narrowed}
    return (missing or {**schema, "properties": ordered, "required": list(ordered)}) if changed else None


def _values_in_place(tool: DeclaredTool, name: str, said: str, spells: Callable[[str], bool]) -> list[Any] | None:
    """Values that an argument may have where a sentence has this in its place: the text itself; the listed ones that it
    names, in its order, all of them for a list; none where it has nothing there. None where it has something else."""
    parameter = tool.arguments[name]
    if not said:
        return []
    if parameter.free and parameter.items is None:
        return [said] if refuse_value(parameter, said) is None and spells(said) else None
    numbers = numbers_as_written(said) or [] if parameter.type in ("integer", "number") else []
    if len(numbers) == 1:
        short = [number for number in numbers[0] if "," not in number and len(number) <= _LONGEST_NUMBER]
        spelled = [float(number) if "." in number else int(number) for number in short]
        # A number that is refused is not the part of it that is not.
        return [number for number in spelled if refuse_value(parameter, number) is None][:1]
    found = _values_said(tool, name, said, spells)
    if parameter.items is None:
        return found or None
    return [found] if parameter.items.enum and found and refuse_value(parameter, found) is None else None


def _one_of(values: list[Any], parameter: Parameter) -> dict[str, Any]:
    if parameter.items and isinstance(values[0], list):
        return {"const": values[0]}
    short = {"enum": values, "type": (parameter.items or parameter).type}
    return {**parameter.json_schema(), "items": short} if parameter.items else short


def schema_without_calls(
    form: CallForm, schema: dict[str, Any], calls: Sequence[tuple[str, Mapping[str, Any]]]
) -> dict[str, Any] | None:
    """A narrowed schema that calls, (name, arguments) each, no longer fit, because one argument must be another than
    theirs: one of an `enum` if it can be, else a number, else a text that has words besides. None where none can be."""
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
        values = schema["properties"].get(slot, {}).get("enum", ())
        left = [v for v in values if v not in known and not (words and words.issuperset(str(v).lower().split()))]
        if left:
            return {**schema, "properties": {**schema["properties"], slot: {"enum": left}}}
    return None


def _values_said(tool: DeclaredTool, name: str, text: str, spells: Callable[[str], bool]) -> list[Any] | None:
    """Values that an argument, or an item of it, may have after a text; None for any."""
    parameter = tool.arguments[name]
    item = parameter.items or parameter
    if item.type == "boolean":
        return None
    numbers = numbers_said(text, item.type) if item.type in ("integer", "number") else None
    listed = list(item.enum or tool.listed_with_words(name))
    values = [*values_mentioned(tool, listed, text), *(value for value in listed if value in (numbers or ()))]
    if item.enum is None:
        found = pieces_said(text) if item.type == "string" else numbers
        if found is None:
            return None
        values += found
    fit = (value for value in dict.fromkeys(values) if refuse_value(item, value) is None)
    return [value for value in fit if spells(str(value))]


def values_mentioned(tool: DeclaredTool, values: Sequence[Any], text: str) -> list[Any]:
    """Which values a text speaks of, in its order: by name or synonym, or by a word that no other of them has. A typo
    is allowed, but where it stands for another value as it is."""
    text = text[-_HEARD:]
    words = {value: {word.lower() for word in re.findall(r"\w{3,}", str(value))} for value in values}
    shared = Counter(word for own in words.values() for word in own)
    names = {
        value: [value_as_said(value), *tool.synonyms_for(value), *sorted(w for w in words[value] if shared[w] == 1)]
        for value in values
    }
    exact = {value: _places_of_mention(tuple(names[value]), text, typo=False) for value in values}
    taken = {place for places in exact.values() for place in places}
    typed = {value: _places_of_mention(tuple(names[value]), text, typo=True) - taken for value in values}
    found = {value: min(exact[value] or typed[value]) for value in values if exact[value] or typed[value]}
    return sorted(found, key=lambda value: found[value])


@lru_cache(maxsize=4096)  # tools of one home have the same rooms
def _places_of_mention(names: tuple[str, ...], text: str, *, typo: bool) -> frozenset[int]:
    """Where any of some names begins in a text, as it is or in the plural, or with a typo."""
    found: set[int] = set()
    for name in names:
        if not typo:
            form = rf"{regex.escape(name)}s?"
        elif len(name) < _SHORTEST_WITH_TYPO or any(letter.isdigit() for letter in name):
            continue
        else:  # a letter more, less, other, or two swapped, which is one less and one more
            form = rf"(?:{regex.escape(name)}){{i<=1,d<=1,1i+1d+2s<=2}}"
        found |= {match.start() for match in regex.finditer(rf"(?i)(?<!\w){form}(?!\w)", text)}
    return frozenset(found)


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
