"""Log-probabilities of the tokens of a text, each given those before it, and the likeliest tokens in its place."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from transformers import PreTrainedTokenizerFast

from forge.data.tokenizer import BYTE_OF
from forge.model.log_probs import LOGITS_AT_ONCE
from forge.model.titan import TinyTitanForCausalLM


@dataclass(frozen=True)
class TokenScores:
    """For each token of a text but the first, for which no prediction is made: its log-probability (nats), and the
    likeliest tokens (ids and log-probabilities, best first)."""

    chosen: list[float | None]
    best: list[list[tuple[int, float]] | None]


@torch.no_grad()
def serve_text_scores(model: TinyTitanForCausalLM, ids: Sequence[int], top: int) -> TokenScores:
    """Score every token of a text after its first; with halting, as the model generates."""
    chosen: list[float | None] = [None]
    best: list[list[tuple[int, float]] | None] = [None]
    if len(ids) > 1:
        table = model.eval().embedding_weight()
        states, _ = model.run_until_halt(model.prefill(torch.tensor([ids[:-1]]), table))
        targets, size = torch.tensor(ids[1:]), max(1, LOGITS_AT_ONCE // len(table))
        for start in range(0, len(targets), size):
            scores = F.linear(states[0, start : start + size], table).log_softmax(-1)
            chosen += scores.gather(1, targets[start : start + size, None])[:, 0].tolist()
            found = scores.topk(max(1, top), dim=-1)
            for numbers, values in zip(found.indices.tolist(), found.values.tolist(), strict=True):
                best.append(list(zip(numbers, values, strict=True)))
    return TokenScores(chosen, best)


def served_token_bytes(tokenizer: PreTrainedTokenizerFast, number: int) -> bytes:
    """What a token stands for in a text; a role token for its name."""
    token = str(tokenizer.convert_ids_to_tokens(number))
    if all(character in BYTE_OF for character in token):
        return bytes(BYTE_OF[character] for character in token)
    return token.encode("utf-8")


def served_token_name(tokenizer: PreTrainedTokenizerFast, number: int) -> str:
    r"""A token as OpenAI's API shows it: its text, or `bytes:\xe2` where it is no whole text."""
    found = served_token_bytes(tokenizer, number)
    try:
        return found.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in found)


def completion_logprobs(
    tokenizer: PreTrainedTokenizerFast, ids: Sequence[int], scores: TokenScores, first: int, top: int
) -> dict[str, Any]:
    """`logprobs` of a completion: of the tokens from place `first` on, with offsets from there in characters.

    Among the likeliest tokens is always the one of the text; with `top` 0 none are told.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    offsets, length = list[int](), 0
    for number in ids[first:]:
        offsets.append(length)
        length += len(decoder.decode(served_token_bytes(tokenizer, number)))
    likeliest: list[dict[str, float] | None] = []
    for number, own, found in zip(ids[first:], scores.chosen[first:], scores.best[first:], strict=True):
        if found is None or own is None:
            likeliest.append(None)
            continue
        likeliest.append(
            {served_token_name(tokenizer, i): value for i, value in [(number, own), *reversed(found[:top])]}
        )
    return {
        "tokens": [served_token_name(tokenizer, number) for number in ids[first:]],
        "token_logprobs": scores.chosen[first:],
        "top_logprobs": likeliest if top else None,
        "text_offset": offsets,
    }
