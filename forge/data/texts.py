"""Plain texts: cutting them into passages, the book that reasoning_gym ships, and lists to recall from."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

from forge.data.splits import dataset_split_by_hash
from forge.files import package_file_text

CHUNK_CHARS = 160
# Scripts without spaces end a sentence by the sign alone, and a closing quote belongs to it.
_SENTENCE_END = re.compile(r"[.!?؟۔।॥](?= )|[。！？｡]+[」』”’）]*")
_BLANKS = re.compile(r"[^\S ]\s*| \s+")  # all but a single space, which needs no memory for its replacement
_NAMES = (
    *("red", "blue", "tree", "lamp", "fox", "moon", "salt", "drum"),
    *("leaf", "coin", "ship", "rose", "king", "milk", "door", "sand"),
)


def book_chunks() -> list[str]:
    """'In the Year 2889' (public domain, shipped by reasoning_gym) in pieces of about 160 characters at
    sentence ends."""
    book = package_file_text("reasoning_gym", "data/in_the_year_2889.txt")
    start, end = book.find("*** START"), book.find("*** END")
    return chunk_prose(book[book.find("\n", start) : end] if 0 <= start < end else book)


def chunk_prose(text: str) -> list[str]:
    """Cut a text into pieces of at most about 160 characters, at sentence ends where possible, in linear time."""
    text = _BLANKS.sub(" ", text).strip()
    chunks: list[str] = []
    start = end = 0  # of the piece that grows, sentence by sentence
    for first, last in _sentence_places(text):
        if last - first > 2 * CHUNK_CHARS:
            chunks.append(text[start:end])
            while last - first > 2 * CHUNK_CHARS:
                cut = text.rfind(" ", first, first + CHUNK_CHARS) + 1 or first + CHUNK_CHARS
                chunks.append(text[first:cut].strip())
                first = cut
            first += text.startswith(" ", first)
            start = end = first
        # The space between piece and sentence is not counted.
        if end > start and (end - start) + (last - first) > CHUNK_CHARS:
            chunks.append(text[start:end])
            start = first
        elif end == start:
            start = first
        end = last
    return [chunk.strip() for chunk in [*chunks, text[start:end]] if chunk.strip()]


def _sentence_places(text: str) -> Iterator[tuple[int, int]]:
    """Beginning and end of each sentence of a text whose blanks are single spaces."""
    start = 0
    for stop in _SENTENCE_END.finditer(text):
        yield start, stop.end()
        start = stop.end() + text.startswith(" ", stop.end())
    if start < len(text):
        yield start, len(text)


def recall_dialogues(n: int, seed: int, split: str) -> list[dict[str, Any]]:
    """Key-value recall: a list of pairs, then one key; the memory branch's diet. Splits differ by the hash of
    the prompt."""
    rng = random.Random(f"recall-{seed}-{split}")
    rows: list[dict[str, Any]] = []
    while len(rows) < n:
        keys = rng.sample(_NAMES, rng.randint(3, 8))
        pairs = {key: str(rng.randint(10, 99)) for key in keys}
        asked = rng.choice(keys)
        listed = ", ".join(f"{key} {value}" for key, value in pairs.items())
        prompt = f"Remember {listed}. What is {asked}?"
        if dataset_split_by_hash(prompt) == split:
            messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": pairs[asked]}]
            rows.append({"kind": "recall", "task": "recall", "messages": messages, "difficulty": len(keys) / 8})
    return rows
