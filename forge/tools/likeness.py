"""How like a text is to known phrasings: the cosine of the tf-idf weights of words and pairs of words up to one apart,
with stand-ins for numbers and names (Manning, Raghavan and Schütze 2008, section 6.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

from forge.tools.words import is_number_said

if TYPE_CHECKING:
    import numpy as np

NUMBER, NAME = "#", "@"  # what stands for the fillings of slots
BEGIN, END = "<s>", "</s>"  # of a text, as words; no token is one of these
_TOKEN = re.compile(r"\{[\w-]+\}|-?\d+(?:[.,]\d+)*|[a-z']+|[^\w\s?!,.#@\"“”]")
COURTESY = {  # words that say nothing of what is asked for
    "a", "an", "the", "please", "me", "you", "can", "could", "would", "will", "just", "hi", "hey", "hello", "ok",
    "okay", "so", "thanks", "is", "are", "for", "i", "to",
}  # fmt: skip
_CONTRACTIONS = {
    "what's": "what is", "whats": "what is", "who's": "who is", "whos": "who is", "where's": "where is",
    "wheres": "where is", "how's": "how is", "hows": "how is", "i'd": "i would", "i'm": "i am", "im": "i am",
    "dont": "do not", "don't": "do not", "cant": "cannot", "can't": "cannot", "pls": "please", "plz": "please",
    "u": "you", "r": "are",
}  # fmt: skip


class PhrasingIndex:
    """Phrasings as tokens (`tool_likeness_tokens`), to be compared with.

    Args:
        unknown: weight of a run of words that no phrasing has; that of one which a single phrasing has is the logarithm
            of their number.
    """

    def __init__(self, phrasings: Sequence[Sequence[str]], unknown: float) -> None:
        import numpy as np  # not for those who only look at a file

        self._unknown = unknown**2
        self.words = frozenset(chain.from_iterable(phrasings))
        self._number_of = {word: number for number, word in enumerate(["", BEGIN, END, *sorted(self.words)])}
        rows = [[BEGIN, *without_double_names(tokens), END] for tokens in phrasings]
        number_of, owner = self._number_of, np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        words = np.fromiter((number_of[word] for row in rows for word in row), np.int64, len(owner))
        single, pair, apart = words > number_of[END], owner[1:] == owner[:-1], owner[2:] == owner[:-2]
        runs = [
            self._code(words[single], 0, 0),
            self._code(words[:-1][pair], words[1:][pair], 1),
            self._code(words[:-2][apart], words[2:][apart], 2),
        ]
        owners = np.concatenate([owner[single], owner[1:][pair], owner[2:][apart]])
        most = self._code(0, 0, 3)
        once = np.sort(owners * most + np.concatenate(runs))  # np.unique hashes, at four times the cost
        owners, codes = np.divmod(once[np.diff(once, prepend=-1) > 0], most)
        by_code = np.argsort(codes, kind="stable")
        begins = np.flatnonzero(np.diff(codes[by_code], prepend=-1))
        counts = np.diff(begins, append=len(codes))
        self._codes, self._owners, self._begins = codes[by_code][begins], owners[by_code], [*begins, len(codes)]
        self._weights = np.log(1 + len(rows) / counts) ** 2
        self._lengths = np.bincount(self._owners, np.repeat(self._weights, counts), len(rows)) ** 0.5

    def _code(self, first: Any, second: Any, kind: int) -> Any:
        """The number of a run: of one word, of neighbors, of words one apart."""
        return (kind * len(self._number_of) + second) * len(self._number_of) + first

    def _place(self, run: tuple[str, ...]) -> int | None:
        """Where a run stands among the known ones."""
        numbers = [self._number_of.get(word) for word in run]
        if None in numbers:
            return None
        code = self._code(numbers[0], 0 if len(run) == 1 else numbers[-1], len(run) - 1)
        place = int(self._codes.searchsorted(code))
        return place if place < len(self._codes) and self._codes[place] == code else None

    def cosines(self, tokens: Iterable[str]) -> np.ndarray:
        """Of a text, as tokens, and every phrasing: float (phrasings,), 0 where no run is shared."""
        import numpy as np

        places = [self._place(run) for run in sorted(_runs_of(without_double_names(tokens)))]
        shared = np.zeros(len(self._lengths))
        for place in (place for place in places if place is not None):
            shared[self._owners[self._begins[place] : self._begins[place + 1]]] += self._weights[place]
        length = sum(self._unknown if place is None else float(self._weights[place]) for place in places) ** 0.5
        return shared / (length * self._lengths)


def tool_likeness_tokens(text: str, fillings: Mapping[str, list[str]]) -> list[str]:
    """Words of a text or template in lower case; numbers and what fills a slot by their stand-ins."""
    tokens: list[str] = []
    for word in _plain_words(text.replace("’", "'")):
        for token in _tokens_of_word(word):
            tokens += fillings.get(token) or [token]
    return tokens


@lru_cache(maxsize=2**14)
def _tokens_of_word(word: str) -> tuple[str, ...]:
    """Of one word as it is typed; tens of thousands of templates have few different ones."""
    found = _TOKEN.findall(_CONTRACTIONS.get(word, word))
    return tuple(NUMBER if is_number_said(token) else token for token in found)


def is_contraction(word: str) -> bool:
    """Whether a word is two, or a short one for another: `whats`, `pls`."""
    return word.lower().strip("?.!,") in _CONTRACTIONS


def spell_out_contractions(text: str) -> str:
    """A text in lower case without the mark at its end, `what is` for `what's` and `whats`."""
    return " ".join(_CONTRACTIONS.get(word, word) for word in _plain_words(text))


def _plain_words(text: str) -> list[str]:
    return text.lower().rstrip("?.!").split()


def without_double_names(tokens: Iterable[str]) -> list[str]:
    """A name of two words is one name."""
    kept = [""]
    for token in tokens:
        if token not in (NUMBER, NAME) or token != kept[-1]:
            kept.append(token)
    return kept[1:]


def _runs_of(tokens: Sequence[str]) -> set[tuple[str, ...]]:
    """Single words, pairs of neighbors, and pairs with one word between them; a text begins and ends with a word of its
    own."""
    ended = [BEGIN, *tokens, END]
    apart = {(first, "", second) for first, second in zip(ended, ended[2:], strict=False)}
    return {(token,) for token in tokens} | set(pairwise(ended)) | apart
