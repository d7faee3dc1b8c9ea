"""The one renderer: a conversation becomes ids and a loss mask, and nothing else decides what is supervised.

``<|system|>S<|user|>U<|assistant|><|call|>calculator 3+4<|result|>7<|assistant|>It is 7.<|end|>``. Supervised:
assistant text and its ``<|end|>``, a call with its ``<|call|>`` and the ``<|result|>`` that hands over to the
tool. Never: system, user, results.

A thought, ``<|assistant|><|think|>T<|/think|>A<|end|>``, is supervised too. It is written a token a character, and so
is the answer after it: digits and letters are worked on one by one there, whatever pieces they would make in a text.

An answer that is a call's result, or the plain words for its error, is written as nothing: whoever shows it shows the
result as it is (`render_answer_after_tool_result`), and no digit of it can be lost in writing it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.data.personas import PERSONAS
from forge.data.tokenizer import SPECIAL_TOKENS
from forge.errors import ForgeError
from forge.host.signals import hearing_signals

Message = dict[str, str]
ID = {token.strip("<|>"): i for i, token in enumerate(SPECIAL_TOKENS)}
TOOL_ERROR = "error:"
ROLES = ("system", "persona", "user", "assistant", "call", "result", "thought")


def render_answer_after_tool_result(result: str) -> str:
    """What a person reads after a tool, where the agent adds nothing: its result, or in plain words that it could
    not."""
    if not result.startswith(TOOL_ERROR):
        return result
    return f"I could not do that: {result.removeprefix(TOOL_ERROR).strip().rstrip('.')}."


def tokenize_text(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Plain text to ids; role tokens written in the text are not parsed as such."""
    backend: Any = tokenizer.backend_tokenizer
    ids: list[int] = backend.encode(text.replace("<|", "< |"), add_special_tokens=False).ids
    return ids


def tokenize_characters(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Plain text to ids, each character on its own."""
    ids = _character_ids(tokenizer)
    return [token for character in text for token in ids[character]]


class _CharacterIds(dict[str, list[int]]):
    """Ids of single characters, looked up once each."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def __missing__(self, character: str) -> list[int]:
        self[character] = tokenize_text(self.tokenizer, character)
        return self[character]


@lru_cache(maxsize=4)
def _character_ids(tokenizer: PreTrainedTokenizerFast) -> _CharacterIds:
    return _CharacterIds(tokenizer)


def encode_many(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> dict[str, list[int]]:
    """Ids of many texts at once, by text: what :func:`render` takes as ``known``."""
    backend: Any = tokenizer.backend_tokenizer
    unique = sorted(set(texts))
    plain = [text.replace("<|", "< |") for text in unique]
    encoded = hearing_signals(lambda: backend.encode_batch(plain, add_special_tokens=False))
    return {text: encoding.ids for text, encoding in zip(unique, encoded, strict=True)}


def render(
    tokenizer: PreTrainedTokenizerFast,
    messages: Sequence[Message],
    generation_prompt: bool = False,
    known: Mapping[str, list[int]] | None = None,
    thinking: bool = False,
) -> tuple[list[int], list[int]]:
    """Ids and loss mask (1 = supervised); ``generation_prompt`` ends with an open assistant turn, with ``thinking`` in
    an open thought."""
    ids: list[int] = []
    mask: list[int] = []

    def tokens_of_tool_request(text: str) -> list[int]:
        return known[text] if known is not None and text in known else tokenize_text(tokenizer, text)

    def add(tokens: Sequence[int], supervised: int) -> None:
        ids.extend(tokens)
        mask.extend([supervised] * len(tokens))

    opened = thought = False
    told: str | None = None  # what a person reads if nothing is added to the result that stands before
    for message in messages:
        role, content = message["role"], message["content"]
        if role not in ROLES:
            raise ForgeError(f"unknown role '{role}' in a conversation; there are {', '.join(ROLES)}")
        if role == "persona":
            if content not in PERSONAS:
                raise ForgeError(f"unknown persona '{content}'")
            add([ID[content]], 0)
        elif role in ("system", "user"):
            add([ID[role], *tokens_of_tool_request(content)], 0)
        elif role == "call":
            if not opened:
                add([ID["assistant"]], 0)
            add([ID["call"], *tokens_of_tool_request(content), ID["result"]], 1)
        elif role == "result":
            add([*tokens_of_tool_request(content), ID["assistant"]], 0)
        elif role == "thought":
            if not opened:
                add([ID["assistant"]], 0)
            add([ID["think"], *tokenize_characters(tokenizer, content), ID["/think"]], 1)
        else:
            if not opened:
                add([ID["assistant"]], 0)
            added = "" if content == told else content
            answer = tokenize_characters(tokenizer, added) if thought else tokens_of_tool_request(added)
            add([*answer, ID["end"]], 1)
        opened, thought = role in ("result", "thought"), role == "thought"
        told = render_answer_after_tool_result(content) if role == "result" else None
    if generation_prompt and not opened:
        add([ID["assistant"]], 0)
    if generation_prompt and thinking:
        add([ID["think"]], 0)
    return ids, mask


def render_text(tokenizer: PreTrainedTokenizerFast, text: str) -> tuple[list[int], list[int]]:
    """Plain text between two ``<|end|>``; everything is supervised but the first."""
    ids = [ID["end"], *tokenize_text(tokenizer, text), ID["end"]]
    return ids, [0, *([1] * (len(ids) - 1))]
