"""What a question names of a workspace that nobody here has seen: texts in the columns of its database, and its
documents and files, by what they say."""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from forge.tools.column_sayings import ASKING_WORDS
from forge.tools.declared.tokens import FUNCTION_WORDS, stem_of, stems_of
from forge.tools.words import words_of_text

ALIKE = 0.84  # twice the letters that a word and a mistyped one share in order, of all their letters
FEWEST = 2  # rare words that a question has to say before a text is all that it is about
TITLE = 0.5  # how much more a word counts that the title has
_SHORTEST = 4  # letters of a word that may be mistyped
STAND_IN = "zqzq"  # for what a question names: a word that no phrasing has
# What a text is not about, though it has the word.
_SAYS_NOTHING = FUNCTION_WORDS | frozenset(stems_of("average fewest least most number sum total"))
_MOST_WORDS = 40  # of a question that are looked at


def texts_named(question: str, texts: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The texts that a question names, and the words of it that do: in full, whatever the case, the ending of a plural
    and a typo; where none is, those of which it has a word that no other text has."""
    said = words_of_text(question)[:_MOST_WORDS]
    full = [(text, found) for text in texts if (found := _said_in_order(words_of_text(text), said))]
    if full:
        longest = max(len(found) for _, found in full)
        return [(text, found) for text, found in full if len(found) == longest]
    shared = Counter(word for text in texts for word in {word.lower() for word in words_of_text(text)})
    partly = []
    for text in texts:
        own = [word for word in words_of_text(text) if len(word) > 2 and shared[word.lower()] == 1]
        found = [word for name in own for word in _said_in_order([name], said)]
        if found and not {word.lower() for word in found} & (FUNCTION_WORDS | ASKING_WORDS):
            partly.append((text, found))
    return partly


def _said_in_order(words: Sequence[str], said: Sequence[str]) -> list[str]:
    """The neighbors among what is said that are these words; none where they are not there."""
    for start in range(len(said) - len(words) + 1):
        part = said[start : start + len(words)]
        if words and all(_same_word(word, other) for word, other in zip(words, part, strict=True)):
            return list(part)
    return []


def _same_word(word: str, said: str) -> bool:
    one, other = (stem_of(text.lower()) for text in (word, said))
    if one == other or word.lower() == said.lower():
        return True
    if min(len(one), len(other)) < _SHORTEST or one[0] != other[0] or one.isdigit():
        return False
    return difflib.SequenceMatcher(None, one, other).ratio() >= ALIKE


def without_words(question: str, words: Iterable[str]) -> str:
    """A question with stand-ins for some of its words."""
    for word in words:
        question = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", STAND_IN, question, count=1)
    return question


class ContentIndex:
    """Titled texts by what they say.

    Args:
        contents: titles and texts.
    """

    def __init__(self, contents: Sequence[tuple[str, str]]) -> None:
        self._titles, self._stems = (
            [frozenset(stems_of(text)) - _SAYS_NOTHING for text in texts]
            for texts in ([title for title, _ in contents], [" ".join(content) for content in contents])
        )
        counts = Counter(stem for stems in self._stems for stem in stems)
        self._weights: Mapping[str, float] = {stem: math.log(1 + len(contents) / n) for stem, n in counts.items()}
        self._unknown = math.log(1 + len(contents))

    def shares(self, question: str) -> list[float]:
        """Of each text: how much of what a question says it says too, about 0 to 1. Rare words count more, those of its
        title half as much again; a question of one word says little."""
        asked = {self._known(stem) for stem in stems_of(question) if stem[0].isalnum()} - _SAYS_NOTHING
        weights = {stem: self._weights.get(stem, self._unknown) for stem in sorted(asked)}
        total = max(math.fsum(weights.values()), FEWEST * self._unknown)
        return (
            [
                math.fsum(weight * (1 + TITLE * (stem in title)) for stem, weight in weights.items() if stem in stems)
                / total
                for title, stems in zip(self._titles, self._stems, strict=True)
            ]
            if total
            else [0.0] * len(self._stems)
        )

    def _known(self, stem: str) -> str:
        """A stem, or the one that it is a typo of."""
        if stem in self._weights or len(stem) < _SHORTEST or stem in _SAYS_NOTHING:
            return stem
        near = difflib.get_close_matches(stem, self._weights, n=1, cutoff=ALIKE)
        return near[0] if near and near[0][0] == stem[0] else stem
