"""Gibberish: is a text made of words, and do they not go round in circles?

A small model that has lost its way writes syllables that are no words ("ererappot") or repeats itself ("dough dough
dough"). Both are found here without asking whether an answer is right: a plain sentence that is wrong is no gibberish.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection

from forge.files import package_file_text

MOST_UNKNOWN = 0.5  # share of a text's words that may be in no word list
MOST_REPEATS = 3  # times that a word or a group of words may follow itself before it counts as going round
LONGEST_GROUP = 4  # words
MOST_ALIKE = 5  # same syllables in a row
LONGEST_SYLLABLE = 6  # letters
LONGEST_WORD = 30  # letters; the lists have none of more than 17
LONG_WORD = 6  # letters: rare English words of fewer are too much like syllables to count as known
# Of talk; the book is of 1889 and the lists leave out what is shorter than three letters.
_TALK = """ah bye er goodbye gladly ha hello hey hi hm hmm maybe oh ok okay please sorry sure thank thanks um welcome
yeah yes am an as at be by do go he if in is it me my no of on or so to up us we"""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\w*\d\w*")
_ENDINGS = ("'s", "ing", "ed", "es", "er", "ly", "s", "d")


def words_of_answer(text: str) -> list[str]:
    """The words of a text in lower case, tokens with digits included."""
    return [word.replace("’", "'") for word in _WORD.findall(text.casefold())]


@functools.cache
def eval_known_english_words() -> frozenset[str]:
    """Words that an agent may use: of talk, of the book, of all templates, of the tools' content, and English ones of
    the lists that reasoning_gym ships."""
    from forge.data.dialogue_templates import ACTIVITIES, CONCEPTS, STYLES
    from forge.data.phrasing import Asked
    from forge.data.talk import TALK, TALK_ANSWERS
    from forge.data.texts import book_chunks
    from forge.tools.builtin import TOOLS
    from forge.tools.content import CARDS, FILES, TABLES
    from forge.tools.drawing import WORDS

    subjects: list[Asked] = [*TOOLS, TALK]
    styles = [part for kinds in STYLES.values() for style in kinds.values() for part in vars(style).values()]
    texts = [
        *book_chunks(),
        _TALK,
        repr((CONCEPTS, ACTIVITIES, styles, CARDS, FILES, TABLES, WORDS)),
        *TALK_ANSWERS.values(),
        *(repr((asked.frames, [(i.cores, i.sentences, i.frames) for i in asked.intents])) for asked in subjects),
    ]
    short = package_file_text("reasoning_gym", "data/words.csv")
    long = package_file_text("reasoning_gym", "data/words3to10.txt").split()
    found = {word for text in (*texts, short) for word in words_of_answer(text)}
    return frozenset(found | {word.lower() for word in long if len(word) >= LONG_WORD})


def _is_known_word(word: str, known: Collection[str]) -> bool:
    if word in known:
        return True
    stems = [word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending)]
    return any(len(stem) > 2 and (stem in known or f"{stem}e" in known) for stem in stems)


def unknown_word_share(text: str, also: Collection[str] = ()) -> float:
    """Share (0..1) of the words of a text that neither a word list nor `also` (lower case) holds. Numbers and single
    letters are left out; a text without anything else has none that are unknown."""
    lexicon = eval_known_english_words()
    # a token of letters and digits is a word that is unknown, a number with its unit ("25g", "3rd") is a number
    words = [word for word in words_of_answer(text) if len(word) > 1 and re.fullmatch(r"\d+[a-z]{0,2}", word) is None]
    unknown = sum(not (word in also or _is_known_word(word, lexicon)) for word in words)
    return unknown / len(words) if words else 0.0


def text_goes_in_circles(text: str) -> bool:
    """Whether one to four words follow themselves more often than people do that, or syllables do, or a word has no
    end."""
    if re.search(rf"([^\W\d_]{{1,{LONGEST_SYLLABLE}}}?)\1{{{MOST_ALIKE - 1},}}", text):
        return True
    if re.search(rf"[a-z]{{{LONGEST_WORD + 1},}}", text, re.IGNORECASE):
        return True
    words = words_of_answer(text)
    for size in range(1, LONGEST_GROUP + 1):
        for start in range(len(words) - MOST_REPEATS * size + 1):
            group = words[start : start + size]
            numbers = all(word.isdigit() for word in group)  # a column of equal values is no babble
            if not numbers and group * MOST_REPEATS == words[start : start + MOST_REPEATS * size]:
                return True
    return False


def is_gibberish(text: str, also: Collection[str] = ()) -> bool:
    """Whether a text that is not empty is no language: half of its words unknown, the same over and over, or no word
    and no number at all. `also`: words that are known here, in lower case, as a tool's result that is shown."""
    words = words_of_answer(text)
    if all(len(word) == 1 and not word.isdigit() for word in words):
        return not (1 <= len(words) <= 2 or (words and set(words) <= set(also)))  # marks alone, letters nobody spelled
    return unknown_word_share(text, also) >= MOST_UNKNOWN or text_goes_in_circles(text)
