"""Words of what was said, in the spellings that a call may need."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import NamedTuple

from forge.tools.drawing import number_in_words

NUMBER_WORDS = {number_in_words(number).replace("-", " "): number for number in range(100)}
_SHORTEST = 4  # letters of a word that may stand for another; of shorter ones too many are alike
_ALIKE = 0.66  # twice the letters that two words share in order, of all their letters


class CallWords(NamedTuple):
    """Words that the text of a call may have: all of them; those between quotation marks, None where the tool's texts
    quote nothing and such marks are apostrophes; and names of the workspace, whether said or not."""

    all: frozenset[str]
    quoted: frozenset[str] | None
    names: frozenset[str] = frozenset()


def is_number_said(word: str) -> bool:
    """Whether a word is a number, in digits or in words; "one" is none, as in "which one"."""
    return word.lstrip("-")[:1].isdigit() or (word in NUMBER_WORDS and word != "one")


def words_of_text(text: str) -> list[str]:
    """Runs of Latin letters and of digits, in order."""
    return re.findall("[0-9]+|[A-Za-z\u00c0-\u024f]+", text)


def words_said(text: str) -> frozenset[str]:
    """Words of a text in every case, and without the s of a plural."""
    found = {form for word in words_of_text(text) for form in (word, word.lower(), word.capitalize(), word.upper())}
    return frozenset(found | {word[:-1] for word in found if len(word) > 1 and word[-1] in "sS"})


def words_nearly_said(text: str, known: Iterable[str]) -> set[str]:
    """Words that a text has in another spelling: with a typo behind the first letter, or in the plural."""
    by_letter: dict[str, dict[str, set[str]]] = {}
    for word in known:
        if len(word) >= _SHORTEST:
            by_letter.setdefault(word[0].lower(), {}).setdefault(word.lower(), set()).add(word)
    found: set[str] = set()
    for word in {word.lower() for word in words_of_text(text) if len(word) >= _SHORTEST}:
        alike = by_letter.get(word[0], {})
        found.update(*(alike[near] for near in difflib.get_close_matches(word, alike, n=3, cutoff=_ALIKE)))
    return found
