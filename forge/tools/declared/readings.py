"""What a sentence, taken as one request, asks of tools with examples: a tool, its arguments, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from forge.tools.declared.filling import (
    Filled,
    Mention,
    Spells,
    fill_tool_arguments,
    longest_tool_mentions,
    missing_arguments,
    tool_value_mentions,
)
from forge.tools.declared.quantities import quantities_in_tool_request
from forge.tools.declared.schema import DeclaredTool, Parameter
from forge.tools.declared.tokens import ARTICLES, FUNCTION_WORDS, UNDOING, UNITS, Token
from forge.tools.declared.turns import quoted_spans_of_request
from forge.tools.declared.vocabulary import ToolWords, Vocabulary, literal_words

MOST_READINGS = 4
_IDLE_NUMBER = 1.2  # what a number says against a tool that takes none, or not this one
AS_LIKELY = 0.85  # share of the best score from which another tool is as likely
# Shares from which a tool whose arguments are all said comes before the best one, of which something is missing: where
# that one's words were said, and where it has only values in common with the sentence.
_ALL_SAID, _MAY_BE = 0.75, 0.5
_SURE, _NAMES = 2.8, 1.8  # scores; the second of what a sentence names a value with that few tools have
_PARTLY_EXPLAINED, _MOSTLY_EXPLAINED, _WELL_EXPLAINED = 0.25, 0.55, 0.75  # shares of what a sentence says
# What stands between things that are named one by one.
_BETWEEN = ARTICLES | {",", "&", "and", "then", "plus", "also"}
_COMMANDED = 0.5  # share of an example's words from which it is meant


@dataclass(frozen=True)
class Reading:
    """A request.

    Attributes:
        words: of the tool that it asks for.
        values: of each argument that is said, the likeliest first; what is the same whatever is said among them.
        score: how much its words say of the tool. explained: their share of all that the sentence says: 0 to 1.
        worded: whether any of the words is of the tool's examples or description, not only of values.
        contrary: whether the sentence takes something back, of which the tool knows nothing.
    """

    words: ToolWords
    values: Mapping[str, list[Any]]
    score: float = 0.0
    explained: float = 0.0
    worded: bool = False
    contrary: bool = False

    @property
    def tool(self) -> DeclaredTool:
        """What it asks for."""
        return self.words.tool

    @property
    def missing(self) -> list[str]:
        """Required arguments of which nothing is said."""
        return missing_arguments(self.words, self.values) if self.tool.narrows else []

    @property
    def sure(self) -> bool:
        """Whether the sentence surely asks for this."""
        if self.contrary or not self.tool.narrows or (not self.worded and (self.missing or self.score < _NAMES)):
            return False
        whole = self.worded and not self.missing
        enough = self.explained >= (_MOSTLY_EXPLAINED if self.missing else _PARTLY_EXPLAINED)
        return (enough and self.score >= _SURE) or self.explained >= (_MOSTLY_EXPLAINED if whole else _WELL_EXPLAINED)

    @property
    def arguments(self) -> dict[str, Any]:
        """The likeliest values, in the order of the schema."""
        return {name: self.values[name][0] for name in self.tool.arguments if name in self.values}

    def schema(self) -> dict[str, Any]:
        """The schema of the arguments with no values but these; any of those that no sentence could say, and of a tool
        that is not narrowed."""
        schema, known = self.tool.json_schema(), dict[str, Any]()
        if not self.tool.narrows:
            return schema
        for name, parameter in self.tool.arguments.items():
            if name in self.values:
                known[name] = _one_of(self.values[name], parameter)
            elif name in self.tool.required:
                known[name] = schema["properties"][name]
        return {**schema, "properties": known, "required": list(known)}


class Reader:
    """Reads sentences as requests to some tools.

    Args:
        spells: whether the model can write a text.
    """

    def __init__(self, tools: Sequence[DeclaredTool], spells: Spells) -> None:
        self.vocabulary, self._spells = Vocabulary(tools), spells
        self.by_name = {words.tool.name: words for words in self.vocabulary.tools}
        self.readings = lru_cache(maxsize=512)(self._readings)

    def _readings(self, text: str) -> tuple[Reading, ...]:
        """What a sentence may ask for, the likeliest first: a tool whose words it has, with all that it requires, comes
        before one of which something is missing or whose values alone are named. None where it has no tool's words."""
        tokens = self.vocabulary.tokens(text)
        spans = quoted_spans_of_request(text)
        outside = [t for t in tokens if not any(start <= t.start and t.end <= end for start, end in spans)]
        outside = outside if any(token.is_word for token in outside) else list(tokens)
        scored = self.vocabulary.scores(outside)[:MOST_READINGS]
        whole = self.vocabulary.whole(outside)
        found = [self._read(words, score, whole, text, tokens) for words, score in scored]
        if not found:
            return ()
        found.sort(key=lambda reading: -reading.score)
        best = found[0]
        for other in found[1:]:
            near = other.score >= (_ALL_SAID if best.worded else _MAY_BE) * found[0].score
            better = (other.worded, not other.missing) > (best.worded, not best.missing)
            best = other if near and better else best
        return (best, *(reading for reading in found if reading is not best))

    def readings_of_all(self, text: str) -> tuple[Reading, ...]:
        """What a sentence says for each of the tools."""
        tokens = self.vocabulary.tokens(text)
        return tuple(self._read(words, 0.0, 1.0, text, tokens) for words in self.vocabulary.tools)

    def one_by_one(self, text: str) -> list[str]:
        """A sentence that names several values of an argument as one for each: `mute the hall and the bath`. None where
        it names none so, or may order different things of them."""
        readings, tokens = self.readings(text), self.vocabulary.tokens(text)
        said = {token.text.lower() for token in tokens}
        if not readings or {"on", "off"} <= said or {"up", "down"} <= said or "or" in said:
            return []
        words = readings[0].words
        single = [name for name, p in words.tool.arguments.items() if not p.items and name in readings[0].values]
        for name in single:
            mentions = longest_tool_mentions(sorted(tool_value_mentions(words, name, tokens), key=lambda m: m.first))
            run = _enumerated(list({m.first: m for m in mentions}.values()), tokens)
            if len({mention.value for mention in run}) > 1:
                start, end = tokens[run[0].first].start, tokens[run[-1].end - 1].end
                named = [text[tokens[m.first].start : tokens[m.end - 1].end] for m in run]
                return [f"{text[:start]}{value}{text[end:]}" for value in named]
        return []

    def examples_with_words_of(self, text: str, tools: int) -> list[str]:
        """The sentences of examples that share a word with a sentence, of so many of the likeliest tools."""
        said = {token.word for token in self.vocabulary.tokens(text)}
        says = [example.say for reading in self.readings(text)[:tools] for example in reading.tool.examples]
        return [say for say in says if not said.isdisjoint(literal_words(say))]

    def _read(self, words: ToolWords, score: float, whole: float, text: str, tokens: Sequence[Token]) -> Reading:
        if not words.tool.narrows:
            return Reading(words, {}, score, score / max(whole, score, 1e-9), worded=True)
        filled = fill_tool_arguments(words, text, tokens, self._spells)
        commanded = commanded_tool_arguments(words, tokens, filled)
        rest = {token.word for place, token in enumerate(tokens) if token.is_word and place not in filled.used}
        worded = bool(commanded) or any(word in words.weights for word in rest - FUNCTION_WORDS - UNITS)
        places = [place for place in filled.used | filled.led if tokens[place].is_word]
        known = {tokens[place].word for place in places} - words.weights.keys()
        explained = score / max(whole - math.fsum(map(self.vocabulary.weight, sorted(known))), score, 1e-9)
        values = {**filled.values, **{name: [value] for name, value in commanded.items()}}
        idle = [
            q
            for q in quantities_in_tool_request(tokens)
            if not q.unsure and filled.used.isdisjoint(range(q.first, q.end))
        ]
        if not any(parameter.free for parameter in words.tool.arguments.values()):
            score = max(score - _IDLE_NUMBER * len(idle), 0.0)
        contrary = bool(rest & UNDOING - words.weights.keys())
        return Reading(words, values, score, explained, worded, contrary)

    def fill(self, tool: DeclaredTool, text: str) -> tuple[Filled, Mapping[str, Any], tuple[Token, ...]]:
        """What a sentence says for a tool's arguments, which ones its words command, and its tokens."""
        words, tokens = self.by_name[tool.name], self.vocabulary.tokens(text)
        filled = fill_tool_arguments(words, text, tokens, self._spells)
        return filled, commanded_tool_arguments(words, tokens, filled), tokens


def commanded_tool_arguments(words: ToolWords, tokens: Sequence[Token], filled: Filled) -> Mapping[str, Any]:
    """The arguments that are the same in an example whatever is said, where a sentence has its words: brightness 0 for
    `turn off the {name}`. None where what is said contradicts them, or other examples, without such, are as near."""
    said, weights = {token.word for token in tokens}, words.command_weights
    best: tuple[float, Mapping[str, Any]] = (0.0, {})
    for fixed, says in words.commands:
        contradicted = any(name in filled.values and value not in filled.values[name] for name, value in fixed.items())
        for literal in says if fixed and not contradicted else ():
            there = math.fsum(weights[word] for word in sorted(literal & said))
            share = there / (math.fsum(weights[word] for word in sorted(literal)) or 1.0)
            if share >= _COMMANDED and share * there > best[0]:
                best = (share * there, fixed)
    return best[1]


def _enumerated(mentions: Sequence[Mention], tokens: Sequence[Token]) -> list[Mention]:
    """The first mentions between which nothing stands but commas, `and` and articles."""
    run: list[Mention] = []
    for mention in mentions:
        between = [token.word for token in tokens[run[-1].end : mention.first]] if run else []
        if run and not set(between) <= _BETWEEN:
            if len(run) > 1:
                break
            run = []
        run.append(mention)
    return run


def _one_of(values: list[Any], parameter: Parameter) -> dict[str, Any]:
    if isinstance(values[0], list):
        return {"const": values[0]}
    return {"enum": values, "type": parameter.type}
