"""Replaying thoughts: a reader that knows a problem by its prompt, checks every step of a thought and reads off what it
comes to. It needs no true answer, and shares nothing with the writer (families.py) but the format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from random import Random
from string import ascii_lowercase, digits

from forge.data.thoughts.reading import (
    SYMBOLS,
    UNREADABLE,
    fields,
    number,
    read_division,
    read_euclid,
    read_repeated_division,
    read_thought_columns,
    read_thought_product,
    read_thought_signed_sum,
    shows,
    symbol,
)

_LEGS = re.compile(r"([0-9]+)\*([0-9]+)=([0-9]+)(?:\+([0-9]*))?")


@dataclass(frozen=True)
class Replay:
    """``sound``: share of the steps of a thought that hold, operands against the prompt included, 0..1; 1.0 only for a
    thought that is whole. ``answer``: what it comes to, sound or not; None where nothing can be read off."""

    sound: float
    answer: str | None


@dataclass(frozen=True)
class _Result:
    """An answer, and at which characters of the thought it is read."""

    answer: str | None
    places: Sequence[int] = ()


_Reader = Callable[[re.Match[str], str, list[bool]], _Result]


def replay(prompt: str, thought: str) -> Replay:
    """Check a thought step by step; a prompt that is not of the suite gives ``Replay(0.0, None)``. Never raises."""
    held: list[bool] = []
    result = _read(prompt, thought, held)
    return Replay(sum(held) / max(1, len(held)), result.answer)


def tampered(prompt: str, thought: str, seed: int) -> tuple[str, str] | None:
    """The thought with one digit (in spelling one letter) changed where the answer is read off, and the answer, of
    equal length, that it then comes to; None where there is no such change."""
    before = _read(prompt, thought, [])
    if before.answer is None:
        return None
    random = Random(f"{seed} {thought}")
    for place in random.sample(before.places, len(before.places)):
        alphabet = digits if thought[place].isdigit() else ascii_lowercase
        for other in random.sample(alphabet, len(alphabet)):
            changed = f"{thought[:place]}{other}{thought[place + 1 :]}"
            answer = _read(prompt, changed, []).answer
            if answer is not None and answer.lower() != before.answer.lower() and len(answer) == len(before.answer):
                return changed, answer
    return None


def _read(prompt: str, thought: str, held: list[bool]) -> _Result:
    for pattern, reader in _READERS:
        problem = pattern.search(prompt)
        if problem is not None:
            return reader(problem, thought, held)
    return _Result(None)


def _columns_at_the_end(thought: str, size: int, lower: Sequence[int] = ()) -> _Result:
    """The digits of the columns that a thought ends with, sums' of four characters or products' of three, as a number;
    ``lower`` says where the digits below these stand."""
    start = len(thought.rstrip(SYMBOLS))
    places = [*lower, *range(start + size - 2, len(thought), size)]
    if size == 3:
        places.append(len(thought) - 1)
    length = len(thought) - start
    value = number("".join(thought[place] for place in places)) if length and length % size == 0 else UNREADABLE
    return _Result(None) if isnan(value) else _Result(str(value), places)


def _sum(problem: re.Match[str], thought: str, held: list[bool]) -> _Result:
    """A sum of terms with signs, of decimals in units of the last place."""
    first, *others = problem[1].split()
    words = [first, *map("".join, zip(others[::2], others[1::2], strict=True))]
    places = max(len(word.partition(".")[2]) for word in words)
    terms = []
    for word in words:
        whole, _, fraction = word.partition(".")
        terms.append(int(whole + fraction.ljust(places, "0")))
    read_thought_signed_sum(thought, terms, held)
    return _total_at_the_end(thought, places)


def _total_at_the_end(thought: str, places: int) -> _Result:
    """The digits of the last sum or difference: 57, or with two decimal places 0.57; below zero where only terms below
    zero are added up, or where the difference is the second one."""
    total = _columns_at_the_end(thought, 4)
    begin = thought[len(thought.rstrip(digits)) - 1 :]
    if total.answer is None or begin[0] not in "+-=," or (begin[0] == "=" and begin[-1] == "1"):
        return _Result(None)
    text = total.answer.rjust(places + 1, "0")
    point = len(text) - places
    text = f"{text[:point]}.{text[point:]}" if places else text
    return _Result(f"-{text}" if begin[0] in "-," and total.answer != "0" else text, total.places)


def _product(problem: re.Match[str], thought: str, held: list[bool]) -> _Result:
    read_thought_product(thought, int(problem[1]), int(problem[2]), held)
    return _product_of(thought)


def _product_of(thought: str) -> _Result:
    """The last sum, or the only product; each step before it has one more digit, in its first column."""
    start, lower = thought.rfind("|") + 1, []
    *before, last = thought[start:].split(",")
    for piece in before:
        added = piece.find("+")
        lower.append(start + (added + 3 if added >= 0 else piece.find(":") + 2))
        start += len(piece) + 1
    return _columns_at_the_end(thought, 4 if "+" in last else 3, lower)


def _gcd(problem: re.Match[str], thought: str, held: list[bool]) -> _Result:
    """The divisor is what is last divided by, or the 1 that is left."""
    read_euclid(thought, int(problem[1]), int(problem[2]), held)
    start = thought.rfind(";") + 1
    last = re.match(r"(?:[0-9]+:(?=[0-9]+\*))?([0-9]{1,12})(?=\*|\Z)", thought[start:])
    if last is None:
        return _Result(None)
    return _Result(str(int(last[1][::-1])), range(start + last.start(1), start + last.end(1)))


def _lcm(problem: re.Match[str], thought: str, held: list[bool]) -> _Result:
    """Euclid; where the divisor is not 1 the smaller number divided by it; the larger times that."""
    smaller, larger = sorted((int(problem[1]), int(problem[2])))
    euclid, *others = thought.split("|")
    factor: float = smaller
    divisor = read_euclid(euclid, larger, smaller, held)
    *divisions, product = fields("|".join(others), "|", 2 if divisor > 1 else 1, held)
    for steps in divisions:
        division, _, factor_text = steps.rpartition("=")
        quotient, rest = read_division(division, smaller, divisor, held)
        held.append(rest == 0 and shows(factor_text, quotient))
        factor = number(factor_text)
    read_thought_product(product, larger, factor, held)
    return _product_of(thought)


def _count_bits(problem: re.Match[str], thought: str, held: list[bool]) -> _Result:
    """Division by 8 over and over; what is left of each has three bits."""
    read_repeated_division(thought, int(problem[1]), 8, held, counting=True)
    last = re.search(r" ([0-9]{1,2})\.\Z", thought[-4:])
    # Of a count the last digit alone is changed by tampering: no number has 83 bits.
    return _Result(str(int(last[1])), [len(thought) - 2]) if last else _Result(None)


def _equation(problem: re.Match[str], thought: str, held: list[bool]) -> _Result:
    """What stands beside the unknown is taken to the other side; that is divided by the coefficient."""
    coefficient = constant = 0
    for term in re.finditer(r"([+-]?)(?:([0-9]+)\*)?([a-z]|[0-9]+)", problem[1].replace(" ", "")):
        sign = -1 if term[1] == "-" else 1
        if term[3].isalpha():
            coefficient += sign * int(term[2] or 1)
        else:
            constant += sign * int(term[3])
    total: float = int(problem[2])
    summed, bar, division = thought.rpartition("|")
    if constant:
        total = read_thought_signed_sum(summed, [int(problem[2]), -constant], held)
    _, rest = read_division(division, abs(total), abs(coefficient), held)
    if rest != 0 or not bar or (summed and not constant):
        held.append(False)
    return _quotient_of(thought)


def _quotient_of(thought: str) -> _Result:
    """The parts of a quotient, 30 and 7, put together; a part is written first digit first. None at all make 0."""
    quotient, places, start = 0, [], thought.rfind("|") + 1
    for step in thought[start:].split(";") if thought[start:] else ():
        part = re.match(r"[0-9]+:[0-9]+\*([1-9]0{0,11})[:-]", step)
        if part is None:
            return _Result(None)
        quotient += int(part[1])
        places.append(start + part.start(1))
        start += len(step) + 1
    return _Result(str(quotient), places) if start else _Result(None)


def _leg_counting(problem: re.Match[str], thought: str, held: list[bool]) -> _Result:
    """``2*6=21,3*5=51+25701120``: each kind's legs, and the sum so far."""
    from reasoning_gym.arithmetic.leg_counting import ANIMALS

    total: float = 0
    kinds = re.findall(r"([0-9]{1,12}) ([a-z ]+)", problem[1])
    for place, piece in enumerate(fields(thought, ",", len(kinds), held)):
        step = _LEGS.fullmatch(piece)
        if step is None or (place > 0) != (step[4] is not None):
            held.append(False)
            total = UNREADABLE
            continue
        count, name = kinds[place]
        legs = ANIMALS.get(name, ANIMALS.get(name.removesuffix("s"), -1))
        product = number(step[1][::-1]) * number(step[2][::-1])
        held += [step[1] == count, step[2] == str(legs), shows(step[3], product)]
        total = read_thought_columns(step[4], total, held, number(step[3])) if place else number(step[3])
    return _columns_at_the_end(thought, 4) if "+" in thought[thought.rfind("=") :] else _Result(None)


def _spelling(problem: re.Match[str], thought: str, held: list[bool]) -> _Result:
    """The word, letter by letter."""
    word = problem[1]
    held += [at == letter for at, letter in zip(thought, word, strict=False)]
    held += [False] * abs(len(word) - len(thought))
    return _Result(thought[::-1], range(len(thought))) if thought.isalnum() else _Result(None)


def _base_conversion(problem: re.Match[str], thought: str, held: list[bool]) -> _Result:
    """To ten by Horner's rule, from ten by division over and over, whose remainders are the digits."""
    names = {"binary": 2, "hexadecimal": 16}
    source, target = (names.get(name) or int(name.removeprefix("base-")) for name in (problem[1], problem[3]))
    total: float = int(problem[2]) if problem[2].isdigit() else UNREADABLE
    up, down = ("", thought) if source == 10 else (thought, "")
    if source != 10 != target:
        up, down = fields(thought, "|", 2, held)
    if source != 10:
        total = _read_horner(up, problem[2], source, held)
    if target == 10:
        return _columns_at_the_end(thought, 3)
    read_repeated_division(down, total, target, held)
    return _remainders_of(thought, target)


def _read_horner(text: str, number_text: str, base: int, held: list[bool]) -> float:
    """``c:2,4:282,9:85a243`` for 249 to the base 12: the base, the first digit's value, and for each further digit the
    columns of the number so far times the base, to which the digit is carried."""
    head, *pieces = fields(text, ",", len(number_text), held)
    base_text, _, first = head.partition(":")
    held += [base_text == SYMBOLS[base], shows(first, symbol(number_text[0]))]
    total = number(first)
    for digit, piece in zip(number_text[1:], pieces, strict=True):
        digit_text, _, columns = piece.partition(":")
        held.append(digit_text == digit)
        total = read_thought_columns(columns, total, held, factor=symbol(base_text), carry=symbol(digit_text))
    return total


def _remainders_of(thought: str, base: int) -> _Result:
    """The digit before each full stop, from the last to the first."""
    places = [stop.start() - 1 for stop in re.finditer(r"\.", thought)]
    answer = "".join(thought[place] for place in reversed(places))
    if not thought.endswith(".") or not all(symbol(digit) < base for digit in answer):
        return _Result(None)
    return _Result(answer.lstrip("0") or "0", places)


_BASE = r"(binary|hexadecimal|base-(?:[2-9]|1[0-6]))"
_TERM = r"[0-9]{1,12}(?:\.[0-9]{1,6})?"
_NATURAL = r"([0-9]{1,12})"
_READERS: tuple[tuple[re.Pattern[str], _Reader], ...] = tuple(
    (re.compile(pattern), reader)
    for pattern, reader in (
        (rf"arithmetic problem: ({_TERM}(?: [+-] {_TERM})*) =", _sum),
        (rf"multiplication: {_NATURAL} \* {_NATURAL}\.", _product),
        (rf"\(GCD\) of these numbers: {_NATURAL}, {_NATURAL}\.", _gcd),
        (rf"\(LCM\) of these numbers: {_NATURAL}, {_NATURAL}", _lcm),
        (rf"1 bits are there in the binary representation of the number {_NATURAL}\?", _count_bits),
        (r"(?:equation|Solve for [a-z]|satisfies): ([-+*0-9a-z ]+) = (-?[0-9]{1,12})", _equation),
        (r"how many legs are there in total if you have ([0-9a-z, ]+)\?", _leg_counting),
        (r"Spell this word backward \(example: sun -> nus\): ([^\W_]+)", _spelling),
        (rf"convert the {_BASE} number ([0-9a-z]{{1,12}}) to {_BASE}", _base_conversion),
    )
)
