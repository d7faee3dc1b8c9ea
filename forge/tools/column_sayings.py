"""How people ask for what a column tells, by the words of its name: `price_per_hour` is asked for by "how much"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile


@dataclass(frozen=True)
class ColumnSaying:
    """Ways to ask for a kind of column.

    Patterns as an intent's; `{e}` is the row, `{s}` and `{t}` the word for one row of the table and for several.

    Attributes:
        words: that a column's name has, one of them at least.
        row: questions for the value of a row.
        most, least: what the row with the highest and the lowest value is called, or does.
    """

    words: frozenset[str]
    row: tuple[str, ...] = ()
    most: tuple[str, ...] = ()
    least: tuple[str, ...] = ()


def _saying(words: str, *row: str, most: str = "", least: str = "") -> ColumnSaying:
    listed = (tuple(part.strip() for part in text.split(",") if part.strip()) for text in (most, least))
    return ColumnSaying(frozenset(words.split()), row, *listed)


SAYINGS = (
    _saying(
        "price cost costs fee fees rate rent tariff charge deposit",
        "how much is {e}?",
        "how much [does|do] {e} cost?",
        "what [does|do] {e} cost?",
        "what [do|would|must] i pay for {e}?",
        "how expensive is {e}?",
        "{e}, how much?",
        "how much [for|are] {e}?",
        "[price|cost] of {e}",
        "how much to [rent|hire|buy|book|get] {e}?",
        most="most expensive, dearest, priciest, costs the most",
        least="cheapest, least expensive, costs the least",
    ),
    _saying(
        "salary pay wage wages income earnings",
        "how much does {e} [earn|make|get]?",
        "what does {e} [earn|make]?",
        "how much is {e} paid?",
        "what is {e} paid?",
        most="best paid, earns the most, makes the most, [is|gets] paid the most",
        least="worst paid, earns the least, makes the least, [is|gets] paid the least",
    ),
    _saying(
        "stock quantity copies available left pieces units",
        "how many {e} [do we have|are there|are left|have we got|are in stock]?",
        "how many {e} left?",
        "how many of {e} [do we have|are there]?",
        "{e} in stock?",
        "is {e} in stock, how many?",
        most="we have the most of, highest stock",
        least="we have the least of, lowest stock, nearly sold out",
    ),
    _saying(
        "seats capacity places persons people max berths",
        "how many people [fit in|fit on|can go on|can use|can join|go in] {e}?",
        "how many can [sit in|go on|join] {e}?",
        "how big is {e}?",
        most="biggest, largest, takes the most people, holds the most people",
        least="smallest, takes the fewest people, holds the fewest people",
    ),
    _saying(
        "city town place location room street address country berth shelf village dock where",
        "where is {e}?",
        "where does {e} [live|stand|take place]?",
        "where can i find {e}?",
        "where [are|do i find] {e}?",
        "in which place is {e}?",
    ),
    _saying(
        "date day time year month when start starts begin begins weekday evening",
        "when is {e}?",
        "when does {e} [start|begin|take place|come]?",
        "when was {e}?",
        "what [day|time|date] is {e}?",
        "on which day is {e}?",
        most="latest, newest, last",
        least="earliest, oldest, first",
    ),
    _saying(
        "end ends until due finish return", "when does {e} [end|finish]?", "until when is {e}?", "when is {e} due?"
    ),
    _saying(
        "phone telephone tel mobile number email mail contact",
        "how [do|can] i [reach|call|contact] {e}?",
        "what is the number of {e}?",
        "how do i get hold of {e}?",
    ),
    _saying("age born birthday", "how old is {e}?", "when was {e} born?", most="oldest", least="youngest"),
    _saying(
        "length long",
        "how long is {e}?",
        most="longest",
        least="shortest",
    ),
    _saying(
        "duration minutes hours lasts", "how long [is|does|takes] {e} [last|take|]?", most="longest", least="shortest"
    ),
    _saying("height", "how [tall|high] is {e}?", most="tallest, highest", least="smallest, lowest"),
    _saying("weight", "how heavy is {e}?", "what does {e} weigh?", most="heaviest", least="lightest"),
    _saying("width", "how wide is {e}?", most="widest", least="narrowest"),
    _saying("depth", "how deep is {e}?", most="deepest", least="shallowest"),
    _saying("size area", "how [big|large] is {e}?", most="biggest, largest", least="smallest"),
    _saying("speed", "how fast is {e}?", most="fastest", least="slowest"),
    _saying("distance km miles", "how far is {e}?", most="farthest, longest", least="nearest, shortest"),
    _saying(
        "author writer composer artist",
        "who [wrote|made|composed] {e}?",
        "who is {e} by?",
        "{e} is by whom?",
    ),
    _saying(
        "teacher instructor trainer owner manager skipper leader captain guide conductor borrower customer player",
        "who [teaches|has|owns|leads|runs|gives|plays|guides] {e}?",
        "who does {e}?",
        "whose is {e}?",
        "with whom is {e}?",
    ),
    _saying("instrument subject", "what does {e} [play|teach|learn]?", "which instrument does {e} [play|teach|have]?"),
    _saying("color colour", "[what|which] color is {e}?", "what color does {e} have?"),
    _saying("team department job role group", "where does {e} work?", "what does {e} do?", "what is {e}'s job?"),
    _saying("type kind category class level", "what kind [of {s}|] is {e}?", "what sort of {s} is {e}?"),
    _saying(
        "orders bookings visits",
        "how often did {e} [order|book|come]?",
        most="orders the most",
        least="orders the least",
    ),
    _saying("condition status state", "how is {e}?", "is {e} ok?", "is {e} [free|ready|available]?"),
)

# Words by which people ask, whatever the columns are called.
ASKING_WORDS = frozenset(
    word
    for saying in SAYINGS
    for text in (*saying.row, *saying.most, *saying.least)
    for word in re.findall(r"[a-z]{2,}", text)
)


def words_of_tool_column(name: str) -> list[str]:
    """`pricePerHour` and `price_per_hour` are three words, in lower case."""
    return re.findall(r"[a-z]+|[0-9]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())


def sayings_of_tool_column(name: str) -> list[ColumnSaying]:
    """Those that a column's name has a word of."""
    words = set(takewhile(lambda word: word != "per", words_of_tool_column(name)))  # a price per hour is a price
    return [saying for saying in SAYINGS if saying.words & (words | {word.removesuffix("s") for word in words})]
