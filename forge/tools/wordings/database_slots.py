"""What the questions about the built-in database are filled with: names in its rows and numbers that fit them."""

from __future__ import annotations

import random

from forge.tools.content import TABLES
from forge.tools.declaration import Drawn
from forge.tools.drawing import number_in_words, pick_tool_argument_word, write_number_as_people_do

USUAL_COLUMNS = {table: [name for name, _ in columns] for table, (columns, _) in TABLES.items()}


def pick_table_of_tool_database(rng: random.Random) -> Drawn:
    """The name of a table, and another word for what is in it."""
    name = rng.choice(list(TABLES))
    others = {
        "products": ("products", "items", "articles"),
        "customers": ("customers", "clients", "buyers"),
        "employees": ("employees", "workers", "people working here", "staff members"),
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
    more = {"fs": other["es"], "fan": other["an"]} if table == "products" else {}
    return one | more | {"f": other["e"], "F": other["E"]}, None


def _typed_number(rng: random.Random, number: int, name: str = "n") -> dict[str, str]:
    """A number as a person writes it, and under the capital letter as the call takes it."""
    digits = str(number)
    if number < 100:
        said = number_in_words(number) if rng.random() < (0.3 if number <= 12 else 0.05) else digits
    else:
        said = write_number_as_people_do(rng, digits) if rng.random() < 0.5 else digits
    return {name: said, name.upper(): digits}


def pick_pieces_of_tool_database(rng: random.Random) -> Drawn:
    """How many of something."""
    return _typed_number(rng, rng.randint(2, 12) if rng.random() < 0.85 else rng.choice((15, 20, 24, 25, 30, 50))), None


def pick_products_of_tool_database(rng: random.Random) -> Drawn:
    """A product and how many of it."""
    slots, value = pick_row_of_tool_database(rng, "products")
    return slots | pick_pieces_of_tool_database(rng)[0], value


def pick_some_of_stock_of_tool_database(rng: random.Random) -> Drawn:
    """A product and how many of those in stock."""
    name, _, stock = rng.choice(TABLES["products"][1])
    number = min(rng.randint(2, 30), int(stock))
    return _typed_entry(rng, "products", str(name)) | _typed_number(rng, number), None


def pick_two_products_of_tool_database(rng: random.Random) -> Drawn:
    """Two products and how many of each."""
    slots, _ = pick_two_rows_of_tool_database(rng, "products")
    return slots | _typed_number(rng, rng.randint(2, 12)) | _typed_number(rng, rng.randint(2, 12), "m"), None


def pick_one_and_some_of_tool_database(rng: random.Random) -> Drawn:
    """Two products and how many of the second."""
    return pick_two_rows_of_tool_database(rng, "products")[0] | _typed_number(rng, rng.randint(2, 12)), None


def pick_percent_of_tool_database(rng: random.Random, table: str) -> Drawn:
    """A row and a percentage; half of a price is asked for in a way of its own."""
    usual = (5, 10, 15, 20, 25, 30, 40) if table == "products" else (2, 3, 4, 5, 6, 8, 10)
    number = rng.choice(usual) if rng.random() < 0.6 else rng.choice((*range(1, 50), 60, 70, 75, 80))
    article = "an" if number in (8, 11, 18) or number // 10 == 8 else "a"
    return pick_row_of_tool_database(rng, table)[0] | {"p": str(number), "pa": article, "P": str(number)}, None


def pick_money_of_tool_database(rng: random.Random, kind: str) -> Drawn:
    """A row and a sum: paid for it, less than its price, or on top of a salary."""
    table = "employees" if kind == "raise" else "products"
    row = rng.choice(TABLES[table][1])
    if kind == "paid":
        dear = [n for n in (10, 20, 30, 40, 50, 100, 150, 200, 500) if n > int(row[1])]
        number = rng.choice(dear[:3]) if rng.random() < 0.8 else rng.randint(int(row[1]) + 1, int(row[1]) + 60)
    elif kind == "budget":
        number = int(row[1]) * rng.randint(2, 9) + rng.randrange(int(row[1]))
        number = number if rng.random() < 0.4 else -(-number // 50) * 50
    elif kind == "part":
        number = rng.randint(2, 12) if int(row[1]) > 12 else rng.randint(2, 6)
    else:
        number = rng.randint(1, 20) * 50
    return _typed_entry(rng, table, str(row[0])) | _typed_number(rng, number), None


def pick_months_of_tool_database(rng: random.Random) -> Drawn:
    """An employee and some months."""
    return pick_row_of_tool_database(rng, "employees")[0] | _typed_number(rng, rng.randint(2, 24)), None


def _limit(rng: random.Random, table: str, column: str) -> int:
    """A number between the least and the most in a column, mostly a round one."""
    place = USUAL_COLUMNS[table].index(column)
    values = sorted(int(row[place]) for row in TABLES[table][1])
    step = {"price": 5, "stock": 5, "salary": 100, "orders": 1}[column]
    number = rng.randint(values[0] + 1, values[-1] - 1)
    rounded = -(-number // step) * step
    return rounded if values[0] < rounded < values[-1] and rng.random() < 0.8 else number


def pick_limit_of_tool_database(rng: random.Random, table: str, column: str) -> Drawn:
    """A number that some rows are over and some under."""
    return _typed_number(rng, _limit(rng, table, column)), None


def pick_two_limits_of_tool_database(rng: random.Random, table: str, column: str) -> Drawn:
    """Two numbers, the smaller first, between which some rows are."""
    first, second = sorted((_limit(rng, table, column), _limit(rng, table, column)))
    place = USUAL_COLUMNS[table].index(column)
    if first == second or not any(first <= int(row[place]) <= second for row in TABLES[table][1]):
        return pick_two_limits_of_tool_database(rng, table, column)
    numbers = {name: str(value) for name, value in zip("nm", (first, second), strict=True)}
    return numbers | {name.upper(): value for name, value in numbers.items()}, None


def pick_number_in_tool_database(rng: random.Random, table: str, column: str) -> Drawn:
    """A number that a row has."""
    return _typed_number(rng, int(rng.choice(TABLES[table][1])[USUAL_COLUMNS[table].index(column)])), None


def pick_first_letter_in_tool_database(rng: random.Random, table: str) -> Drawn:
    """A letter that a name begins with, small or not: SQL takes both for one."""
    letter = str(rng.choice(TABLES[table][1])[0])[0]
    said = rng.choice((letter.lower(), letter.upper()))
    return {"l": said, "L": said}, None


def pick_how_many_of_tool_database(rng: random.Random) -> Drawn:
    """How many rows of a list are wanted."""
    return _typed_number(rng, rng.randint(2, 5)), None


def pick_foreign_product_of_tool_database(rng: random.Random, products: tuple[tuple[str, str, str, str], ...]) -> Drawn:
    """A product in another language: the noun, its plural, with its article, with "of" in French."""
    noun, plural, named, name = rng.choice(products)
    of = f"du {noun}" if named.startswith("le ") else f"de {named}"
    return {"e": noun, "es": plural, "d": named, "o": of, "E": name}, None


def pick_missing_row_of_tool_database(rng: random.Random, table: str) -> Drawn:
    """A name that no row has."""
    name = pick_tool_argument_word(rng)
    name = name if table == "products" else name.capitalize()
    known = any(name.lower() == str(row[0]).lower() for _, rows in TABLES.values() for row in rows)
    return pick_missing_row_of_tool_database(rng, table) if known else (_typed_entry(rng, table, name), None)


def pick_any_row_of_tool_database(rng: random.Random, table: str) -> Drawn:
    """A name that a row has, or that none has."""
    pick = pick_row_of_tool_database if rng.random() < 0.6 else pick_missing_row_of_tool_database
    return pick(rng, table)


def pick_value_of_tool_database(rng: random.Random, table: str, column: int) -> Drawn:
    """A text in a column of a table, such as a city."""
    name = str(rng.choice(TABLES[table][1])[column])
    return {"e": name.lower() if rng.random() < 0.3 else name, "E": name}, None
