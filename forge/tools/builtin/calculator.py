"""The calculator, and how people ask for sums."""

from __future__ import annotations

import random
from contextlib import ExitStack
from functools import partial

from forge.tools.calculator import FUNCTION_NAMES, CalculatorError, calculate
from forge.tools.declaration import Answer, Drawn, FollowUp, Intent, Tool, ToolSetting
from forge.tools.drawing import (
    number_in_words,
    pick_calculator_operand,
    pick_tool_argument_number,
    write_number_as_people_do,
)
from forge.tools.everyday_sums import everyday_calculator_intents
from forge.tools.written_out import sums_written_out_for_calculator

FRAMES = (
    "{}?",
    "[what is|what's|whats] {}?",
    "{}",
    "[how much|what] is {}?",
    "[calculate|compute|calc|work out] {}",
    "{} =",
    "[can|could] you [calculate|compute|work out|do|figure out] {}?",
    "{} equals?",
    "[tell me|give me|find|get] {}",
    "please [calculate|compute|work out|find] {}",
    "[how much|what] does {} [make|give|equal|come to]?",
    "[i need|i want|need] {}",
    "[what do you get for|what do i get for|what comes out of] {}?",
    "[do|solve|quick:|result of|the result of|answer to] {}",
    "[do you know|can you tell me|could you tell me] what {} is?",
    "{} is [what|how much]?",
    "what would {} be?",
    "[i'd like to know|i want to know|let me know|show me] {}",
    "[evaluate|add this up:|maths question:|a sum:] {}",
    "how many is {}?",
    "what's the [result of|answer to|value of|outcome of] {}?",
)


def _typed_slots(rng: random.Random, **numbers: str) -> dict[str, str]:
    """Under the small letter a number as a person writes it, under the capital one as the call takes it."""
    slots = {name: write_number_as_people_do(rng, number) for name, number in numbers.items()}
    return slots | {name.upper(): number for name, number in numbers.items()}


def pick_calculator_operands_in_words(rng: random.Random, name: str) -> Drawn:
    """Two operands of which at least one is said in words."""
    a, b = (rng.randint(2, 20) if rng.random() < 0.8 else rng.randint(21, 100) for _ in "ab")
    if name == "divide":
        a = b * rng.randint(2, max(2, 100 // b)) if b <= 50 else b
    elif rng.random() < 0.1:
        a = rng.randint(2, 20) * rng.choice((100, 1000))
    b_in_words = rng.random() < 0.8
    slots = {"a": number_in_words(a) if rng.random() < 0.8 or not b_in_words else str(a), "A": str(a), "B": str(b)}
    return slots | {"b": number_in_words(b) if b_in_words else str(b)}, None


def pick_calculator_tool_operands(rng: random.Random, name: str) -> Drawn:
    """Operands of an intent; division, roots and gcd are drawn so that results stay short."""
    a, b = pick_calculator_operand(rng, 3), pick_calculator_operand(rng, 3)
    if name == "multiply":
        b = pick_calculator_operand(rng, 2)
    elif name == "divide":
        divisor = pick_tool_argument_number(rng, 2)
        a, b = str(divisor * pick_tool_argument_number(rng, rng.choice((2, 2, 3)))), str(divisor)
        if rng.random() < 0.15:
            a, b = f"{int(a) / 10:.1f}", rng.choice((b, f"{int(b) / 10:.1f}"))
        a = f"-{a}" if rng.random() < 0.08 else a
    elif name == "power":
        a, b = str(rng.randint(2, 40)), str(rng.randint(2, 5))
        if rng.random() < 0.2:
            a, b = str(rng.choice((2, 10))), str(rng.randint(2, 12))
    elif name == "remainder":
        a, b = str(rng.randint(20, 999)), str(rng.randint(2, 30))
    elif name in ("gcd", "lcm"):
        common = rng.randint(2, 20)
        a, b = str(common * rng.randint(2, 20)), str(common * rng.randint(2, 20))
    elif name in ("sqrt", "square"):
        a = str(rng.randint(2, 150))
        return _typed_slots(rng, a=str(int(a) ** 2) if name == "sqrt" else a), None
    elif name == "percent":
        a, b = (
            str(rng.choice((5, 10, 20, 25, 50, 75, rng.randint(1, 99), rng.randint(1, 99)))),
            str(rng.randint(2, 999)),
        )
        if rng.random() < 0.3:
            b = str(rng.randint(2, 99) * 100)
        if rng.random() < 0.1:
            a = f"{a}.5"
    return _typed_slots(rng, a=a, b=b), None


def pick_three_calculator_operands(rng: random.Random, digits: int = 2) -> Drawn:
    """Three operands, seldom negative."""
    return _typed_slots(rng, **{name: pick_calculator_operand(rng, digits) for name in "abc"}), None


def pick_operands_that_calculator_refuses(rng: random.Random, name: str) -> Drawn:
    """A divisor of 0, a number with a decimal comma, the root of a negative number."""
    a, b = str(pick_tool_argument_number(rng, 3)), str(pick_tool_argument_number(rng, 3))
    if name == "by_zero":
        b = rng.choice(("0", "0", "zero"))
        return {"a": a, "b": b, "A": a, "B": "0"}, None
    if name == "decimal_comma":
        a = f"{pick_tool_argument_number(rng, 2)},{rng.randint(1, 99)}"
    return {"a": a, "b": b, "A": a, "B": b}, None


def pick_next_calculator_operand(rng: random.Random) -> Drawn:
    """A short whole number to go on with."""
    number = str(pick_tool_argument_number(rng, 2))
    return {"b": number, "B": number}, None


FOLLOW_UPS = (
    FollowUp(("times {b}", "and times {b}?", "* {b}", "now times {b}"), "{r}*{B}", pick_next_calculator_operand),
    FollowUp(("plus {b}", "and plus {b}?", "+ {b}", "add {b}"), "{r}+{B}", pick_next_calculator_operand),
    FollowUp(("minus {b}", "and minus {b}?", "- {b}", "take away {b}"), "{r}-{B}", pick_next_calculator_operand),
    FollowUp(("divided by {b}", "and divided by {b}?", "/ {b}"), "{r}/{B}", pick_next_calculator_operand),
    FollowUp(("double it", "and doubled?", "twice that", "now double that"), "{r}*2", pick_next_calculator_operand),
    FollowUp(("half of that", "and half of that?", "half it"), "{r}/2", pick_next_calculator_operand),
)


def _calculator_intent(name: str, argument: str, *cores: str, weight: float = 1) -> Intent:
    draw = partial(pick_calculator_tool_operands, name=name)
    return Intent(name, argument, draw, cores, _SENTENCES.get(name, ()), weight, follow_ups=FOLLOW_UPS)


def answer_with_calculator(expression: str) -> str:
    """The value of an expression, or what is wrong with it."""
    try:
        return calculate(expression)
    except CalculatorError as error:
        return f"error: {error}"


def open_calculator(setting: ToolSetting, stack: ExitStack) -> Answer:
    """It needs nothing."""
    return answer_with_calculator


_SENTENCES: dict[str, tuple[str, ...]] = {
    "add": ("add {a} and {b}", "[add|put] {a} to {b}", "add {a} + {b}", "sum up {a} and {b}",
    "what do {a} and {b} make?"),
    "multiply": ("multiply {a} by {b}", "multiply {a} and {b}", "multiply {a} with {b}",
    "what do i get when i multiply {a} by {b}?"),
    "divide": (
        "divide {a} by {b}", "how [often|many times] does {b} [go into|fit into|fit in] {a}?",
        "[can you|please] divide {a} by {b}",
        "what do i get if i divide {a} by {b}?", "how many {b}s are in {a}?", "share {a} by {b}",
    ),
    "power": ("raise {a} to the power of {b}", "raise {a} to the power {b}", "{a} raised to {b}"),
    "remainder": (
        "what's left when i divide {a} by {b}?", "[what is|whats] the remainder when {a} is divided by {b}?",
        "what remains if you divide {a} by {b}?", "rest of {a} divided by {b}?", "divide {a} by {b}, remainder?",
    ),
    "gcd": ("what number divides both {a} and {b}, the biggest one?", "largest common divisor of {a} and {b}?"),
    "lcm": ("what is the smallest number that {a} and {b} both divide?", "smallest common multiple of {a} and {b}?"),
    "sqrt": ("sqrt {a}", "root {a}", "what number squared is {a}?", "which number times itself is {a}?",
    "take the root of {a}"),
    "square": ("square {a}", "what is {a} when squared?"),
    "percent": (
        "how much is {a} percent of {b}?", "[what is|whats] {a} % of {b}?", "take {a}% of {b}",
        "if i take {a} percent of {b}, what do i get?",
        "of {b}, how much is {a} percent?",
    ),
}  # fmt: skip
_WORDED = {
    "add": ("{A}+{B}", ("{a} plus {b}", "{a} and {b}", "the sum of {a} and {b}", "{a} added to {b}")),
    "subtract": ("{A}-{B}", ("{a} minus {b}", "{a} take away {b}", "{a} less {b}")),
    "multiply": ("{A}*{B}", ("{a} times {b}", "{a} multiplied by {b}", "the product of {a} and {b}")),
    "divide": ("{A}/{B}", ("{a} divided by {b}", "{a} over {b}")),
}


# German and French.
_ABROAD = {
    "add": ("+", ("was ist {a} plus {b}?", "wie viel ist {a} plus {b}?", "combien font {a} et {b}?", "{a} und {b}?")),
    "subtract": ("-", ("was ist {a} minus {b}?", "wie viel ist {a} minus {b}?", "combien font {a} moins {b}?")),
    "multiply": (
        "*",
        ("was ist {a} mal {b}?", "{a} mal {b}", "combien font {a} fois {b}?", "wieviel ist {a} mal {b}?"),
    ),
    "divide": ("/", ("was ist {a} durch {b}?", "{a} geteilt durch {b}", "{a} divisé par {b}", "teile {a} durch {b}")),
}


def _turned_around(name: str, *sentences: str) -> Intent:
    """A difference whose second operand is said first."""
    return Intent(name, "{B}-{A}", partial(pick_calculator_tool_operands, name=name), (), sentences, 1)


def _three_operand_intent(name: str, argument: str, cores: tuple[str, ...], *sentences: str) -> Intent:
    return Intent(name, argument, pick_three_calculator_operands, cores, sentences, 1)


def _refused_intent(name: str, argument: str, *cores: str) -> Intent:
    # One sum in eighteen is refused. Its call is copied from the question as every other is, so more of them would
    # teach nothing about calls.
    return Intent(name, argument, partial(pick_operands_that_calculator_refuses, name=name), cores, (), 2)


INTENTS = (
    _calculator_intent("add", "{A}+{B}", "{a}+{b}", "{a} + {b}", "{a} plus {b}", "the sum of {a} and {b}",
        "{a} and {b} [together|added]", weight=9),
    _calculator_intent("subtract", "{A}-{B}", "{a}-{b}", "{a} - {b}", "{a} minus {b}", "{a} take away {b}",
        "{a} − {b}", "{a} less {b}", "the difference between {a} and {b}", weight=8),
    _turned_around("subtract_from", "subtract {a} from {b}", "take {a} [from|away from|off] {b}",
        "[can you|please] subtract {a} from {b}", "what's left if i take {a} from {b}?",
        "how much is {b} without {a}?", "how much more is {b} than {a}?"),
    _calculator_intent("multiply", "{A}*{B}", "{a}*{b}", "{a} times {b}", "{a} * {b}", "{a}x{b}", "{a} x {b}",
        "{a} × {b}", "{a} multiplied by {b}", "{a}×{b}", "the product of {a} and {b}", weight=11),
    _calculator_intent("divide", "{A}/{B}", "{a}/{b}", "{a} divided by {b}", "{a} / {b}", "{a} ÷ {b}", "{a} over {b}",
        "{a}÷{b}", "{a}:{b}", "{a} over {b} as a decimal", weight=8),
    _calculator_intent("power", "{A}**{B}", "{a}^{b}", "{a} to the power of {b}", "{a}**{b}", "{a} ^ {b}",
        "{a} to the power {b}", "{a} to the {b}th", weight=4),
    _calculator_intent("square", "{A}**2", "{a} squared", "the square of {a}", "{a}²", weight=1),
    _calculator_intent("remainder", "{A}%{B}", "{a} mod {b}", "the remainder of {a} divided by {b}", "{a} modulo {b}",
        "{a} % {b}", "{a}%{b}", "the remainder of {a} by {b}", weight=4),
    _calculator_intent("gcd", "gcd({A}, {B})", "the gcd of {a} and {b}", "gcd {a} {b}",
        "the greatest common divisor of {a} and {b}", "gcd({a}, {b})", "the greatest common factor of {a} and {b}",
        weight=1.5),
    _calculator_intent("lcm", "lcm({A}, {B})", "the lcm of {a} and {b}", "lcm {a} {b}",
        "the least common multiple of {a} and {b}", "lcm({a}, {b})", "the lowest common multiple of {a} and {b}"),
    _calculator_intent("sqrt", "sqrt({A})", "the square root of {a}", "sqrt({a})", "the root of {a}",
        "square root of {a}", "√{a}", weight=2),
    _calculator_intent("percent", "{A}*{B}/100", "{a}% of {b}", "{a} percent of {b}", "{a} % of {b}",
        "{a} per cent of {b}", weight=9),
    *(
        Intent(f"{name}_in_words", argument, partial(pick_calculator_operands_in_words, name=name), cores, (), 1)
        for name, (argument, cores) in _WORDED.items()
    ),
    _three_operand_intent("mixed", "{A}+{B}*{C}", ("{a}+{b}*{c}", "{a} + {b} * {c}", "{a} plus {b} times {c}",
        "{a} + {b} x {c}")),
    _three_operand_intent("mixed_first", "{A}*{B}-{C}", ("{a}*{b}-{c}", "{a} * {b} - {c}", "{a} times {b} minus {c}",
        "{a} x {b} - {c}")),
    _three_operand_intent("grouped", "({A}+{B})*{C}", ("({a}+{b})*{c}", "({a} + {b}) * {c}",
        "the sum of {a} and {b}, times {c}")),
    _three_operand_intent(
        "three", "{A}+{B}+{C}", ("{a}+{b}+{c}", "{a} + {b} + {c}", "{a} plus {b} plus {c}",
        "the total of {a}, {b} and {c}", "the sum of {a}, {b} and {c}"),
        "add up {a}, {b} and {c}", "{a}, {b} and {c} [together|in total|altogether]?", "add {a} {b} and {c}",
        "[total|sum] of {a}, {b}, {c}?",
    ),
    _three_operand_intent(
        "mean", "({A}+{B}+{C})/3", ("the average of {a}, {b} and {c}", "the mean of {a}, {b} and {c}",
        "the average of {a} {b} {c}"),
        "average {a}, {b} and {c}", "[avg|mean] of {a}, {b}, {c}?",
    ),
    _refused_intent("decimal_comma", "{A}*{B}", "{a} times {b}", "{a} * {b}", "{a}*{b}", "{a} × {b}",
        "{a} multiplied by {b}"),
    _refused_intent("by_zero", "{A}/{B}", "{a} divided by {b}", "{a}/{b}", "{a} / {b}", "{a} ÷ {b}", "{a} over {b}"),
    _refused_intent("negative_root", "sqrt(-{A})", "the square root of -{a}", "sqrt(-{a})", "the root of -{a}",
        "the root of minus {a}"),
    *(
        Intent(f"{name}_abroad", f"{{A}}{sign}{{B}}", partial(pick_calculator_tool_operands, name=name), (), says,
            0.7)
        for name, (sign, says) in _ABROAD.items()
    ),
    *everyday_calculator_intents(),
)  # fmt: skip
TOOL = Tool(
    "calculator",
    1,
    open_calculator,
    FRAMES,
    INTENTS,
    split_by_argument=True,
    parameter="expression",
    description="Work out an arithmetic expression.",
    known=lambda workspace: FUNCTION_NAMES,
    written=sums_written_out_for_calculator,
    copied="[A-Za-z]|[0-9A-Fa-f]+",  # unknowns, and digits of bases up to sixteen
)
