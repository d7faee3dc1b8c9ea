"""The one renderer: a conversation becomes ids and a loss mask, and nothing else decides what is supervised.

``<|system|>S<|user|>U<|assistant|><|call|>calculator 3+4<|result|>7<|assistant|>7<|end|>``. Supervised:
assistant text and its ``<|end|>``, a call with its ``<|call|>`` and the ``<|result|>`` that hands over to the
tool. Never: system, user, results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.data.personas import PERSONAS
from forge.data.tokenizer import SPECIAL_TOKENS
from forge.errors import ForgeError
from forge.host.signals import hearing_signals

Message = dict[str, str]
ID = {token.strip("<|>"): i for i, token in enumerate(SPECIAL_TOKENS)}
ROLES = ("system", "persona", "user", "assistant", "call", "result")


def tokenize_text(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    """Plain text to ids; role tokens written in the text are not parsed as such."""
    backend: Any = tokenizer.backend_tokenizer
    ids: list[int] = backend.encode(text.replace("<|", "< |"), add_special_tokens=False).ids
    return ids


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
) -> tuple[list[int], list[int]]:
    """Ids and loss mask (1 = supervised); ``generation_prompt`` ends with an open assistant turn."""
    ids: list[int] = []
    mask: list[int] = []

    def tokens_of(text: str) -> list[int]:
        return known[text] if known is not None and text in known else tokenize_text(tokenizer, text)

    def add(tokens: Sequence[int], supervised: int) -> None:
        ids.extend(tokens)
        mask.extend([supervised] * len(tokens))

    opened = False
    for message in messages:
        role, content = message["role"], message["content"]
        if role not in ROLES:
            raise ForgeError(f"unknown role '{role}' in a conversation; there are {', '.join(ROLES)}")
        if role == "persona":
            if content not in PERSONAS:
                raise ForgeError(f"unknown persona '{content}'")
            add([ID[content]], 0)
        elif role in ("system", "user"):
            add([ID[role], *tokens_of(content)], 0)
        elif role == "call":
            if not opened:
                add([ID["assistant"]], 0)
            add([ID["call"], *tokens_of(content), ID["result"]], 1)
        elif role == "result":
            add([*tokens_of(content), ID["assistant"]], 0)
        else:
            if not opened:
                add([ID["assistant"]], 0)
            add([*tokens_of(content), ID["end"]], 1)
        opened = role == "result"
    if generation_prompt and not opened:
        add([ID["assistant"]], 0)
    return ids, mask


def render_text(tokenizer: PreTrainedTokenizerFast, text: str) -> tuple[list[int], list[int]]:
    """Plain text between two ``<|end|>``; everything is supervised but the first."""
    ids = [ID["end"], *tokenize_text(tokenizer, text), ID["end"]]
    return ids, [0, *([1] * (len(ids) - 1))]
