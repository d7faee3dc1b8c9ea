"""What a sentence has where an example has a slot: `play {title} in the {room}`, `and play blue moon in the bath`."""

from __future__ import annotations

import functools
import re
from string import Formatter

from forge.tools.likeness import COURTESY

# Said in place of something that is to be asked for.
_NOTHING = {"", "something", "anything", "some", "it", "that", "this", "them", "one", "someone", "somewhere", "there"}
# Of what a sentence asks for.
JOINT = re.compile(r"(?:[,.;]? then |, and | and then | and also |, also | and | plus |[.;] )", re.I)
_MOST_SLOTS = 3  # of an example that is aligned
_LONGEST = 400  # characters of a request, the last ones, as many as an example may have
_MARKS = " .,;:!?\"'“”‘’"
_AFTER = re.compile(
    r"(?i)(?:,? (?:please|pls|plz|thanks|thank you|thx|now|for me|again|already|tonight|today|too|as well|also))+$"
)
_BEFORE = re.compile(
    r"(?i)^(?:(?:and|also|now|then|do|let us say|let's say|say|what about|how about|(?:the )?same (?:with|for)|"
    r"that would be|that is|it is|i mean|i meant|make it),? )+"
)
_TOO = re.compile(r"(?i),? (?:too|as well|also)$")
_QUOTED = re.compile(r"(?<!\w)[\"'“‘](\w[^\"“”]*?)[\"'”’](?!\w)")


def slots_as_said(says: tuple[str, ...], text: str, *, joined: bool = False) -> dict[str, str] | None:
    """What a sentence has in the place of each slot, by its name, for the example that shares the most words with it in
    order; empty where it has nothing there, or only "something". None where no example's words stand in the sentence.

    Args:
        says: sentences of examples, with slots.
        text: one request.
        joined: it may be several: then a slot ends at the first of the words that follow it, else at the last.
    """
    best, most = None, 0
    for say in says:
        pattern, slots, weight = _pattern_of(say, joined)
        if pattern is None or weight <= most or (found := pattern.search(text[-_LONGEST:])) is None:
            continue
        last = len(slots) - 1 if pattern.pattern.endswith("(.*)") else -1
        values = [bare_value(v) if n == last else _within_marks(v) for n, v in enumerate(found.groups())]
        best, most = dict(zip(slots, values, strict=True)), weight
    return best


@functools.lru_cache(maxsize=4096)
def _pattern_of(say: str, joined: bool) -> tuple[re.Pattern[str] | None, list[str], int]:
    """A pattern of sentences with the words of an example, the slots that its groups are, and how many these words are,
    courtesy left out. No pattern where there are so many slots that a search for them takes long."""
    parts, slots, words = "", list[str](), 0
    pieces = list(Formatter().parse(say.strip()))
    for number, (literal, slot, *_) in enumerate(pieces):
        said = literal.split()
        words += sum(word.lower() not in COURTESY for word in said)
        parts += (r"\s*" if parts and said else "") + r"\s+".join(map(re.escape, said))
        if slot is not None:
            last = number == len(pieces) - 1
            gap = "^" if not parts else r"(?:\s+|$)" if last else r"\s+"
            parts += gap + ("(.*)" if last else "(.+?)" if joined else "(.+)")
            slots.append(slot)
    end = r"(?!\w)" if pieces and pieces[-1][1] is None else ""
    return (re.compile(rf"(?i)(?<!\w){parts}{end}") if len(slots) <= _MOST_SLOTS else None), slots, words


def bare_value(value: str) -> str:
    """What is said without the marks and the words around it: `and the hall one, please` is about the hall."""
    return _within_marks(_AFTER.sub("", _BEFORE.sub("", value[-_LONGEST:].strip().rstrip(".,;:!?"))))


def is_joined(text: str) -> bool:
    """Whether a sentence may ask for more than one thing."""
    return JOINT.search(text) is not None or ", " in text or " & " in text


def follows_up(turn: str) -> bool:
    """Whether a turn says that it goes on with the one before, or gives something in quotation marks."""
    words = turn[:_LONGEST].strip().rstrip(".,;:!?")
    return any(found.search(words) for found in (_BEFORE, _TOO, _QUOTED))


def _within_marks(value: str) -> str:
    quoted = _QUOTED.findall(value)
    bare = quoted[0] if len(quoted) == 1 else value.strip(_MARKS)
    return "" if bare.lower() in _NOTHING else bare
