"""Smaller vocabularies: prune a tokenizer to what a domain needs, and store it in a few bytes.

Dropping a word is lossless for text: its bytes take its place, so sequences grow a little while the embedding table,
the largest tensor of a small model, shrinks. This is the specification's first step ("SeedLM"; the paper of that name,
arXiv 2410.10714, is a codec of seeded random bases: docs/lab.md).

*Canonical order* of ids, kept by everything here: special tokens, single bytes and then words (each sorted by their
printable stand-ins), phrases (added tokens of plain text). In that order a tokenizer is told in full by its settings,
the set of bytes, the words, and the phrases as token ids.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from forge.agentfile.entropy import decode_symbols, encode_symbols, read_varint, varint
from forge.agentfile.jsonzip import deflate_agent_file_json, inflate_agent_file_json
from forge.data.render import tokenize_characters
from forge.data.tokenizer import (
    BYTE_OF,
    MAX_PHRASE_LENGTH,
    MAX_TOKEN_LENGTH,
    MAX_VOCABULARY,
    SPECIAL_TOKENS,
    STAND_IN,
    added_token,
    build_tokenizer,
    token_stand_in,
    tokenizer_form,
)
from forge.errors import ForgeError

# Always kept: every printable ASCII character, tab, line feed, carriage return. A prompt may hold any of
# them.
_BASICS = frozenset(STAND_IN[b] for b in (9, 10, 13, *range(32, 127)))


@dataclass
class _Parts:
    """One of our tokenizers taken apart; chars and words hold byte stand-ins, phrases plain text."""

    ids: dict[str, int]
    chars: list[str]
    words: list[str]
    phrases: list[str]

    def canonical(self) -> list[str]:
        """Tokens in canonical order."""
        return [*SPECIAL_TOKENS, *self.chars, *self.words, *self.phrases]

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer with ids in canonical order; ``ids`` is not read."""
        order = {token: i for i, token in enumerate(self.canonical())}
        phrases = {phrase: order.pop(phrase) for phrase in self.phrases}
        return build_tokenizer(order, phrases, "vocabulary")


def _parts_of_agent_file_tokenizer(tokenizer: PreTrainedTokenizerFast) -> _Parts:
    form = json.loads(tokenizer.backend_tokenizer.to_str())
    added = sorted(form["added_tokens"], key=lambda token: token["id"])
    vocab = form["model"].get("vocab")
    if form != tokenizer_form(vocab, [added_token(token["content"], token["id"]) for token in added]):
        raise ForgeError("vocabulary: only tokenizers of our form can be pruned or packed")
    phrases = {token["content"]: token["id"] for token in added if not token["special"]}
    others = sorted(vocab.keys() - set(SPECIAL_TOKENS))
    chars, words = ([token for token in others if (token in BYTE_OF) == single] for single in (True, False))
    return _Parts({**vocab, **phrases}, chars, words, list(phrases))


def count_tokens_for_agent_file(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> np.ndarray:
    """How often each id occurs in ``texts``, int64 (vocabulary size)."""
    counts = np.zeros(len(tokenizer), dtype=np.int64)
    for encoding in tokenizer.backend_tokenizer.encode_batch(list(texts), add_special_tokens=False):
        counts += np.bincount(encoding.ids, minlength=len(counts))
    return counts


def count_characters_for_agent_file(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> np.ndarray:
    """The same for texts that are written a token a character (`forge.data.render.tokenize_characters`): thoughts and
    the answers after them, whatever pieces their digits would make in other texts."""
    counts = np.zeros(len(tokenizer), dtype=np.int64)
    for character, times in Counter("".join(texts)).items():
        for token in tokenize_characters(tokenizer, character):
            counts[token] += times
    return counts


@dataclass(frozen=True)
class PrunedVocabulary:
    """``kept_ids[new id] = old id``: gather the rows of the embedding with it."""

    tokenizer: PreTrainedTokenizerFast
    kept_ids: list[int]


class _Pruner:
    """Greedy removal of the token whose loss lengthens the corpus least."""

    def __init__(self, parts: _Parts, counts: np.ndarray) -> None:
        self.parts = parts
        self.counts = {token: int(counts[i]) for token, i in parts.ids.items()}
        self.made_of: dict[str, list[str]] = {word: list(word) for word in parts.words}
        self.gone: dict[str, list[str]] = {}
        plain = replace(parts, phrases=[]).tokenizer().backend_tokenizer
        for phrase in parts.phrases:
            self.made_of[phrase] = plain.encode(phrase, add_special_tokens=False).tokens
        self.heap = [self._entry(token) for token in self.made_of]
        heapq.heapify(self.heap)

    def _entry(self, token: str) -> tuple[int, int, str]:
        # Tokens that the corpus would miss: one becomes len(made_of). Among equals the youngest goes first.
        return self.counts[token] * (len(self.made_of[token]) - 1), -self.parts.ids[token], token

    def rarest(self) -> int | None:
        """Corpus count of the token that `drop_least` would drop next; None where none is left."""
        while self.heap and (self.heap[0][2] not in self.made_of or self.heap[0] != self._entry(self.heap[0][2])):
            heapq.heappop(self.heap)
        return self.counts[self.heap[0][2]] if self.heap else None

    def drop_least(self) -> None:
        """Drop that token: what it stood for falls to its parts, and of those to the bytes of words that are gone."""
        token = heapq.heappop(self.heap)[2]
        self.gone[token] = self.made_of.pop(token)
        for part in self.gone[token]:
            for heir in self.gone.get(part, [part]):
                self.counts[heir] += self.counts[token]
                if heir in self.made_of:
                    heapq.heappush(self.heap, self._entry(heir))


def prune_agent_file_vocabulary(
    tokenizer: PreTrainedTokenizerFast, counts: np.ndarray, *, size: int | None = None, min_count: int = 1
) -> PrunedVocabulary:
    """Keep what a corpus needs.

    ``counts``: how often each id occurs in it (`count_tokens_for_agent_file`, `count_characters_for_agent_file`, or
    ``np.bincount`` of prepared ids).
    Tokens seen fewer than ``min_count`` times go, then those whose loss costs the fewest extra tokens until ``size``
    ids are left. Special tokens, printable ASCII and every byte of the corpus stay; ancestors of a kept token
    stay. ForgeError if ``size`` cannot be reached or ``counts`` does not fit the tokenizer.
    """
    parts = _parts_of_agent_file_tokenizer(tokenizer)
    if min_count < 1:
        raise ForgeError(f"vocabulary: min_count must be at least 1, got {min_count}")
    if len(counts) < max(parts.ids.values()) + 1:
        raise ForgeError(f"vocabulary: {len(counts)} counts given for {max(parts.ids.values()) + 1} ids")
    seen = [token for token, i in parts.ids.items() if counts[i] > 0 and token not in SPECIAL_TOKENS]
    phrases = set(parts.phrases)
    needed = {c for token in seen for c in (token_stand_in(token) if token in phrases else token)}
    chars = [char for char in parts.chars if char in needed or char in _BASICS]
    pruner = _Pruner(parts, np.asarray(counts))
    floor = len(SPECIAL_TOKENS) + len(chars)
    while (rarest := pruner.rarest()) is not None and (
        rarest < min_count or (size is not None and floor + len(pruner.made_of) > size)
    ):
        pruner.drop_least()
    if size is not None and floor > size:
        raise ForgeError(f"vocabulary: cannot shrink to {size} tokens, {floor} are always needed")
    words, phrases_kept = ([t for t in tokens if t in pruner.made_of] for tokens in (parts.words, parts.phrases))
    pruned = _Parts(parts.ids, chars, words, phrases_kept)
    return PrunedVocabulary(pruned.tokenizer(), [parts.ids[token] for token in pruned.canonical()])


def _pack_vocabulary_block(data: bytes) -> bytes:
    return varint(len(data)) + data


def _read_block(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_varint(data, at)
    if at + size > len(data):
        raise ForgeError("packed tokenizer: it is cut off")
    return data[at : at + size], at + size


def _packed_settings(phrases: bool) -> dict[str, Any]:
    """The one form of our tokenizers without tokens. Phrases share one set of flags, the last added token: nothing here
    is news to the reader, but it stands in the file."""
    kinds = [*SPECIAL_TOKENS, ""] if phrases else SPECIAL_TOKENS
    return tokenizer_form({}, [added_token(content, 0) for content in kinds])


def pack_agent_file_tokenizer(tokenizer: PreTrainedTokenizerFast) -> bytes:
    """A tokenizer in some two hundred bytes of settings, three to four bytes a word, and a byte a token of its phrases.

    ForgeError if its ids are not in canonical order (module docstring; `prune_agent_file_vocabulary` puts them so).
    """
    parts = _parts_of_agent_file_tokenizer(tokenizer)
    order = {token: i for i, token in enumerate(parts.canonical())}
    if order != parts.ids:
        raise ForgeError("packed tokenizer: ids are not in canonical order, as prune_vocabulary leaves them")
    plain = replace(parts, phrases=[]).tokenizer().backend_tokenizer
    phrases = [plain.encode(phrase, add_special_tokens=False).ids for phrase in parts.phrases]
    bitmap = np.zeros(256, dtype=np.uint8)
    bitmap[[BYTE_OF[char] for char in parts.chars]] = 1
    return b"".join(
        [
            _pack_vocabulary_block(deflate_agent_file_json(_packed_settings(bool(parts.phrases)))),
            np.packbits(bitmap).tobytes(),
            _pack_words(parts),
            _pack_told(phrases, len(order) - len(phrases)),
        ]
    )


def _pack_words(parts: _Parts) -> bytes:
    """Of each word, in order, how many bytes it begins with as the one before it does, and then the other bytes."""
    number = {char: i for i, char in enumerate(parts.chars)}
    shared = [_shared_beginning(*pair) for pair in pairwise(["", *parts.words])]
    rests = [[number[char] for char in word[begin:]] for word, begin in zip(parts.words, shared, strict=True)]
    lengths = encode_symbols(np.array(shared, dtype=np.int64), MAX_TOKEN_LENGTH) if shared else b""
    told = _pack_told(rests, len(number))
    return varint(len(shared)) + _pack_vocabulary_block(lengths) + _pack_vocabulary_block(told)


def _shared_beginning(first: str, second: str) -> int:
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _pack_told(texts: list[list[int]], close: int) -> bytes:
    """Texts as numbers, each closed by one that is none of theirs."""
    told = [number for text in texts for number in (*text, close)]
    return varint(len(told)) + (encode_symbols(np.array(told, dtype=np.int64), close + 1) if told else b"")


def _read_told(data: bytes, names: list[str], longest: int) -> list[str]:
    """What `_pack_told` told: of each text the names of its numbers, put together; ``longest``: how many characters a
    text may have."""
    n, at = read_varint(data, 0)
    if n > 1024 + 8 * len(data):
        raise ForgeError(f"packed tokenizer: {len(data)} bytes cannot hold texts of {n} tokens")
    close = len(names)
    texts, current = [], ""
    for number in decode_symbols(data[at:], n, close + 1).tolist() if n else ():
        if number == close:
            texts.append(current)
            current = ""
        else:
            current += names[number]
        if len(current) > longest:
            raise ForgeError("packed tokenizer: a token is too long")
    if current:
        raise ForgeError("packed tokenizer: its tokens are cut off")
    return texts


def _unpack_words(data: bytes, chars: list[str]) -> tuple[list[str], int]:
    """The words, and where they end in ``data``."""
    n, at = read_varint(data, 0)
    lengths, at = _read_block(data, at)
    told, at = _read_block(data, at)
    rests = _read_told(told, chars, MAX_TOKEN_LENGTH)
    if n != len(rests):
        raise ForgeError(f"packed tokenizer: {len(rests)} words where it says {n}")
    words, word = [], ""
    for begin, rest in zip(decode_symbols(lengths, n, MAX_TOKEN_LENGTH).tolist() if n else (), rests, strict=True):
        word = word[:begin] + rest
        words.append(word)
    return words, at


def _unpack_vocabulary(data: bytes) -> PreTrainedTokenizerFast:
    raw, at = _read_block(data, 0)
    if inflate_agent_file_json(raw) not in (_packed_settings(True), _packed_settings(False)):
        raise ForgeError("packed tokenizer: not one of this program (other settings)")
    bitmap = np.unpackbits(np.frombuffer(data[at : at + 32], dtype=np.uint8))
    chars = sorted(STAND_IN[int(byte)] for byte in np.flatnonzero(bitmap))
    words, size = _unpack_words(data[at + 32 :], chars)
    tokens = [*SPECIAL_TOKENS, *chars, *words]
    if len(tokens) > MAX_VOCABULARY:
        raise ForgeError("packed tokenizer: more tokens than there may be")
    told = _read_told(data[at + 32 + size :], tokens, MAX_PHRASE_LENGTH)
    phrases = [bytes(BYTE_OF[char] for char in text).decode("utf-8") for text in told]
    vocab = {token: i for i, token in enumerate(tokens)}
    if len(vocab) < len(tokens):
        raise ForgeError("packed tokenizer: a word twice")
    return build_tokenizer(vocab, {p: len(tokens) + i for i, p in enumerate(phrases)}, "packed tokenizer")


def unpack_agent_file_tokenizer(data: bytes) -> PreTrainedTokenizerFast:
    """The tokenizer of `pack_agent_file_tokenizer`: same ids for every text. ForgeError if the data is malformed."""
    try:
        return _unpack_vocabulary(data)
    except ForgeError:
        raise
    except Exception as error:  # tokenizers raises a bare Exception for settings that it cannot read
        raise ForgeError(f"packed tokenizer: malformed ({error})") from error
