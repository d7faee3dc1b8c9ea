"""Steps that thoughts are made of: running sums, products and divisions as a small model can write them.

Numbers stand least significant digit first (``27`` is 72), so that carries and borrows run in the order of writing and
each new digit follows from a few that stand near (Lee et al., arXiv 2307.03381; Deng et al., arXiv 2405.14838).
Operands are written again before they are used: to copy is easy, to look two things up at once is not.
"""

from __future__ import annotations

from collections.abc import Sequence


def reversed_number(number: int, width: int = 0) -> str:
    """A number >= 0, its last digit first, with zeros after it up to ``width``."""
    return str(number)[::-1].ljust(width, "0")


def sum_steps(terms: Sequence[int]) -> tuple[str, int]:
    """``27+84=021-36=750``, a running sum (72 + 48 - 63), and what it comes to.

    Where signs differ the larger number stands first, so that no column is below zero in the end: ``,89-27=-62`` is
    72 - 98. Both are as wide as the wider one.
    """
    total, thought = terms[0], reversed_number(abs(terms[0]))
    for term in terms[1:]:
        grows = not total or not term or (total < 0) == (term < 0)
        first, second = (abs(total), abs(term)) if grows or abs(total) >= abs(term) else (abs(term), abs(total))
        width = max(len(str(first)), len(str(second)))
        if first != abs(total):
            thought += "," + reversed_number(first, width)
        total += term
        sign = "-" if total < 0 else ""
        thought += f"{'+' if grows else '-'}{reversed_number(second, width)}={sign}{reversed_number(abs(total), width)}"
    return thought, total


def product_steps(first: int, second: int) -> tuple[str, int]:
    """``578*7=5216,2=0571+52632,3=5262+521682``: 875 * 327 by the digits of 327; each partial product as it is, then
    the sum so far with all its digits."""
    thought, total = reversed_number(first) + "*", 0
    for place, digit in enumerate(map(int, reversed(str(second)))):
        total += first * digit * 10**place
        thought += f"{',' if place else ''}{digit}={reversed_number(first * digit)}"
        thought += f"+{reversed_number(total)}" if place else ""
    return thought, total


def division_steps(dividend: int, divisor: int) -> tuple[str, int, int]:
    """``30*0513=537,7*537=0``, 3885 / 105, with quotient and remainder; dividend >= divisor.

    Each step takes one digit of the quotient with its zeros, the product, and what is left. The product of 1 is not
    written.
    """
    steps, quotient = [], 0
    while dividend >= divisor:
        place = 10 ** (len(str(dividend // divisor)) - 1)
        part = dividend // (divisor * place) * place
        dividend -= part * divisor
        quotient += part
        steps.append(f"{part}{'' if part == 1 else '*' + reversed_number(part * divisor)}={reversed_number(dividend)}")
    return ",".join(steps), quotient, dividend


def euclid_steps(first: int, second: int) -> tuple[str, int]:
    """``058:645:1=403:...``: the larger number, the smaller, then a division for each remainder; and the divisor."""
    larger, smaller = max(first, second), min(first, second)
    thought = f"{reversed_number(larger)}:{reversed_number(smaller)}"
    while smaller > 1:
        steps, _, rest = division_steps(larger, smaller)
        thought += ":" + steps
        if rest == 0:
            return thought, smaller
        larger, smaller = smaller, rest
    return thought, 1
