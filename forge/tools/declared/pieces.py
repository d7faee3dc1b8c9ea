"""Which piece of a sentence an argument takes that may be any text: what the tool's words do not explain.

`stick nacho chips on the list for the supermarket` has the words of the tool around what is wanted. Every run of words
between these is a candidate, and is worth the more the fewer of its words the tool knows and the better it stands
between words that examples have beside the slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from forge.tools.declared.tokens import COURTESY, FUNCTION_WORDS, QUOTED, VERBS, Token, stems_of_tool_words
from forge.tools.declared.vocabulary import ToolWords

_LONGEST_PIECE = 14  # tokens
_MOST_PIECES, _AS_GOOD = 3, 0.6  # that are candidates: none that is worth so much less than the best
# Of a word in the piece: one that nobody knows, a mark, one of the tool's examples, one of its values or description,
# a function word (in names of things; in sentences).
_NEW, _MARK, _MARK_IN_SENTENCE, _OF_EXAMPLES, _OF_TOOL, _FUNCTION, _FUNCTION_IN_SENTENCE = (
    1.0,
    -0.9,
    -0.3,
    -0.7,
    0.2,
    -0.1,
    0.3,
)
# Of what stands before it: a word that examples have there, one that leads to a name, a value or mark, another word of
# the tool; and behind it: such a word, a value, a mark or the end.
_LED, _LED_BY_OTHER, _BEHIND_VALUE, _BEHIND_WORD = 1.2, 0.8, 0.5, 0.2
_FOLLOWED, _ENDED = 0.5, 0.4
# A piece that begins or ends with a word that says little, or begins with what is to be done.
_COURTESY_FIRST, _COURTESY_LED, _FUNCTION_FIRST, _VERB_FIRST, _LITTLE_LAST, _MARK_LAST = (
    -1.0,
    -0.3,
    -0.6,
    -1.2,
    -0.6,
    -1.0,
)
_ENOUGH = 1.0  # worth of a piece that is taken; where it is not required, something has to lead to it
_LEADING = frozenset(stems_of_tool_words("about call called for labelled name of saying says say that titled to with"))
_OPENERS = frozenset(stems_of_tool_words("alright first hm listen look next quick right second then"))
_NAMING = frozenset(stems_of_tool_words("call called label labelled name named title titled"))
_POINTING = frozenset(stems_of_tool_words("it this that"))
_MARKS_BETWEEN = frozenset(",:;-–—")
_STOPS = frozenset(".;:!?")
_NOTHING = frozenset(
    stems_of_tool_words("something anything someone anyone somebody somewhere it that this them one there")
)


class Piece(NamedTuple):
    """Of a text. first, end: its tokens. led: whether a word stands before it that examples have before the slot."""

    text: str
    first: int
    end: int
    led: bool


def best_tool_argument_pieces(
    words: ToolWords, name: str, text: str, tokens: Sequence[Token], used: AbstractSet[int]
) -> list[Piece]:
    """The pieces of a text that an argument may be, the best first; none where no piece is worth enough.

    Args:
        used: tokens that say other arguments.
    """
    quoted = list(QUOTED.finditer(text))
    if len(quoted) == 1:
        start, end = quoted[0].span(1)
        inside = [place for place, token in enumerate(tokens) if start <= token.start and token.end <= end]
        if inside and used.isdisjoint(inside):
            return [Piece(quoted[0][1], inside[0], inside[-1] + 1, led=True)]
    found: list[tuple[float, int, int]] = []
    sentence = name in words.sentences
    for first in range(len(tokens)):
        if first in used or not tokens[first].text[0].isalnum() or _opens(tokens, first):
            continue
        worth = _worth_of_beginning(words, name, tokens, first, used, sentence)
        named = _is_led(words, name, tokens, first) or (first > 0 and tokens[first - 1].word in _NAMING | _POINTING)
        if name not in words.tool.required and (worth < _LED_BY_OTHER or not named):
            continue
        for last in range(first, min(len(tokens), first + _LONGEST_PIECE)):
            if last in used or tokens[last].text in _STOPS:
                break
            worth += _worth_inside(words, tokens[last], sentence)
            found.append((worth + _worth_of_end(words, name, tokens, last, used, sentence), first, last))
    found.sort(key=lambda piece: (-piece[0], piece[1]))
    least = max(_ENOUGH, found[0][0] - _AS_GOOD) if found else _ENOUGH
    taken = [
        Piece(text[tokens[first].start : tokens[last].end], first, last + 1, _is_led(words, name, tokens, first))
        for worth, first, last in found
        if worth >= least
    ]
    if taken and says_nothing(taken[0].text):
        return []
    return [piece for piece in taken if not says_nothing(piece.text)][:_MOST_PIECES]


def _opens(tokens: Sequence[Token], first: int) -> bool:
    """Whether a token only opens a sentence: `next, remember to buy milk`."""
    return first == 0 and tokens[0].word in _OPENERS and len(tokens) > 1 and tokens[1].text == ","


def _leader(words: ToolWords, name: str, tokens: Sequence[Token], first: int) -> Token | None:
    """The token before a piece; the one before a word that points to it: `label it soft eggs`."""
    pointed = first > 1 and tokens[first - 1].word in _POINTING - words.before[name]
    return tokens[first - 1 - pointed] if first else None


def _is_led(words: ToolWords, name: str, tokens: Sequence[Token], first: int) -> bool:
    before = _leader(words, name, tokens, first)
    return before is not None and before.word in words.before[name]


def _is_followed(words: ToolWords, name: str, tokens: Sequence[Token], last: int) -> bool:
    return last + 1 < len(tokens) and tokens[last + 1].word in words.after[name]


def says_nothing(piece: str) -> bool:
    """Whether a piece is a word for what is to be asked for: something, it; `put something`."""
    *before, last = stems_of_tool_words(piece) or ("",)
    return last in _NOTHING and set(before) <= FUNCTION_WORDS | VERBS


def _worth_of_beginning(
    words: ToolWords, name: str, tokens: Sequence[Token], first: int, used: AbstractSet[int], sentence: bool
) -> float:
    token, before, worth = tokens[first], _leader(words, name, tokens, first), 0.0
    if before is not None:
        if _is_led(words, name, tokens, first):
            worth = _LED
        elif before.word in _LEADING:
            worth = _LED_BY_OTHER
        elif first - 1 in used or before.text in _MARKS_BETWEEN:
            worth = _BEHIND_VALUE
        elif before.word in words.of_examples:
            worth = _BEHIND_WORD
    worth += (_COURTESY_LED if worth == _LED else _COURTESY_FIRST) * (token.word in COURTESY)
    if not sentence:
        worth += _FUNCTION_FIRST * (token.word in FUNCTION_WORDS)
        begins = before is None or not before.text[0].isalnum() or before.word in FUNCTION_WORDS
        worth += _VERB_FIRST * (begins and token.word in VERBS)
    return worth


def _worth_inside(words: ToolWords, token: Token, sentence: bool) -> float:
    if not token.text[0].isalnum():
        return _MARK_IN_SENTENCE if sentence else _MARK
    if token.word in FUNCTION_WORDS:
        return _FUNCTION_IN_SENTENCE if sentence else _FUNCTION
    if token.word in words.of_examples:
        return _OF_EXAMPLES
    return _OF_TOOL if token.word in words.weights and not sentence else _NEW


def _worth_of_end(
    words: ToolWords, name: str, tokens: Sequence[Token], last: int, used: AbstractSet[int], sentence: bool
) -> float:
    token, behind = tokens[last], tokens[last + 1] if last + 1 < len(tokens) else None
    worth = 0.0
    if behind is None or not behind.text[0].isalnum():
        worth = _ENDED
    elif _is_followed(words, name, tokens, last):
        worth = _FOLLOWED
    elif last + 1 in used:
        worth = _ENDED
    worth += _LITTLE_LAST * (token.word in (COURTESY if sentence else FUNCTION_WORDS))
    return worth + _MARK_LAST * (not token.text[0].isalnum())
