"""Search over a local document index: BM25 with the Lucene form of the inverse document frequency.

Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, section 3.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

from forge.errors import ForgeError
from forge.files import read_jsonl

K1 = 1.2
B = 0.75
TITLE_WEIGHT = 3  # a title word counts as often in the document: "sun" must find the sun, not Mercury
MAX_ANSWER = 200  # characters
MAX_QUERY_WORDS = 32
_STOP_TEXT = (
    "a about an and are as at be by can did do does for from has have how i in is it me my of "
    "on or please tell that the this to was were what when where which who why with you your"
)
STOP = frozenset(_STOP_TEXT.split())


def split_search_terms(text: str, stop: frozenset[str] = STOP) -> list[str]:
    """Lower-case words but those of ``stop``; a final s is dropped so that `planets` finds `planet`."""
    found = re.findall(r"\w+", text.lower())
    return [word[:-1] if len(word) > 3 and word.endswith("s") else word for word in found if word not in stop]


def read_documents_of_search_tool(path: Path) -> list[tuple[str, str]]:
    """Title and text of each document of a JSONL file; `ForgeError` names the file and line at fault."""
    cards = []
    for where, row in read_jsonl(path):
        if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("title", "text")):
            raise ForgeError(f"{where}: needs 'title' and 'text', both of them text")
        cards.append((row["title"], row["text"]))
    return cards


class SearchIndex:
    """An in-memory BM25 index over (title, text) cards. ``stop``: words that are left out."""

    def __init__(self, cards: list[tuple[str, str]], stop: frozenset[str] = STOP) -> None:
        self._cards, self._stop = cards, stop
        self._counts = [
            Counter(split_search_terms(title, stop) * TITLE_WEIGHT + split_search_terms(text, stop))
            for title, text in cards
        ]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean_length = sum(self._lengths) / max(1, len(cards)) or 1.0
        self._frequency = Counter(word for counts in self._counts for word in counts)

    def scores(self, query: str) -> list[float]:
        """BM25 score of every card, in file order."""
        total = len(self._cards)
        result = [0.0] * total
        for word in split_search_terms(query, self._stop)[:MAX_QUERY_WORDS]:
            seen = self._frequency[word]
            if not seen:
                continue
            weight = math.log(1 + (total - seen + 0.5) / (seen + 0.5))
            for index, counts in enumerate(self._counts):
                count = counts[word]
                if count:
                    norm = K1 * (1 - B + B * self._lengths[index] / self._mean_length)
                    result[index] += weight * count * (K1 + 1) / (count + norm)
        return result

    def answer(self, query: str) -> str:
        """The best card's text, the earlier card of equal ones: of a long one the sentence with most of the query's
        words, the earlier of equal ones, 200 characters at most."""
        scores = self.scores(query)
        best = max(range(len(scores)), key=scores.__getitem__, default=-1)
        if best < 0 or scores[best] <= 0:
            return "error: nothing found"
        text, wanted = " ".join(self._cards[best][1].split()), set(split_search_terms(query, self._stop))
        if len(text) > MAX_ANSWER:
            shared = {
                sentence: len(wanted.intersection(split_search_terms(sentence, self._stop)))
                for sentence in re.split(r"(?<=[.!?])\s", text)
            }
            text = max(shared, key=lambda sentence: shared[sentence])
        return text if len(text) <= MAX_ANSWER else text[: MAX_ANSWER - 3].rstrip() + "..."
