"""What a question names of a workspace that nobody here has seen: texts in the columns of its database, and its
documents and files, by what they say."""

from __future__ import annotations

import difflib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from forge.tools.column_sayings import ASKING_WORDS
from forge.tools.declared.tokens import FUNCTION_WORDS, stem_of_tool_word, stems_of_tool_words
from forge.tools.words import words_of_text

ALIKE = 0.84  # twice the letters that a word and a mistyped one share in order, of all their letters
FEWEST = 2  # rare words that a question has to say before a text is all that it is about
TITLE = 0.5  # how much more a word counts that the title has
STAND_IN = "zqzq"  # for what a question names: a word that no phrasing has
_SHORTEST = 4  # letters of a word that may be mistyped
_MOST_WORDS = 40  # of a question that are looked at
# What a text is not about, though it has the word.
_SAYS_NOTHING = FUNCTION_WORDS | frozenset(stems_of_tool_words("average fewest least most number sum total"))


class ColumnTexts:
    """The different texts in a column.

    Args:
        texts: in any order.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = {
            text: [(word, stem_of_tool_word(word.lower())) for word in words_of_text(text)] for text in texts
        }
        shared = Counter(word for words in self._words.values() for word in {word.lower() for word, _ in words})
        self._alone = {
            text: [
                (word, stem)
                for word, stem in words
                if len(word) > 2
                and shared[word.lower()] == 1
                and word.lower() not in FUNCTION_WORDS
                and word.lower() not in ASKING_WORDS
            ]
            for text, words in self._words.items()
        }

    def named(self, question: str) -> list[tuple[str, list[str]]]:
        """The texts that a question names, and the words of it that do: in full, whatever the case, the ending of a
        plural and a typo; where none is, those of which it has a word that no other text has."""
        said = [(word, stem_of_tool_word(word.lower())) for word in words_of_text(question)[:_MOST_WORDS]]
        full = [(text, found) for text, words in self._words.items() if (found := _said_in_order(words, said))]
        full = [(text, found) for text, found in full if _says_something(found) or " ".join(found) == text]
        if full:
            longest = max(len(found) for _, found in full)
            return [(text, found) for text, found in full if len(found) == longest]
        partly = (
            (text, [w for word in own for w in _said_in_order([word], said)]) for text, own in self._alone.items()
        )
        return [(text, found) for text, found in partly if _says_something(found)]


def _says_something(words: Iterable[str]) -> bool:
    return any(word.lower() not in FUNCTION_WORDS for word in words)


def _said_in_order(words: Sequence[tuple[str, str]], said: Sequence[tuple[str, str]]) -> list[str]:
    """The neighbors among what is said that are these words, as they are said; none where they are not there."""
    for start in range(len(said) - len(words) + 1):
        part = said[start : start + len(words)]
        if words and all(_same_word(one, other) for one, other in zip(words, part, strict=True)):
            return [word for word, _ in part]
    return []


def _same_word(one: tuple[str, str], other: tuple[str, str]) -> bool:
    (word, stem), (said, heard) = one, other
    if stem == heard or word.lower() == said.lower():
        return True
    if min(len(stem), len(heard)) < _SHORTEST or stem[0] != heard[0] or stem.isdigit():
        return False
    return difflib.SequenceMatcher(None, stem, heard).ratio() >= ALIKE


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
            [frozenset(stems_of_tool_words(text)) - _SAYS_NOTHING for text in texts]
            for texts in ([title for title, _ in contents], [" ".join(content) for content in contents])
        )
        counts = Counter(stem for stems in self._stems for stem in stems)
        self._weights: Mapping[str, float] = {stem: math.log(1 + len(contents) / n) for stem, n in counts.items()}
        self._unknown = math.log(1 + len(contents))
        self._by_letter: dict[str, list[str]] = defaultdict(list)
        for stem in sorted(self._weights):
            self._by_letter[stem[0]].append(stem)

    def shares(self, question: str) -> list[float]:
        """Of each text: how much of what a question says it says too, 0 to 1. Rare words count more, those of its title
        half as much again; a question of one word says little, and numbers nothing."""
        if not self._stems:
            return []
        said = dict.fromkeys(
            stem for stem in stems_of_tool_words(question) if stem[0].isalpha() and stem not in _SAYS_NOTHING
        )
        asked = {self._known(stem) for stem in list(said)[:_MOST_WORDS]}
        weights = {stem: self._weights.get(stem, self._unknown) for stem in sorted(asked)}
        total = max(math.fsum(weights.values()), FEWEST * self._unknown)
        shares = (
            math.fsum(weight * (1 + TITLE * (stem in title)) for stem, weight in weights.items() if stem in stems)
            / total
            for title, stems in zip(self._titles, self._stems, strict=True)
        )
        return [min(share, 1.0) for share in shares]

    def _known(self, stem: str) -> str:
        """A stem, or the one that it is a typo of."""
        if stem in self._weights or len(stem) < _SHORTEST:
            return stem
        near = difflib.get_close_matches(stem, self._by_letter.get(stem[0], ()), n=1, cutoff=ALIKE)
        return near[0] if near else stem
