"""How like a text is to known phrasings: the cosine of the tf-idf weights of words and pairs of words up to one apart,
with stand-ins for numbers and names (Manning, Raghavan and Schütze 2008, section 6.3)."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from forge.tools.words import is_number_said

if TYPE_CHECKING:
    import numpy as np

NUMBER, NAME = "#", "@"  # what stands for the fillings of slots
_TOKEN = re.compile(r"\{[\w-]+\}|-?\d+(?:[.,]\d+)*|[a-z']+|[^\w\s?!,.#@]")
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
        self.words = frozenset(word for tokens in phrasings for word in tokens)
        runs = [_runs_of(without_double_names(tokens)) for tokens in phrasings]
        counts = Counter(run for own in runs for run in own)
        self._weights = {run: math.log(1 + len(runs) / count) ** 2 for run, count in counts.items()}
        self._lengths = np.array([math.fsum(self._weights[run] for run in own) for own in runs]) ** 0.5
        places: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, own in enumerate(runs):
            for run in own:
                places[run].append(place)
        self._places = {run: np.array(own) for run, own in places.items()}

    def cosines(self, tokens: Iterable[str]) -> np.ndarray:
        """Of a text, as tokens, and every phrasing: float (phrasings,), 0 where no run is shared."""
        import numpy as np

        runs = _runs_of(without_double_names(tokens))
        shared = np.zeros(len(self._lengths))
        for run in sorted(runs & self._places.keys()):
            shared[self._places[run]] += self._weights[run]
        length = sum(self._weights.get(run, self._unknown) for run in sorted(runs)) ** 0.5
        return shared / (length * self._lengths)


def tool_likeness_tokens(text: str, fillings: Mapping[str, list[str]]) -> list[str]:
    """Words of a text or template in lower case; numbers and what fills a slot by their stand-ins."""
    tokens: list[str] = []
    for token in _TOKEN.findall(spell_out_contractions(text.replace("’", "'"))):
        tokens += fillings.get(token) or [NUMBER if is_number_said(token) else token]
    return tokens


def is_contraction(word: str) -> bool:
    """Whether a word is two, or a short one for another: `whats`, `pls`."""
    return word.lower().strip("?.!,") in _CONTRACTIONS


def spell_out_contractions(text: str) -> str:
    """A text in lower case without the mark at its end, `what is` for `what's` and `whats`."""
    return " ".join(_CONTRACTIONS.get(word, word) for word in text.lower().rstrip("?.!").split())


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
    ended = ["^", *tokens, "$"]
    apart = {(first, "", second) for first, second in zip(ended, ended[2:], strict=False)}
    return {(token,) for token in tokens} | set(pairwise(ended)) | apart
