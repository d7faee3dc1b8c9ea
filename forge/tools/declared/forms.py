"""Forms of calls: which arguments a call has, and which of these are the same whatever is said.

Examples that lead to the same call but for their slots are of one form: `dim the {name}` and `the {name} at half` are
two, `turn on the {name}` and `switch the {name} on` are one. A sentence is asked which forms it is about by a search
over their words, as sentences of training data are found for a new one (retrieval; Khandelwal et al. 2020, section 2,
do so with a model's states).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forge.tools.declared.schema import DeclaredTool, Example
from forge.tools.search import SearchIndex
from forge.tools.words import words_nearly_said, words_of_text

# Forms of a sentence, or of a part of one: at most so many, and none whose score is less than this share of the best's.
NEAREST, AS_NEAR = 4, 0.5
MOST_NEAR = 16  # forms in all: for each of them what was said is compared with every value
_TURNS = 8  # last ones that are looked at: a follow-up has its form from a turn before
LONGEST_SENTENCE = 400  # characters, as long as an example's may be
_JOINT = re.compile(r"(?:[,.;]? then |, and | and then | and also |, also | and | plus |[.;] )", re.I)
_SLOT = re.compile(r"\{.*?\}")


@dataclass(frozen=True)
class CallForm:
    """arguments: those that no sentence says. slots: names of the others, in the order of the schema. words: of its
    examples, each once."""

    tool: DeclaredTool
    arguments: Mapping[str, Any]
    slots: tuple[str, ...]
    words: tuple[str, ...]

    def example(self) -> Example:
        """All its examples as one: their words, then the slots."""
        said = " ".join(f"{{{slot}}}" for slot in self.slots)
        for word in self.words:
            said = f"{said} {word}".lstrip() if len(said) + len(word) < LONGEST_SENTENCE else said
        return Example(say=said, arguments=dict(self.arguments))


def forms_of_tool(tool: DeclaredTool) -> list[CallForm]:
    """The forms of a tool's calls, in the order of its examples."""
    found: dict[str, tuple[Example, dict[str, None]]] = {}
    for example in tool.examples:
        named = {name: example.arguments.get(name, ...) for name in tool.arguments if name in example.named}
        _, words = found.setdefault(repr(named), (example, {}))
        words.update(dict.fromkeys(_SLOT.sub(" ", example.say).lower().split()))
    return [
        CallForm(
            tool,
            example.arguments,
            tuple(name for name in tool.arguments if name in example.slots),
            tuple(words),
        )
        for example, words in found.values()
    ]


class FormIndex:
    """Finds the forms that sentences are about."""

    def __init__(self, tools: Sequence[DeclaredTool]) -> None:
        self._forms = [form for tool in tools for form in forms_of_tool(tool)]
        cards = [(" ".join(form.words), _words_for_values(form)) for form in self._forms]
        self._index = SearchIndex(cards)
        self._words = frozenset(word for card in cards for text in card for word in words_of_text(text))

    def nearest(self, text: str, most: int = NEAREST) -> list[CallForm]:
        """Forms that share words with a conversation, a turn a line: of each turn and each part of one the nearest, at
        most so many, the last turn's first."""
        found: dict[int, None] = {}
        for line in reversed(text.splitlines()[-_TURNS:]):
            cuts = [(joint.start(), joint.end()) for joint in _JOINT.finditer(line)][:_TURNS]
            for part in (line, *(part for start, end in cuts for part in (line[:start], line[end:]))):
                scores = self._index.scores(" ".join([part, *sorted(words_nearly_said(part, self._words))]))
                near = sorted(range(len(scores)), key=lambda form: -scores[form])[:most]
                enough = AS_NEAR * max(scores, default=0.0)
                found |= dict.fromkeys(form for form in near if scores[form] > 0 and scores[form] >= enough)
        return [self._forms[form] for form in list(found)[:MOST_NEAR]]


def _words_for_values(form: CallForm) -> str:
    """Words for what the slots of a form may hold."""
    words: dict[str, None] = {}
    for slot in form.slots:
        parameter = form.tool.arguments[slot]
        for value in (parameter.items or parameter).enum or form.tool.listed_with_words(slot):
            for said in (str(value).replace("_", " "), *form.tool.synonyms_for(value)):
                words |= dict.fromkeys(said.lower().split())
    return " ".join(words)
