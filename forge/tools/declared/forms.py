"""Forms of calls: which arguments a call has, and which of these are the same whatever is said.

Examples that lead to the same call but for their slots are of one form: `dim the {name}` and `the {name} at half` are
two, `turn on the {name}` and `switch the {name} on` are one. A sentence is asked which forms it is about by how like
their examples it is, as sentences of training data are found for a new one (retrieval; Khandelwal et al. 2020, section
2, do so with a model's states).
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forge.tools.declared.aligned import JOINT
from forge.tools.declared.schema import DeclaredTool, Example, value_as_said
from forge.tools.likeness import COURTESY, NAME, NUMBER, PhrasingIndex, likeness_tokens

# Forms of a sentence, or of a part of one: at most so many, none that is less than this share as like as the likest
# is, and none that is less like than this (cosine).
NEAREST, AS_NEAR, NEAR = 4, 0.85, 0.3
SURELY = 0.5  # from there on a sentence asks for what the example does
MOST_NEAR = 16  # forms in all: for each of them what was said is compared with every value
# Said before or after what is asked for; an example may have them for what they say.
_AROUND = COURTESY | {
    "ahead", "and", "be", "do", "favor", "go", "kind", "kindly", "let's", "like", "listen", "look", "need", "next",
    "now", "thank", "then", "want", "well",
}  # fmt: skip
UNKNOWN = 3.0  # weight of a run of words that no example has
_TURNS = 8  # last ones that are looked at: a follow-up has its form from a turn before
_PARTS = 8  # of a turn, the last ones, before and after a joint
_FEW_WORDS = 3
_LONGEST_VALUE = 5  # words
_LONGEST_TURN = 400  # characters of a turn that are looked at, the last ones
_LONGEST = 60  # words of a part that is looked at, the last ones
_SHORTEST_MISTYPED, _ALIKE = 3, 0.75  # letters; twice those that two words share in order, of all their letters
_LISTED = re.compile(rf"{NAME}(?: (?:and|or|,|, and) {NAME})+")


@dataclass(frozen=True)
class CallForm:
    """arguments: those that no sentence says. slots: names of the others, in the order of the schema. says: the
    sentences of its examples."""

    tool: DeclaredTool
    arguments: Mapping[str, Any]
    slots: tuple[str, ...]
    says: tuple[str, ...]

    def examples(self) -> list[Example]:
        """Examples of this form alone."""
        return [Example(say=say, arguments=dict(self.arguments)) for say in self.says]


def forms_of_tool(tool: DeclaredTool) -> list[CallForm]:
    """The forms of a tool's calls, in the order of its examples."""
    found: dict[str, tuple[Example, dict[str, None]]] = {}
    for example in tool.examples:
        named = {name: example.arguments.get(name, ...) for name in tool.arguments if name in example.named}
        found.setdefault(repr(named), (example, {}))[1][example.say] = None
    return [
        CallForm(
            tool,
            example.arguments,
            tuple(name for name in tool.arguments if name in example.slots),
            tuple(says),
        )
        for example, says in found.values()
    ]


class FormIndex:
    """Finds the forms of tools' calls, `forms`, that sentences are about."""

    def __init__(self, tools: Sequence[DeclaredTool]) -> None:
        self.forms = [form for tool in tools for form in forms_of_tool(tool)]
        said = [
            (number, _folded(likeness_tokens(say, _stand_ins(form))))
            for number, form in enumerate(self.forms)
            for say in form.says
        ]
        self._form_of = [number for number, _ in said]
        self._says = [say for form in self.forms for say in form.says]
        self._index = PhrasingIndex([tokens for _, tokens in said], UNKNOWN)
        self._values = _values_by_first_word(tools)
        self._all_values = frozenset(without_plural(v) for values in self._values.values() for v in values)
        self._likeness = functools.lru_cache(maxsize=64)(self._likeness_of_part)

    def nearest(self, text: str, most: int = NEAREST, as_near: float = AS_NEAR) -> list[CallForm]:
        """Forms that a conversation, a turn a line, is like: of each turn and each part of one the nearest, at most so
        many, the last turn's first."""
        found: dict[int, None] = {}
        for line in reversed(text.splitlines()[-_TURNS:]):
            for part in _parts_of(line):
                likeness = self._likeness(part)
                near = sorted(range(len(likeness)), key=lambda form: -likeness[form])[:most]
                enough = max(NEAR, as_near * max(likeness, default=0.0))
                found |= dict.fromkeys(form for form in near if likeness[form] >= enough)
        return [self.forms[form] for form in list(found)[:MOST_NEAR]]

    def requests(self, text: str) -> list[str]:
        """A sentence cut at the joints on both sides of which it is surely like an example, where it is most so first:
        what it asks for, in order."""
        text = text[-_LONGEST_TURN:]
        cuts = [(text[: joint.start()], text[joint.end() :]) for joint in list(JOINT.finditer(text))[:_PARTS]]
        worse = [min(max(self._likeness(part), default=0.0) for part in cut) for cut in cuts]
        if max(worse, default=0.0) < SURELY:
            return [text]
        before, after = cuts[worse.index(max(worse))]
        return [*self.requests(before), *self.requests(after)]

    def likest(self, text: str) -> str:
        """The sentence of an example that a sentence is likest; empty where it is like none."""
        cosines = self._index.cosines(_folded(self._tokens(text, frozenset())))
        return self._says[int(cosines.argmax())] if len(cosines) and cosines.max() else ""

    def names_only(self, text: str) -> bool:
        """Whether a turn is no more than a value: it has no word of an example, or few words and a number."""
        tokens = set(self._without_values(likeness_tokens(text[-_LONGEST_TURN:], {}), frozenset()))
        return not tokens & self._index.words - _AROUND - {NUMBER, NAME, "one", "ones"} or (
            NUMBER in tokens and len(text.split()) <= _FEW_WORDS
        )

    def values_named(self, text: str) -> frozenset[tuple[str, ...]]:
        """The listed values, or words for them, as tokens, that a sentence has as they are."""
        tokens = [token.removesuffix("s") for token in likeness_tokens(text[-_LONGEST_TURN:], {})]
        runs = {tuple(tokens[at : at + size]) for size in range(1, _LONGEST_VALUE + 1) for at in range(len(tokens))}
        return frozenset(runs & self._all_values)

    def likeness(self, text: str) -> float:
        """How like the likest example a sentence is, or a part of it: 0 to 1."""
        return max((max(self._likeness(part), default=0.0) for part in _parts_of(text)), default=0.0)

    def _likeness_of_part(self, text: str) -> Sequence[float]:
        """Of a sentence and each form."""
        best = [0.0] * len(self.forms)
        # A word may be a value of one tool and say in another's example what is wanted: `off`, `pause`.
        for kept in (frozenset[str](), self._index.words):
            tokens = self._tokens(text, kept)
            if set(tokens) - {NUMBER, NAME}:
                for form, cosine in zip(self._form_of, self._index.cosines(_folded(tokens)).tolist(), strict=True):
                    best[form] = max(best[form], cosine)
        return best

    def _tokens(self, text: str, kept: frozenset[str]) -> list[str]:
        words = likeness_tokens(text[-_LONGEST_TURN:], {})[-_LONGEST:]
        tokens = [self._known(token) for token in self._without_values(words, kept)]
        return [token for token in tokens if token not in _AROUND or token in self._index.words]

    def _known(self, token: str) -> str:
        """The token as examples have it: a word with a typo is theirs, another one that they do not have is a name."""
        words = self._index.words
        if token in words or token in (NUMBER, NAME) or token in _AROUND or not token[0].isalpha():
            return token
        if len(token) >= _SHORTEST_MISTYPED:
            alike = sorted(word for word in words if word[0] == token[0] and abs(len(word) - len(token)) <= 1)
            return next(iter(difflib.get_close_matches(token, alike, n=1, cutoff=_ALIKE)), NAME)
        return NAME

    def _without_values(self, tokens: Sequence[str], left: frozenset[str]) -> list[str]:
        """Tokens with the listed values, and words for them, as names, but for single words that are ``left``."""
        kept: list[str] = []
        place = 0
        while place < len(tokens):
            words = tokens[place : place + 1]
            values = self._values.get(words[0], ()) or self._values.get(words[0].removesuffix("s"), ())
            found = (v for v in values if _is_value(tokens[place : place + len(v)], v))
            longest = next((value for value in found if len(value) > 1 or value[0] not in left), None)
            kept += words if longest is None else [NAME]
            place += len(longest or words)
        return kept


def without_plural(value: Sequence[str]) -> tuple[str, ...]:
    """Tokens without the s at their ends."""
    return tuple(word.removesuffix("s") for word in value)


def _parts_of(line: str) -> Iterator[str]:
    """A turn, and what stands before and after each joint of it."""
    line = line[-_LONGEST_TURN:]
    yield line
    for joint in list(JOINT.finditer(line))[-_PARTS:]:
        yield line[: joint.start()]
        yield line[joint.end() :]


def _is_value(said: Sequence[str], value: Sequence[str]) -> bool:
    return len(said) == len(value) and [*said[:-1], said[-1].removesuffix("s")] == [
        *value[:-1],
        value[-1].removesuffix("s"),
    ]


def values_of_form(form: CallForm) -> frozenset[tuple[str, ...]]:
    """Listed values of a form's slots, and words for them, as tokens without plurals."""
    return frozenset(without_plural(value) for slot in form.slots for value in _values_of(form.tool, slot))


def _values_of(tool: DeclaredTool, name: str) -> Iterator[tuple[str, ...]]:
    parameter = tool.arguments[name]
    for value in (parameter.items or parameter).enum or tool.listed_with_words(name):
        for said in (value_as_said(value), *tool.synonyms_for(value)):
            yield tuple(likeness_tokens(said, {}))


def _values_by_first_word(tools: Iterable[DeclaredTool]) -> dict[str, list[tuple[str, ...]]]:
    """Listed values and words for them, as tokens, the longest first, by their first token."""
    values = {value for tool in tools for name in tool.arguments for value in _values_of(tool, name)}
    found: dict[str, list[tuple[str, ...]]] = {}
    for value in sorted(filter(None, values), key=lambda words: (-len(words), words)):
        found.setdefault(value[0], []).append(value)
    return found


def _stand_ins(form: CallForm) -> dict[str, list[str]]:
    kinds = {name: (form.tool.arguments[name].items or form.tool.arguments[name]).type for name in form.slots}
    return {f"{{{name.lower()}}}": [NUMBER if kind in ("integer", "number") else NAME] for name, kind in kinds.items()}


def _folded(tokens: Iterable[str]) -> list[str]:
    """Tokens without words of courtesy; a list of names is a name."""
    kept = [token for token in tokens if token not in COURTESY and (token[0].isalnum() or token in (NUMBER, NAME, ","))]
    return _LISTED.sub(NAME, " ".join(kept)).replace(",", "").split()
