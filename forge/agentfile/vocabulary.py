"""Smaller vocabularies: prune a byte-level BPE tokenizer to what a domain needs, and store it in a few bytes.

Dropping a token is lossless for text: its merge disappears and the parts take its place, so sequences grow a
little while the embedding table, the largest tensor of a small model, shrinks. This is the specification's
first step ("SeedLM"; the paper of that name, arXiv 2410.10714, is a codec of seeded random bases: docs/lab.md).

*Canonical order* of ids, kept by everything here: special tokens, single bytes (sorted by their printable
stand-in), merged tokens by rank of the merge that makes them, phrases (added tokens of plain text). In that
order a tokenizer is told in full by its settings, the set of bytes, the pairs merged, and the phrases as
token ids.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import constriction
import numpy as np
from transformers import PreTrainedTokenizerFast

from forge.agentfile.entropy import coded_alphabet, decode_symbols, encode_symbols, read_varint, varint
from forge.agentfile.jsonzip import deflate_agent_file_json, inflate_agent_file_json
from forge.data.render import tokenize_characters
from forge.data.tokenizer import (
    BYTE_OF,
    MAX_MERGES,
    MAX_PHRASE_LENGTH,
    MAX_TOKEN_LENGTH,
    MAX_VOCABULARY,
    SPECIAL_TOKENS,
    STAND_IN,
    added_token,
    build_tokenizer,
    tokenizer_form,
)
from forge.errors import ForgeError

# Always kept: every printable ASCII character, tab, line feed, carriage return. A prompt may hold any of
# them.
_BASICS = frozenset(STAND_IN[b] for b in (9, 10, 13, *range(32, 127)))


@dataclass
class _Parts:
    """One of our tokenizers taken apart; tokens hold byte stand-ins, phrases plain text."""

    ids: dict[str, int]
    chars: list[str]
    merges: list[tuple[str, str]]
    phrases: list[str]

    def canonical(self) -> list[str]:
        """Tokens in canonical order."""
        merged = list(dict.fromkeys(a + b for a, b in self.merges))
        return [*SPECIAL_TOKENS, *self.chars, *merged, *self.phrases]

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer with ids in canonical order; ``ids`` is not read."""
        order = {token: i for i, token in enumerate(self.canonical())}
        phrases = {phrase: order.pop(phrase) for phrase in self.phrases}
        return build_tokenizer(order, self.merges, phrases, "vocabulary")


def _parts_of_agent_file_tokenizer(tokenizer: PreTrainedTokenizerFast) -> _Parts:
    form = json.loads(tokenizer.backend_tokenizer.to_str())
    added = sorted(form["added_tokens"], key=lambda token: token["id"])
    vocab, merges = form["model"].get("vocab"), form["model"].get("merges")
    if form != tokenizer_form(vocab, merges, [added_token(token["content"], token["id"]) for token in added]):
        raise ForgeError("vocabulary: only byte-level BPE tokenizers of our form can be pruned or packed")
    ids = {**vocab, **{token["content"]: token["id"] for token in added}}
    phrases = [token["content"] for token in added if not token["special"]]
    chars = sorted(token for token in vocab if token in BYTE_OF)
    parts = _Parts(ids, chars, [(pair[0], pair[1]) for pair in merges], phrases)
    if unknown := set(ids) - set(parts.canonical()):
        raise ForgeError(f"vocabulary: token {min(unknown)!r} is neither a byte, a merge nor an added token")
    return parts


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
    """Greedy removal of the token whose loss lengthens the corpus least and that nothing kept is made of."""

    def __init__(self, parts: _Parts, counts: np.ndarray) -> None:
        self.parts = parts
        self.counts = {token: int(counts[i]) for token, i in parts.ids.items()}
        self.phrases = set(parts.phrases)
        self.made_of: dict[str, list[str]] = {}
        self.gone: dict[str, list[str]] = {}
        for a, b in parts.merges:
            self.made_of.setdefault(a + b, [a, b])
        plain = replace(parts, phrases=[]).tokenizer().backend_tokenizer
        for phrase in parts.phrases:
            self.made_of[phrase] = plain.encode(phrase, add_special_tokens=False).tokens
        self.uses = dict.fromkeys(parts.ids, 0)
        for token, made_of in self.made_of.items():
            if token not in self.phrases:
                for part in made_of:
                    self.uses[part] += 1
        self.heap = [self._entry(token) for token in self.made_of]
        heapq.heapify(self.heap)

    def _entry(self, token: str) -> tuple[int, int, str]:
        # Tokens that the corpus would miss: one becomes len(made_of). Among equals the youngest goes first.
        return self.counts[token] * (len(self.made_of[token]) - 1), -self.parts.ids[token], token

    def drop_least(self) -> bool:
        """Drop one token; False if every token left is needed."""
        while self.heap:
            entry = heapq.heappop(self.heap)
            token = entry[2]
            if token not in self.made_of or self.uses[token] or entry != self._entry(token):
                continue
            self.gone[token] = self.made_of.pop(token)
            if token not in self.phrases:
                for part in self.gone[token]:
                    self.uses[part] -= 1
            self._credit(token, self.counts[token])
            return True
        return False

    def _credit(self, token: str, count: int) -> None:
        """A dropped token's occurrences fall to its parts, and to theirs where a part is gone too."""
        for part in self.gone[token]:
            self.counts[part] += count
            if part in self.gone:
                self._credit(part, count)
            elif part in self.made_of:
                heapq.heappush(self.heap, self._entry(part))

    def rarest(self) -> int | None:
        """Corpus count of the token that `drop_least` would drop next."""
        while self.heap:
            entry = self.heap[0]
            if entry[2] in self.made_of and not self.uses[entry[2]] and entry == self._entry(entry[2]):
                return self.counts[entry[2]]
            heapq.heappop(self.heap)
        return None


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
    needed = {c for token in seen for c in (_agent_file_token_stand_in(token) if token in phrases else token)}
    chars = [char for char in parts.chars if char in needed or char in _BASICS]
    pruner = _Pruner(parts, np.asarray(counts))
    floor = len(SPECIAL_TOKENS) + len(chars)
    while (rarest := pruner.rarest()) is not None and rarest < min_count:
        pruner.drop_least()
    while size is not None and floor + len(pruner.made_of) > size:
        if not pruner.drop_least():
            raise ForgeError(f"vocabulary: cannot shrink to {size} tokens, {floor} are always needed")
    kept = set(pruner.made_of)
    usable = kept | set(chars)
    merges = [(a, b) for a, b in parts.merges if a + b in kept and a in usable and b in usable]
    phrases_kept = [phrase for phrase in parts.phrases if phrase in kept]
    pruned = _Parts(parts.ids, chars, merges, phrases_kept)
    return PrunedVocabulary(pruned.tokenizer(), [parts.ids[token] for token in pruned.canonical()])


def _agent_file_token_stand_in(text: str) -> str:
    return "".join(STAND_IN[byte] for byte in text.encode("utf-8"))


def _pack_vocabulary_block(data: bytes) -> bytes:
    return varint(len(data)) + data


def _read_block(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = read_varint(data, at)
    if at + size > len(data):
        raise ForgeError("packed tokenizer: it is cut off")
    return data[at : at + size], at + size


def _packed_settings(phrases: bool) -> dict[str, Any]:
    """The one form of our tokenizers without tokens and merges. Phrases share one set of flags, the last added token:
    nothing here is news to the reader, but it stands in the file."""
    kinds = [*SPECIAL_TOKENS, ""] if phrases else SPECIAL_TOKENS
    return tokenizer_form({}, [], [added_token(content, 0) for content in kinds])


def pack_agent_file_tokenizer(tokenizer: PreTrainedTokenizerFast) -> bytes:
    """A byte-level BPE tokenizer in some two hundred bytes of settings and about two bytes per token.

    ForgeError if its ids are not in canonical order (module docstring; `prune_agent_file_vocabulary` puts them so).
    """
    parts = _parts_of_agent_file_tokenizer(tokenizer)
    order = {token: i for i, token in enumerate(parts.canonical())}
    if order != parts.ids:
        raise ForgeError("packed tokenizer: ids are not in canonical order, as prune_vocabulary leaves them")
    pairs = np.array([order[part] for pair in parts.merges for part in pair], dtype=np.int32)
    coder = constriction.stream.stack.AnsCoder()
    if pairs.size:
        coder.encode_reverse(pairs, constriction.stream.model.Uniform(), _vocabulary_pair_limits(parts))
    # Phrases are told in the tokenizer's own tokens, each closed by an id that no token has.
    plain, close = replace(parts, phrases=[]).tokenizer().backend_tokenizer, len(order)
    told = [i for phrase in parts.phrases for i in (*plain.encode(phrase, add_special_tokens=False).ids, close)]
    bitmap = np.zeros(256, dtype=np.uint8)
    bitmap[[BYTE_OF[char] for char in parts.chars]] = 1
    return b"".join(
        [
            _pack_vocabulary_block(deflate_agent_file_json(_packed_settings(bool(parts.phrases)))),
            np.packbits(bitmap).tobytes(),
            varint(len(parts.merges)),
            _pack_vocabulary_block(coder.get_compressed().astype("<u4").tobytes()),
            varint(len(told)),
            encode_symbols(np.array(told, dtype=np.int64), close + 1) if told else b"",
        ]
    )


def _vocabulary_pair_limits(parts: _Parts) -> np.ndarray:
    """How many ids existed when each part of each merge was written, int32 (2 * merges)."""
    known, limits = len(SPECIAL_TOKENS) + len(parts.chars), []
    seen = set()
    for a, b in parts.merges:
        limits += [known, known]
        known += a + b not in seen
        seen.add(a + b)
    return np.array(limits, dtype=np.int32)


def _unpack_vocabulary_merges(data: bytes, n: int, tokens: list[str]) -> list[tuple[str, str]]:
    """Undo the merge coding; ``tokens`` (specials and bytes by id) grows by the tokens made."""
    # A pair of so many tokens takes seven bits at least.
    if n > min(MAX_MERGES, 16 + 2 * len(data)):
        raise ForgeError(f"packed tokenizer: {len(data)} bytes cannot hold {n} merges")
    coder = constriction.stream.stack.AnsCoder(np.frombuffer(data, dtype="<u4").astype(np.uint32))
    known, merges = set(tokens), []
    for _ in range(n):
        first, second = coder.decode(constriction.stream.model.Uniform(len(tokens)), 2)
        a, b = tokens[first], tokens[second]
        if min(first, second) < len(SPECIAL_TOKENS) or len(a + b) > MAX_TOKEN_LENGTH:
            raise ForgeError("packed tokenizer: a merge of a role token, or into a token that is too long")
        merges.append((a, b))
        if a + b not in known:
            tokens.append(a + b)
            known.add(a + b)
    if not coder.is_empty() or len(tokens) > MAX_VOCABULARY:
        raise ForgeError("packed tokenizer: more merges than it says, or more tokens than there may be")
    return merges


def _read_phrases(data: bytes, n: int, tokens: list[str]) -> list[str]:
    """The phrases told in ``tokens``, ``n`` symbols with the one that closes each."""
    if n > 1024 + 8 * len(data):
        raise ForgeError(f"packed tokenizer: {len(data)} bytes cannot hold phrases of {n} tokens")
    phrases, current, close = [], "", coded_alphabet(data) - 1 if n else 0
    for i in decode_symbols(data, n, close + 1).tolist() if n else ():
        if i == close:
            phrases.append(bytes(BYTE_OF[char] for char in current).decode("utf-8"))
            current = ""
        else:
            current += tokens[i]
        if len(current) > MAX_PHRASE_LENGTH:
            raise ForgeError("packed tokenizer: a phrase is too long")
    if current or (n and close != len(tokens) + len(phrases)):
        raise ForgeError("packed tokenizer: its phrases are cut off")
    return phrases


def _unpack_vocabulary(data: bytes) -> PreTrainedTokenizerFast:
    raw, at = _read_block(data, 0)
    if inflate_agent_file_json(raw) not in (_packed_settings(True), _packed_settings(False)):
        raise ForgeError("packed tokenizer: not one of this program (other settings)")
    bitmap = np.unpackbits(np.frombuffer(data[at : at + 32], dtype=np.uint8))
    chars = sorted(STAND_IN[int(byte)] for byte in np.flatnonzero(bitmap))
    tokens = [*SPECIAL_TOKENS, *chars]
    n, at = read_varint(data, at + 32)
    stream, at = _read_block(data, at)
    merges = _unpack_vocabulary_merges(stream, n, tokens)
    n, at = read_varint(data, at)
    phrases = _read_phrases(data[at:], n, tokens)
    vocab = {token: i for i, token in enumerate(tokens)}
    return build_tokenizer(vocab, merges, {p: len(tokens) + i for i, p in enumerate(phrases)}, "packed tokenizer")


def unpack_agent_file_tokenizer(data: bytes) -> PreTrainedTokenizerFast:
    """The tokenizer of `pack_agent_file_tokenizer`: same ids for every text. ForgeError if the data is malformed."""
    try:
        return _unpack_vocabulary(data)
    except ForgeError:
        raise
    except Exception as error:  # tokenizers raises a bare Exception for settings that it cannot read
        raise ForgeError(f"packed tokenizer: malformed ({error})") from error
