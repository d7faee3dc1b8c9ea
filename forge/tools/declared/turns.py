"""Turns of a conversation that lean on others, and the joints of one that asks for several things."""

from __future__ import annotations

import re

from forge.tools.declared.pieces import says_nothing

# Of what a sentence asks for.
JOINT = re.compile(
    r"(?:[,.;]? then |, and | and then | and also |, also | and after that | also | and | plus |[.;,] |;)", re.I
)
_LONGEST = 400  # characters of a turn, the last ones
_MARKS = " .,;:!?\"'“‘”’"
_AFTER = re.compile(
    r"(?i)(?:,? (?:please|pls|plz|thanks|thx|thank you|now|for me|again|already|tonight|today|too|as well|also))+$"
)
_BEFORE = re.compile(
    r"(?i)^(?:(?:and|also|now|then|do|actually|let us say|let's say|say|what about|how about|"
    r"(?:the )?same (?:with|for)|that would be|that is|it is|i mean|i meant|make (?:it|that)),? )+"
)
_TOO = re.compile(r"(?i),? (?:too|as well|also)(?:,? (?:please|pls|plz|thanks|thx|thank you))?$")
_QUOTED = re.compile(r"(?<!\w)[\"'“‘](\w[^\"“”]*?)[\"'”’](?!\w)")
_DROPPED = re.compile(r"(?i)\b(?:stop|undo|cancel|never ?mind|forget|nothing|thanks?|thank you|bye|sorry|no|ok|okay)\b")


def bare_value(turn: str) -> str:
    """What is said without the marks and the words around it: `and the hall one, please` is about the hall. Empty for
    a word that stands for nothing."""
    said = _AFTER.sub("", _BEFORE.sub("", turn[-_LONGEST:].strip().rstrip(".,;:!?")))
    quoted = _QUOTED.findall(said)
    bare = quoted[0] if len(quoted) == 1 else said.strip(_MARKS)
    return "" if says_nothing(bare) else bare


def goes_on(turn: str) -> bool:
    """Whether a turn says that it goes on with the one before, or gives something in quotation marks."""
    words = turn[-_LONGEST:].strip().rstrip(".,;:!?")
    return any(found.search(words) for found in (_BEFORE, _TOO, _QUOTED))


def drops_request(turn: str) -> bool:
    """Whether a turn takes back, thanks or ends, rather than asks."""
    return _DROPPED.search(turn) is not None
