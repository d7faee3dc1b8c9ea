"""A database, and how people ask for what is in it."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from forge.tools.content import TABLES
from forge.tools.database_query import Database
from forge.tools.database_questions import ask_tool_about_tables, read_tables_of_tool_database
from forge.tools.declaration import About, Answer, Drawn, FollowUp, Intent, Tool, ToolSetting
from forge.tools.wordings.database import (
    COLUMN_WORDINGS,
    FRENCH,
    FRENCH_PRODUCTS,
    GERMAN,
    GERMAN_PRODUCTS,
    NEXT_ROW,
    OTHER_COLUMN,
    PIECES_NEXT,
    YEARLY_NEXT,
)
from forge.tools.wordings.database_limits import (
    BETWEEN_SENTENCES,
    COUNT_LIMIT_SENTENCES,
    LETTER_SENTENCES,
    LIMIT_SENTENCES,
)
from forge.tools.wordings.database_lists import ALL_SENTENCES, CORES, END_SENTENCES, GROUP_SENTENCES, SUM_SENTENCES
from forge.tools.wordings.database_slots import (
    USUAL_COLUMNS,
    pick_any_row_of_tool_database,
    pick_first_letter_in_tool_database,
    pick_foreign_product_of_tool_database,
    pick_how_many_of_tool_database,
    pick_limit_of_tool_database,
    pick_missing_row_of_tool_database,
    pick_money_of_tool_database,
    pick_months_of_tool_database,
    pick_number_in_tool_database,
    pick_one_and_some_of_tool_database,
    pick_percent_of_tool_database,
    pick_pieces_of_tool_database,
    pick_products_of_tool_database,
    pick_row_of_tool_database,
    pick_some_of_stock_of_tool_database,
    pick_table_of_tool_database,
    pick_two_limits_of_tool_database,
    pick_two_products_of_tool_database,
    pick_two_rows_of_tool_database,
    pick_value_of_tool_database,
)
from forge.tools.wordings.database_sums import ROW_SENTENCES, TWO_SENTENCES

FRAMES = (
    "{}?",
    "[what is|whats|what's] {}?",
    "{}",
    "[tell me|give me|show me|find|get|check] {}",
    "[can|could] you [tell me|find|check|look up] {}?",
    "please [find|tell me|check|show me] {}",
    "[i need|i want|i'd like to know|i want to know] {}",
    "do you know {}?",
    "[look up|look for|search for] {}",
    "[need|want] {}",
    "how [big|high|much] is {}?",
    "{} [is what|is how much]?",
    "[what would be|what was] {}?",
    "[let me see|let me know] {}",
)
# Of a city or a team, which have no size.
NAME_FRAMES = tuple(frame for frame in FRAMES if "how much" not in frame and not frame.startswith("how "))


def _no_slots(rng: random.Random) -> Drawn:
    return {}, None


def open_tool_database(setting: ToolSetting, stack: ExitStack) -> Answer:
    """Reads company.db when it is first asked."""
    database = Database(setting.workspace / "company.db", setting.timeout_s)
    stack.callback(database.close)
    return database.query


def _texts_of_database(workspace: Path) -> Iterator[str]:
    about = about_tool_database(workspace)
    if about is None:
        return (str(value) for _, rows in TABLES.values() for row in rows for value in row)
    return (text for texts in about.fillings.values() for text in texts)


@functools.lru_cache(maxsize=4)
def _tables_of_database(path: Path, changed: int) -> dict[str, dict[str, tuple[str, list[str]]]]:
    with closing(Database(path)) as database:
        return database.describe()


def about_tool_database(workspace: Path) -> About | None:
    """What another database than the built-in one is asked about; None of one that has its tables and columns, or that
    cannot be looked at."""
    path = workspace / "company.db"
    if not path.is_file():
        return About(())
    found = _tables_of_database(path.resolve(), path.stat().st_mtime_ns)
    if not found or {table: [*columns] for table, columns in found.items()} == USUAL_COLUMNS:
        return None
    return ask_tool_about_tables(read_tables_of_tool_database(found))


_PRODUCT = partial(pick_row_of_tool_database, table="products")
_CUSTOMER = partial(pick_row_of_tool_database, table="customers")
_EMPLOYEE = partial(pick_row_of_tool_database, table="employees")
_TABLE_OF = {"price": "products", "stock": "products", "orders": "customers", "salary": "employees"}
_MISSING, _RARE, _SOMETIMES, _OFTEN = 0.4, 0.2, 0.5, 1.5


def _column_intent(table: str, column: str) -> Intent:
    cores, sentences = COLUMN_WORDINGS[table, column]
    argument = f"SELECT {column} FROM {table} WHERE name='{{E}}'"
    other, said = OTHER_COLUMN[column]
    again = [FollowUp(NEXT_ROW[table], argument), FollowUp(said, f"SELECT {other} FROM {table} WHERE name='{{P}}'")]
    if column == "price":
        pieces = "SELECT {N}*price FROM products WHERE name='{P}'"
        again.append(FollowUp(PIECES_NEXT, pieces, pick_pieces_of_tool_database))
    if column == "salary":
        again.append(FollowUp(YEARLY_NEXT, "SELECT salary*12 FROM employees WHERE name='{P}'"))
    draw = partial(pick_row_of_tool_database, table=table)
    frames = NAME_FRAMES if column in ("city", "team") else None
    weight = 5 if table == "products" else 3
    return Intent(f"{table}.{column}", argument, draw, cores, sentences, weight, frames, tuple(again))


def _missing_intent(table: str, column: str) -> Intent:
    cores, sentences = COLUMN_WORDINGS[table, column]
    argument = f"SELECT {column} FROM {table} WHERE name='{{E}}'"
    draw = partial(pick_missing_row_of_tool_database, table=table)
    frames = NAME_FRAMES if column in ("city", "team") else None
    return Intent(f"missing_{column}", argument, draw, cores, sentences, _MISSING, frames)


def _value(table: str, column: int) -> Callable[[random.Random], Drawn]:
    return partial(pick_value_of_tool_database, table=table, column=column)


def _worded_intents(
    wordings: Mapping[str, tuple[str, ...]],
    *asked: tuple[str, str, Callable[[random.Random], Drawn], float],
) -> Iterator[Intent]:
    """Intents of a module of wordings: name, argument, what is drawn, weight."""
    for name, argument, draw, weight in asked:
        yield Intent(name, argument, draw, CORES.get(name, ()), wordings[name], weight)


def _end_intents() -> Iterator[Intent]:
    """The row at an end of a column, several of them, with the number or without."""
    for name, columns, table, order, weight in (
        ("dearest", "name", "products", "price DESC", 0.8),
        ("cheapest", "name", "products", "price", 0.8),
        ("best_paid", "name", "employees", "salary DESC", 0.8),
        ("worst_paid", "name", "employees", "salary", _SOMETIMES),
        ("best_customer", "name", "customers", "orders DESC", 0.8),
        ("rarest_customer", "name", "customers", "orders", _SOMETIMES),
        ("most_stock", "name", "products", "stock DESC", _SOMETIMES),
        ("least_stock", "name", "products", "stock", _SOMETIMES),
        ("dearest_priced", "name, price", "products", "price DESC", _RARE),
        ("cheapest_priced", "name, price", "products", "price", _RARE),
        ("best_paid_salary", "name, salary", "employees", "salary DESC", _RARE),
        ("best_customer_orders", "name, orders", "customers", "orders DESC", _RARE),
        ("best_city", "city", "customers", "orders DESC", _RARE),
    ):
        argument = f"SELECT {columns} FROM {table} ORDER BY {order} LIMIT 1"
        yield Intent(name, argument, _no_slots, (), END_SENTENCES[name], weight)
    for name, order in (("best_team", " DESC"), ("worst_team", "")):
        argument = f"SELECT team FROM employees GROUP BY team ORDER BY AVG(salary){order} LIMIT 1"
        yield Intent(name, argument, _no_slots, (), END_SENTENCES[name], _RARE)
    for name, table, order in (
        ("top_products", "products", "price DESC"),
        ("low_products", "products", "price"),
        ("top_earners", "employees", "salary DESC"),
        ("top_customers", "customers", "orders DESC"),
        ("low_stock", "products", "stock"),
    ):
        argument = f"SELECT name FROM {table} ORDER BY {order} LIMIT {{N}}"
        yield Intent(name, argument, pick_how_many_of_tool_database, (), END_SENTENCES[name], _RARE)


def _figure_intents() -> Iterator[Intent]:
    """One number of all rows."""
    said = {"AVG": "average", "SUM": "total", "MAX": "highest", "MIN": "lowest"}
    for function, name in said.items():
        for column, table in _TABLE_OF.items():
            sentences = SUM_SENTENCES.get(f"{name}_{column}")
            if sentences:
                weight = 0.3 if function in ("MAX", "MIN") or f"{name}_{column}" == "average_stock" else _SOMETIMES
                argument = f"SELECT {function}({column}) FROM {table}"
                cores = CORES[f"{name}_{column}"]
                yield Intent(f"{name}_{column}", argument, _no_slots, cores, sentences, weight)
    yield from _worded_intents(
        SUM_SENTENCES,
        ("stock_value", "SELECT SUM(price*stock) FROM products", _no_slots, 0.3),
        ("price_of_all", "SELECT SUM(price) FROM products", _no_slots, _RARE),
    )


def _two_intents() -> Iterator[Intent]:
    """Two rows: together, compared, side by side."""
    draws = {table: partial(pick_two_rows_of_tool_database, table=table) for table in TABLES}
    for column, table in _TABLE_OF.items():
        where = f"FROM {table} WHERE name IN ('{{E}}', '{{F}}')"
        for kind, what, weight in (("two", f"SUM({column})", 0.8), ("difference", f"MAX({column})-MIN({column})", 0.5)):
            name = f"{kind}_{column}"
            yield Intent(name, f"SELECT {what} {where}", draws[table], (), TWO_SENTENCES[name], weight)
    for name, table, order in (
        ("cheaper_of_two", "products", "price"),
        ("dearer_of_two", "products", "price DESC"),
        ("more_stock_of_two", "products", "stock DESC"),
        ("less_stock_of_two", "products", "stock"),
        ("earns_more_of_two", "employees", "salary DESC"),
        ("earns_less_of_two", "employees", "salary"),
        ("ordered_more_of_two", "customers", "orders DESC"),
        ("ordered_less_of_two", "customers", "orders"),
    ):
        argument = f"SELECT name FROM {table} WHERE name IN ('{{E}}', '{{F}}') ORDER BY {order} LIMIT 1"
        yield Intent(name, argument, draws[table], (), TWO_SENTENCES[name], 0.4)
    for name, table, column in (
        ("prices_of_two", "products", "price"),
        ("stocks_of_two", "products", "stock"),
        ("salaries_of_two", "employees", "salary"),
        ("orders_of_two", "customers", "orders"),
        ("cities_of_two", "customers", "city"),
        ("teams_of_two", "employees", "team"),
    ):
        argument = f"SELECT name, {column} FROM {table} WHERE name IN ('{{E}}', '{{F}}')"
        yield Intent(name, argument, draws[table], (), TWO_SENTENCES[name], 0.3)
    both = "FROM products a, products b WHERE a.name='{E}' AND b.name='{F}'"
    yield from _worded_intents(
        TWO_SENTENCES,
        ("some_and_some", f"SELECT {{N}}*a.price+{{M}}*b.price {both}", pick_two_products_of_tool_database, 0.5),
        ("one_and_some", f"SELECT a.price+{{N}}*b.price {both}", pick_one_and_some_of_tool_database, 0.3),
    )


def _limit_intents() -> Iterator[Intent]:
    """Rows by a number. They may be more than are shown of an answer, so their names are put into one text."""
    names = {"<": "under", ">": "over", "<=": "at_most", ">=": "at_least", "=": "exactly"}
    listed = "SELECT group_concat(name, ', ') FROM"
    for (column, sign), sentences in LIMIT_SENTENCES.items():
        table = _TABLE_OF[column]
        pick = pick_number_in_tool_database if sign == "=" else pick_limit_of_tool_database
        where = f"{table} WHERE {column}{sign}{{N}}"
        argument = f"SELECT name FROM {where}" if sign == "=" else f"{listed} {where} GROUP BY NULL"
        draw = partial(pick, table=table, column=column)
        yield Intent(f"{column}_{names[sign]}", argument, draw, (), sentences, 0.3 if "=" in sign else _SOMETIMES)
        if (column, sign) in COUNT_LIMIT_SENTENCES:
            counted = COUNT_LIMIT_SENTENCES[column, sign]
            yield Intent(f"count_{column}_{names[sign]}", f"SELECT COUNT(*) FROM {where}", draw, (), counted, _RARE)
    for column, sentences in BETWEEN_SENTENCES.items():
        table = _TABLE_OF[column]
        argument = f"{listed} {table} WHERE {column} BETWEEN {{N}} AND {{M}} GROUP BY NULL"
        draw = partial(pick_two_limits_of_tool_database, table=table, column=column)
        yield Intent(f"{column}_between", argument, draw, (), sentences, _RARE)
    for table, sentences in LETTER_SENTENCES.items():
        draw = partial(pick_first_letter_in_tool_database, table=table)
        yield Intent(
            f"{table}_by_letter", f"SELECT name FROM {table} WHERE name LIKE '{{L}}%'", draw, (), sentences, _RARE
        )


def _foreign_intents() -> Iterator[Intent]:
    for (table, column), _ in COLUMN_WORDINGS.items():
        argument = f"SELECT {column} FROM {table} WHERE name='{{E}}'"
        for name, said, products in (("german", GERMAN, GERMAN_PRODUCTS), ("french", FRENCH, FRENCH_PRODUCTS)):
            draw = partial(pick_row_of_tool_database, table=table)
            if table == "products":
                draw = partial(pick_foreign_product_of_tool_database, products=products)
            yield Intent(f"{column}_{name}", argument, draw, (), said[column], 0.25)


_OF_PRODUCT, _OF_EMPLOYEE = "FROM products WHERE name='{E}'", "FROM employees WHERE name='{E}'"
_IN_TEAM = "FROM employees WHERE team='{E}'"
INTENTS = (
    *(_column_intent(table, column) for table, column in COLUMN_WORDINGS),
    *(_missing_intent(table, column) for table, column in COLUMN_WORDINGS),
    *_worded_intents(
        ALL_SENTENCES,
        ("count", "SELECT COUNT(*) FROM {E}", pick_table_of_tool_database, 2),
        *((f"all_{table}", f"SELECT group_concat(name, ', ') FROM {table}", _no_slots, _SOMETIMES) for table in TABLES),
        ("all_teams", "SELECT DISTINCT team FROM employees", _no_slots, 0.3),
        ("count_teams", "SELECT COUNT(DISTINCT team) FROM employees", _no_slots, _RARE),
        ("all_cities", "SELECT group_concat(city, ', ') FROM customers", _no_slots, _RARE),
        ("tables", "SELECT name FROM sqlite_master", _no_slots, _RARE),
        ("sold_out", "SELECT name FROM products WHERE stock=0", _no_slots, _RARE),
    ),
    *_end_intents(),
    *_figure_intents(),
    *_worded_intents(
        GROUP_SENTENCES,
        ("from_city", "SELECT name FROM customers WHERE city='{E}'", _value("customers", 1), _OFTEN),
        ("count_city", "SELECT COUNT(*) FROM customers WHERE city='{E}'", _value("customers", 1), 1),
        ("orders_city", "SELECT SUM(orders) FROM customers WHERE city='{E}'", _value("customers", 1), 0.3),
        ("in_team", f"SELECT name {_IN_TEAM}", _value("employees", 1), _OFTEN),
        ("count_team", f"SELECT COUNT(*) {_IN_TEAM}", _value("employees", 1), 1),
        ("average_team", f"SELECT AVG(salary) {_IN_TEAM}", _value("employees", 1), 0.4),
        ("total_team", f"SELECT SUM(salary) {_IN_TEAM}", _value("employees", 1), 0.3),
        ("best_of_team", f"SELECT name {_IN_TEAM} ORDER BY salary DESC LIMIT 1", _value("employees", 1), 0.3),
        ("worst_of_team", f"SELECT name {_IN_TEAM} ORDER BY salary LIMIT 1", _value("employees", 1), _RARE),
    ),
    *_worded_intents(
        ROW_SENTENCES,
        ("some_of", f"SELECT {{N}}*price {_OF_PRODUCT}", pick_products_of_tool_database, 2),
        ("dozen", f"SELECT 12*price {_OF_PRODUCT}", _PRODUCT, _RARE),
        ("pair", f"SELECT 2*price {_OF_PRODUCT}", _PRODUCT, _RARE),
        ("half_price", f"SELECT price/2.0 {_OF_PRODUCT}", _PRODUCT, 0.4),
        *(
            (name, f"SELECT {what} {_OF_PRODUCT}", partial(pick_percent_of_tool_database, table="products"), weight)
            for name, what, weight in (
                ("discount", "price*(100-{P})/100.0", 0.8),
                ("saving", "price*{P}/100.0", 0.3),
                ("price_rise", "price*(100+{P})/100.0", 0.3),
            )
        ),
        *(
            (name, f"SELECT {what} {_OF_PRODUCT}", partial(pick_money_of_tool_database, kind=kind), weight)
            for name, what, kind, weight in (
                ("dearer_by", "price+{N}", "part", _RARE),
                ("cheaper_by", "price-{N}", "part", 0.3),
                ("change", "{N}-price", "paid", 0.4),
                ("how_many_for", "{N}/price", "budget", 0.4),
            )
        ),
        ("enough", f"SELECT stock {_OF_PRODUCT}", pick_products_of_tool_database, 0.4),
        ("sell_some", f"SELECT stock-{{N}} {_OF_PRODUCT}", pick_some_of_stock_of_tool_database, 0.4),
        ("get_some", f"SELECT stock+{{N}} {_OF_PRODUCT}", pick_products_of_tool_database, 0.3),
        ("stock_worth", f"SELECT price*stock {_OF_PRODUCT}", _PRODUCT, _SOMETIMES),
        *(
            (
                f"is_{one}",
                f"SELECT name FROM {table} WHERE name='{{E}}'",
                partial(pick_any_row_of_tool_database, table=table),
                _SOMETIMES,
            )
            for one, table in (("product", "products"), ("customer", "customers"), ("employee", "employees"))
        ),
        ("price_and_stock", f"SELECT price, stock {_OF_PRODUCT}", _PRODUCT, 1),
        ("city_and_orders", "SELECT city, orders FROM customers WHERE name='{E}'", _CUSTOMER, 0.6),
        ("team_and_salary", f"SELECT team, salary {_OF_EMPLOYEE}", _EMPLOYEE, 0.6),
        (
            "colleagues",
            "SELECT name FROM employees WHERE team=(SELECT team FROM employees WHERE name='{E}') AND name!='{E}'",
            _EMPLOYEE,
            0.6,
        ),
        ("yearly", f"SELECT salary*12 {_OF_EMPLOYEE}", _EMPLOYEE, 0.8),
        ("months", f"SELECT salary*{{N}} {_OF_EMPLOYEE}", pick_months_of_tool_database, 0.3),
        (
            "raise_percent",
            f"SELECT salary*(100+{{P}})/100.0 {_OF_EMPLOYEE}",
            partial(pick_percent_of_tool_database, table="employees"),
            0.3,
        ),
        ("raise_by", f"SELECT salary+{{N}} {_OF_EMPLOYEE}", partial(pick_money_of_tool_database, kind="raise"), 0.3),
    ),
    *_two_intents(),
    *_limit_intents(),
    *_foreign_intents(),
)
TOOL = Tool(
    "database_query",
    5,
    open_tool_database,
    FRAMES,
    INTENTS,
    parameter="sql",
    description="Ask the database in SQL; it is only read.",
    about=about_tool_database,
    spelled=_texts_of_database,
)
