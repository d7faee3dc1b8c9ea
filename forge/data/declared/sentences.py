"""From a template to what a person types: slots filled, capitals, marks, typos."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from forge.data.declared.templates import Framed, Template
from forge.data.declared.values import Said, say_value_in_row

_CASUAL = 0.5  # share of sentences in lower case
_UNMARKED = 0.5  # share without a mark at their end
_TYPO = 0.08  # share with a typo
_SHORTEST_MISTYPED = 4  # letters of a word; a letter of `on` makes it `of`
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def fill_template(
    rng: random.Random, template: Template, values: Mapping[str, Any], words: Mapping[str, str] | None = None
) -> list[Said]:
    """The words of a template, its slots filled with how a person says their values.

    Args:
        words: of slots that are filled with these words instead.
    """
    said: list[Said] = []
    for part in template.parts:
        if isinstance(part, str):
            said.append(Said(part))
        elif part.name is None or part.name in (words or {}):
            said.append(Said((words or {}).get(part.name or "", part.words)))
        else:
            said += say_value_in_row(rng, template.tool, part.name, values[part.name])
    return said


def frame_row_words(frame: str, said: Sequence[Said]) -> list[Said]:
    """Words in a frame."""
    before, _, after = frame.partition("{}")
    return [piece for piece in (Said(before), *said, Said(after)) if piece.text]


def say_framed_row(
    rng: random.Random, framed: Framed, values: Mapping[str, Any], words: Mapping[str, str] | None = None
) -> str:
    """What a person types for a framed template with these values, or words in their place."""
    said = frame_row_words(framed.frame, fill_template(rng, framed.template, values, words))
    return type_sentence(rng, said, asks=framed.template.mood == "question")


def type_sentence(rng: random.Random, said: Sequence[Said], *, asks: bool = False) -> str:
    """Words as a person types them: often without a capital or a mark, now and then with a typo of one letter.

    Args:
        asks: a question mark is typed, if any.
    """
    pieces = [piece for piece in said if piece.text]
    last = pieces[-1].text.rstrip()
    if last[-1:] in "?.!" and not pieces[-1].verbatim:
        asks = asks or last.endswith("?")
        pieces[-1] = Said(last.rstrip("?.!"))
    if rng.random() < _TYPO:
        pieces = _mistype_one_word(rng, pieces)
    casual = rng.random() < _CASUAL
    text = "".join(piece.text.lower() if casual and not piece.verbatim else piece.text for piece in pieces)
    if not casual and not pieces[0].verbatim:
        text = text[:1].upper() + text[1:]
    if rng.random() >= _UNMARKED:
        text += "?" if asks else rng.choice("..!")
    return text


def _mistype_one_word(rng: random.Random, pieces: Sequence[Said]) -> list[Said]:
    """One letter dropped, doubled, swapped or replaced, in a word that no call copies."""
    spots = [
        (number, word.start(), word.end())
        for number, piece in enumerate(pieces)
        if not piece.verbatim
        for word in re.finditer(r"[A-Za-z]+", piece.text)
        if word.end() - word.start() >= _SHORTEST_MISTYPED
    ]
    if not spots:
        return list(pieces)
    number, start, end = rng.choice(spots)
    word = pieces[number].text[start:end]
    place = rng.randrange(1, len(word))  # the first letter is rarely wrong
    wrong = rng.choice(
        (
            word[:place] + word[place + 1 :],
            word[:place] + word[place] + word[place:],
            word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :],
            word[:place] + rng.choice(_LETTERS) + word[place + 1 :],
        )
    )
    text = pieces[number].text
    changed = list(pieces)
    changed[number] = Said(text[:start] + wrong + text[end:])
    return changed
