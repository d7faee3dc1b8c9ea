"""Which words belong to which tool: those of its examples, its values and its description.

A sentence is given to the tool whose words it has, each by how few of the tools have it (inverse document frequency;
Manning, Raghavan and Schütze 2008, section 6.2). Single words find a tool by what people say of it in any order; whole
phrasings find only the sentences that were thought of.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from string import Formatter
from typing import Any, NamedTuple

from forge.tools.declared.schema import DeclaredTool, Parameter, tool_example_text, tool_value_as_said
from forge.tools.declared.tokens import (
    ARTICLES,
    FUNCTION_WORDS,
    PARTICLES,
    UNITS,
    Token,
    is_short_for_another,
    stem_of_tool_word,
    stems_of_tool_words,
    tokens_of_tool_request,
)

# Of words of a command: function words, and those that examples without anything fixed have too.
OF_FUNCTION_IN_COMMAND, ALSO_PLAIN = 0.3, 0.4
SLOT = "{}"  # stands for a slot beside another
OF_DESCRIPTION = 0.7  # weight of words of names and descriptions
OF_FUNCTION, OF_UNIT = 0.2, 0.3  # of function words, and of units, which stand beside any number
_BOOLEANS = {True: ["on", "true", "yes"], False: ["off", "false", "no"]}  # of a slot whose words nobody gives
FEWEST_TOOLS = 10  # of fewer a word would say little, though a sentence may be about none of them
MOST_TOKENS = 80  # of a sentence, the last ones
_SHORTEST_BEGUN = 5  # letters of a word that is cut short
_SHORTEST_MISTYPED, _ALIKE = 4, 0.75  # letters; twice those that two words share in order, of all their letters
_OF_PERSONS = frozenset({"am", "are", "can", "i", "i'm", "is", "me", "my", "please", "us", "we", "will", "you", "your"})


@lru_cache(maxsize=4096)
def literal_words(say: str) -> frozenset[str]:
    """Words of an example beside its slots, as stems."""
    return frozenset(word for word in stems_of_tool_words(tool_example_text(say)) if word[0].isalnum())


class ValueName(NamedTuple):
    """What a listed value may be called. words: as stems. in_full: not by one of its words. written: the value."""

    words: tuple[str, ...]
    in_full: bool
    value: Any
    written: str


class ToolWords:
    """Words of a tool.

    Attributes:
        tool: it.
        of_examples: words of its examples.
        before, after: for each slot the words that stand beside it there.
        of_name: for each argument the words of its name and description.
        commands: which arguments are the same whatever is said, and the words of each example that asks for these.
    """

    def __init__(self, tool: DeclaredTool) -> None:
        self.tool = tool
        self.before: dict[str, set[str]] = defaultdict(set)
        self.after: dict[str, set[str]] = defaultdict(set)
        self.of_examples: set[str] = set()
        commands: dict[str, tuple[Mapping[str, Any], list[frozenset[str]]]] = {}
        for example in tool.examples:
            self._read_example(example.say)
            commands.setdefault(repr(sorted(example.arguments.items())), (example.arguments, []))[1].append(
                literal_words(example.say)
            )
        self.commands = list(commands.values())
        self.of_name = {
            name: set(stems_of_tool_words(f"{_plain(name)} {parameter.description}")) - FUNCTION_WORDS
            for name, parameter in tool.arguments.items()
        }

    def _read_example(self, say: str) -> None:
        parts: list[str | tuple[str]] = []
        for literal, slot, *_ in Formatter().parse(say):
            parts += stems_of_tool_words(literal)
            parts += [] if slot is None else [(slot,)]
        self.of_examples |= {part for part in parts if isinstance(part, str)}
        for place, part in enumerate(parts):
            if isinstance(part, tuple):
                behind_article = (
                    place > 1 and parts[place - 1] in ARTICLES
                )  # `about the {label}`: both words lead to it
                before = parts[max(0, place - 1 - behind_article) : place]
                self.before[part[0]] |= {word for word in before if isinstance(word, str)}
                self.after[part[0]] |= set(map(_word_or_slot, parts[place + 1 : place + 2]))

    @cached_property
    def values(self) -> dict[str, list[tuple[Any, list[tuple[str, ...]]]]]:
        """For each argument the values that are listed for it, each with its name and the words for it, as stems; true
        and false have words alone."""
        found = {}
        for name, parameter in self.tool.arguments.items():
            item = parameter.items or parameter
            listed = (True, False) if item.type == "boolean" else item.enum or self.tool.listed_with_words(name)
            said = [(v, [*_own_words(v, item), *self.tool.synonyms_for(v)]) for v in listed]
            if item.type == "boolean" and not any(texts for _, texts in said) and name in self.slots:
                said = list(_BOOLEANS.items())
            found[name] = [
                (value, [stems for text in texts if (stems := stems_of_tool_words(text))]) for value, texts in said
            ]
        return found

    @cached_property
    def slots(self) -> frozenset[str]:
        """Arguments that examples say in a slot."""
        return frozenset(slot for example in self.tool.examples for slot in example.slots)

    @cached_property
    def names_of_values(self) -> dict[str, dict[str, list[ValueName]]]:
        """For each argument what its listed values may be called, by the first word."""
        found: dict[str, dict[str, list[ValueName]]] = {}
        for name, listed in self.values.items():
            own = found.setdefault(name, defaultdict(list))
            count = Counter(word for _, names in listed for word in {w for known in names[:1] for w in known})
            for value, names in listed:
                for known in names:
                    own[known[0]].append(ValueName(known, True, value, tool_value_as_said(value).lower()))
                for word in sorted({w for known in names[:1] if len(known) > 1 for w in known}):
                    if count[word] == 1 and self._tells(word):
                        own[word].append(ValueName((word,), False, value, ""))
        return found

    def _tells(self, word: str) -> bool:
        return len(word) > 2 and word not in FUNCTION_WORDS and word not in self.of_examples

    @cached_property
    def weights(self) -> dict[str, float]:
        """All its words, with what one of them says of it: 0 to 1."""
        told = " ".join([_plain(self.tool.name), self.tool.description, *map(_plain, self.tool.arguments)])
        of_values = {w for values in self.values.values() for _, names in values for words in names for w in words}
        return dict.fromkeys(stems_of_tool_words(told), OF_DESCRIPTION) | dict.fromkeys(
            self.of_examples | of_values, 1.0
        )

    @cached_property
    def command_weights(self) -> dict[str, float]:
        """How much a word of an example says of which of its `commands` is meant: the rarer among these the more."""
        plain = frozenset[str]().union(*(words for fixed, says in self.commands if not fixed for words in says))
        count = Counter(word for _, says in self.commands for word in frozenset[str]().union(*says))
        little, also_plain = FUNCTION_WORDS - PARTICLES, plain - PARTICLES
        return {
            word: math.log((len(self.commands) + 1) / own)
            * (OF_FUNCTION_IN_COMMAND if word in little else 1.0)
            * (ALSO_PLAIN if word in also_plain else 1.0)
            for word, own in count.items()
        }

    @cached_property
    def sentences(self) -> frozenset[str]:
        """Texts that are whole sentences, as messages are, not names of things: those whose listed values speak of a
        person, or are drawn as sentences."""
        listed = self.tool.values.items()
        return frozenset(
            name
            for name, values in listed
            if values == "sentence"
            or (not isinstance(values, str) and any(_OF_PERSONS & set(str(v).lower().split()) for v in values))
        )

    def texts(self) -> Iterator[str]:
        """All texts that its words stand in."""
        yield from (_plain(self.tool.name), self.tool.description, *map(_plain, self.tool.arguments))
        yield from (tool_example_text(example.say) for example in self.tool.examples)
        for name in self.values:
            parameter = self.tool.arguments[name]
            yield from map(tool_value_as_said, (parameter.items or parameter).enum or self.tool.listed_with_words(name))
        yield from (words for synonyms in self.tool.synonyms.values() for words in synonyms)


class Vocabulary:
    """Words of some tools."""

    def __init__(self, tools: Sequence[DeclaredTool]) -> None:
        self.tools = [ToolWords(tool) for tool in tools]
        having = Counter(word for tool in self.tools for word in tool.weights)
        number = max(len(self.tools), FEWEST_TOOLS) + 0.5
        self._unknown = math.log(number)
        self._weights = {word: math.log(number / count) for word, count in having.items()}
        spelled = {
            token.text.lower(): token.word
            for tool in self.tools
            for text in tool.texts()
            for token in tokens_of_tool_request(text)
            if token.is_word and len(token.text) >= _SHORTEST_MISTYPED and token.word not in FUNCTION_WORDS
        }
        self._by_letter: dict[str, dict[str, str]] = defaultdict(dict)
        for spelling, word in spelled.items():
            self._by_letter[spelling[0]][spelling] = word
        self._known = lru_cache(maxsize=4096)(self._known_word)

    def tokens(self, text: str) -> tuple[Token, ...]:
        """The tokens of a sentence, with words that are mistyped or cut short as the tools have them."""
        return tuple(
            Token(t.text, t.start, t.end, self._known(t.text)) for t in tokens_of_tool_request(text)[-MOST_TOKENS:]
        )

    def _known_word(self, text: str) -> str:
        word, spelled = stem_of_tool_word(text), text.lower()
        if word in self._weights or word in FUNCTION_WORDS | UNITS or is_short_for_another(text):
            return word
        if not text[0].isalpha() or len(text) < _SHORTEST_MISTYPED:
            return word
        # The first letter is rarely wrong, but may have changed places with the second.
        known = self._by_letter.get(spelled[0], {})
        swapped = self._by_letter.get(spelled[1], {}).get(spelled[1] + spelled[0] + spelled[2:])
        if swapped is not None:
            return swapped
        alike = [other for other in known if _may_be_meant(other, spelled)]
        if near := difflib.get_close_matches(spelled, alike, n=1, cutoff=_ALIKE):
            return known[near[0]]
        begun = {known[other] for other in known if other.startswith(spelled) and len(spelled) >= _SHORTEST_BEGUN}
        return begun.pop() if len(begun) == 1 else word

    def knows(self, word: str) -> bool:
        """Whether a word is of any tool."""
        return word in self._weights

    def weight(self, word: str) -> float:
        """How much a word says of which tool is meant."""
        little = OF_FUNCTION if word in FUNCTION_WORDS else OF_UNIT if word in UNITS else 1.0
        return little * self._weights.get(word, self._unknown)

    def scores(self, tokens: Sequence[Token]) -> list[tuple[ToolWords, float]]:
        """The tools that a sentence has words of, each with how much these say, the best first."""
        said = dict.fromkeys(token.word for token in tokens if token.text[0].isalnum() or token.word in UNITS)
        found = [(tool, math.fsum(tool.weights.get(w, 0.0) * self.weight(w) for w in said)) for tool in self.tools]
        return sorted(((tool, score) for tool, score in found if score > 0), key=lambda pair: -pair[1])

    def whole(self, tokens: Sequence[Token]) -> float:
        """What all words of a sentence say together."""
        return math.fsum(self.weight(w) for w in dict.fromkeys(token.word for token in tokens if token.is_word))


def _may_be_meant(known: str, spelled: str) -> bool:
    """Of words as short as `mean` one letter is another word: there only letters that changed places, or one more or
    less, are a typo; and another last letter is another word as well, as in `times` and `timer`."""
    if len(known) != len(spelled):
        return abs(len(known) - len(spelled)) == 1
    other = len(spelled) > _SHORTEST_MISTYPED and known[:-1] != spelled[:-1]
    return other or sorted(known) == sorted(spelled)


def _word_or_slot(part: str | tuple[str]) -> str:
    return part if isinstance(part, str) else SLOT


def _own_words(value: Any, item: Parameter) -> list[str]:
    return [] if item.type == "boolean" else [tool_value_as_said(value)]


def _plain(name: str) -> str:
    return name.replace("_", " ").replace("-", " ")
