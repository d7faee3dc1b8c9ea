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
from itertools import zip_longest

from forge.tools.column_sayings import sayings_of_tool_column, words_of_tool_column
from forge.tools.declaration import About, Drawn, Intent

Description = Mapping[str, Mapping[str, tuple[str, list[str]]]]
Question = tuple[Intent, frozenset[str]]  # and words of which one must be said, where its argument takes no text
MOST_INTENTS = 150
_NUMERIC = re.compile(r"(?i)int|real|num|dec|float|double|money")
_NAMES = ("name", "title", "label", "model")
# Numbers that only tell rows apart.
_LINKS = re.compile(r"(?i:^(?!.*(?:phone|tel|mobile)).*(?:^|_)(?:id|no|nr)$)|[a-z]Id$")
_NUMBER_OF = (
    "how many {c} [does|did|has|is] {e} [have|book|order|get|got|need|want|take|]?",
    "how many {c} [for|of|in|by] {e}?",
    "how much {c} [does|did|has] {e} [have|get|got|need|]?",
)
# Words of SQL that people give to tables and columns.
_KEYWORD_TEXT = """
    add all alter and as asc begin between by case check column commit create cross current default delete desc
    distinct do drop each else end escape except exists fail filter first following for foreign from full glob group
    groups having if ignore in index inner insert into is isnull join key last left like limit match no not notnull
    null of offset on or order others outer over partition plan pragma primary query raise range references release
    rename replace right row rows select set table then to transaction trigger union unique update using values view
    when where window with without
"""
_KEYWORDS = frozenset(_KEYWORD_TEXT.split())
# Words of superlatives that say nothing of what is compared.
_COMMON_TEXT = "the most least is are we have of last first latest newest earliest highest lowest fewest people"
_COMMON = frozenset(_COMMON_TEXT.split())
# Between the word for the rows and a text of one of their columns.
_OF = "in|from|at|for|on|of|with|by"
_DOES = "is|is in|is from|is at|is for|is on|plays|teaches|has|takes|runs|lives in|works in|uses|learns|gives|leads"
_DO = "are|are in|are from|are at|are for|are on|play|teach|have|take|run|live in|work in|use|learn|give|lead"
# Ends of a column: the order of SQL, and words for them.
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

    name: str
    words: str
    slot: str
    texts: tuple[str, ...]
    numeric: bool

    @property
    def sql(self) -> str:
        """The name as a query has it."""
        return quote_name_for_tool_sql(self.name)


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
        return quote_name_for_tool_sql(self.name)


def quote_name_for_tool_sql(name: str) -> str:
    """A name as a query has it: in quotation marks where it is not one word."""
    plain = re.fullmatch(r"[A-Za-z_]\w*", name) and name.lower() not in _KEYWORDS
    return name if plain else '"' + name.replace('"', '""') + '"'


def _can_be_asked(name: str) -> bool:
    """Whether a name has words that can be said, and no marks of our patterns."""
    return bool(words_of_tool_column(name)) and name.isprintable() and not {*"{}[]|"} & {*name}


def read_tables_of_tool_database(description: Description) -> list[Table]:
    """The tables of a database as `Database.describe` tells of them; those that cannot be asked about are left out."""
    found, number = [], 0
    for table, columns in description.items():
        own = []
        for name, (kind, texts) in columns.items():
            if _can_be_asked(name):
                numeric = bool(_NUMERIC.search(kind)) and not texts
                plain = tuple(text for text in texts if text.isprintable())
                own.append(Column(name, " ".join(words_of_tool_column(name)), f"V{number}", plain, numeric))
                number += 1
        if own and _can_be_asked(table):
            words = " ".join(words_of_tool_column(table))
            one = _singular(words)
            found.append(Table(table, _plural(words), one, tuple(own), _key_of(own, one)))
    return found


def ask_tool_about_tables(tables: list[Table]) -> About:
    """What people may want of these tables: how many rows each has, and what its columns tell, by turns."""
    asked = [list(_questions_of_table(table)) for table in tables]
    by_turns = [question for turn in zip_longest(*asked) for question in turn if question is not None]
    kept = by_turns[:MOST_INTENTS]
    fillings = {column.slot: column.texts for table in tables for column in table.columns if column.texts}
    marks = {intent.argument: words for intent, words in kept if words}
    return About(tuple(intent for intent, _ in kept), fillings, marks=marks)


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
    for word in (*_NAMES, one):
        for column in columns:
            if not column.numeric and (word in column.words.split() or column.words == one):
                return column
    return next((column for column in columns if column.texts), None)


def _questions_of_table(table: Table) -> Iterator[Question]:
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
            if table.key.texts:
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
    marks: tuple[str, ...] = (),
) -> Question:
    named = {"{t}": table.several, "{s}": table.one}
    if column is not None:
        named["{c}"] = column.words.split(" per ")[0]

    def told(patterns: tuple[str, ...]) -> tuple[str, ...]:
        for mark, words in named.items():
            patterns = tuple(pattern.replace(mark, words) for pattern in patterns)
        return patterns

    slots = tuple(re.findall(r"\{(V\d+)\}", argument))
    said = " ".join((table.several, table.one, "" if column is None else column.words, *marks))
    words = frozenset() if slots else frozenset(re.findall(r"\w+", said)) - _COMMON
    return Intent(name, argument, partial(_draw_stand_in, slots=slots), told(cores), told(sentences)), words


def _draw_stand_in(rng: random.Random, slots: tuple[str, ...]) -> Drawn:
    """A name that stands for the texts of a column."""
    name = f"Name{rng.randint(1, 10**6)}"
    return {"e": name} | dict.fromkeys(slots, name), None


def _value_of_row(table: Table, key: Column, column: Column) -> Question:
    argument = f"SELECT {column.sql} FROM {table.sql} WHERE {key.sql}='{{{key.slot}}}'"
    sayings = sayings_of_tool_column(column.name)
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
    )


def _rows_with_text(table: Table, key: Column, column: Column) -> Iterator[Question]:
    where, called = f"FROM {table.sql} WHERE {column.sql}='{{{column.slot}}}'", _plural(key.words)
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
            f"[which|what] {called} [{_DO}] [an|a|the|] {{e}} {{s}}?",
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


def _figures(table: Table, column: Column) -> Iterator[Question]:
    sayings = sayings_of_tool_column(column.name)
    for end, order, general in _ENDS if table.key is not None else ():
        said = tuple(word for saying in sayings for word in getattr(saying, end))
        assert table.key is not None, "a row without a name is nothing to tell"
        known = f"WHERE {column.sql} IS NOT NULL"  # what has no value is not the least
        argument = f"SELECT {table.key.sql} FROM {table.sql} {known} ORDER BY {column.sql}{order} LIMIT 1"
        sentences = _superlatives(general, said)
        yield _intent(f"{table.name}.{end}_{column.name}", argument, sentences, table, column=column, marks=said)
    for function, sentences in _SUMS.items():
        argument = f"SELECT {function}({column.sql}) FROM {table.sql}"
        yield _intent(f"{table.name}.{function}_{column.name}", argument, sentences, table, column=column)


def _figures_of_rows_with_text(table: Table, text: Column) -> Iterator[Question]:
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
    sentences: tuple[str, ...] = (
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
