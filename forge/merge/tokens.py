"""Whether the tokens of two models mean the same: which text stands behind each number of the embedding.

The same fact stands in several files, and programs differ in which of them they read: `tokenizer.json` (the vocabulary
of its model and the tokens added to it), `vocab.json` or `vocab.txt`, SentencePiece's `tokenizer.model`,
`added_tokens.json`, `tokenizer_config.json` and, for the tokens that begin and end, `special_tokens_map.json`. All are
read as data; no tokenizer is made of them. Forms that nobody here reads (tekken, tiktoken) have to be the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from forge.errors import ForgeError
from forge.files import decode_utf8, open_regular_file, read_json, sha256_file
from forge.merge.folder import ModelFolder

_SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
# Forms that are not read: two of them are alike byte for byte or not at all.
_OPAQUE = ("tekken.json", "tiktoken.model", "tokenizer.tiktoken", "qwen.tiktoken")
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", *_SENTENCEPIECE, *_OPAQUE)
_ADDED = ("tokenizer.json", "added_tokens.json", "tokenizer_config.json")
_SPECIAL = ("special_tokens_map.json", "tokenizer_config.json")
_SPLITTING = ("merges.txt", "tokenizer.json")
_RULES = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
_MANY = 1 << 20  # tokens; four times those of the largest vocabularies around
Tokens = dict[int, str]


def check_tokens_alike(first: ModelFolder, other: ModelFolder) -> list[str]:
    """Refuse two models that mean another text by one number.

    Returns:
        What is worth saying though they can be merged, in a line each.

    Raises:
        ForgeError: names the file, the lowest number that differs and both texts; also of a file that is malformed, or
            that differs and cannot be understood.
    """
    places = {*_VOCABULARIES, *_ADDED, *_SPECIAL, *_SPLITTING}
    ours, theirs = places & first.files.keys(), places & other.files.keys()
    differing = {name for name in ours & theirs if sha256_file(first.files[name]) != sha256_file(other.files[name])}
    if ours == theirs and not differing:
        return []
    known = _compare_vocabularies(first, other, differing)
    a, b = ({**tokens, **_added_tokens(folder)} for tokens, folder in zip(known, (first, other), strict=True))
    complete = all(known)
    _compare_tokens(first, other, "all files together", a, b, a.keys() | b.keys() if complete else a.keys() & b.keys())
    notes = _check_special_tokens(first, other, a, b)
    if not complete:
        notes.append(f"{other.path}: not all of its tokens can be compared with those of {first.path}")
    if any(_splits_otherwise(first, other, name) for name in differing.intersection(_SPLITTING)):
        notes.append(f"{other.path}: splits text into tokens otherwise than {first.path}, as which the result does it")
    return notes


def _compare_vocabularies(first: ModelFolder, other: ModelFolder, differing: set[str]) -> tuple[Tokens, Tokens]:
    """What both state in the same files, compared file by file; if there are none such, all that each states."""
    shared = [name for name in _VOCABULARIES if name in first.files and name in other.files]
    ours: Tokens = {}
    theirs: Tokens = {}
    for name in shared:
        a, b = _vocabulary_in(first, name), _vocabulary_in(other, name)
        if a is not None and b is not None:
            _compare_tokens(first, other, name, a, b, a.keys() & b.keys())  # what one lacks may stand in another file
            ours, theirs = {**ours, **a}, {**theirs, **b}
        elif name in differing:
            raise ForgeError(f"{other.path / name}: differs from that of {first.path}, and its tokens cannot be read")
    return (ours, theirs) if shared else (_all_vocabularies(first), _all_vocabularies(other))


def _all_vocabularies(folder: ModelFolder) -> Tokens:
    found: Tokens = {}
    for name in _VOCABULARIES:
        if name in folder.files:
            tokens = _vocabulary_in(folder, name)
            if tokens is None:
                raise ForgeError(f"{folder.path / name}: its tokens cannot be read, and so not be compared")
            found.update(tokens)
    return found


def _compare_tokens(
    first: ModelFolder, other: ModelFolder, where: str, a: Tokens, b: Tokens, numbers: Iterable[int]
) -> None:
    odd = min((number for number in numbers if a.get(number) != b.get(number)), default=None)
    if odd is not None:
        raise ForgeError(
            f"{other.path}: its tokenizer has another vocabulary than that of {first.path}: token {odd} is"
            f" {_show_token(b.get(odd))}, there {_show_token(a.get(odd))} ({where})"
        )


def _show_token(text: str | None) -> str:
    return "none" if text is None else repr(text if len(text) <= 40 else f"{text[:40]}...")


def _show_tokens(texts: tuple[str, ...]) -> str:
    return ", ".join(map(_show_token, texts)) or "none"


# ---- the places ----------------------------------------------------------------------------------------------------


def _vocabulary_in(folder: ModelFolder, name: str) -> Tokens | None:
    """Text by number as one file states it; None if the file does not state it, or not in a form that is known."""
    if name in _OPAQUE:
        return None
    if name in _SENTENCEPIECE:
        with open_regular_file(folder.files[name]) as stream:
            pieces = read_sentencepiece_tokens(stream.read())
        return None if pieces is None else dict(enumerate(pieces))
    if name == "vocab.txt":
        with open_regular_file(folder.files[name]) as stream:
            lines = decode_utf8(stream.read(), str(folder.path / name)).split("\n")
        return dict(enumerate(line.rstrip("\r") for line in lines[: -1 if lines[-1] == "" else None]))
    found: Any = read_json(folder.files[name])
    if name == "tokenizer.json":
        model = found.get("model") if isinstance(found, dict) else None
        found = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(found, list):  # Unigram: pairs of a text and its score, in order
        if all(isinstance(entry, list) and entry and isinstance(entry[0], str) for entry in found):
            return {number: entry[0] for number, entry in enumerate(found)}
        return None
    if isinstance(found, dict) and all(_is_token_number(number) for number in found.values()):
        return {number: text for text, number in found.items()}
    return None


def _added_tokens(folder: ModelFolder) -> Tokens:
    """Text by number of the tokens that were added to a vocabulary, as all files of a directory state them."""
    added: Tokens = {}
    for name in _ADDED:
        for number, text in _added_tokens_in(folder, name):
            if isinstance(text, dict):
                text = text.get("content")
            if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) < 10:
                number = int(number)
            if not _is_token_number(number) or not isinstance(text, str):
                raise ForgeError(f"{folder.path / name}: malformed list of added tokens")
            if added.setdefault(number, text) != text:
                raise ForgeError(
                    f"{folder.path / name}: token {number} is {_show_token(text)},"
                    f" in another file beside it {_show_token(added[number])}"
                )
    return added


def _added_tokens_in(folder: ModelFolder, name: str) -> Iterator[tuple[Any, Any]]:
    table = folder.table(name)
    if name == "added_tokens.json":
        yield from ((number, text) for text, number in table.items())
        return
    listed = table.get("added_tokens" if name == "tokenizer.json" else "added_tokens_decoder") or {}
    if isinstance(listed, dict):
        yield from listed.items()
    elif isinstance(listed, list):
        yield from ((entry.get("id"), entry) if isinstance(entry, dict) else (None, None) for entry in listed)
    else:
        yield None, None


def _is_token_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MANY


def _check_special_tokens(first: ModelFolder, other: ModelFolder, a: Tokens, b: Tokens) -> list[str]:
    """Compare what begins, ends and fills. Another choice among tokens that both have is said, and no reason to refuse:
    so a chat model differs from its base. A choice that the other does not have, is one.
    """
    ours, theirs = (_special_tokens(folder) for folder in (first, other))
    notes = []
    for role in sorted(ours.keys() | theirs.keys()):
        one, two = ours.get(role, ()), theirs.get(role, ())
        if one == two:
            continue
        told = f"{role} is {_show_tokens(two)}, in {first.path} it is {_show_tokens(one)}"
        if not {*one, *two} <= set(a.values()) & set(b.values()):
            raise ForgeError(f"{other.path}: its special token {told}, and not both know both")
        notes.append(f"{other.path}: its special token {told}, which the result keeps")
    return notes


def _special_tokens(folder: ModelFolder) -> dict[str, tuple[str, ...]]:
    """Texts by role: one of `eos_token`, any number of `additional_special_tokens`."""
    found: dict[str, tuple[str, ...]] = {}
    for name in _SPECIAL:
        for role, value in folder.table(name).items():
            listed = value if isinstance(value, list) else [value]
            texts = [text.get("content") if isinstance(text, dict) else text for text in listed]
            named = tuple(sorted(text for text in texts if isinstance(text, str)))
            if role.endswith(("_token", "_special_tokens")) and named:
                found.setdefault(role, named)
    return found


def _splits_otherwise(first: ModelFolder, other: ModelFolder, name: str) -> bool:
    """Whether a file that differs holds other rules of splitting, and not only another layout."""
    if name != "tokenizer.json":
        return True
    rules = []
    for folder in (first, other):
        table = folder.table(name)
        model = table.get("model")
        if isinstance(model, dict) and isinstance(model.get("vocab"), dict):  # compared token by token
            model = {part: value for part, value in model.items() if part != "vocab"}
        rules.append((model, *(table.get(part) for part in _RULES)))
    ours, theirs = (_ways_to_find_added_tokens(folder.table(name)) for folder in (first, other))
    return rules[0] != rules[1] or any(ours[text] != theirs[text] for text in ours.keys() & theirs.keys())


def _ways_to_find_added_tokens(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By text: whether it is a word of its own, takes the blanks beside it, is looked for in normalized text."""
    entries = table.get("added_tokens")
    listed = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return {str(entry.get("content")): {**entry, "id": None} for entry in listed}


# ---- SentencePiece -------------------------------------------------------------------------------------------------


def read_sentencepiece_tokens(data: bytes) -> list[str] | None:
    """The pieces of a SentencePiece model in their order; None if the bytes are no such model, or of too many.

    A model is a message of Protocol Buffers; field 1, repeated, is a piece, whose own field 1 is its text
    (sentencepiece_model.proto).
    """
    try:
        found = (_first_text_of_protobuf(value) for number, value in _protobuf_fields(data) if number == 1)
        pieces = list(islice(found, _MANY + 1))
    except (ValueError, IndexError):
        return None
    return pieces if 0 < len(pieces) <= _MANY else None


def _first_text_of_protobuf(message: bytes | int) -> str:
    """Field 1 of a message. Raises ValueError or IndexError if it has none."""
    if isinstance(message, int):
        raise ValueError("a number where a message was expected")
    for number, value in _protobuf_fields(message):
        if number == 1 and isinstance(value, bytes):
            return value.decode("utf-8")
    raise ValueError("a piece without a text")


def _protobuf_fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and content of each field of a message. Raises ValueError or IndexError if it is none."""
    at = 0
    while at < len(data):
        key, at = _protobuf_number(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _protobuf_number(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _protobuf_number(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind, -1)
        if size < 0 or at + size > len(data):
            raise ValueError("no message of Protocol Buffers")
        yield key >> 3, data[at : at + size]
        at += size


def _protobuf_number(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
