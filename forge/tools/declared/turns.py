"""Turns of a conversation that lean on others, and the joints of one that asks for several things."""

from __future__ import annotations

import re
from collections.abc import Iterable

from forge.tools.declared.pieces import says_nothing
from forge.tools.declared.schema import tool_example_text
from forge.tools.declared.tokens import FUNCTION_WORDS, LONGEST_TURN, QUOTED, stems_of_tool_words

# Of what a sentence asks for.
JOINT = re.compile(
    r"(?:[,.;]? then |, and | and then | and also |, also | and after that | also | and | plus |[.;,] |;)", re.I
)
_MARKS = " .,;:!?\"'“‘”’"
_AFTER = re.compile(
    r"(?i)(?:,? (?:please|pls|plz|thanks|thx|thank you|now|for me|again|already|tonight|today|too|as well|also))+$"
)
_BEFORE = re.compile(
    r"(?i)^(?:(?:and|also|now|then|do|actually|let us say|let's say|say|what about|how about|"
    r"(?:the )?same (?:with|for)|that would be|that is|it is|i mean|i meant|make (?:it|that)),? )+"
)
_TOO = re.compile(r"(?i),? (?:too|as well|also)(?:,? (?:please|pls|plz|thanks|thx|thank you))?$")
# What makes an order something else, unless an example of the tool has it: a negation, a condition, a choice, a
# correction, a report.
_OTHERWISE = re.compile(
    r"(?i)\b(?:not|never|cannot|without|neither|nor|nobody|no one|no need|unless|until|when|if|whether|or|instead of|"
    r"rather than|how to|explain|actually|scratch that|kidding|no wait|i mean|said|says|told|asked|was|were|"
    r"had|been|thanks for|thank you for)\b|\b(?:wait|no),|n['’]t\b|"
    r"^(?:i|we|he|she|they|you|it|someone|somebody) (?:just |already )?(?!need)\w+ed\b"
)
# In a sentence that asks nothing.
_STATES, _ASKS = re.compile(r"(?i)\b(?:is|are|has)\b"), re.compile(r"(?i)\b(?:what|which|how|who|where)\b")
_BY_COURTESY = re.compile(
    r"(?i)\bif (?:you (?:please|could|would|can|don['’]t mind)|possible|"
    r"(?:that|it)(?:['’]s| is) (?:not too much trouble|ok|okay|alright|all right|fine|possible))\b|"
    r"\bdon['’]t you think\b|^(?:ok|okay|oh|no|well|sorry)[, ]+(?=\w)"
)
_DROPPED = re.compile(r"(?i)\b(?:stop|undo|cancel|never ?mind|forget|nothing|thanks?|thank you|bye|sorry|no|ok|okay)\b")


def bare_value(turn: str) -> str:
    """What is said without the marks and the words around it: `and the hall one, please` is about the hall. Empty for
    a word that stands for nothing."""
    said = _AFTER.sub("", _BEFORE.sub("", turn[-LONGEST_TURN:].strip().rstrip(".,;:!?")))
    quoted = QUOTED.findall(said)
    bare = quoted[0] if len(quoted) == 1 else said.strip(_MARKS)
    return "" if says_nothing(bare) else bare


def goes_on(turn: str) -> bool:
    """Whether a turn says that it goes on with the one before, or gives something in quotation marks."""
    words = turn[-LONGEST_TURN:].strip().rstrip(".,;:!?")
    return any(found.search(words) for found in (_BEFORE, _TOO, QUOTED))


def drops_tool_request(turn: str) -> bool:
    """Whether a turn takes back, thanks or ends, rather than asks."""
    return _DROPPED.search(turn) is not None


def tool_request_is_otherwise(turn: str, examples: Iterable[str], *, asks: bool) -> bool:
    """Whether a turn may say something else than its words order: it negates, reports, sets a condition, chooses,
    corrects itself; not where an example does so all of whose words it has.

    Args:
        asks: it is a question.
    """
    plain, said = _BY_COURTESY.sub(" ", turn).strip(), set(stems_of_tool_words(turn))
    marks = _marks(plain, states=not asks and _ASKS.search(plain) is None)
    has = [
        words for words in map(tool_example_text, examples) if set(stems_of_tool_words(words)) - FUNCTION_WORDS <= said
    ]
    return bool(marks.difference(*(_marks(words, states=True) for words in has)))


def _marks(text: str, *, states: bool) -> set[str]:
    found = {mark[0].lower() for mark in _OTHERWISE.finditer(text)}
    return found | ({mark[0].lower() for mark in _STATES.finditer(text)} if states else set())


def quoted_spans_of_request(text: str) -> list[tuple[int, int]]:
    """Where something stands in quotation marks."""
    return [match.span() for match in QUOTED.finditer(text)]
