"""Steps that thoughts are made of: sums, products and divisions as a small model can write them.

All arithmetic is done in columns, last digit first (Lee et al., arXiv 2307.03381), and each column says all that it
uses: the digits that it works on, its own digit, and the carry. So a new token follows from at most three others, and
these stand at the same distance before it in every column; where digits must be found in numbers elsewhere, and
carries guessed, a model of this size needs ten times the tokens (docs/lab.md).
"""

from __future__ import annotations

from collections.abc import Sequence

# Values up to 16 in one character: digits and carries in bases above ten, and the bases themselves.
SYMBOLS = "0123456789abcdefg"


def reversed_number(number: int, width: int = 0) -> str:
    """A number >= 0, its last digit first, with zeros after it up to ``width``."""
    return str(number)[::-1].ljust(width, "0")


def thought_sum_columns(first: int, second: int) -> str:
    """``280174210010`` for 72 + 48: of each column both digits, the sum's digit and the carry."""
    width = max(len(str(first)), len(str(second)), len(str(first + second)))
    columns, carry = "", 0
    for a, b in zip(reversed_number(first, width), reversed_number(second, width), strict=True):
        carry, digit = divmod(int(a) + int(b) + carry, 10)
        columns += f"{a}{b}{digit}{carry}"
    return columns


def thought_difference_columns(first: int, second: int) -> str:
    """``03717510`` for 70 - 53: of each column both digits, the difference's digit and what is borrowed.

    Where the second number is larger the last column borrows too, and the digits are not those of the difference.
    """
    width = max(len(str(first)), len(str(second)))
    columns, borrow = "", 0
    for a, b in zip(reversed_number(first, width), reversed_number(second, width), strict=True):
        digit = int(a) - int(b) - borrow
        borrow = int(digit < 0)
        columns += f"{a}{b}{digit % 10}{borrow}"
    return columns


def thought_product_columns(number: int, factor: int, carry: int = 0) -> str:
    """``553725816`` for 875 * 7: of each column the number's digit, the product's digit and the carry; the last carry
    is the product's first digit.

    A factor up to 16 and a first ``carry`` make it a step of Horner's rule: carries above 9 are letters, and go on
    into columns of their own.
    """
    columns = ""
    for a in reversed_number(number):
        carry, digit = divmod(int(a) * factor + carry, 10)
        columns += f"{a}{digit}{SYMBOLS[carry]}"
    if carry > 9:
        columns += f"0{carry % 10}{carry // 10}"
    return columns


def signed_sum_steps(terms: Sequence[int]) -> tuple[str, int]:
    """``+280174210010=037126511000`` for [72, 48, -63]: the sum of terms >= 0, then that of those below 0, then their
    difference; and what it all comes to.

    ``+`` and ``-`` begin the columns of further terms, ``=`` those of the difference. Where that borrows in its last
    column it is below zero, and ``,`` begins the columns of the difference the other way round: ``=28417971,82609720``
    for [72, -98].
    """
    thought, totals = "", []
    for sign, part in (("+", [t for t in terms if t >= 0]), ("-", [-t for t in terms if t < 0])):
        total = part[0] if part else 0
        for term in part[1:]:
            thought += sign + thought_sum_columns(total, term)
            total += term
        totals.append(total)
    gained, lost = totals
    if any(term < 0 for term in terms) and any(term >= 0 for term in terms):
        thought += "=" + thought_difference_columns(gained, lost)
        if gained < lost:
            thought += "," + thought_difference_columns(lost, gained)
    return thought, gained - lost


def thought_product_steps(first: int, second: int) -> tuple[str, int]:
    """``*6:503975,*8:504967+707056110780`` for 95 * 86: for each digit of 86 its product, then the sum of that and of
    what stands above its place so far; and the product of the two numbers."""
    thought, total = "", 0
    for place, digit in enumerate(map(int, reversed(str(second)))):
        thought += f"{',' if place else ''}*{digit}:{thought_product_columns(first, digit)}"
        if place:
            thought += "+" + thought_sum_columns(total // 10**place, first * digit)
        total += first * digit * 10**place
    return thought, total


def division_step(dividend: int, divisor: int) -> tuple[str, int, int]:
    """``4761:13*50:150351-4040752065101100`` for 1674 / 31: both numbers, the first digit of the quotient with its
    zeros, the product, and what that leaves. Quotient so far and remainder beside it; dividend >= divisor.

    The product by 1 is not written: ``7:4*1-7430``.
    """
    place = 10 ** (len(str(dividend // divisor)) - 1)
    digit = dividend // (divisor * place)
    product = "" if digit == 1 else ":" + thought_product_columns(divisor, digit)
    taken = digit * place * divisor
    thought = f"{reversed_number(dividend)}:{reversed_number(divisor)}*{digit * place}{product}"
    return f"{thought}-{thought_difference_columns(dividend, taken)}", digit * place, dividend - taken


def division_steps(dividend: int, divisor: int) -> tuple[str, int, int]:
    """``4761:13*50:150351-4040752065101100;421:13*4:140321-440022001100`` for 1674 / 31: steps as long as what is left
    is not smaller than the divisor. Quotient and remainder beside it."""
    steps, quotient = [], 0
    while dividend >= divisor:
        step, part, dividend = division_step(dividend, divisor)
        steps.append(step)
        quotient += part
    return ";".join(steps), quotient, dividend


def euclid_steps(first: int, second: int) -> tuple[str, int]:
    """``01:7*1-07311000;7:3*2:360-7610;1`` for 10 and 7: divisions of the larger number by the smaller, of that by what
    is left, and so on until nothing or 1 is left; and the divisor."""
    larger, smaller = max(first, second), min(first, second)
    parts = []
    while smaller > 1:
        steps, _, rest = division_steps(larger, smaller)
        parts.append(steps)
        if rest == 0:
            return ";".join(parts), smaller
        larger, smaller = smaller, rest
    return ";".join([*parts, "1"]), 1
