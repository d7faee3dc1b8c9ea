"""Bits per byte: the language-modeling score that does not depend on the tokenizer.

Sum of -log2 p(token) over a text's tokens, divided by the text's UTF-8 bytes (as in Gao et al. 2020, "The
Pile", section 3.1). Two tokenizers cut the same text into different numbers of tokens but always the same
number of bytes, so the ladder's rows stay comparable even after the vocabulary was pruned. Special tokens
count no bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from forge.errors import ForgeError
from forge.evals.answering import END, eval_special_token_id

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MAX_LOST = 0.05  # share of a text's bytes that a tokenizer may be unable to spell


def bpb_held_out_texts(split: str = "test", max_chars: int | None = None) -> list[str]:
    """Texts that no training split holds, from the book that ships with reasoning_gym: always at hand, never
    downloaded.

    At most `max_chars` characters in all, but at least one text.
    """
    from forge.data.splits import dataset_split_by_hash
    from forge.data.texts import book_chunks

    chunks = [chunk for chunk in book_chunks() if dataset_split_by_hash(chunk) == split]
    if max_chars is None:
        return chunks
    kept: list[str] = []
    for chunk in chunks:
        if kept and sum(map(len, kept)) + len(chunk) > max_chars:
            break
        kept.append(chunk)
    return kept


def bpb_token_byte_lengths(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Bytes that each token id stands for: (vocab,) ints.

    A learned token spells one byte per character (the byte-level alphabet); an added phrase is plain text.
    """
    vocab = tokenizer.get_vocab()
    lengths = [0] * (max(vocab.values()) + 1)
    for token, index in vocab.items():
        lengths[index] = len(token)
    for index, added in tokenizer.added_tokens_decoder.items():
        lengths[index] = 0 if added.special else len(added.content.encode("utf-8"))
    return lengths


def _bpb_windows(ids: list[int], start: int, window: int) -> list[list[int]]:
    """Pieces of at most `window` predicted ids each; a piece is opened by the token before it."""
    sequence = [start, *ids]
    return [sequence[i : i + window + 1] for i in range(0, len(ids), window)]


def bits_per_byte(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    *,
    window: int = 256,
    batch_size: int = 16,
) -> float:
    """Mean bits per UTF-8 byte of `texts`, each opened by <|end|> so that its first token is predicted too.

    A text longer than `window` tokens is cut there, and only the piece's own context is seen.
    Raises ForgeError for no text, or when the tokenizer accounts for too few of its bytes.
    """
    import torch

    from forge.data.render import tokenize_text

    start = eval_special_token_id(tokenizer, END)
    lengths = bpb_token_byte_lengths(tokenizer)
    encoded = [tokenize_text(tokenizer, text) for text in texts]
    n_bytes = sum(lengths[token] for ids in encoded for token in ids)
    # The renderer opens up "<|" in a text, so that no text can speak a role token: one byte more each.
    expected = sum(len(text.encode("utf-8")) + text.count("<|") for text in texts)
    if n_bytes == 0:
        raise ForgeError("bits per byte: no text to measure")
    if not 0 <= expected - n_bytes <= MAX_LOST * expected:
        raise ForgeError(f"bits per byte: the tokenizer spells {n_bytes} bytes of a text of {expected}")
    pieces = [piece for ids in encoded for piece in _bpb_windows(ids, start, window)]
    pieces.sort(key=len)
    was_training = model.training
    model.eval()
    nats = 0.0
    with torch.no_grad():
        for begin in range(0, len(pieces), batch_size):
            nats += _bpb_total_loss(
                model, pieces[begin : begin + batch_size], eval_special_token_id(tokenizer, "<|pad|>")
            )
    model.train(was_training)
    # A pruned vocabulary may lack rare bytes; each is charged what sending it plainly costs.
    return (nats / math.log(2) + 8 * (expected - n_bytes)) / expected


def _bpb_total_loss(model: Any, pieces: list[list[int]], pad: int) -> float:
    """Summed cross-entropy in nats over all predicted tokens of a batch of id lists (ragged, padded here)."""
    import torch
    from torch.nn.functional import cross_entropy

    width = max(len(piece) for piece in pieces)
    ids = torch.full((len(pieces), width), pad, dtype=torch.long)
    targets = torch.full((len(pieces), width), -100, dtype=torch.long)
    for row, piece in enumerate(pieces):
        ids[row, : len(piece)] = torch.tensor(piece)
        targets[row, : len(piece) - 1] = torch.tensor(piece[1:])
    logits = model(ids).logits
    return float(cross_entropy(logits.flatten(0, 1).double(), targets.flatten(), ignore_index=-100, reduction="sum"))
