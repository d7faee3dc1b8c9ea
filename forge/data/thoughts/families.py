"""Worked thoughts: for each family of the suite, the steps that lead from a problem to its answer.

Each function takes a prompt and reasoning_gym's metadata and gives the thought and the answer it comes to; the thought
is empty where a problem has no single answer. What was tried, and what it gave: docs/lab.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from forge.data.thoughts.steps import division_steps, euclid_steps, product_steps, reversed_number, sum_steps

ThoughtWriter = Callable[[str, dict[str, Any]], tuple[str, str]]
DIGITS = "0123456789abcdef"


def expression_terms(prompt: str) -> list[str]:
    """Numbers and signs, in turn, of a prompt '... problem: 4 - 1 - 7 ='."""
    return prompt.rsplit(":", 1)[1].split("=")[0].split(". ")[0].split()


def chain_sum_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """A running sum."""
    words = expression_terms(prompt)
    signs = [1, *(1 if sign == "+" else -1 for sign in words[1::2])]
    thought, total = sum_steps([sign * int(word) for sign, word in zip(signs, words[::2], strict=True)])
    return thought, str(total)


def decimal_chain_sum_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """A running sum in units of the last place."""
    words = expression_terms(prompt)
    signs = [1, *(1 if sign == "+" else -1 for sign in words[1::2])]
    places = max(len(word.partition(".")[2]) for word in words[::2])
    units = [sign * int(Decimal(word).scaleb(places)) for sign, word in zip(signs, words[::2], strict=True)]
    thought, total = sum_steps(units)
    return thought, str(Decimal(total).scaleb(-places))


def products_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """Partial products, added up as they come."""
    first, _times, second = expression_terms(prompt)
    thought, total = product_steps(int(first), int(second))
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
        steps, factor, _ = division_steps(smaller, divisor)
        thought += f";{reversed_number(smaller)}:{reversed_number(divisor)}:{steps}:{reversed_number(factor)}"
    steps, product = product_steps(larger, factor)
    return f"{thought};{steps}", str(product)


def count_bits_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """Division by 8 over and over, first digit first: of each digit the quotient's digit and what is carried on, which
    at the end is three bits; after a space the bits so far."""
    number, bits, steps = int(re.findall(r"\d+", prompt)[-1]), 0, []
    while number:
        step, quotient, carried = "", 0, 0
        for digit in str(number):
            part, carried = divmod(10 * carried + int(digit), 8)
            step, quotient = step + f"{part}{carried}", 10 * quotient + part
        bits += carried.bit_count()
        steps.append(f"{step} {bits}.")
        number = quotient
    return "".join(steps), str(bits)


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
    thought, total = sum_steps([int(right), -constant]) if constant else ("", int(right))
    steps, quotient, _ = division_steps(abs(total), abs(coefficient))
    divided = f"{reversed_number(abs(total))}:{reversed_number(abs(coefficient))}:{steps}"
    return ";".join(filter(None, (thought, divided))), str(quotient)


def leg_counting_thought(_: str, metadata: dict[str, Any]) -> tuple[str, str]:
    """The legs of each kind of animal, added up as they come."""
    from reasoning_gym.arithmetic.leg_counting import ANIMALS

    steps, total = [], 0
    for name, count in metadata["animals"].items():
        legs = count * ANIMALS[name]
        total += legs
        steps.append(
            f"{count}*{ANIMALS[name]}={reversed_number(legs)}" + (f"+{reversed_number(total)}" if steps else "")
        )
    return ",".join(steps), str(total)


def spelling_thought(prompt: str, _: dict[str, Any]) -> tuple[str, str]:
    """The word, letter by letter."""
    word = prompt.rsplit(": ", 1)[1]
    return word, word[::-1]


def base_conversion_thought(_: str, metadata: dict[str, Any]) -> tuple[str, str]:
    """To ten by place values, from the last digit on; from ten by the digit that each place value takes, from the
    highest on, with what is left."""
    source, target = metadata["source_base"], metadata["target_base"]
    number, parts = metadata["decimal_value"], []
    if source != 10:
        parts.append(_places_added_up(metadata["source_repr"], source))
    if target != 10:
        parts.append(_places_taken_away(number, target))
    digits, rest = "", number
    while rest:
        rest, digit = divmod(rest, target)
        digits = DIGITS[digit] + digits
    return ";".join(parts), digits


def _places_added_up(text: str, base: int) -> str:
    """``9,4*21=84+75,2*441=882+543``: 249 in base 12."""
    steps, total, place = [], 0, 1
    for digit in map(DIGITS.index, reversed(text)):
        value = digit * place
        total += value
        if place == 1:
            steps.append(reversed_number(total))
        else:
            shown = "" if digit < 2 else f"={reversed_number(value)}"
            steps.append(f"{digit}*{reversed_number(place)}{shown}" + (f"+{reversed_number(total)}" if digit else ""))
        place *= base
    return ",".join(steps)


def _places_taken_away(number: int, base: int) -> str:
    """``543:1*652=98,5*61=08=9,9``: 345 in base 16."""
    whole, place = reversed_number(number), 1
    while place * base <= number:
        place *= base
    steps = []
    while place > 1:
        digit, rest = divmod(number, place)
        shown = "" if digit < 2 else f"={reversed_number(digit * place)}"
        steps.append(f"{digit}*{reversed_number(place)}{shown}" + (f"={reversed_number(rest)}" if digit else ""))
        number, place = rest, place // base
    return f"{whole}:{','.join([*steps, str(number)])}"
