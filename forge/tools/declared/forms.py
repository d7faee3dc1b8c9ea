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
from string import Formatter
from typing import Any

from forge.tools.declared.schema import DeclaredTool, Example, value_as_said
from forge.tools.search import SearchIndex
from forge.tools.words import words_nearly_said, words_of_text, words_said

# Forms of a sentence, or of a part of one: at most so many, and none whose score is less than this share of the best's.
NEAREST, AS_NEAR = 4, 0.5
MOST_NEAR = 16  # forms in all: for each of them what was said is compared with every value
_TURNS = 8  # last ones that are looked at: a follow-up has its form from a turn before
_PARTS = 8  # of a turn, the last ones, before and after a joint
LONGEST_SENTENCE = 400  # characters, as long as an example's may be
_JOINT = re.compile(r"(?:[,.;]? then |, and | and then | and also |, also | and | plus |[.;] )", re.I)


@dataclass(frozen=True)
class CallForm:
    """arguments: those that no sentence says. slots: names of the others, in the order of the schema. words: of its
    examples, each once."""

    tool: DeclaredTool
    arguments: Mapping[str, Any]
    slots: tuple[str, ...]
    words: tuple[str, ...]

    def examples(self) -> list[Example]:
        """The fewest examples that are this form again: its words and slots, as many as a sentence may hold."""
        slots, said = " ".join(f"{{{slot}}}" for slot in self.slots), [""]
        for word in self.words:
            if len(slots) + len(said[-1]) + len(word) + 2 > LONGEST_SENTENCE:
                said.append("")
            said[-1] += f" {word}"
        return [Example(say=f"{slots}{words}".strip() or "-", arguments=dict(self.arguments)) for words in said]


def forms_of_tool(tool: DeclaredTool) -> list[CallForm]:
    """The forms of a tool's calls, in the order of its examples."""
    found: dict[str, tuple[Example, dict[str, None]]] = {}
    for example in tool.examples:
        named = {name: example.arguments.get(name, ...) for name in tool.arguments if name in example.named}
        _, words = found.setdefault(repr(named), (example, {}))
        literal = " ".join(text for text, *_ in Formatter().parse(example.say))
        words.update(dict.fromkeys(re.findall(r"\w+", literal.lower())))
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
    """Finds the forms of tools' calls, `forms`, that sentences are about."""

    def __init__(self, tools: Sequence[DeclaredTool]) -> None:
        self.forms = [form for tool in tools for form in forms_of_tool(tool)]
        cards = [(" ".join(form.words), _words_for_values(form)) for form in self.forms]
        # No word is left out: "what is" may be all that the example of a tool that looks something up has.
        self._index = SearchIndex(cards, frozenset())
        self._words = frozenset(word.lower() for card in cards for text in card for word in words_of_text(text))

    def nearest(self, text: str, most: int = NEAREST) -> list[CallForm]:
        """Forms that share words with a conversation, a turn a line: of each turn and each part of one the nearest, at
        most so many, the last turn's first."""
        found: dict[int, None] = {}
        for line in reversed(text.splitlines()[-_TURNS:]):
            cuts = [(joint.start(), joint.end()) for joint in _JOINT.finditer(line)][-_PARTS:]
            for part in (line, *(part for start, end in cuts for part in (line[:start], line[end:]))):
                scores = self._index.scores(" ".join(self._known_words(part)))
                near = sorted(range(len(scores)), key=lambda form: -scores[form])[:most]
                enough = AS_NEAR * max(scores, default=0.0)
                found |= dict.fromkeys(form for form in near if scores[form] > 0 and scores[form] >= enough)
        return [self.forms[form] for form in list(found)[:MOST_NEAR]]

    def _known_words(self, text: str) -> list[str]:
        """Words of the forms that a text says or nearly says: in a long one a search would look at the first alone."""
        near = {word.lower() for word in words_nearly_said(text, self._words)}
        return sorted(near | (words_said(text.lower()) & self._words))


def _words_for_values(form: CallForm) -> str:
    """Words for what the slots of a form may hold."""
    words: dict[str, None] = {}
    for slot in form.slots:
        parameter = form.tool.arguments[slot]
        for value in (parameter.items or parameter).enum or form.tool.listed_with_words(slot):
            for said in (value_as_said(value), *form.tool.synonyms_for(value)):
                words |= dict.fromkeys(said.lower().split())
    return " ".join(words)
