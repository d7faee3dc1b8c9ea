"""How people ask for what stands in a database that nobody here has seen: intents made of its tables, columns, texts.

The arguments' slots are named by the column whose texts fill them (`{V3}`), so that only what is said of that column
can stand there.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from forge.tools.column_sayings import sayings_of_column, words_of_column
from forge.tools.declaration import Drawn, FollowUp, Intent

Description = Mapping[str, Mapping[str, tuple[str, bool, list[str]]]]
MOST_INTENTS = 150
_NUMERIC = re.compile(r"(?i)int|real|num|dec|float|double|money")
_NAMES = ("name", "title", "label", "model")
_LINKS = re.compile(r"(?i)^(?!.*(?:phone|tel|mobile)).*(?:^|_)(?:id|no|nr)$|Id$")  # numbers that only tell rows apart
_NUMBER_OF = (
    "how many {c} [does|did|has|is] {e} [have|book|order|get|got|need|want|take|]?",
    "how many {c} [for|of|in|by] {e}?",
    "how much {c} [does|did|has] {e} [have|get|got|need|]?",
)
_NEXT = ("and {e}?", "what about {e}?", "{e}?", "and for {e}?", "how about {e}?", "and the {e}?")
# Between the word for the rows and a text of one of their columns.
_OF = "in|from|at|for|on|of|with|by"
_DOES = "is|is in|is from|is at|is for|is on|plays|teaches|has|takes|runs|lives in|works in|uses|learns|gives|leads"
_DO = "are|are in|are from|are at|are for|are on|play|teach|have|take|run|live in|work in|use|learn|give|lead"

_ENDS = (("most", " DESC", "most|highest|biggest"), ("least", "", "least|lowest|fewest"))
_SUMS = {
    "SUM": (
        "[what is the|whats the|the|] [total|sum of all|total of all] {c} [of the {t}|of all {t}|]?",
        "what total {c} [do we have|is there]?",
        "how much {c} [in total|altogether]?",
        "{c} of all {t} together?",
        "how many {c} [in total|altogether|are there in total]?",
        "add up the {c}",
        "all {c} together",
    ),
    "AVG": (
        "[what is the|whats the|the|] [average|mean|avg] {c} [of the {t}|of all {t}|per {s}|for a {s}|]?",
        "what {c} [on average|is usual]?",
        "{c} on average?",
        "how much [does|is] a {s} [cost|] on average?",
    ),
}


@dataclass(frozen=True)
class Column:
    """A column: as SQL writes it, in words, what its slot is called, the texts in it."""

    table: str
    name: str
    words: str
    slot: str
    texts: tuple[str, ...]
    numeric: bool

    @property
    def sql(self) -> str:
        """The name as a query has it."""
        return quote_sql_name(self.name)


@dataclass(frozen=True)
class Table:
    """A table: as SQL writes it, the words for its rows and for one of them, its columns, that which names a row."""

    name: str
    several: str
    one: str
    columns: tuple[Column, ...]
    key: Column | None

    @property
    def sql(self) -> str:
        """The name as a query has it."""
        return quote_sql_name(self.name)


def quote_sql_name(name: str) -> str:
    """A name as a query has it: in quotation marks where it is not one word."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else '"' + name.replace('"', '""') + '"'


def read_tables(description: Description) -> list[Table]:
    """The tables of a database as `Database.describe` tells of them; those without a column are left out."""
    found, number = [], 0
    for table, columns in description.items():
        own = []
        for name, (kind, _, texts) in columns.items():
            numeric = bool(_NUMERIC.search(kind)) and not texts
            own.append(Column(table, name, " ".join(words_of_column(name)), f"V{number}", tuple(texts), numeric))
            number += 1
        words = " ".join(words_of_column(table)) or table
        if own:
            found.append(Table(table, _plural(words), _singular(words), tuple(own), _key_of(own, _singular(words))))
    return found


def texts_by_slot(tables: list[Table]) -> dict[str, tuple[str, ...]]:
    """What may fill the slots of the intents."""
    return {column.slot: column.texts for table in tables for column in table.columns if column.texts}


def intents_of_tables(tables: list[Table]) -> tuple[Intent, ...]:
    """What people may want of these tables."""
    made = [intent for table in tables for intent in _intents_of_table(table)]
    return tuple(made[:MOST_INTENTS])


def _singular(words: str) -> str:
    if words.endswith("ies"):
        return f"{words[:-3]}y"
    if words.endswith(("sses", "shes", "ches", "xes")):
        return words[:-2]
    return words[:-1] if words.endswith("s") and not words.endswith("ss") else words


def _plural(words: str) -> str:
    if words.endswith("s"):
        return words
    return f"{words[:-1]}ies" if words.endswith("y") and words[-2:-1] not in "aeiou" else f"{words}s"


def _key_of(columns: list[Column], one: str) -> Column | None:
    """The column that names a row: called name, title or as the row, or else the first whose texts are all told."""
    texts = [column for column in columns if column.texts]
    for word in (*_NAMES, one):
        for column in texts:
            if word in column.words.split() or column.words == one:
                return column
    return texts[0] if texts else None


def _intents_of_table(table: Table) -> Iterator[Intent]:
    yield _intent(
        f"{table.name}.count",
        f"SELECT COUNT(*) FROM {table.sql}",
        (
            "how many {t} [do we have|are there|have we got|do you have|are on the list]?",
            "how many {t}?",
            "[number|total number|count] of {t}",
            "count the {t}",
        ),
        table,
    )
    for column in table.columns:
        if _LINKS.search(column.name) or column == table.key:
            continue
        if table.key is not None:
            yield _value_of_row(table, table.key, column)
            if column.texts:
                yield from _rows_with_text(table, table.key, column)
                yield from _figures_of_rows_with_text(table, column)
        if column.numeric:
            yield from _figures(table, column)


def _intent(
    name: str,
    argument: str,
    sentences: tuple[str, ...],
    table: Table,
    *,
    cores: tuple[str, ...] = (),
    column: Column | None = None,
    follow_ups: tuple[FollowUp, ...] = (),
) -> Intent:
    named = {"{t}": table.several, "{s}": table.one}
    if column is not None:
        named["{c}"] = re.sub(r" per .*", "", column.words)

    def told(patterns: tuple[str, ...]) -> tuple[str, ...]:
        for mark, words in named.items():
            patterns = tuple(pattern.replace(mark, words) for pattern in patterns)
        return patterns

    slots = tuple(re.findall(r"\{(V\d+)\}", argument))
    return Intent(name, argument, partial(_draw_stand_in, slots=slots), told(cores), told(sentences),
        follow_ups=follow_ups)  # fmt: skip


def _draw_stand_in(rng: random.Random, slots: tuple[str, ...]) -> Drawn:
    """A name that stands for the texts of a column."""
    name = f"Name{rng.randint(1, 10**6)}"
    return {"e": name} | dict.fromkeys(slots, name), None


def _value_of_row(table: Table, key: Column, column: Column) -> Intent:
    argument = f"SELECT {column.sql} FROM {table.sql} WHERE {key.sql}='{{{key.slot}}}'"
    sayings = sayings_of_column(column.name)
    said = tuple(sentence for saying in sayings for sentence in saying.row)
    if column.numeric and column.words.endswith("s"):
        said += _NUMBER_OF
    if column.words.split()[-1].endswith("ed"):
        said += ("when was {e} {c}?", "[who|where] was {e} {c}?")
    return _intent(
        f"{table.name}.{column.name}",
        argument,
        (
            *said,
            "[what|which] {c} is {e}?",
            "[what|which] {c} [does|has] {e} [have|got]?",
            "[what|which] {c} [is {e} in|belongs to {e}|do i need for {e}]?",
            "{e} {c}?",
            "{e}, {c}?",
            "what is the {c} of the {s} {e}?",
        ),
        table,
        cores=("the {c} of {e}", "{e}'s {c}", "the {e} {c}", "the {c} for {e}", "{c} of {e}"),
        column=column,
        follow_ups=(FollowUp(_NEXT, argument),),
    )


def _rows_with_text(table: Table, key: Column, column: Column) -> Iterator[Intent]:
    where = f"FROM {table.sql} WHERE {column.sql}='{{{column.slot}}}'"
    yield _intent(
        f"{table.name}.with_{column.name}",
        f"SELECT {key.sql} {where}",
        (
            f"which {{t}} [{_DO}] {{e}}?",
            f"[which|what] {{s}} [{_DOES}] {{e}}?",
            f"who [{_DOES}] {{e}}?",
            f"[list|show|name|find|the|all|any|] {{t}} [{_OF}] {{e}}",
            "[list|show me|name|] [the|all|] {e} {t}",
            "[which|what] {t} have {c} {e}?",
            "[what|which] {t} are there [in|for|on|by|from] {e}?",
            "what [do we have|is there|is] [in|for|on|from|by] {e}?",
            "{c} {e}",
            *(f"[which|what] {keys} [{_DO}] [an|a|the|] {{e}} {{s}}?" for keys in {_plural(key.words)} - {"names"}),
        ),
        table,
        column=column,
    )
    yield _intent(
        f"{table.name}.count_{column.name}",
        f"SELECT COUNT(*) {where}",
        (
            f"how many {{t}} [{_DO}] {{e}}?",
            "how many {e} {t} [do we have|are there|have we got]?",
            f"how many {{t}} [{_OF}] {{e}} [do we have|are there|]?",
            "[number|count] of {e} {t}",
            "how many are {e}?",
        ),
        table,
        column=column,
    )


def _figures(table: Table, column: Column) -> Iterator[Intent]:
    sayings = sayings_of_column(column.name)
    for end, order, general in _ENDS if table.key is not None else ():
        said = tuple(word for saying in sayings for word in getattr(saying, end))
        assert table.key is not None, "a row without a name is nothing to tell"
        argument = f"SELECT {table.key.sql} FROM {table.sql} ORDER BY {column.sql}{order} LIMIT 1"
        sentences = _superlatives(general, said)
        yield _intent(f"{table.name}.{end}_{column.name}", argument, sentences, table, column=column)
    for function, sentences in _SUMS.items():
        argument = f"SELECT {function}({column.sql}) FROM {table.sql}"
        yield _intent(f"{table.name}.{function}_{column.name}", argument, sentences, table, column=column)


def _figures_of_rows_with_text(table: Table, text: Column) -> Iterator[Intent]:
    where = f"WHERE {text.sql}='{{{text.slot}}}'"
    for column in (column for column in table.columns if column.numeric and not _LINKS.search(column.name)):
        for function, words in (("AVG", "average|mean|avg"), ("SUM", "total")):
            sentences = (
                f"[what is the|whats the|the|] [{words}] {{c}} [of|for|in|at] [our|the|all|] {{e}}?",
                f"[{words}] {{e}} {{c}}?",
            )
            argument = f"SELECT {function}({column.sql}) FROM {table.sql} {where}"
            yield _intent(
                f"{table.name}.{function}_{column.name}_{text.name}", argument, sentences, table, column=column
            )


def _superlatives(general: str, said: tuple[str, ...]) -> tuple[str, ...]:
    named = tuple(word for word in said if " the " not in f" {word} " and not word.startswith(("we ", "nearly")))
    does = tuple(word for word in said if word not in named)
    sentences = (
        f"which {{s}} has the [{general}] {{c}}?",
        f"who has the [{general}] {{c}}?",
        f"{{s}} with the [{general}] {{c}}",
        f"[{general}] {{c}}?",
    )
    if named:
        word = "|".join(named)
        sentences += (
            f"[which|what] {{s}} is the [{word}]?",
            f"[what is|whats|which is|show me|] [the|our] [{word}] {{s}}?",
            f"[which|what] is the [{word}]?",
            f"who is the [{word}] {{s}}?",
        )
    return (*sentences, *(f"[which {{s}}|what|who|which of the {{t}}] {word}?" for word in does))
