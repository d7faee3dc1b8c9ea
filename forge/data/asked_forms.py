"""Which forms the argument of a built-in tool's call may have, going by the learned phrasings that a question is like.

A small model takes hours in minutes for minutes in hours long before it takes a sum for a name. The search is over
words and pairs of words up to one apart (what fills a slot is one of two words, for numbers and for names), by the cosine of
their tf-idf weights (Manning, Raghavan and Schütze 2008, section 6.3). Phrasings of val and test stand in no index.
"""

from __future__ import annotations

import functools
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from forge.data.phrasing import spell_out_contractions, tool_phrasings
from forge.tools.builtin import TOOLS
from forge.tools.declaration import Tool
from forge.tools.said import NUMBER_WORDS, count_numbers_said

# Forms of one tool that are allowed: so many at least and at most, beyond the first those that are at least this share
# as like as the likest is; and none that is less like than this (cosine).
FEWEST, MOST, AS_LIKE, LIKE = 3, 8, 0.5, 0.2
UNKNOWN = 8.0  # weight of a run of words that no phrasing has: more than that of the rarest known one
_NUMBER, _NAME = "#", "@"  # what stands for the fillings of slots
_TOKEN = re.compile(r"\{\w+\}|-?\d+(?:[.,]\d+)*|[a-z']+|[^\w\s?!,.#@]")
_SLOT = re.compile(r"\{(\w+)\}")
# What is written out is copied, and may be anything: a sum, a line of code.
_WRITTEN_OUT = re.compile(r"\(|\d ?[-+*/^×÷%] ?[\d(]")
_QUOTED, _VALUE = r"""[^'"]+""", r"[*\/]?-?[0-9A-Za-z\u00c0-\u024f_.,]+"  # what fills a slot


class AskedForms:
    """An index of the learned phrasings of some tools."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        phrasings: dict[tuple[str, str, tuple[str, ...]], None] = {}
        self._numbers: dict[str, int] = {}  # that fill slots of an argument
        for tool in tools:
            for intent in tool.intents:
                slots = intent.draw(random.Random(intent.name))[0]
                fillings = {f"{{{name}}}": _NUMBER if _is_number(value) else _NAME for name, value in slots.items()}
                named = set(_SLOT.findall(intent.argument))
                self._numbers[intent.argument] = sum(_is_number(slots[name]) for name in named)
                for template in tool_phrasings(tool, intent, "train").templates:
                    phrasings[tool.name, intent.argument, tuple(_tokens(template, fillings))] = None
        self._known = frozenset(token for *_, tokens in phrasings for token in tokens)
        runs = [_runs_of(tokens) for *_, tokens in phrasings]
        counts = Counter(run for own in runs for run in own)
        self._weights = {run: math.log(1 + len(runs) / count) ** 2 for run, count in counts.items()}
        self._lengths = [sum(self._weights[run] for run in own) ** 0.5 for own in runs]
        self._forms = [(tool, argument) for tool, argument, _ in phrasings]
        self._places: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, own in enumerate(runs):
            for run in own:
                self._places[run].append(place)

    def likeness(self, text: str) -> dict[tuple[str, str], float]:
        """Cosine of a text and the likest phrasing of each (tool, argument) that shares a run with it."""
        tokens = [token if token in self._known or token == _NUMBER else _NAME for token in _tokens(text, {})]
        if not set(tokens) - {_NUMBER, _NAME}:
            return {}
        runs = _runs_of(_without_doubles(tokens))
        shared: dict[int, float] = defaultdict(float)
        for run in runs & self._places.keys():
            for place in self._places[run]:
                shared[place] += self._weights[run]
        length = sum(self._weights.get(run, UNKNOWN**2) for run in runs) ** 0.5
        found: dict[tuple[str, str], float] = {}
        for place, weight in shared.items():
            form, cosine = self._forms[place], weight / (length * self._lengths[place])
            found[form] = max(cosine, found.get(form, 0.0))
        return found

    def arguments(self, name: str, text: str) -> list[str]:
        """Templates of the argument that a tool's call may have after a question, the likest first; empty where nothing
        is like it, or where the question may hold the argument as it is."""
        if _WRITTEN_OUT.search(text):
            return []
        found = {argument: like for (tool, argument), like in self.likeness(text).items() if tool == name}
        said = count_numbers_said(text)
        if said is not None:
            found = {a: like for a, like in found.items() if self._numbers[a] == said} or found
        order = sorted((a for a in found if found[a] >= LIKE), key=lambda argument: -found[argument])[:MOST]
        enough = AS_LIKE * found[order[0]] if order else 0.0
        return [argument for place, argument in enumerate(order) if place < FEWEST or found[argument] >= enough]


@functools.cache
def learned_asked_forms() -> AskedForms:
    """The index of all built-in tools."""
    return AskedForms(TOOLS)


def pattern_of_argument(template: str) -> str:
    """A regular expression for the arguments that a template has: names in quotation marks, bare values elsewhere."""
    parts, quoted = _SLOT.split(template), False
    if parts[::2] == ["", ""]:
        return ".+"
    pattern = ""
    for place, part in enumerate(parts):
        if place % 2:
            pattern += _QUOTED if quoted else _VALUE
        else:
            quoted ^= part.count("'") % 2 == 1
            pattern += re.escape(part).replace("/", r"\/").replace(r"\ ", " ").replace("'", "['\"]")
    return pattern


def _is_number(word: str) -> bool:
    return word.lstrip("-")[:1].isdigit() or word in NUMBER_WORDS


def _tokens(text: str, fillings: dict[str, str]) -> list[str]:
    """Words of a text or template in lower case; numbers and what fills a slot by their stand-ins."""
    tokens = []
    for token in _TOKEN.findall(spell_out_contractions(text)):
        tokens.append(fillings[token] if token[0] == "{" else _NUMBER if _is_number(token) else token)
    return _without_doubles(tokens)


def _without_doubles(tokens: Iterable[str]) -> list[str]:
    """A name of two words is one name."""
    kept = [""]
    for token in tokens:
        if token not in (_NUMBER, _NAME) or token != kept[-1]:
            kept.append(token)
    return kept[1:]


def _runs_of(tokens: Sequence[str]) -> set[tuple[str, ...]]:
    """Single words, pairs of neighbors, and pairs with one word between them; a text begins and ends with a word of its
    own."""
    ended = ["^", *tokens, "$"]
    pairs = set(zip(ended, ended[1:], strict=False))
    return {(token,) for token in tokens} | pairs | {(a, "", b) for a, b in zip(ended, ended[2:], strict=False)}
