"""Reading steps as they stand in a thought: sums, products and divisions, each held against integers.

Written from the format alone, which steps.py documents, so that it can find the writer wrong. Each ``read_...`` takes a
part of a thought and the operands that it must have, appends to ``held`` whether each step holds, and returns what the
part itself says that it comes to. A step is a column, a number that is stated, or a digit of a quotient; it is judged
by what the steps before it say, right or wrong: one slip is one step that does not hold. A part that is missing is one
step that does not hold, or as many as the columns that it must have. Nothing here raises, whatever the text, and the
time is linear in its length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from string import ascii_lowercase, digits

SYMBOLS = digits + ascii_lowercase[:7]  # values up to 16: carries, remainders, the digits of a base, and the base
UNREADABLE = math.nan  # equal to nothing, and so is whatever is computed with it
_NUMBER = re.compile(r"[0-9]{1,40}")  # more digits than any problem has; int() of thousands is slow or refused
_COLUMN = re.compile(r"[0-9]{2,3}[0-9a-g]")
_DIVISION_STEP = re.compile(r"([0-9]+):([0-9]+)\*([1-9]0{0,40})(?::([0-9a-g]*))?-([0-9a-g]*)")
_DIVIDED = re.compile(r"([0-9a-g])((?:[0-9]{2}[0-9a-g])+)()")
_COUNTED = re.compile(_DIVIDED.pattern.removesuffix("()") + r" ([0-9]{1,2})")


def number(text: str) -> float:
    """Value of a number that is written last digit first, with or without zeros after it."""
    return int(text[::-1]) if _NUMBER.fullmatch(text) else UNREADABLE


def symbol(text: str) -> float:
    """Value of a single character."""
    return SYMBOLS.index(text) if len(text) == 1 and text in SYMBOLS else UNREADABLE


def shows(text: str, expected: float) -> bool:
    """Whether ``text`` is the number ``expected``, last digit first."""
    return not math.isnan(expected) and text == str(expected)[::-1]


def fields(text: str, separator: str, count: int, held: list[bool]) -> list[str]:
    """The first ``count`` fields of a text. A missing one is empty, in which no step holds; so is each one too many."""
    found = text.split(separator)
    held += [False] * (len(found) - count)
    return found[:count] + [""] * (count - len(found))


def read_thought_columns(
    text: str,
    first: float,
    held: list[bool],
    second: float | None = None,
    *,
    sign: int = 1,
    factor: float = 1,
    carry: float = 0,
) -> float:
    """Columns ``abrc`` of first + sign * second, or without a second number ``arc`` of first * factor + carry.

    In each column a * factor + sign * (b + carry before it) is r + sign * 10 * c. There is a column for each digit of
    the longer number, and one more for what a sum carries at its end, or for a carry above 9 of a product.
    """
    size, most = (3, 9) if second is None else (4, 0)
    operands = [str(operand)[::-1] for operand in (first, second) if operand is not None]
    readable = not any(map(math.isnan, (first, second or 0)))
    width = max(map(len, operands)) if readable else 1
    result: list[str] = []
    for place, start in enumerate(range(0, len(text), size)):
        column = text[start : start + size]
        if len(column) != size or not _COLUMN.fullmatch(column):
            held.append(False)
            result.append("?")
            carry = UNREADABLE
            continue
        *written, digit, after = map(SYMBOLS.index, column)
        copied = readable and list(column[:-2]) == [operand[place : place + 1] or "0" for operand in operands]
        needed = place < width or (sign > 0 and carry > most)
        computed = written[0] * factor + sign * (sum(written[1:]) + carry) == digit + sign * 10 * after
        held.append(needed and copied and computed)
        result.append(column[-2])
        carry = after
    held += [False] * (width + (sign > 0 and carry > most) - math.ceil(len(text) / size))
    total = number("".join(result))
    return total if second is not None else total + carry * 10 ** min(len(result), 40)


def read_thought_signed_sum(text: str, terms: Sequence[int], held: list[bool]) -> float:
    """``+280174210010=037126511000`` for [72, 48, -63]: what is added, what is taken away, and the difference; after
    ``,`` the other way round where its last column borrows."""
    head, *parts = re.split(r"(?=[-+=,])", text)
    parts.reverse()

    def columns(begin: str) -> str:
        if parts and parts[-1][0] != begin:
            held.append(False)
        return parts.pop()[1:] if parts else ""

    totals: list[float] = []
    added, taken = [term for term in terms if term >= 0], [-term for term in terms if term < 0]
    for begin, side in (("+", added), ("-", taken)):
        total: float = side[0] if side else 0
        for term in side[1:]:
            total = read_thought_columns(columns(begin), total, held, term)
        totals.append(total)
    gained, lost = totals
    result = gained - lost
    if added and taken:
        difference = columns("=")
        result = read_thought_columns(difference, gained, held, lost, sign=-1)
        if difference.endswith("1"):
            result = -read_thought_columns(columns(","), lost, held, gained, sign=-1)
    held += [False] * (len(parts) + bool(head))
    return result


def read_thought_product(text: str, first: int, second: float, held: list[bool]) -> None:
    """``*6:503975,*8:504967+707056110780`` for 95 and 86: of each digit of the second number the product, and the sum
    of that and of what stands above its place so far."""
    factors = "?" if math.isnan(second) else str(second)[::-1]
    above: float = 0
    for place, piece in enumerate(fields(text, ",", len(factors), held)):
        head, _, steps = piece.partition(":")
        multiplied, plus, added = steps.partition("+")
        held.append(head == f"*{factors[place]}")
        product = read_thought_columns(multiplied, first, held, factor=symbol(head[1:]))
        if place:
            product = read_thought_columns(added, above // 10, held, product)
        elif plus:
            held.append(False)
        above = product


def read_division_step(text: str, dividend: float, divisor: float, held: list[bool]) -> tuple[float, float, float]:
    """``4761:13*50:150351-4040752065101100`` for 1674 and 31: both numbers, one digit of the quotient, the largest that
    can be, with its zeros, the product unless that is by 1, and what it leaves.

    Returns:
        That part of the quotient, the divisor that is stated, and what is left.
    """
    step = _DIVISION_STEP.fullmatch(text)
    if step is None:
        held.append(False)
        return UNREADABLE, UNREADABLE, UNREADABLE
    dividend_text, divisor_text, quotient_text, multiplied, difference = step.groups()
    held += [shows(dividend_text, dividend), shows(divisor_text, divisor)]
    dividend, divisor, part = number(dividend_text), number(divisor_text), int(quotient_text)
    factor, place = int(quotient_text[0]), 10 ** (len(quotient_text) - 1)
    held.append(0 <= dividend - part * divisor < place * divisor and (factor == 1) == (multiplied is None))
    product = divisor if multiplied is None else read_thought_columns(multiplied, divisor, held, factor=factor)
    return part, divisor, read_thought_columns(difference, dividend, held, product * place, sign=-1)


def read_division(text: str, dividend: float, divisor: float, held: list[bool]) -> tuple[float, float]:
    """Steps until what is left is smaller than the divisor; gives the quotient and what is left."""
    quotient: float = 0
    for piece in text.split(";") if text else ():
        part, divisor, dividend = read_division_step(piece, dividend, divisor, held)
        quotient += part
    if not dividend < divisor:
        held.append(False)
    return quotient, dividend


def read_euclid(text: str, first: int, second: int, held: list[bool]) -> float:
    """``01:7*1-07311000;7:3*2:360-7610;1`` for 10 and 7: steps of the division of the larger number by the smaller, of
    that by what is left, and so on until nothing, or 1, is left; gives the divisor."""
    larger: float = max(first, second)
    smaller: float = min(first, second)
    for piece in text.split(";"):
        if smaller == 0:  # the end was reached before
            held.append(False)
        elif smaller == 1:
            held.append(piece == "1")
            larger, smaller = number(piece), 0
        else:
            _, divisor, left = read_division_step(piece, larger, smaller, held)
            larger, smaller = (left, divisor) if left >= divisor else (divisor, left)
    if smaller != 0:
        held.append(False)
    return larger


def read_repeated_division(text: str, value: float, base: int, held: list[bool], *, counting: bool = False) -> None:
    """``g303422519.g202115.g101.`` for 345 to the base 16: of each division the base and, for each digit, this, the
    quotient's and what is carried on. With ``counting`` also, at its end, how many bits there are so far in what was
    left: ``8911 1.8101 2.`` for 9 and 8."""
    *lines, end = text.split(".")
    left, bits = "" if math.isnan(value) else str(value), 0
    for line in lines:
        row = (_COUNTED if counting else _DIVIDED).fullmatch(line) if left else None
        if row is None:
            held.append(False)
            left = ""
            continue
        stated, steps, count = row.groups()
        held.append(stated == SYMBOLS[base])
        divisor, carried, quotient = symbol(stated), 0, steps[1::3]
        for place, (digit, part) in enumerate(zip(left, quotient, strict=False)):
            written, rest = steps[3 * place], SYMBOLS.index(steps[3 * place + 2])
            divided = rest < divisor and divisor * int(part) + rest == 10 * carried + int(digit)
            held.append(divided and written == digit)
            carried = rest
        held += [False] * abs(len(left) - len(quotient))
        if counting:
            held.append(count == str(bits + carried.bit_count()))
            bits = int(count)
        left = quotient.lstrip("0")
    held += [False] * (bool(left or math.isnan(value)) + bool(end))
