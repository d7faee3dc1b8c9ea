"""A database, and how people ask for what is in it."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from forge.tools.content import TABLES
from forge.tools.database_query import Database
from forge.tools.database_questions import ask_tool_about_tables, read_tables_of_tool_database
from forge.tools.declaration import About, Answer, Drawn, FollowUp, Intent, Tool, ToolSetting
from forge.tools.drawing import number_in_words, pick_tool_argument_word

_USUAL = {table: [name for name, _ in columns] for table, (columns, _) in TABLES.items()}
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


def pick_table_of_tool_database(rng: random.Random) -> Drawn:
    """The name of a table, and another word for what is in it."""
    name = rng.choice(list(TABLES))
    others = {
        "products": ("products", "items", "articles"),
        "customers": ("customers", "clients"),
        "employees": ("employees", "workers", "people working here"),
    }
    return {"e": rng.choice((name, *others[name])), "E": name}, None  # fmt: skip


def _typed_entry(rng: random.Random, table: str, name: str) -> dict[str, str]:
    """A product in the singular and the plural, a person's name with its capital or without."""
    if table == "products":
        plural = f"{name[:-1]}ves" if name.endswith("f") else f"{name}s"
        article = "an" if name[0] in "aeiou" else "a"
        return {"e": name, "es": plural, "an": article, "E": name}
    return {"e": name.lower() if rng.random() < 0.3 else name, "E": name}


def pick_row_of_tool_database(rng: random.Random, table: str) -> Drawn:
    """The name in a row of a table."""
    return _typed_entry(rng, table, str(rng.choice(TABLES[table][1])[0])), None


def pick_two_rows_of_tool_database(rng: random.Random, table: str) -> Drawn:
    """The names in two rows of a table."""
    first, second = (str(row[0]) for row in rng.sample(TABLES[table][1], 2))
    one, other = (_typed_entry(rng, table, name) for name in (first, second))
    return one | {"f": other["e"], "F": other["E"]}, None


def pick_products_of_tool_database(rng: random.Random) -> Drawn:
    """A product and how many of it."""
    number = rng.randint(2, 12)
    slots, value = pick_row_of_tool_database(rng, "products")
    return slots | {"n": str(number) if rng.random() < 0.6 else number_in_words(number), "N": str(number)}, value


def pick_missing_row_of_tool_database(rng: random.Random, table: str) -> Drawn:
    """A name that no row has."""
    name = pick_tool_argument_word(rng)
    name = name if table == "products" else name.capitalize()
    known = any(name.lower() == str(row[0]).lower() for _, rows in TABLES.values() for row in rows)
    return pick_missing_row_of_tool_database(rng, table) if known else (_typed_entry(rng, table, name), None)


def pick_value_of_tool_database(rng: random.Random, table: str, column: int) -> Drawn:
    """A text in a column of a table, such as a city."""
    name = str(rng.choice(TABLES[table][1])[column])
    return {"e": name.lower() if rng.random() < 0.3 else name, "E": name}, None


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
    if not found or {table: [*columns] for table, columns in found.items()} == _USUAL:
        return None
    return ask_tool_about_tables(read_tables_of_tool_database(found))


# fmt: off
# (table, column): cores, sentences
_COLUMNS: dict[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...]]] = {
    ("products", "price"): (
        ("the price of the {e}", "the {e} price", "the price of {an} {e}", "the cost of the {e}",
            "the price for {an} {e}", "price of {es}", "what the {e} costs"),
        (
            "how much is the {e}?", "how much does the {e} cost?", "price of the {e}?", "what does the {e} cost?",
            "how much [for|is] {an} {e}?", "{e} price", "how much are the {es}?",
            "how much does {an} {e} cost?", "what do {es} cost?", "what do you [want|take|charge] for the {e}?",
            "price {e}", "{e}, how much?", "how expensive is the {e}?", "what's the {e} going for?",
            "[cost|price] of {an} {e}", "how much do i pay for the {e}?", "what would {an} {e} cost me?",
            "i want {an} {e}, what does it cost?", "how much money is one {e}?", "the {e} costs how much?",
            "what must i pay for {an} {e}?", "is the {e} expensive, how much is it?",
            "what's your price for the {e}?", "how much for one of the {es}?",
        )),
    ("products", "stock"): (
        ("the stock of the {e}", "the stock of {es}", "the {e} stock", "the number of {es} in stock",
            "the number of {es} we have"),
        (
            "how many {es} do we have?", "how many {es} are [left|in stock|there]?", "{e} stock?",
            "how many {es} [have we got|do you have|are in the store]?", "are there {es} left, how many?",
            "stock of {es}?", "number of {es}", "how many {es} left?", "how much stock of the {e} is left?",
            "how many {es} do we still have?", "how many {es} can we sell?", "do we have {es} in stock?",
            "{es} in stock?",
            "how many {es} are in the warehouse?",
            "is the {e} in stock, how many?", "how many pieces of the {e} are there?", "whats the stock of the {e}?",
            "how many {es} remain?", "count of {es} in stock",
        )),
    ("customers", "city"): (
        ("the city of {e}", "the home city of {e}", "the city of customer {e}", "{e}'s city", "where {e} lives"),
        (
            "where does {e} live?", "which city is {e} [in|from]?", "where is {e} from?",
            "what city does {e} live in?", "{e} lives where?", "where is {e}?", "in which city does {e} live?",
            "city of {e}?", "where's {e} from?",
            "{e}'s [address|town|home]?", "what city is {e} in?", "where can i find customer {e}?",
            "which town does {e} live in?", "where does customer {e} live?", "{e} is from which city?",
            "what is {e}'s home town?",
        )),
    ("customers", "orders"): (
        ("the orders of {e}", "the number of orders of {e}", "the order count of {e}", "{e}'s orders",
            "how many orders {e} has"),
        (
            "how many orders does {e} have?", "how many orders did {e} [place|make]?", "how often did {e} order?",
            "orders of {e}?", "how many times did {e} [order|buy]?", "{e} orders?",
            "how many orders has {e} [made|placed|got]?",
            "how many things did {e} order?", "number of orders from {e}", "how many orders came from {e}?",
            "what is {e}'s number of orders?", "{e} ordered how often?", "how many orders are from customer {e}?",
        )),
    ("employees", "team"): (
        ("the team of {e}", "{e}'s team", "the team of employee {e}", "{e}'s department", "the department of {e}",
            "which team {e} is in"),
        (
            "which team is {e} in?", "what team is {e} [in|on]?", "where does {e} work?",
            "which team does {e} work [in|for]?", "in which team is {e}?", "team of {e}?",
            "what department is {e} in?", "{e} works in which team?",
            "which department does {e} work in?", "who does {e} work with, which team?", "what does {e} do?",
            "{e} is in what team?", "is {e} in sales or in what team?", "what part of the company is {e} in?",
        )),
    ("employees", "salary"): (
        ("the salary of {e}", "{e}'s salary", "the salary of employee {e}", "{e}'s pay", "the pay of {e}",
            "what {e} earns"),
        (
            "how much does {e} [earn|make]?", "what does {e} [earn|make]?", "salary of {e}?", "what is {e} paid?",
            "how much is {e} paid?", "what do we pay {e}?", "{e} salary", "how much money does {e} [get|make]?",
            "what's {e} [making|earning]?",
            "how much do we pay for {e}?", "{e} earns how much?", "how high is {e}'s salary?",
            "what does {e} get a month?", "how well is {e} paid?", "what salary does {e} have?",
            "how much does employee {e} earn?",
        )),
}
_NEXT = {
    "products": ("and the {e}?", "and the {es}?", "what about the {e}?", "the {e}?", "and for the {e}?",
    "how about the {es}?"),
    "customers": ("and {e}?", "what about {e}?", "{e}?", "and for {e}?", "how about {e}?"),
    "employees": ("and {e}?", "what about {e}?", "{e}?", "and for {e}?", "how about {e}?"),
}
# Of the same row, another column.
_OTHER_COLUMN = {
    "price": FollowUp(("and how many do we have?", "how many are left?", "and in stock?"),
    "SELECT stock FROM products WHERE name='{P}'"),
    "stock": FollowUp(("and what does one cost?", "how much are they?", "and the price?"),
    "SELECT price FROM products WHERE name='{P}'"),
    "city": FollowUp(("and how many orders?", "how often did they order?", "any orders?"),
    "SELECT orders FROM customers WHERE name='{P}'"),
    "orders": FollowUp(("and where is that?", "which city is that?", "and the city?"),
    "SELECT city FROM customers WHERE name='{P}'"),
    "team": FollowUp(("and the salary?", "what's the pay?", "and how much is the pay?"),
    "SELECT salary FROM employees WHERE name='{P}'"),
    "salary": FollowUp(("and the team?", "which team is that?", "in which team?"),
    "SELECT team FROM employees WHERE name='{P}'"),
}


def _column_intent(table: str, column: str) -> Intent:
    cores, sentences = _COLUMNS[table, column]
    argument = f"SELECT {column} FROM {table} WHERE name='{{E}}'"
    draw = partial(pick_row_of_tool_database, table=table)
    again = (FollowUp(_NEXT[table], argument), _OTHER_COLUMN[column])
    return Intent(f"{table}.{column}", argument, draw, cores, sentences, 5 if table == "products" else 3,
        follow_ups=again)


def _missing_intent(table: str, column: str) -> Intent:
    cores, sentences = _COLUMNS[table, column]
    argument = f"SELECT {column} FROM {table} WHERE name='{{E}}'"
    return Intent(f"missing_{column}", argument, partial(pick_missing_row_of_tool_database, table=table), cores,
        sentences, 0.4)


def _database_intent(
    name: str,
    argument: str,
    draw: Callable[[random.Random], Drawn],
    *sentences: str,
    cores: tuple[str, ...] = (),
    weight: float = 0.5,
) -> Intent:
    return Intent(name, argument, draw, cores, sentences, weight)


def _value(table: str, column: int) -> Callable[[random.Random], Drawn]:
    return partial(pick_value_of_tool_database, table=table, column=column)


INTENTS = (
    *(_column_intent(table, column) for table, column in _COLUMNS),
    *(_missing_intent(table, column) for table, column in _COLUMNS),
    _database_intent(
        "count", "SELECT COUNT(*) FROM {E}", pick_table_of_tool_database,
        "how many {e} do we have?", "how many {e} are there?", "how many {e}?", "how many {e} are in the database?",
        "how many {e} have [we|you] got?", "number of {e} [here|in total]?", "count the {e}",
        "how many different {e} are there?", "how many {e} does the company have?", "do we have many {e}, how many?",
        cores=("the number of {e}", "the total number of {e}", "the count of {e}"), weight=2),
    _database_intent(
        "dearest", "SELECT name FROM products ORDER BY price DESC LIMIT 1", _no_slots,
        "what is our most expensive product?", "which product costs the most?", "most expensive product",
        "whats the most expensive item?", "which item has the highest price?", "what costs the most?",
        "dearest product?", "what is the priciest thing we sell?", weight=0.8),
    _database_intent(
        "cheapest", "SELECT name FROM products ORDER BY price LIMIT 1", _no_slots,
        "what is our cheapest product?", "which product costs the least?", "cheapest product",
        "whats the cheapest item?", "which item has the lowest price?", "what costs the least?",
        "what's cheap here, the cheapest?", "what is the cheapest thing we sell?", weight=0.8),
    _database_intent(
        "best_paid", "SELECT name FROM employees ORDER BY salary DESC LIMIT 1", _no_slots,
        "who is paid the most?", "who has the highest salary?", "highest salary, whose is it?",
        "which employee earns the most?", "best paid employee?", "who gets the most money?",
        "who of the staff earns most?", "who makes the most money here?", weight=0.8),
    _database_intent(
        "worst_paid", "SELECT name FROM employees ORDER BY salary LIMIT 1", _no_slots,
        "who is paid the least?", "who has the lowest salary?", "who earns the least?",
        "which employee earns the least?", "lowest paid employee?", "who gets the least money?",
        "who makes the least here?"),
    _database_intent(
        "best_customer", "SELECT name FROM customers ORDER BY orders DESC LIMIT 1", _no_slots,
        "who ordered the most?", "who is our best customer?", "which customer has the most orders?", "best customer?",
        "who has the most orders?", "customer with the most orders", "who buys the most?", weight=0.8),
    _database_intent(
        "rarest_customer", "SELECT name FROM customers ORDER BY orders LIMIT 1", _no_slots,
        "who ordered the least?", "which customer has the fewest orders?", "who has the fewest orders?",
        "customer with the fewest orders", "who buys the least?", "fewest orders, who?"),
    _database_intent(
        "most_stock", "SELECT name FROM products ORDER BY stock DESC LIMIT 1", _no_slots,
        "what do we have the most of?", "which product has the most stock?", "highest stock, which product?",
        "which item do we have most of?", "most of what is in stock?", "biggest stock?"),
    _database_intent(
        "least_stock", "SELECT name FROM products ORDER BY stock LIMIT 1", _no_slots,
        "what do we have the least of?", "which product has the lowest stock?", "what is nearly sold out?",
        "which item do we have fewest of?", "what will run out first?", "lowest stock?"),
    *(
        _database_intent(f"average_{column}", f"SELECT AVG({column}) FROM {table}", _no_slots, *says)
        for table, column, says in (
            ("products", "price", ("average price", "what is the average price?", "avg price of the products?",
                "how much does a product cost on average?", "mean price?",
                "whats the average price of our products?")),
            ("employees", "salary", ("average salary", "what is the average salary?", "avg salary?",
                "how much do people earn on average?", "mean salary of the employees?",
                "what do we pay on average?")),
            ("customers", "orders", ("average orders per customer",
                "how many orders does a customer have on average?", "avg orders?", "average number of orders?",
                "mean number of orders?", "orders per customer on average?")),
        )
    ),
    *(
        _database_intent(f"total_{column}", f"SELECT SUM({column}) FROM {table}", _no_slots, *says)
        for table, column, says in (
            ("products", "stock", ("total stock", "how many pieces are in stock in total?",
                "what is our total stock?", "how many things are in stock altogether?", "sum of all stock?",
                "stock of everything together?")),
            ("employees", "salary", ("total salaries", "what do we pay all employees together?",
                "sum of all salaries?", "how much are all salaries together?", "what do all salaries cost?",
                "total pay of everyone?")),
            ("customers", "orders", ("total orders", "how many orders are there in total?", "sum of all orders?",
                "how many orders do we have altogether?", "all orders together?", "total number of orders?")),
        )
    ),
    _database_intent(
        "from_city", "SELECT name FROM customers WHERE city='{E}'", _value("customers", 1),
        "who lives in {e}?", "which customer is [in|from] {e}?", "customers [in|from] {e}", "who is from {e}?",
        "do we have [a customer|customers|anyone] in {e}?", "which customers do we have in {e}?",
        "name the customers in {e}",
        "who of the customers lives in {e}?", weight=1.5),
    _database_intent(
        "count_city", "SELECT COUNT(*) FROM customers WHERE city='{E}'", _value("customers", 1),
        "how many customers are [in|from] {e}?", "how many customers from {e}?", "how many customers live in {e}?",
        "number of customers in {e}", "how many clients do we have in {e}?", "count the customers in {e}", weight=1),
    _database_intent(
        "in_team", "SELECT name FROM employees WHERE team='{E}'", _value("employees", 1),
        "who is in {e}?", "who works in {e}?", "who is in the {e} team?", "who is [on|in] team {e}?",
        "[list|show me|name] the {e} team", "which employees are in {e}?", "people in {e}?",
        "the {e} team, who is that?", "who works for the {e} team?", weight=1.5),
    _database_intent(
        "count_team", "SELECT COUNT(*) FROM employees WHERE team='{E}'", _value("employees", 1),
        "how many people are in {e}?", "how many people work in {e}?", "how big is the {e} team?",
        "size of the {e} team?", "how many employees does {e} have?", "how many are in the {e} team?", weight=1),
    _database_intent(
        "price_and_stock", "SELECT price, stock FROM products WHERE name='{E}'", partial(pick_row_of_tool_database,
        table="products"),
        "price and stock of the {e}", "the {e}: price and stock?", "what does the {e} cost and how many are there?",
        "how much is the {e} and how many do we have?", "give me price and stock of the {e}",
        "tell me what {es} cost and how many are left", weight=1),
    *(
        _database_intent(
            f"two_{column}", f"SELECT SUM({column}) FROM {table} WHERE name IN ('{{E}}', '{{F}}')",
                partial(pick_two_rows_of_tool_database, table=table), *says, weight=0.8)
        for table, column, says in (
            ("products", "price", ("the {e} plus the {f}", "the {e} and the {f}, how much?",
                "how much are the {e} and the {f} together?", "price of the {e} and the {f} together?",
                "the {e} and the {f}, total?", "what do the {e} and the {f} cost together?",
                "i take the {e} and the {f}, what do i pay?", "how much for both the {e} and the {f}?")),
            ("employees", "salary", ("{e} and {f} together, salary?", "how much do {e} and {f} earn together?",
                "salary of {e} plus {f}", "what do {e} and {f} make in total?",
                "the salaries of {e} and {f} together", "pay of {e} and {f} combined?")),
            ("customers", "orders", ("orders of {e} and {f} together",
                "how many orders do {e} and {f} have together?", "{e} plus {f}, how many orders?",
                "how many orders came from {e} and {f}?", "orders from {e} and {f} combined?")),
        )
    ),
    _database_intent(
        "some_of", "SELECT {N}*price FROM products WHERE name='{E}'", pick_products_of_tool_database,
        "how much are {n} {es}?", "{n} {es}, how much?", "price of {n} {es}", "what do {n} {es} cost?",
        "{n} {es} please, total?", "how much for {n} {es}?", "i need {n} {es}, what does that cost?",
        "what do i pay for {n} {es}?", "total price for {n} {es}?", weight=1.5),
    _database_intent(
        "half_price", "SELECT price/2.0 FROM products WHERE name='{E}'", partial(pick_row_of_tool_database,
        table="products"),
        "half the price of the {e}", "the {e} at half price?", "what's half of the price of the {e}?",
        "how much is the {e} at half price?", "50% off the {e}", weight=0.4),
)
# fmt: on
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
