"""Prose cut into passages: whole, in order, at sentence ends of any script, in linear time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge.data.texts import CHUNK_CHARS, book_chunks, chunk_prose

ENGLISH = "A short one. " * 40 + "word " * 200 + "x" * 1000 + " The end! Really?"
CHINESE = "今天天气很好。我们去公园散步吧！你想一起来吗？他说：「好的。」" * 40


ODD = ("नमस्ते। " * 90, "字" * 2000, "。" * 2000, "a。" * 900, "x" * 160 + " y" * 90)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE, *ODD])
def test_chunks_hold_the_whole_text_in_order(text: str) -> None:
    chunks = chunk_prose(text)
    assert "".join("".join(chunks).split()) == "".join(text.split())
    assert all(0 < len(chunk) <= 2 * CHUNK_CHARS for chunk in chunks)
    assert all(chunk == chunk.strip() for chunk in chunks)


def test_nothing_gives_nothing() -> None:
    assert chunk_prose("  \n ") == []
    assert chunk_prose("") == []


def test_chinese_is_cut_at_its_sentence_ends_and_gets_no_blanks() -> None:
    chunks = chunk_prose(CHINESE)
    assert all(chunk.endswith(("。", "！", "？", "」")) for chunk in chunks)
    assert not any(chunk.startswith("」") for chunk in chunks)
    assert "".join(chunks) == CHINESE


def _as_it_was(text: str) -> list[str]:
    """The rule in its plain, quadratic form, for texts whose sentences end with . ! or ?"""
    chunks, current = [], ""
    for sentence in re.split(r"(?<=[.!?])\s+", " ".join(text.split())):
        if len(sentence) > 2 * CHUNK_CHARS and current:
            chunks.append(current)
            current = ""
        while len(sentence) > 2 * CHUNK_CHARS:
            cut = sentence.rfind(" ", 0, CHUNK_CHARS) + 1 or CHUNK_CHARS
            chunks.append(sentence[:cut].strip())
            sentence = sentence[cut:]
        if current and len(current) + len(sentence) > CHUNK_CHARS:
            chunks.append(current)
            current = sentence
        else:
            current = f"{current} {sentence}".strip()
    return [chunk for chunk in [*chunks, current] if chunk]


WORDS = st.sampled_from(["a", "to", "word", "end.", "end?", "!", "x" * 40, "y" * 161, "z" * 400, "w" * 159, "\n"])


@given(st.lists(WORDS, max_size=80))
def test_places_give_what_pieces_gave(words: list[str]) -> None:
    assert chunk_prose(" ".join(words)) == _as_it_was(" ".join(words))


@pytest.mark.long  # it imports the problems' package
def test_the_book_is_cut_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = book_chunks()
    monkeypatch.setattr("forge.data.texts.chunk_prose", lambda text: [text])
    assert chunks == _as_it_was(book_chunks()[0])


@pytest.mark.parametrize("piece", ["字", "字字字字字字字字字字。", "word ", "word", "A sentence of words. "])
def test_time_is_linear(piece: str) -> None:
    def seconds(characters: int) -> float:
        text = piece * (characters // len(piece))
        start = time.process_time()
        chunk_prose(text)
        return time.process_time() - start

    small, large = (min(seconds(characters) for _ in range(3)) for characters in (50_000, 800_000))
    assert large < 4 * 16 * max(small, 0.001)  # quadratic would be 256 times
