"""A sentence as tokens: words without their endings, numbers, marks.

Words are compared by their stems (Snowball's English stemmer; Porter 1980), so that `labelled` is `label` and two
`lattes` are a `latte`. A word of another language mostly stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from snowballstemmer import stemmer

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\s\w]|_")
LONGEST_TURN = 400  # characters of a turn that are looked at, the last ones
QUOTED = re.compile(r"(?<!\w)[\"'“‘](\w[^\"“”]*?)[\"'”’](?!\w)")
_POSSESSIVE = re.compile(r"['’]s$")
# Short for a unit, or another word for one that is as common; and what is no mistyped timer.
_ALIASES = {
    "min": "minute", "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "sec": "second", "secs": "second",
    "%": "percent", "pct": "percent", "°": "degree", "deg": "degree", "degs": "degree", "celsius": "degree",
    "celcius": "degree", "ppl": "people", "person": "people", "persons": "people", "msg": "message", "times": "times",
}  # fmt: skip
_COURTESY = """
    dear hello hey hi just kindly lol now oh ok okay omg please pls plz so sorry sweetheart thank thanks thx ugh
    well yo
"""
_FUNCTION_WORDS = """
    a about again ahead all also am an and any are as at be by can could did do does don't dont else few for from
    get go got had has have he here how i i'd i'll i'm if im in instead is it it'd it'll it's its let let's like lot
    lots many me more much my need no not of off on one or our out she should some still than that that's the their
    them then there there's these they this those to u up us want was we we'd we'll we're we've were what what's
    when where which who why will with wonder would you your
"""
_VERBS = """
    activate add adjust answer ask begin book bring build buy call cancel change check clean clear close convert
    cool count create deactivate decrease delete dial dim disable do drive drop enable end enter fetch find get give
    go grab heat hold increase jot keep kill label launch leave lock log look lower make mark message move mute name
    navigate need note nudge open order pause phone pick ping play poke pop put raise read record remember remind
    remove rename reserve resume ring run save say scale schedule send set show shut silence skip start stick stop
    store switch take tell text throw title track try turn unlock use wake warm write
"""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number or mark of a text. text: as it stands there. start, end: where. word: by what it is compared."""

    text: str
    start: int
    end: int
    word: str

    @property
    def is_word(self) -> bool:
        """Whether it is made of letters."""
        return self.text[0].isalpha()


def is_short_for_another(word: str) -> bool:
    """Whether a word is spelled out before it is compared."""
    return word.lower() in _ALIASES


@lru_cache(maxsize=1)
def _stemmer() -> object:
    return stemmer("english")


@lru_cache(maxsize=1 << 14)
def stem_of_tool_word(word: str) -> str:
    """What a word is compared by: lower case, spelled out, without an ending."""
    plain = _POSSESSIVE.sub("", word.lower()).replace("’", "'")
    plain = _ALIASES.get(plain, plain)
    return str(_stemmer().stemWord(plain)) if plain.isascii() else plain  # type: ignore[attr-defined]


def tokens_of_tool_request(text: str) -> tuple[Token, ...]:
    """The tokens of a text."""
    return tuple(Token(match[0], *match.span(), stem_of_tool_word(match[0])) for match in _TOKEN.finditer(text))


def stems_of_tool_words(text: str) -> tuple[str, ...]:
    """The words that a text's tokens are compared by, in order."""
    return tuple(stem_of_tool_word(word) for word in _TOKEN.findall(text))


COURTESY = frozenset(stems_of_tool_words(_COURTESY))  # words that ask for nothing
FUNCTION_WORDS = COURTESY | frozenset(
    stems_of_tool_words(_FUNCTION_WORDS)
)  # words that say little of what is asked for
PARTICLES = frozenset(stems_of_tool_words("on off up down out no"))  # those of them that tell one command from another
ARTICLES = frozenset(stems_of_tool_words("the a an my our"))
PRONOUNS = frozenset(stems_of_tool_words("it that them this those these one ones"))  # stand for what was spoken of
# What takes back: of a tool that does not say so itself nothing of the kind is asked.
UNDOING = frozenset(
    stems_of_tool_words("avoid cancel clear delete drop end erase forget quit remove reverse revert stop undo")
)
UNITS = frozenset(
    stems_of_tool_words("second minute hour day week percent degree euro dollar meter kilometer gram kilo liter")
)
VERBS = frozenset(
    stems_of_tool_words(_VERBS)
)  # what people tell machines to do; at the beginning they are no part of a name
