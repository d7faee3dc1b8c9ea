"""Calls that cannot be malformed: while one is written, only tokens that some call of an allowed tool goes on with.

The grammar is made of the tools' schemas and kept by llguidance, which reads it in milliseconds and says in
microseconds whether a token fits (docs/lab.md has the figures, and those of the libraries beside it). A token is tried
before anything is masked: what fits stands, so a model that writes calls well pays next to nothing, and each token is
drawn from the model's distribution over those that fit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from transformers import PreTrainedTokenizerFast

from forge.data.asked_forms import (
    SURELY,
    TOOL_AS_LIKE,
    TOOL_LIKE,
    AskedForms,
    forms_of_training_questions,
    own_rows_ask_for_call,
    question_of_turns,
    training_forms_ask_for_call,
)
from forge.data.asked_parts import parts_of_question
from forge.data.render import ID
from forge.data.tokenizer import STAND_IN
from forge.errors import ForgeError
from forge.tools.builtin import TOOLS
from forge.tools.declared.requests import NEAR, Forms, Requests
from forge.tools.declared.schema import DeclaredTool, Parameter
from forge.tools.declared.tokens import FUNCTION_WORDS, PRONOUNS, stem_of_tool_word, stems_of_tool_words
from forge.tools.declared.turns import goes_on, quoted_spans_of_request
from forge.tools.said import CONSTANTS, calculator_numbers_as_written, digits_said_to_calculator
from forge.tools.words import CallWords, words_said

LONGEST_TEXT = 200  # characters of a text whose schema says nothing of its length
MOST_ITEMS = 16  # of an array whose schema says nothing of it
MOST_STARTS = 64  # grammars of sets of tools that are kept
LARGEST_NUMBER = 10**15  # without a bound a call could hold 1e999, which is no number once it is read
# Compact JSON; a control character, which would be a line break in the result, has no escape and so cannot occur.
_COMPACT = {"whitespace_flexible": False, "json_allowed_escapes": '"\\'}
# One line without blanks around it; no control characters of either block, no separators of lines and paragraphs.
_INNER = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]"
_LETTER = r"A-Za-z\u00c0-\u024f"  # Latin ones; all that Unicode knows are five times as slow
_OUTER = r"[^\x00-\x20\x7f-\xa0\u2028\u2029]"
# What \W, \D and \S leave out differs between engines beyond ASCII.
_NEGATED_CLASS = re.compile(r"\\[DWS]")
_PRINTABLE_ASCII = {"pattern": "^[ -~]*$"}


# What stands for things that were spoken of.
_POINTING = PRONOUNS | frozenset(
    stems_of_tool_words("they he she his her their its each both same another other else instead")
)
_BUILT_IN = frozenset(tool.name for tool in TOOLS)
WordsOfCall = Callable[[str, str], CallWords | None]


def _any_word(name: str, said: str) -> None:
    return None


@dataclass(frozen=True)
class _Narrowing:
    """What calls are narrowed to: what was said; the question, where that is all that a call can be about; words by the
    name of a tool and what was said; how the workspace is asked; whether the model can write a text; and what may be
    called after it."""

    said: str
    question: str | None
    words: WordsOfCall
    asked: AskedForms
    spells: Callable[[str], bool]
    forms: Forms

    def schemas(self, tool: DeclaredTool) -> list[dict[str, Any]]:
        """Of what may be called with a tool that of which every required argument was said."""
        return [schema for other, schema in self.forms if other is tool and not isinstance(schema, str)]

    def missing(self, tool: DeclaredTool) -> str | None:
        """The argument for which must be asked, where nothing that may be called is complete."""
        names = [name for other, name in self.forms if other is tool and isinstance(name, str)]
        return names[0] if names and not self.schemas(tool) else None


class CallMatcher:
    """One call as it is written.

    Args:
        matcher: of all calls.
        width: tokens of the tokenizer.
        narrow: the matcher of the calls that begin with given tokens, once these name a tool, and the question for an
            argument that was not said; None before that.
        widen: the matcher of all calls that begin with given tokens, for one that was narrowed and cannot go on.

    Attributes:
        question: what must be asked before this call can be made; empty where nothing is missing.
    """

    def __init__(
        self,
        matcher: LLMatcher,
        width: int,
        narrow: Callable[[Sequence[int]], tuple[LLMatcher, str] | None] | None = None,
        widen: Callable[[Sequence[int]], LLMatcher] | None = None,
    ) -> None:
        self._matcher, self._width, self._narrow, self._widen = matcher, width, narrow, widen
        self._taken: list[int] = []
        self.question = ""

    def take(self, token: int) -> bool:
        """Go on with a token if it fits; ``<|result|>`` fits where the call is whole, other role tokens never."""
        if token == ID["result"]:
            return bool(self._matcher.is_accepting())
        # A model may have more tokens than its tokenizer; one of them would end the matcher.
        if not len(ID) <= token < self._width or self._matcher.try_consume_tokens([token]) != 1:
            return False
        self._taken.append(token)
        if self._narrow is not None and (narrowed := self._narrow(self._taken)) is not None:
            (self._matcher, self.question), self._narrow = narrowed, None
        return True

    def fitting(self, vocabulary: int) -> np.ndarray:
        """Which of the model's tokens fit now: bool (vocabulary,).

        Raises:
            ForgeError: none does, which a tokenizer without some bytes may come to.
        """
        fits = self._fitting(vocabulary)
        if not fits.any() and self._widen is not None:
            self._matcher, self._widen = self._widen(self._taken), None
            fits = self._fitting(vocabulary)
        if not fits.any():
            reason = _one_line_of(self._matcher.get_error()) or "no token of the vocabulary goes on with it"
            raise ForgeError(f"a call cannot be written to its end: {reason}")
        return fits

    def _fitting(self, vocabulary: int) -> np.ndarray:
        mask = allocate_token_bitmask(1, self._width)
        fill_next_token_bitmask(self._matcher, mask)
        fits = np.zeros(vocabulary, dtype=bool)
        fits[: self._width] = np.unpackbits(mask.view(np.uint8), bitorder="little")[: self._width]
        fits[: len(ID)] = False
        fits[ID["result"]] = self._matcher.is_accepting()
        return fits & (not self._matcher.is_error())


class CallGrammar:
    """What a call may be: one of some tools with arguments that its schema allows.

    ``NAME TEXT`` for a tool that takes one text, one line of it; else ``NAME {...}``, compact JSON with its keys in the
    order of the schema, those that are not required possibly left out.

    Args:
        tokenizer: of the model that writes.
        tools: those that may be called.
        words: words that the text of a tool may have, by its name and what was said; None for any
            (`forge.tools.toolbox.Toolbox.words_of_call`).
        asked: gives how the tools' workspace is asked, when that is first wanted.

    Attributes:
        names: of the tools.

    Raises:
        ForgeError: no tool; a schema that no grammar can be made of (a pattern that looks around); a name or value that
            this tokenizer has no bytes for.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        tools: Sequence[DeclaredTool],
        words: WordsOfCall = _any_word,
        asked: Callable[[], AskedForms] = forms_of_training_questions,
    ) -> None:
        if not tools:
            raise ForgeError("there is no tool that may be called")
        self.names = tuple(tool.name for tool in tools)
        self._width = len(tokenizer)
        spelled = _call_tokenizer(tokenizer)
        self._vocabulary = tokenizer.get_vocab()
        for tool in tools:
            self._refuse_unspellable_tool(tool)
            fault = LLMatcher.validate_grammar(_lark_of_tools([tool]), spelled)
            if fault:
                raise ForgeError(f"{tool.name}: its calls cannot be held to its schema: {_one_line_of(fault)}")
        self._tools, self._tokenizer, self._spelled, self._words = tuple(tools), tokenizer, spelled, words
        self._by_name, self._asked = {tool.name: tool for tool in tools}, asked
        own = [tool for tool in tools if tool.narrows or tool.name not in _BUILT_IN]
        self._requests = Requests(own, self._spells)
        self._starts: dict[tuple[str, ...], LLMatcher] = {}
        if self._start(self.names).is_error():
            raise ForgeError(f"no grammar of {len(tools)} tools: {_one_line_of(self._start(self.names).get_error())}")

    def wants_call(self, asked: str) -> bool | None:
        """Whether the user's turns, a line each, need a call, as far as their words tell: by examples of tools, or by
        `forge.data.asked_forms.training_forms_ask_for_call`. None leaves it to the model."""
        wanted = own_rows_ask_for_call(self._asked(), self._requests, asked)
        question = self._question(asked)
        plain = self._requests.certainty(asked) < NEAR
        if wanted is not None or question is None or not plain or not self._known_built_in_tools(asked):
            return wanted
        wanted = training_forms_ask_for_call(self._asked(), question)
        if wanted is False and (question != asked or self._names_things(question)):
            return None
        return wanted if not wanted or self._asked().tools(question) & set(self.names) else None

    def _question(self, asked: str) -> str | None:
        """What the last of some turns asks a built-in tool for, as one question; None where it leans on others in a way
        that is not known."""
        names = filter(self._says_something, self._workspace_names(asked))
        return question_of_turns(self._asked(), asked, frozenset(word.lower() for word in names))

    def _workspace_names(self, asked: str) -> frozenset[str]:
        known = (self._words(name, asked) for name in self.names)
        return frozenset[str]().union(*(words.names for words in known if words is not None))

    @staticmethod
    def _says_something(word: str) -> bool:
        return len(word) > 2 and not word.isdecimal() and stem_of_tool_word(word) not in FUNCTION_WORDS

    def _names_things(self, asked: str) -> bool:
        """Whether a question has a word of the workspace's documents and tables that says something."""
        said = set(filter(self._says_something, words_said(asked)))
        return not said.isdisjoint(self._workspace_names(asked))

    def leans(self, asked: str) -> bool:
        """Whether the last of the user's turns, a line each, has to do with the one before."""
        last = "".join(asked.strip().splitlines()[-1:]).strip()
        if self._requests.leans(asked):
            return True
        question = self._question(asked)
        if question is not None:
            return question != last
        about = self._names_things(last) or calculator_numbers_as_written(last) != []
        another = goes_on(last) and not quoted_spans_of_request(last)
        return another or not (about or _POINTING.isdisjoint(stems_of_tool_words(last)))

    def parts(self, turn: str) -> tuple[str, ...]:
        """The questions that a turn asks built-in tools at once; none where it is one."""
        if self._requests.certainty(turn) >= NEAR or not self._known_built_in_tools(turn):
            return ()
        names = frozenset(word.lower() for word in filter(self._says_something, self._workspace_names(turn)))
        return parts_of_question(self._asked(), turn, names)

    def wants_more(self, asked: str, made: Sequence[str]) -> bool | None:
        """Whether another call comes after those that were made since the user's last turn; None leaves it to the
        model."""
        return self._requests.more(asked, made)

    def is_answer(self, call: str) -> bool:
        """Whether the result of a call is all that there is to say: of one about what no model has learned."""
        return self._asked().decides(call.partition(" ")[0])

    def _known_built_in_tools(self, said: str) -> set[str]:
        return {tool.name for tool in self._tools if not tool.narrows and self._words(tool.name, said) is not None}

    def begin(self, said: str | None = None, asked: str | None = None, *, made: Sequence[str] = ()) -> CallMatcher:
        """A call of which nothing is written yet.

        Args:
            said: the conversation, a turn a line, to whose numbers and words the text of a built-in tool is narrowed
                as soon as it is named (`forge.tools.said`); None narrows nothing.
            asked: the user's part of it, default all: calls of tools with examples are of a form that it is about, and
                hold what it says.
            made: calls that were made since the user's last turn; where that asks for others, those come next.
        """
        if said is None:
            return CallMatcher(self._start(self.names).deep_copy(), self._width)
        asked = said if asked is None else asked
        forms = self._requests.forms(asked, made)
        question = None if made else self._question(asked)  # a second call leans on the result of the first
        own, built_in = {tool.name for tool, _ in forms}, self._built_in_tools_for(question, said)
        about = self._likelier_tools(asked.splitlines()[-1] if asked else "", asked, own, built_in)
        names = tuple(name for name in self.names if name in about) or self.names
        heard = said if question in (None, asked) else question
        narrowing = _Narrowing(heard, question, self._words, self._asked(), self._spells, forms)
        narrow = partial(self._narrowed, narrowing, names)
        return CallMatcher(self._start(names).deep_copy(), self._width, narrow, self._widened)

    def _widened(self, taken: Sequence[int]) -> LLMatcher:
        """The matcher of all calls that begin with some tokens: of what forms, words and numbers have in common little
        may be left, and of that nothing that this vocabulary can write."""
        found = self._start(self.names).deep_copy()
        found.try_consume_tokens(list(taken))
        return found

    def _built_in_tools_for(self, question: str | None, said: str) -> set[str]:
        """Tools without forms of their own: of those whose words are known the ones that a question is for."""
        free, known = {tool.name for tool in self._tools if not tool.narrows}, self._known_built_in_tools(said)
        if question is None or not known:
            return free
        return free - known | (known & self._asked().tools(question))

    def _likelier_tools(self, last: str, asked: str, own: set[str], built_in: set[str]) -> set[str]:
        """Those with examples of a user's, or the built-in ones, where the last turn is more like the one, or leans on
        a turn that is, than the other; else both."""
        like, other = self._requests.certainty(last), self._asked().most_like(last)
        like = SURELY if like < SURELY and self._requests.leans(asked) else like
        if own and like >= NEAR and other < like:
            return own
        return built_in if built_in and other >= TOOL_LIKE and like < TOOL_AS_LIKE * other else own | built_in

    def _start(self, names: tuple[str, ...]) -> LLMatcher:
        if names not in self._starts:
            if len(self._starts) >= MOST_STARTS:
                self._starts.clear()
            tools = [tool for tool in self._tools if tool.name in names]
            self._starts[names] = LLMatcher(self._spelled, _lark_of_tools(tools))
        return self._starts[names]

    def _narrowed(
        self, narrowing: _Narrowing, names: Sequence[str], taken: Sequence[int]
    ) -> tuple[LLMatcher, str] | None:
        name, blank, _ = str(self._tokenizer.decode(list(taken))).partition(" ")
        # set_light may become set_lights
        if name not in names or (not blank and any(other != name and other.startswith(name) for other in names)):
            return None
        tool = self._by_name[name]
        found = LLMatcher(self._spelled, _lark_of_tools([tool], narrowing))
        if found.is_error() or found.try_consume_tokens(list(taken)) != len(taken):
            return None
        missing = narrowing.missing(tool)
        return found, "" if missing is None else tool.question_for(missing)

    def _spells(self, text: str) -> bool:
        """Whether a text can be written. A pruned vocabulary lacks bytes that occur in no text of the training data: a
        value with one of them could be begun, not ended."""
        return all(STAND_IN[byte] in self._vocabulary for byte in text.encode("utf-8"))

    def _refuse_unspellable_tool(self, tool: DeclaredTool) -> None:
        for text in (tool.name, *_literals_of(tool)):
            if not self._spells(text):
                raise ForgeError(f"{tool.name}: the model's vocabulary has no way to write {text!r}")


@lru_cache(maxsize=4)
def _call_tokenizer(tokenizer: PreTrainedTokenizerFast) -> LLTokenizer:
    return from_tokenizer(tokenizer, n_vocab=len(tokenizer), eos_token=ID["result"])


def _one_line_of(message: str) -> str:
    """What llguidance says, without the numbered lines of the grammar that it quotes after that."""
    return " ".join(re.split(r"\s1 \| ", message)[0].split())[:200]


def _literals_of(tool: DeclaredTool) -> Iterator[str]:
    for name, parameter in tool.arguments.items():
        yield name
        for values in (parameter.enum, parameter.items.enum if parameter.items else None):
            yield from (value for value in values or () if isinstance(value, str))


def _lark_of_tools(tools: Sequence[DeclaredTool], narrowing: _Narrowing | None = None) -> str:
    """The grammar in llguidance's dialect of Lark: one alternative a tool."""
    rules = [f"start: {' | '.join(f't{i}' for i in range(len(tools)))}"]
    for i, tool in enumerate(tools):
        schemas = narrowing.schemas(tool) if narrowing is not None and tool.narrows else []
        rules += _rules_of_tool(i, tool, schemas or [tool.json_schema()], narrowing)
    return LLMatcher.grammar_from_lark("\n".join(rules) + "\n")


def _rules_of_tool(
    i: int, tool: DeclaredTool, schemas: Sequence[dict[str, Any]], narrowing: _Narrowing | None
) -> list[str]:
    prefix, forms = json.dumps(f"{tool.name} "), range(len(schemas))
    if tool.plain is not None:
        terminals = [_terminal_of_plain(tool, schema["properties"][tool.plain], narrowing) for schema in schemas]
        return [f"t{i}: {prefix} TEXT{i}", f"TEXT{i}: {' | '.join(terminals)}"]
    bounded = [json.dumps({**_bounded_object(schema), "x-guidance": _COMPACT}) for schema in schemas]
    alternatives = " | ".join(f"{prefix} a{i}_{form}" for form in forms)
    return [f"t{i}: {alternatives}", *(f"a{i}_{form}: %json {bounded[form]}" for form in forms)]


def _terminal_of_plain(tool: DeclaredTool, schema: dict[str, Any], narrowing: _Narrowing | None) -> str:
    """A terminal: what a tool that takes one text may be given. Pieces of the conversation where examples show what is
    taken from it, else a text whose numbers, and whose words where some are known, were said."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values is not None:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in values)
    text = _terminal_of_text(tool.arguments[tool.plain or ""])
    if narrowing is None or tool.narrows:
        return text
    digits, words = digits_said_to_calculator(narrowing.said), narrowing.words(tool.name, narrowing.said)
    asked, names = narrowing.question, frozenset[str]() if words is None else words.names
    decides = narrowing.asked.decides(tool.name)
    known = asked is not None and (decides or words is not None)
    forms = narrowing.asked.patterns(tool.name, asked or "", names) if known else []
    if forms and decides:
        return _terminal("|".join(forms))
    if words is None:
        return text
    # Nothing is counted: what a count and a list of words have in common has too many states.
    terminals = [f"/{_OUTER}({_INNER}*{_OUTER})?/", *([_terminal("|".join(forms))] if forms else [])]
    if digits is not None:
        numerals = {word for word in words.all if word.isdigit()}
        terminals.append(_terminal(_runs("0-9", filter(narrowing.spells, digits | CONSTANTS | numerals))))
    return " & ".join([*terminals, _terminal(_pattern_of_words(words, narrowing.spells))])


def _terminal(pattern: str) -> str:
    """A terminal of a regular expression: slashes end it, and `\\ ` is none in Rust."""
    escaped = pattern.replace("/", r"\/").replace(r"\ ", " ")
    return f"/{escaped}/"


def _pattern_of_words(words: CallWords, spells: Callable[[str], bool]) -> str:
    if words.quoted is None:
        return _runs(_LETTER, filter(spells, words.all))
    bare = _runs(_LETTER, filter(spells, words.all), without="'\"")
    quoted = "|".join(f"{mark}{_runs(_LETTER, filter(spells, words.quoted), without=mark)}{mark}" for mark in "'\"")
    return f"{bare}(({quoted}){bare})*"


def _terminal_of_text(parameter: Parameter) -> str:
    """A terminal: text of one line, not longer than it may be."""
    longest = parameter.max_length or LONGEST_TEXT
    return f"/{_OUTER}({_INNER}{{0,{longest - 2}}}{_OUTER})?/" if longest > 1 else f"/{_OUTER}/"


def _runs(kind: str, runs: Iterable[str], *, without: str = "") -> str:
    """A pattern: any text ``without`` some characters in which every run of a class of characters is one of these."""
    run, between = f"({'|'.join(sorted(runs))})", f"[^{kind}{without}]"
    return f"{between}*({run}{between}+)*{run}?"


def _bounded_object(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of a tool's arguments, in which everything ends."""
    return {**schema, "properties": {name: _bounded(value) for name, value in schema["properties"].items()}}


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    if "enum" in schema or "const" in schema:
        return schema
    kind = schema["type"]
    if kind == "string":
        bounded = {"maxLength": LONGEST_TEXT, **schema}
        wide = _NEGATED_CLASS.search(schema.get("pattern", ""))
        return {"allOf": [bounded, _PRINTABLE_ASCII]} if wide else bounded
    if kind in ("integer", "number"):
        return {"minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER, **schema}
    if kind == "array":
        return {"maxItems": MOST_ITEMS, **schema, "items": _bounded(schema["items"])}
    return schema
