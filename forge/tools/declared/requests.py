"""What a conversation asks of tools with examples: the calls that come next.

A turn may ask for several things (`lock the shed and mute the hall`, `mute the hall and the kitchen`), and may lean on
the turn before (`the kitchen too`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from forge.errors import ForgeError
from forge.tools.calls import parse_tool_call
from forge.tools.declared.filling import Spells
from forge.tools.declared.quantities import quantities_in_tool_request
from forge.tools.declared.readings import AS_LIKELY, Reader, Reading
from forge.tools.declared.schema import DeclaredTool, refuse_tool_value
from forge.tools.declared.tokens import (
    FUNCTION_WORDS,
    LONGEST_TURN,
    PRONOUNS,
    VERBS,
    Token,
    stems_of_tool_words,
    tokens_of_tool_request,
)
from forge.tools.declared.turns import JOINT, bare_value, drops_tool_request, goes_on, quoted_spans_of_request
from forge.tools.words import is_number_said

SURELY, NEAR = 0.5, 0.3  # certainty of a sentence that surely asks for a call, and of one that may
_PARTS = 8  # joints of a turn, the last ones
_TURNS = 8  # last ones that are looked at: a follow-up has its tool from a turn before
_FEW_WORDS = 8  # of a turn that is only a value
_SUBJECTS = frozenset(stems_of_tool_words("i he she we they you me who what why think so"))
_HALVES, _SHARED = 0.2, 0.4  # how good a cut is: two requests (and what the less explained one is), one and its values
_WITHOUT_BLANKS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
Forms = list[tuple[DeclaredTool, dict[str, Any] | str]]  # each with its schema, or the argument that was not said
Call = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Request:
    """One thing that a turn asks for. readings: the likeliest first. leans: whether on a turn before."""

    readings: tuple[Reading, ...]
    leans: bool = False

    @property
    def best(self) -> Reading | None:
        """What it most likely asks for."""
        return self.readings[0] if self.readings else None

    @property
    def sure(self) -> bool:
        """Whether it surely asks for that."""
        return self.best is not None and (self.leans or self.best.sure)

    def forms(self) -> Forms:
        """What its call may be: of what it surely asks for and what is as likely; where that is not sure, of all that
        it may ask for. Of those that lack something only where all do, or where it surely asks for the first."""
        least = AS_LIKELY * self.readings[0].score if self.sure else 0.0
        near = [reading for reading in self.readings if reading.score >= least]
        complete: Forms = [(reading.tool, reading.schema()) for reading in near if not reading.missing]
        if self.readings and self.readings[0].missing and self.sure:
            return [(self.readings[0].tool, self.readings[0].missing[0])]
        return complete or [(reading.tool, reading.missing[0]) for reading in near]


class Requests:
    """Requests to some tools, by the words of their declarations.

    Args:
        spells: whether the model can write a text.
    """

    def __init__(self, tools: Sequence[DeclaredTool], spells: Spells) -> None:
        self._tools, self._spells = list(tools), spells
        self._by_name = {tool.name: tool for tool in tools}
        self._reader = Reader(tools, spells)
        self._cut = lru_cache(maxsize=256)(self._cut_at_joints)
        self._requests = lru_cache(maxsize=64)(self._requests_of)

    def certainty(self, turn: str) -> float:
        """How much of a turn, or of one request in it, the words of a tool explain: 0 to 1, `SURELY` or more where it
        surely asks for a call."""
        return max((_certainty(request) for request in self._requests(_last_line(turn))), default=0.0)

    def examples_with_words_of(self, turn: str, tools: int = 1) -> list[str]:
        """The sentences of examples that share a word with a turn, of so many tools that it is likeliest for."""
        return self._reader.examples_with_words_of(turn[-LONGEST_TURN:], tools)

    def lists_values(self, turn: str) -> bool:
        """Whether what a turn asks for has an argument with listed values: then "all" may be several calls."""
        best = [request.best for request in self._requests(_last_line(turn)) if request.best]
        return any((p.items or p).enum for reading in best for p in reading.tool.arguments.values())

    def leans(self, asked: str) -> bool:
        """Whether the last of the user's turns, a line each, names another value for what one before asks for."""
        found = self._requests(asked)  # of those behind the first each may lean on the one before in the same turn
        return bool(found) and found[0].leans

    def leans_plainly(self, asked: str) -> bool:
        """Whether it does no more than that: it has no verb, and at most one word that is of no tool."""
        bare = bare_value(_last_line(asked))
        tokens = [token for token in self._reader.vocabulary.tokens(bare) if token.is_word]
        unknown = [token for token in tokens if not self._reader.vocabulary.knows(token.word)]
        other = [token for token in unknown if token.word not in FUNCTION_WORDS and not _is_number(token)]
        lacks = (before := self._before(asked)) is not None and bool(before.missing)
        verbs, subjects = {token.word for token in unknown} & VERBS, {token.word for token in tokens} & _SUBJECTS
        orders = bool(verbs or subjects) or "?" in bare
        others = len(other) > 1 and not goes_on(_last_line(asked))
        return len(tokens) <= _FEW_WORDS and (lacks or not (orders or others))

    def without_texts(self, turn: str) -> str:
        """A turn without what stands in quotation marks, or fills an argument that may be any text."""
        left = turn[-LONGEST_TURN:]
        for start, end in reversed(quoted_spans_of_request(left)):
            left = f"{left[:start]} {left[end:]}"
        for best in (request.best for request in self._requests(_last_line(turn)) if request.best):
            for text in (str(v) for n, v in best.arguments.items() if best.tool.arguments[n].free):
                left = left.replace(text, " ", 1)
        return left

    def forms(self, asked: str, made: Sequence[str] = ()) -> Forms:
        """What the next call may be; of every tool what is said for it where the conversation has none's words.

        Args:
            asked: the user's turns, a line each.
            made: calls that were made since the last of them.
        """
        if _WITHOUT_BLANKS.search(_last_line(asked)):
            return [(tool, tool.json_schema()) for tool in self._tools]
        requests = self._requests(asked)
        for request in (*self._unmet(requests, self._parsed(made)), *reversed(requests)):
            if forms := request.forms():
                return forms
        every = Request(self._reader.readings_of_all(_last_line(asked)))
        return every.forms()

    def more(self, asked: str, made: Sequence[str]) -> bool | None:
        """Whether the last turn surely asks for another call beside those that were made; None where only a model can
        say."""
        calls, last, requests = self._parsed(made), _last_line(asked), self._requests(asked)
        if not calls or len(calls) < len(made) or not any(request.sure for request in requests):
            return None
        if unmet := self._unmet(requests, calls):
            best = unmet[0].best
            return True if best is not None and unmet[0].sure and not best.missing else None
        # Where it has a joint at which no request was found, one call may not be all.
        listed = any(isinstance(v, list) for r in requests if r.best for v in r.best.arguments.values())
        wanted = max(len(requests), 2 if JOINT.search(last) and not listed else 1)
        return False if len(calls) >= wanted else None

    def _unmet(self, requests: Sequence[Request], calls: Sequence[Call]) -> list[Request]:
        """Requests for which no call was made. A call of none of them was made for the first that has no other."""
        unused, unmet = list(calls), list[Request]()
        for request in requests:
            met = next((call for call in unused if any(_is_call_of(r, *call) for r in request.readings)), None)
            if met is None:
                unmet.append(request)
            else:
                unused.remove(met)
        return unmet[len(unused) :]

    def _requests_of(self, asked: str) -> tuple[Request, ...]:
        """What the last of some turns asks for, in order."""
        turns = _last_turns(asked) if self._tools else []
        before, found = self._before(asked), list[Request]()
        for part in self._cut(turns[-1]) if turns else ():
            found.append(self._request(part, before))
            before = found[-1].best if found[-1].sure else before
        return tuple(found)

    def _before(self, asked: str) -> Reading | None:
        """What the turns before the last one ask for: the last of it."""
        earlier = "\n".join(_last_turns(asked)[:-1])
        if not earlier:
            return None
        found = self._requests(earlier)
        sure = [request.best for request in found if request.sure]
        # It may be one that lacks something, or is badly put.
        near = [request.best for request in found if request.best and request.best.explained >= NEAR]
        return sure[-1] if sure else near[-1] if near else self._before(earlier)

    def _request(self, part: str, before: Reading | None) -> Request:
        readings = self._reader.readings(part)
        if before is not None and readings and readings[0].missing and readings[0].tool is before.tool:
            readings = (_with_pronoun(readings[0], before, tokens_of_tool_request(part)), *readings[1:])
        own = bool(readings) and readings[0].sure and readings[0].worded
        if before is not None and (not own or readings[0].missing):
            leaning = self._leaning(before, part)
            if leaning is not None and not (own and leaning.missing):
                return Request((leaning,), leans=True)
        return Request(readings)

    def _cut_at_joints(self, text: str) -> tuple[str, ...]:
        """A turn cut where both sides ask for something, or where the one behind names other values for the one before,
        at the best such joint first."""
        if each := self._reader.one_by_one(text):
            return tuple(part for sentence in each for part in self._cut(sentence))
        cuts = [(worth, cut) for cut in _sides_of_joints(text) if (worth := self._worth_of_cut(cut)) > 0]
        if not cuts:
            return (text,)
        _, (before, _, after) = max(cuts, key=lambda cut: cut[0])
        return (*self._cut(before), *self._cut(after))

    def _worth_of_cut(self, cut: tuple[str, str, str]) -> float:
        before, _, after = cut
        first, second = (next(iter(self._reader.readings(side)), None) for side in (before, after))
        if first is None or first.missing or not first.sure:
            return 0.0
        worth = 0.0
        if second is not None and second.sure and not second.missing and not self._is_said_of(first, cut):
            worth = _HALVES + min(first.explained, second.explained)
            if second.worded:
                return worth
        other = self._leaning(first, after)
        if other is None or other.missing:
            return worth
        changed = [name for name in other.values if other.values[name] != first.values.get(name)]
        texts = [name for name in changed if first.tool.arguments[name].free]
        listed = [name for name in changed if first.tool.arguments[name].items]
        return _SHARED if not texts and not listed and any(name in first.values for name in changed) else 0.0

    def _is_said_of(self, first: Reading, cut: tuple[str, str, str]) -> bool:
        """Whether what stands behind a joint is said of the request before it: `book the hall at 11, for 90 minutes`,
        `watch the garage and the garden`, `add bread, butter and jam to the list`."""
        whole = next(iter(self._reader.readings("".join(cut))), None)
        if whole is None or whole.tool is not first.tool:
            return False
        longer = [
            n for n, v in whole.arguments.items() if isinstance(v, list) and len(v) > len(first.arguments.get(n, v))
        ]
        texts = [
            (str(v), str(first.arguments.get(n, v))) for n, v in whole.arguments.items() if whole.tool.arguments[n].free
        ]
        listed = any(text.startswith(f"{begun}{cut[1]}") for text, begun in texts) and not _begins_with_verb(cut[2])
        return listed or bool(longer) or (cut[1].strip() == "," and whole.values.keys() > first.values.keys())

    def _leaning(self, before: Reading, text: str) -> Reading | None:
        """What a turn asks for that names other values for a request, or those that it lacks; None where it names
        none."""
        tool, bare = before.tool, bare_value(text)
        if not bare or drops_tool_request(bare):
            return None
        filled, commanded, tokens = self._reader.fill(tool, bare)
        new = {name: values for name, values in filled.values.items() if not tool.arguments[name].free}
        unknown = [
            token
            for place, token in enumerate(tokens)
            if place not in filled.used
            and token.is_word
            and token.word not in FUNCTION_WORDS | VERBS
            and token.word not in self._reader.by_name[tool.name].weights
            and not _is_number(token)
        ]
        new |= {name: [value] for name, value in commanded.items() if name not in new}
        if not new or len(unknown) > len(filled.used):
            new = self._text_of_turn(before, text, bare)
        values = {**before.values, **new}
        if not new or values == before.values:
            return None
        return replace(before, values=values)

    def _text_of_turn(self, before: Reading, text: str, bare: str) -> dict[str, list[Any]]:
        """A turn that is a text as a whole: the one that a request lacks, or another one where it goes on with that."""
        free = [name for name in before.tool.arguments if before.tool.arguments[name].free]
        lacking = [name for name in before.missing[:1] if name in free]
        said = {token.word for token in tokens_of_tool_request(bare)}
        another = not before.missing and goes_on(text) and len(said) <= _FEW_WORDS and not said & (VERBS | _SUBJECTS)
        names = lacking or [name for name in free if name in before.values and another]
        fits = names and refuse_tool_value(before.tool.arguments[names[0]], bare) is None and self._spells(bare)
        return {names[0]: [bare]} if fits else {}

    def _parsed(self, made: Sequence[str]) -> list[Call]:
        calls: list[Call] = []
        for text in made:
            with suppress(ForgeError):  # of a tool that is not among these
                calls.append(parse_tool_call(text, self._by_name))
        return calls


def _is_number(token: Token) -> bool:
    return is_number_said(token.text.lower())


def _with_pronoun(reading: Reading, before: Reading, tokens: Sequence[Token]) -> Reading:
    """A request that says `it` for what the one before names: `lock the shed`, `unlock it`."""
    if not PRONOUNS & {token.word for token in tokens}:
        return reading
    known = {name: before.values[name] for name in reading.missing if name in before.values}
    return replace(reading, values={**known, **reading.values})


def _certainty(request: Request) -> float:
    explained = request.best.explained if request.best else 0.0
    return max(explained, SURELY) if request.sure else min(explained, SURELY - 0.01)


def _is_call_of(reading: Reading, name: str, arguments: Mapping[str, Any]) -> bool:
    if name != reading.tool.name or arguments.keys() != reading.values.keys():
        return False
    return all(arguments[key] in values for key, values in reading.values.items())


def _sides_of_joints(text: str) -> Iterator[tuple[str, str, str]]:
    """What stands before, at and behind each joint."""
    tokens = tokens_of_tool_request(text)
    whole = [
        (tokens[q.first].start, tokens[q.end - 1].end) for q in quantities_in_tool_request(tokens)
    ] + quoted_spans_of_request(text)
    for joint in list(JOINT.finditer(text))[-_PARTS:]:
        before, after = text[: joint.start()], text[joint.end() :]
        inside = any(start < joint.start() and joint.end() < end for start, end in whole)  # a hundred and fifty
        if before.strip() and after.strip() and not inside:
            yield before, joint[0], after


def _begins_with_verb(text: str) -> bool:
    """Whether a text begins with what is to be done."""
    said = [token.word for token in tokens_of_tool_request(text) if token.word not in FUNCTION_WORDS]
    return bool(said) and said[0] in VERBS


def _last_turns(asked: str) -> list[str]:
    return [line[-LONGEST_TURN:] for line in asked.splitlines() if line.strip()][-_TURNS:]


def _last_line(asked: str) -> str:
    return "".join(asked.splitlines()[-1:])[-LONGEST_TURN:]
