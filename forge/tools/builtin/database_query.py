"""A database, and how people ask for what is in it."""

from __future__ import annotations

import random
from contextlib import ExitStack
from functools import partial

from forge.tools.content import TABLES
from forge.tools.database_query import Database
from forge.tools.declaration import Answer, Drawn, Frames, Intent, Tool, ToolSetting
from forge.tools.drawing import pick_tool_argument_word

Extra = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
# fmt: off
FRAMES = Frames(
    train=(
        "What is {}?", "What's {}?", "Find {}.", "Tell me {}.", "Show me {}.", "Give me {}.", "Get {}.",
        "Please find {}.", "Please show me {}.", "Can you find {}?", "Can you tell me {}?", "I need {}.",
        "I want to know {}.", "Check {}.", "Could you check {}?", "{}, please.",
    ),
    val=("Please tell me {}.", "Could you find {}?", "I need to know {}.", "Can you check {}?"),
    test=("Please check {}.", "Could you tell me {}?", "Can you show me {}?", "Please get {}."),
)
# fmt: on


def pick_table_of_tool_database(rng: random.Random) -> Drawn:
    """The name of a table."""
    return {"e": rng.choice(list(TABLES))}, None


def pick_row_of_tool_database(rng: random.Random, table: str) -> Drawn:
    """The name in a row of a table."""
    return {"e": str(rng.choice(TABLES[table][1])[0])}, None


def pick_missing_row_of_tool_database(rng: random.Random) -> Drawn:
    """A name that no row has."""
    name = pick_tool_argument_word(rng)
    known = any(name == row[0] for _, rows in TABLES.values() for row in rows)
    return pick_missing_row_of_tool_database(rng) if known else ({"e": name}, None)


def _database_lookup_intent(column: str, table: str, cores: tuple[str, ...], extra: Extra) -> Intent:
    argument = f"SELECT {column} FROM {table} WHERE name='{{e}}'"
    return Intent(f"{table}.{column}", cores, argument, partial(pick_row_of_tool_database, table=table), 4, extra)


def open_database(setting: ToolSetting, stack: ExitStack) -> Answer:
    """Reads company.db when it is first asked."""
    database = Database(setting.workspace / "company.db", setting.timeout_s)
    stack.callback(database.close)
    return database.query


INTENTS = (
    _database_lookup_intent(
        "price",
        "products",
        ("the price of the {e}", "the price of {e}", "the {e} price"),
        (
            ("How much does the {e} cost?", "What does the {e} cost?"),
            ("How much does a {e} cost?",),
            ("What does a {e} cost?",),
        ),
    ),
    _database_lookup_intent(
        "stock",
        "products",
        ("the stock of the {e}", "the stock of {e}", "the {e} stock"),
        (
            ("How much stock of the {e} is left?", "How much {e} stock do we have?"),
            ("How much {e} stock is left?",),
            ("How much stock of the {e} do we have?",),
        ),
    ),
    _database_lookup_intent(
        "city",
        "customers",
        ("the city of {e}", "the city of customer {e}", "the home city of {e}"),
        (
            ("Which city is {e} in?", "In which city does {e} live?"),
            ("Which city does {e} live in?",),
            ("In which city is {e}?",),
        ),
    ),
    _database_lookup_intent(
        "orders",
        "customers",
        ("the orders of {e}", "the number of orders of {e}", "the orders of customer {e}"),
        (
            ("How many orders does {e} have?", "How many orders did {e} place?"),
            ("How many orders did customer {e} place?",),
            ("How many orders does customer {e} have?",),
        ),
    ),
    _database_lookup_intent(
        "team",
        "employees",
        ("the team of {e}", "the team of employee {e}", "the work team of {e}"),
        (
            ("Which team is {e} in?", "In which team does {e} work?"),
            ("Which team does {e} work in?",),
            ("In which team is {e}?",),
        ),
    ),
    _database_lookup_intent(
        "salary",
        "employees",
        ("the salary of {e}", "the salary of employee {e}", "the yearly salary of {e}"),
        (
            ("How much does {e} earn?", "What does {e} earn?"),
            ("What does employee {e} earn?",),
            ("How much does employee {e} earn?",),
        ),
    ),
    Intent(
        "count",
        ("the number of {e}", "the total number of {e}", "the count of {e}"),
        "SELECT COUNT(*) FROM {e}",
        pick_table_of_tool_database,
        1,
        (
            ("How many {e} do we have?", "How many {e} are there?"),
            ("How many {e} are in total?",),
            ("How many {e} do we have in total?",),
        ),
    ),
    Intent(
        "missing",
        ("the price of the {e}", "the price of {e}", "the {e} price"),
        "SELECT price FROM products WHERE name='{e}'",
        pick_missing_row_of_tool_database,
        2,
    ),
)
TOOL = Tool(
    "database_query",
    5,
    open_database,
    FRAMES,
    INTENTS,
    parameter="sql",
    description="Ask the database in SQL; it is only read.",
)
