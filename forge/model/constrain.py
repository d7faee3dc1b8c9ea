"""Calls that cannot be malformed: while one is written, only tokens that some call of an allowed tool goes on with.

The grammar is made of the tools' schemas and kept by llguidance, which reads it in milliseconds and says in
microseconds whether a token fits (docs/lab.md has the figures, and those of the libraries beside it). A token is tried
before anything is masked: what fits stands, so a model that writes calls well pays next to nothing, and each token is
drawn from the model's distribution over those that fit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from transformers import PreTrainedTokenizerFast

from forge.data.render import ID
from forge.data.tokenizer import STAND_IN
from forge.errors import ForgeError
from forge.tools.declared.schema import DeclaredTool, Parameter

LONGEST_TEXT = 200  # characters of a text whose schema says nothing of its length
MOST_ITEMS = 16  # of an array whose schema says nothing of it
LARGEST_NUMBER = 10**15  # without a bound a call could hold 1e999, which is no number once it is read
# Compact JSON; a control character, which would be a line break in the result, has no escape and so cannot occur.
_COMPACT = {"whitespace_flexible": False, "json_allowed_escapes": '"\\'}
# One line without blanks around it; no control characters of either block, no separators of lines and paragraphs.
_INNER = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]"
_OUTER = r"[^\x00-\x20\x7f-\xa0\u2028\u2029]"
# What \W, \D and \S leave out differs between engines beyond ASCII.
_NEGATED_CLASS = re.compile(r"\\[DWS]")
_PRINTABLE_ASCII = {"pattern": "^[ -~]*$"}


class CallMatcher:
    """One call as it is written."""

    def __init__(self, matcher: LLMatcher, width: int) -> None:
        self._matcher, self._width = matcher, width

    def take(self, token: int) -> bool:
        """Go on with a token if it fits; ``<|result|>`` fits where the call is whole, other role tokens never."""
        if token == ID["result"]:
            return bool(self._matcher.is_accepting())
        return token >= len(ID) and self._matcher.try_consume_tokens([token]) == 1

    def fitting(self, vocabulary: int) -> np.ndarray:
        """Which of the model's tokens fit now: bool (vocabulary,).

        Raises:
            ForgeError: none does, which a tokenizer without some bytes may come to.
        """
        mask = allocate_token_bitmask(1, self._width)
        fill_next_token_bitmask(self._matcher, mask)
        fits = np.zeros(vocabulary, dtype=bool)
        fits[: self._width] = np.unpackbits(mask.view(np.uint8), bitorder="little")[: self._width]
        fits[: len(ID)] = False
        fits[ID["result"]] = self._matcher.is_accepting()
        if self._matcher.is_error() or not fits.any():
            reason = _one_line_of(self._matcher.get_error()) or "no token of the vocabulary goes on with it"
            raise ForgeError(f"a call cannot be written to its end: {reason}")
        return fits


class CallGrammar:
    """What a call may be: one of some tools with arguments that its schema allows.

    ``NAME TEXT`` for a tool that takes one text, one line of it; else ``NAME {...}``, compact JSON with its keys in the
    order of the schema, those that are not required possibly left out.

    Args:
        tokenizer: of the model that writes.
        tools: those that may be called.

    Attributes:
        names: of the tools.

    Raises:
        ForgeError: no tool; a schema that no grammar can be made of (a pattern that looks around); a name or value that
            this tokenizer has no bytes for.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, tools: Sequence[DeclaredTool]) -> None:
        if not tools:
            raise ForgeError("there is no tool that may be called")
        self.names = tuple(tool.name for tool in tools)
        self._width = len(tokenizer)
        spelled = _call_tokenizer(tokenizer)
        vocabulary = tokenizer.get_vocab()
        for tool in tools:
            _refuse_unspellable_tool(tool, vocabulary)
            fault = LLMatcher.validate_grammar(_lark_of_tools([tool]), spelled)
            if fault:
                raise ForgeError(f"{tool.name}: its calls cannot be held to its schema: {_one_line_of(fault)}")
        self._start = LLMatcher(spelled, _lark_of_tools(tools))
        if self._start.is_error():
            raise ForgeError(f"no grammar of {len(tools)} tools: {_one_line_of(self._start.get_error())}")

    def begin(self) -> CallMatcher:
        """A call of which nothing is written yet."""
        return CallMatcher(self._start.deep_copy(), self._width)


@lru_cache(maxsize=4)
def _call_tokenizer(tokenizer: PreTrainedTokenizerFast) -> LLTokenizer:
    return from_tokenizer(tokenizer, n_vocab=len(tokenizer), eos_token=ID["result"])


def _one_line_of(message: str) -> str:
    """What llguidance says, without the numbered lines of the grammar that it quotes after that."""
    return " ".join(re.split(r"\s1 \| ", message)[0].split())[:200]


def _refuse_unspellable_tool(tool: DeclaredTool, vocabulary: dict[str, int]) -> None:
    """A pruned vocabulary lacks bytes that occur in no text: a value with one of them could be begun, not ended."""
    for text in (tool.name, *_literals_of(tool)):
        if any(STAND_IN[byte] not in vocabulary for byte in text.encode("utf-8")):
            raise ForgeError(f"{tool.name}: the model's vocabulary has no way to write {text!r}")


def _literals_of(tool: DeclaredTool) -> Iterator[str]:
    for name, parameter in tool.arguments.items():
        yield name
        for values in (parameter.enum, parameter.items.enum if parameter.items else None):
            yield from (value for value in values or () if isinstance(value, str))


def _lark_of_tools(tools: Sequence[DeclaredTool]) -> str:
    """The grammar in llguidance's dialect of Lark: one alternative a tool."""
    rules = [f"start: {' | '.join(f't{i}' for i in range(len(tools)))}"]
    for i, tool in enumerate(tools):
        prefix = json.dumps(f"{tool.name} ")
        if tool.plain is not None:
            rules += [f"t{i}: {prefix} TEXT{i}", f"TEXT{i}: {_terminal_of_text(tool.arguments[tool.plain])}"]
        else:
            schema = {**_bounded_object(tool), "x-guidance": _COMPACT}
            rules += [f"t{i}: {prefix} a{i}", f"a{i}: %json {json.dumps(schema)}"]
    return LLMatcher.grammar_from_lark("\n".join(rules) + "\n")


def _terminal_of_text(parameter: Parameter) -> str:
    """A terminal: text of one line, not longer than it may be."""
    longest = parameter.max_length or LONGEST_TEXT
    return f"/{_OUTER}({_INNER}{{0,{longest - 2}}}{_OUTER})?/" if longest > 1 else f"/{_OUTER}/"


def _bounded_object(tool: DeclaredTool) -> dict[str, Any]:
    """The schema of a tool's arguments, in which everything ends."""
    schema = tool.json_schema()
    return {**schema, "properties": {name: _bounded(value) for name, value in schema["properties"].items()}}


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema["type"]
    if "enum" in schema:
        return schema
    if kind == "string":
        bounded = {"maxLength": LONGEST_TEXT, **schema}
        wide = _NEGATED_CLASS.search(schema.get("pattern", ""))
        return {"allOf": [bounded, _PRINTABLE_ASCII]} if wide else bounded
    if kind in ("integer", "number"):
        return {"minimum": -LARGEST_NUMBER, "maximum": LARGEST_NUMBER, **schema}
    if kind == "array":
        return {"maxItems": MOST_ITEMS, **schema, "items": _bounded(schema["items"])}
    return schema
