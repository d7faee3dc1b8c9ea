"""Forms of the arguments of built-in tools, and what a question fills their slots with."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, permutations, product
from typing import Literal

from forge.tools.declaration import Intent
from forge.tools.words import is_number_said

DRAWS = 120  # of an intent, by which it is known what fills its slots
DRAWS_OF_FEW = 900  # of one whose slots have few values: all ways to say them
FEW = 6  # different values of a slot that become part of the form
MOST_WAYS = 48  # to fill the slots of a form; where there are more, any of the values may stand in any slot
_SLOT = re.compile(r"\{(\w+)\}")
_LETTER_SAID = re.compile(r"(?<![\w'])([A-Za-z])(?:'?s)?(?![\w'])")
_FILE_SAID = re.compile(r"[\w./-]*[\w-]\.[A-Za-z]\w*|(?<!\w)/[\w/-]+")
_WORDS = r"[0-9A-Za-z\u00c0-\u024f]([-0-9A-Za-z\u00c0-\u024f_.' ]*[0-9A-Za-z\u00c0-\u024f])?"
_ANY_VALUE = r"-?[0-9A-Za-z\u00c0-\u024f_.,]+"

# What a slot takes: a number, a letter, a name or the name of a file that is said; one of few values; words; any text.
Kind = Literal["number", "letter", "name", "file", "few", "words", "text"]


@dataclass(frozen=True)
class ArgumentForm:
    """A form of a tool's argument, `template`, and its slots in order, each once, with what it takes."""

    tool: str
    template: str
    slots: tuple[tuple[str, Kind], ...]

    def as_said_in(self, template: str) -> ArgumentForm:
        """The form with its numbers called N1, N2 ... in the order in which a phrasing says them: `{N2}-{N1}` for
        `subtract {a} from {b}`."""
        numbers = self._named("number")
        said = [name.upper() for name in _SLOT.findall(template)]
        order = dict.fromkeys([*(name for name in said if name in numbers), *numbers])
        called = {name: f"N{place}" for place, name in enumerate(order, 1)}
        others = tuple((name, kind) for name, kind in self.slots if name not in called)
        argument = _SLOT.sub(lambda slot: f"{{{called.get(slot[1], slot[1])}}}", self.template)
        return ArgumentForm(self.tool, argument, (*((name, "number") for name in called.values()), *others))

    def pattern(
        self,
        text: str,
        numbers: Sequence[tuple[str, ...]] | None,
        names: Sequence[str],
        *,
        in_order: bool = False,
    ) -> str:
        """A regular expression of its arguments that hold what a question says; empty where that is not enough.

        Args:
            text: the question.
            numbers: that it says, in every spelling that a call may have; None where that is not known.
            names: words that may fill a slot for a name.
            in_order: where there are as many numbers as slots for them, the first fills the first.
        """
        letters = [*dict.fromkeys(_LETTER_SAID.findall(text))]
        spelled = None if numbers is None else [_alternatives(forms) for forms in numbers]
        ways = product(
            _ways_to_fill(self._named("number"), spelled, in_order=in_order),
            _ways_to_fill(self._named("name"), [re.escape(name) for name in names]),
            _ways_to_fill(self._named("letter"), [_alternatives(letters)] if letters else []),
            _ways_to_fill(self._named("file"), [re.escape(name) for name in _FILE_SAID.findall(text)] or [_WORDS]),
            [dict.fromkeys(self._named("words"), _words_said(names)) | dict.fromkeys(self._named("text"), ".+")],
        )
        return "|".join(self._filled({k: v for part in way for k, v in part.items()}) for way in ways)

    def filled(self, text: str, numbers: Sequence[tuple[str, ...]] | None, names: Sequence[str]) -> str:
        """Its argument with what a question says, first things first; empty where that is not enough. Arguments as for
        `pattern`, but numbers are none where they are not known."""
        numerals, letters = [forms[0] for forms in numbers or ()], _LETTER_SAID.findall(text)
        said: dict[Kind, Sequence[str]] = {
            "number": numerals,
            "name": names,
            "letter": letters,
            "file": _FILE_SAID.findall(text),
            "words": [" ".join(names)] if names else [],
        }
        fillings = {n: v for kind, values in said.items() for n, v in zip(self._named(kind), values, strict=False)}
        return self.template.format(**fillings) if len(fillings) == len(self.slots) else ""

    def _named(self, kind: Kind) -> list[str]:
        return [name for name, own in self.slots if own == kind]

    def _filled(self, fillings: dict[str, str]) -> str:
        parts = _SLOT.split(self.template)
        return "".join(fillings[part] if place % 2 else _literal(part) for place, part in enumerate(parts))


def forms_of_intent(tool: str, intent: Intent) -> dict[ArgumentForm, list[dict[str, str]]]:
    """The forms of the arguments that an intent leads to, each with slots as they are drawn: one example where what
    fills them is said, and one for each way to say it where a slot has few values (`FROM {E}`; `{A}{C}` for a unit into
    another), which become part of the form."""
    drawn = [intent.draw(random.Random(f"{intent.name} {n}"))[0] for n in range(DRAWS)]
    kinds = {name: _kind_of_slot(intent.argument, [s[name] for s in drawn]) for name in _SLOT.findall(intent.argument)}
    few = [name for name, kind in kinds.items() if kind == "few"]
    if few:
        drawn += [intent.draw(random.Random(f"{intent.name} {n}"))[0] for n in range(DRAWS, DRAWS_OF_FEW)]
    found: dict[ArgumentForm, list[dict[str, str]]] = {}
    for slots in drawn if few else drawn[:1]:
        template = intent.argument
        for name in few:
            template = template.replace(f"{{{name}}}", slots[name])
        left = tuple((name, kind) for name, kind in kinds.items() if name not in few)
        found.setdefault(ArgumentForm(tool, template, left), []).append(slots)
    return found


def _kind_of_slot(template: str, values: list[str]) -> Kind:
    different = set(values)
    if _SLOT.fullmatch(template):
        worded = all(re.fullmatch(_WORDS, value) for value in different)
        return "file" if all(map(_FILE_SAID.fullmatch, different)) else "words" if worded else "text"
    if all(map(is_number_said, different)):
        return "number"
    if all(len(value) == 1 for value in different):
        return "letter"
    few = len(different) <= FEW or not any(value[0].isalnum() for value in different)
    return "few" if few else "name"


def _ways_to_fill(
    names: Sequence[str], values: Sequence[str] | None, *, in_order: bool = False
) -> list[dict[str, str]]:
    """Values for slots, no value twice; where there are too many ways, or values are not known, a pattern for all."""
    if values is None:
        return [dict.fromkeys(names, _ANY_VALUE)]
    if in_order and len(values) == len(names):
        return [dict(zip(names, values, strict=True))]
    ways = list(islice(permutations(values, len(names)), MOST_WAYS + 1))
    if len(ways) > MOST_WAYS:
        return [dict.fromkeys(names, f"({'|'.join(values)})")]
    return [dict(zip(names, way, strict=True)) for way in ways]


def _words_said(names: Sequence[str]) -> str:
    """A pattern of one or more words of a question; of any where none is known."""
    words = "|".join(re.escape(name) for name in names)
    return rf"(?:{words})(?:[-_.' ](?:{words}))*" if words else _WORDS


def _literal(text: str) -> str:
    return re.escape(text).replace("'", "['\"]")


def _alternatives(values: Iterable[str]) -> str:
    return f"({'|'.join(re.escape(value) for value in values)})"
