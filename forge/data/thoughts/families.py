"""Worked thoughts: for each family of the suite, the steps that lead from a problem to its answer.

Each function takes a prompt and reasoning_gym's metadata and gives the thought and the answer it comes to; the thought
is empty where a problem has no single answer. What was tried, and what it gave: docs/lab.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from itertools import accumulate
from typing import Any

from forge.data.thoughts.steps import (
    SYMBOLS,
    division_steps,
    euclid_steps,
    reversed_number,
    signed_sum_steps,
    thought_product_columns,
    thought_product_steps,
    thought_sum_columns,
)

ThoughtWriter = Callable[[str, dict[str, Any]], tuple[str, str]]


def expression_terms(prompt: str) -> list[str]:
    """Numbers and signs, in turn, of a prompt '... problem: 4 - 1 - 7 ='."""
    return prompt.rsplit(":", 1)[1].split("=")[0].split(". ")[0].split()


def chain_sum_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """What is added, what is taken away, and the difference."""
    words = expression_terms(prompt)
    signs = [1, *(1 if sign == "+" else -1 for sign in words[1::2])]
    thought, total = signed_sum_steps([sign * int(word) for sign, word in zip(signs, words[::2], strict=True)])
    return thought, str(total)


def decimal_chain_sum_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """As a chain of whole numbers, in units of the last place."""
    words = expression_terms(prompt)
    signs = [1, *(1 if sign == "+" else -1 for sign in words[1::2])]
    places = max(len(word.partition(".")[2]) for word in words[::2])
    units = [sign * int(Decimal(word).scaleb(places)) for sign, word in zip(signs, words[::2], strict=True)]
    thought, total = signed_sum_steps(units)
    return thought, str(Decimal(total).scaleb(-places))


def products_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """Partial products, added up as they come."""
    first, _times, second = expression_terms(prompt)
    thought, total = thought_product_steps(int(first), int(second))
    return thought, str(total)


def _two_numbers(prompt: str) -> tuple[int, int]:
    first, second = map(int, re.findall(r"\d+", prompt.rsplit(":", 1)[1]))
    return first, second


def gcd_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """Euclid's algorithm."""
    thought, divisor = euclid_steps(*_two_numbers(prompt))
    return thought, str(divisor)


def lcm_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """The greatest common divisor, the smaller number divided by it, the larger one times that."""
    larger, smaller = sorted(_two_numbers(prompt), reverse=True)
    thought, divisor = euclid_steps(larger, smaller)
    factor = smaller
    if divisor > 1:
        steps, factor, _rest = division_steps(smaller, divisor)
        thought += f"|{steps}={reversed_number(factor)}"
    steps, product = thought_product_steps(larger, factor)
    return f"{thought}|{steps}", str(product)


def count_bits_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """Division by 8 over and over, which leaves three bits each time; after a space the bits so far."""
    rows, lefts = _repeated_division_steps(int(re.findall(r"\d+", prompt)[-1]), 8)
    counts = list(accumulate(left.bit_count() for left in lefts))
    return "".join(f"{row} {bits}." for row, bits in zip(rows, counts, strict=True)), str(counts[-1] if counts else 0)


def equation_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """What stands beside the unknown is taken to the other side, and that divided by the coefficient."""
    left, right = prompt.split(": ", 1)[1].split(" = ")
    coefficient = constant = 0
    for sign, term in re.findall(r"([+-]?) ?([^ +-]+)", left):
        number = re.sub(r"\*?[a-z]", "", term) or "1"
        if term[-1].isalpha():
            coefficient += int(sign + number)
        else:
            constant += int(sign + number)
    if coefficient == 0:  # "0*x = 0": every number solves it, and there is nothing to divide by
        return "", "0"
    thought, total = signed_sum_steps([int(right), -constant]) if constant else ("", int(right))
    steps, quotient, _rest = division_steps(abs(total), abs(coefficient))
    return f"{thought}|{steps}", str(quotient)


def leg_counting_thought(_: str, metadata: dict[str, Any]) -> tuple[str, str]:
    """The legs of each kind of animal, added up as they come."""
    from reasoning_gym.arithmetic.leg_counting import ANIMALS

    steps: list[str] = []
    total = 0
    for name, count in metadata["animals"].items():
        legs = count * ANIMALS[name]
        added = "+" + thought_sum_columns(total, legs) if steps else ""
        steps.append(f"{count}*{ANIMALS[name]}={reversed_number(legs)}{added}")
        total += legs
    return ",".join(steps), str(total)


def spelling_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """The word, letter by letter."""
    word = prompt.rsplit(": ", 1)[1]
    return word, word[::-1]


def base_conversion_thought(_: str, metadata: dict[str, Any]) -> tuple[str, str]:
    """To ten by Horner's rule; from ten by division over and over, whose remainders are the digits from the last."""
    source, target = metadata["source_base"], metadata["target_base"]
    number, parts = metadata["decimal_value"], []
    if source != 10:
        parts.append(_horner_steps(metadata["source_repr"], source))
    if target == 10:
        return parts[0], str(number)
    rows, lefts = _repeated_division_steps(number, target)
    steps = "".join(f"{row}." for row in rows)
    return "|".join([*parts, steps]), "".join(SYMBOLS[left] for left in reversed(lefts))


def _horner_steps(text: str, base: int) -> str:
    """``c:2,4:282,9:85a243`` for 249 to the base 12: the base, the first digit's value, and for each further digit the
    columns of the number so far times the base, which begin with the digit as their carry."""
    first, *rest = map(SYMBOLS.index, text)
    total, steps = first, f"{SYMBOLS[base]}:{reversed_number(first)}"
    for digit in rest:
        steps += f",{SYMBOLS[digit]}:{thought_product_columns(total, base, digit)}"
        total = total * base + digit
    return steps


def _repeated_division_steps(number: int, base: int) -> tuple[list[str], list[int]]:
    """``g303422519``, ``g202115``, ``g101`` for 345 to the base 16: of each division the base and, first digit first,
    the digit, that of the quotient, and what is carried on, which is at the end the remainder. Beside them the
    remainders."""
    rows, lefts = [], []
    while number:
        row = SYMBOLS[base]
        quotient = carried = 0
        for digit in str(number):
            part, carried = divmod(10 * carried + int(digit), base)
            row += f"{digit}{part}{SYMBOLS[carried]}"
            quotient = 10 * quotient + part
        rows.append(row)
        lefts.append(carried)
        number = quotient
    return rows, lefts
