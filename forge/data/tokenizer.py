"""One tokenizer: common words and frequent boilerplate as single tokens, all else byte by byte, role tokens first.

A word is one token or none. Pieces of words, as merges make them, are so many and so rare that a model of a million
weights learns the letters of few, and can neither spell a name that it is asked about nor copy it (docs/lab.md).

A tokenizer.json of somebody else may hold anything that the library behind it knows, and some of that never ends, takes
all memory or ends the process (normalizers, padding). So a file is read here as JSON, must have the one form that
`train_tokenizer` writes, and the library is given that form, with the file's tokens in it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from forge.data.chat_template import CHAT_TEMPLATE
from forge.data.personas import PERSONAS
from forge.errors import ForgeError
from forge.files import decode_utf8, parse_json, read_regular_file

ROLE_TOKENS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|call|>", "<|result|>")
THOUGHT_TOKENS = ("<|think|>", "<|/think|>", "<|pause|>")
SPECIAL_TOKENS = (*ROLE_TOKENS, *THOUGHT_TOKENS, *(f"<|{name}|>" for name in PERSONAS))

# A word with the space before it; one digit; punctuation with the space before it and, before a digit, the
# one after it.
PIECE = r" ?[A-Za-z]+|\d| ?[^\sA-Za-z\d]+(?: (?=\d))?|\s+(?!\S)|\s+"
_PIECE = re.compile(PIECE)
_WORD = re.compile(r"\n+| ?[^\s\d]+(?=\s|$)|\S+|\s+")
MAX_PHRASE_WORDS = 24
MAX_TOKEN_LENGTH = 16  # bytes of a word
MIN_OCCURRENCES = 5  # of a word in the texts that it is to be a token of
MAX_PHRASE_LENGTH = 4096  # bytes
MAX_VOCABULARY = 65536
_MAX_FILE = 1 << 24  # bytes of a tokenizer.json; one of 65,536 tokens has six million


def _byte_stand_ins() -> dict[int, str]:
    """Printable stand-in of every byte in byte-level BPE (GPT-2): itself, or a character from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


STAND_IN = _byte_stand_ins()
BYTE_OF = {char: byte for byte, char in STAND_IN.items()}


def mine_tokenizer_phrases(prompts: Sequence[str], limit: int, min_gain: int) -> list[str]:
    """Boilerplate worth a token of its own: the word sequences without digits that save the most tokens.

    Greedy: take the sequence with the largest (occurrences * (words - 1)), cut it out everywhere, repeat
    until ``limit`` phrases or a gain below ``min_gain``. Official prompts repeat whole sentences; a phrase
    token reads one at the cost of one (the idea of superword tokens, SuperBPE, arXiv 2503.13423).
    """
    segments: Counter[tuple[str, ...]] = Counter()
    for prompt in prompts:
        segments.update(_tokenizer_phrase_segments(prompt))
    phrases: list[str] = []
    while len(phrases) < limit:
        gains: Counter[tuple[str, ...]] = Counter()
        for words, count in segments.items():
            for i in range(len(words)):
                for j in range(i + 3, min(len(words), i + MAX_PHRASE_WORDS) + 1):
                    gains[words[i:j]] += count * (j - i - 1)
        best = max(gains, key=lambda words: (gains[words], len(words), words), default=None)
        if best is None or gains[best] < min_gain:
            break
        phrases.append("".join(best))
        segments = _cut_text_at_tokenizer_phrase(segments, best)
    return phrases


def _tokenizer_phrase_segments(prompt: str) -> list[tuple[str, ...]]:
    out: list[tuple[str, ...]] = []
    current: list[str] = []
    for word in _WORD.findall(prompt):
        if re.search(r"\d", word) or not word.strip(" "):
            if current and word == " ":
                current[-1] += " "  # the space before a number joins the phrase
            out.append(tuple(current))
            current = []
        else:
            current.append(word)
    out.append(tuple(current))
    return [words for words in out if len(words) >= 3]


def _cut_text_at_tokenizer_phrase(
    segments: Counter[tuple[str, ...]], phrase: tuple[str, ...]
) -> Counter[tuple[str, ...]]:
    left: Counter[tuple[str, ...]] = Counter()
    for words, count in segments.items():
        start = 0
        for i in range(len(words) - len(phrase) + 1):
            if i >= start and words[i : i + len(phrase)] == phrase:
                if i - start >= 3:
                    left[words[start:i]] += count
                start = i + len(phrase)
        if len(words) - start >= 3:
            left[words[start:]] += count
    return left


def train_tokenizer(texts: Iterable[str], vocab_size: int, phrases: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of at most ``vocab_size`` tokens: the role tokens (ids 0..13, :data:`SPECIAL_TOKENS`), the 256 bytes,
    the words that save the most tokens in ``texts``, and ``phrases``, with the highest ids."""
    alphabet = sorted(STAND_IN.values())
    room = vocab_size - len(SPECIAL_TOKENS) - len(alphabet) - len(phrases)
    counted = _tokenizer_words(texts, phrases)
    savings = {word: count * (len(word) - 1) for word, count in counted.items() if count >= MIN_OCCURRENCES}
    words = sorted(savings, key=lambda word: (-savings[word], word))[: max(0, room)]
    vocab = {token: number for number, token in enumerate((*SPECIAL_TOKENS, *alphabet, *sorted(words)))}
    known = {token_stand_in(phrase) for phrase in phrases} & vocab.keys()
    new = [phrase for phrase in dict.fromkeys(phrases) if token_stand_in(phrase) not in known]
    return build_tokenizer(vocab, {phrase: len(vocab) + number for number, phrase in enumerate(new)}, "tokenizer")


def token_stand_in(text: str) -> str:
    """A text as a word stands in the vocabulary: the stand-ins of its bytes."""
    return "".join(STAND_IN[byte] for byte in text.encode("utf-8"))


def _tokenizer_words(texts: Iterable[str], phrases: Sequence[str]) -> Counter[str]:
    """How often each word, of two bytes or more and not too long, stands in the texts outside of phrases."""
    longest_first = "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True))
    cut = re.compile(longest_first or r"(?!)")
    counted: Counter[str] = Counter()
    for text, times in Counter(texts).items():
        for part in cut.split(text):
            for word in _PIECE.findall(part):
                counted[word] += times
    stand_ins = {token_stand_in(word): count for word, count in counted.items()}
    return Counter({word: count for word, count in stand_ins.items() if 1 < len(word) <= MAX_TOKEN_LENGTH})


def wrap_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """A Hugging Face tokenizer with our role tokens declared."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
        padding_side="left",  # a batch of prompts is generated from its right end
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, directory: Path | str) -> None:
    """Write tokenizer.json and tokenizer_config.json."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(str(directory))


def added_token(content: str, number: int) -> dict[str, Any]:
    """How tokenizer.json tells a special token or a phrase."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": content, **flags, "special": content in SPECIAL_TOKENS}


def tokenizer_form(vocab: Mapping[str, int], added: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What tokenizer.json holds: our one form with these tokens and added tokens in it. To the library it is byte-level
    BPE without merges, which takes a word that is a token as it is."""
    first, second = ({"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB"))
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": PIECE}, "behavior": "Isolated", "invert": False}
    absent = ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix")
    unused = ("fuse_unk", "byte_fallback")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(added),
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first],
            "pair": [first, second],
            "special_tokens": {},
        },
        "decoder": {**byte_level, "add_prefix_space": True, "use_regex": True},
        "model": {
            "type": "BPE",
            **dict.fromkeys(absent),
            **dict.fromkeys(unused, False),
            "ignore_merges": True,
            "vocab": vocab,
            "merges": [],
        },
    }


def build_tokenizer(vocab: Mapping[str, int], phrases: Mapping[str, int], where: str) -> PreTrainedTokenizerFast:
    """The tokenizer of these tokens and phrases.

    Args:
        vocab: ids of role tokens, bytes and words (as `STAND_IN`).
        phrases: their ids follow those of ``vocab``.
        where: what errors name.

    Raises:
        ForgeError: not as `train_tokenizer` makes them: role tokens first, ids without gaps, tokens of bytes; or more,
            or longer, than a tokenizer may have.
    """
    _check_tokenizer_ids(vocab, phrases, where)
    _check_tokenizer_tokens(vocab, phrases, where)
    added = [added_token(content, vocab[content]) for content in SPECIAL_TOKENS]
    added += [added_token(content, number) for content, number in sorted(phrases.items(), key=lambda item: item[1])]
    return wrap_tokenizer(Tokenizer.from_str(json.dumps(tokenizer_form(vocab, added))))


def _check_tokenizer_ids(vocab: Mapping[str, int], phrases: Mapping[str, int], where: str) -> None:
    numbers = [*vocab.values(), *phrases.values()]
    if len(numbers) > MAX_VOCABULARY or len(vocab.keys() | phrases.keys()) != len(numbers):
        raise ForgeError(f"{where}: more than {MAX_VOCABULARY} tokens, or one of them twice")
    if any(type(number) is not int for number in numbers) or sorted(numbers) != list(range(len(numbers))):
        raise ForgeError(f"{where}: the ids of its tokens are not 0, 1, 2 and so on")
    if any(number < len(vocab) for number in phrases.values()):
        raise ForgeError(f"{where}: the ids of phrases do not follow those of the other tokens")
    if [vocab.get(token) for token in SPECIAL_TOKENS] != list(range(len(SPECIAL_TOKENS))):
        raise ForgeError(f"{where}: tokens 0 to {len(SPECIAL_TOKENS) - 1} are not the role tokens of this program")


def _check_tokenizer_tokens(vocab: Mapping[str, int], phrases: Mapping[str, int], where: str) -> None:
    for token, number in vocab.items():
        if number >= len(SPECIAL_TOKENS) and (
            not 0 < len(token) <= MAX_TOKEN_LENGTH or not BYTE_OF.keys() >= set(token)
        ):
            raise ForgeError(f"{where}: token {number} is not 1 to {MAX_TOKEN_LENGTH} bytes")
    for phrase, number in phrases.items():
        if not 0 < len(phrase.encode("utf-8")) <= MAX_PHRASE_LENGTH:
            raise ForgeError(f"{where}: phrase {number} is not 1 to {MAX_PHRASE_LENGTH} bytes")


def read_tokenizer(path: Path | str) -> PreTrainedTokenizerFast:
    """The tokenizer of a tokenizer.json that this program wrote; files beside it are not read.

    Raises:
        ForgeError: names the file: missing, not a regular file, too large, not JSON, or not of the form that
            `save_tokenizer` writes. Nothing of it is run before that is known.
    """
    where = str(path)
    form = parse_json(decode_utf8(read_regular_file(path, _MAX_FILE), where), where)
    model = form.get("model") if isinstance(form, dict) else None
    if not isinstance(model, dict):
        raise ForgeError(f"{where}: not a tokenizer of this program (it has no model)")
    vocab: Any = model.get("vocab")
    added: Any = form.get("added_tokens")
    if not isinstance(vocab, dict) or not isinstance(added, list) or not all(isinstance(t, dict) for t in added):
        raise ForgeError(f"{where}: not a tokenizer of this program (no tokens)")
    ours = tokenizer_form(vocab, added)
    for key in sorted(ours.keys() | form.keys()):
        if key not in ours or form.get(key, key) != ours[key]:
            raise ForgeError(f"{where}: not a tokenizer of this program (its {key[:40]} is another)")
    return build_tokenizer(vocab, _phrases_of(added, where), where)


def _phrases_of(added: Sequence[Mapping[str, Any]], where: str) -> dict[str, int]:
    """Ids of the added tokens that are no role tokens."""
    found: dict[str, int] = {}
    for token in added:
        content, number = token.get("content"), token.get("id")
        if not isinstance(content, str) or type(number) is not int or token != added_token(content, number):
            raise ForgeError(f"{where}: not a tokenizer of this program (an added token is of another kind)")
        found[content] = number
    if len(found) < len(added) or [found.pop(token, None) for token in SPECIAL_TOKENS] != [*range(len(SPECIAL_TOKENS))]:
        raise ForgeError(f"{where}: not a tokenizer of this program (other role tokens)")
    return found
