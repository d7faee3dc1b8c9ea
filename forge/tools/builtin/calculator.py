"""The calculator, and how people ask for sums."""

from __future__ import annotations

import random
from contextlib import ExitStack
from functools import partial

from forge.tools.calculator import CalculatorError, calculate
from forge.tools.declaration import Answer, Drawn, Frames, Intent, Tool, ToolSetting
from forge.tools.drawing import pick_tool_argument_number

# fmt: off
FRAMES = Frames(
    train=(
        "What is {}?", "What's {}?", "Compute {}.", "Calculate {}.", "Please compute {}.",
        "Please calculate {}.",
        "Work out {}.", "Find {}.", "Tell me {}.", "How much is {}?", "Can you calculate {}?",
        "Can you work out {}?", "I need {}.", "Give me {}.", "Could you tell me {}?",
        "I want to know {}.",
        "{}?", "{}, please.",
    ),
    val=("Please work out {}.", "Could you compute {}?", "Can you find {}?", "I need to know {}."),
    test=(
        "Could you calculate {}?", "Please find {}.", "Can you compute {}, please?", "Please give me {}.",
        "Could you work out {}?",
    ),
)
# fmt: on


NEGATIVE = 0.15  # share of the operands of the four operations


def pick_calculator_tool_operands(rng: random.Random, name: str) -> Drawn:
    """Operands of an intent; division, roots and gcd are drawn so that results stay short. Some are what the calculator
    refuses: divisors of 0, numbers with commas."""
    if name in _REFUSED:
        return _pick_operands_that_calculator_refuses(rng, name), None
    a, b, c = pick_tool_argument_number(rng, 3), pick_tool_argument_number(rng, 3), pick_tool_argument_number(rng, 2)
    if name in ("add", "subtract") and rng.random() < 0.2:
        places = rng.randint(1, 2)
        first, second = (f"{pick_tool_argument_number(rng, 4) / 10**places:.{places}f}" for _ in "ab")
        return {"a": first, "b": second}, None
    if name == "divide":
        b = pick_tool_argument_number(rng, 2)
        a = b * pick_tool_argument_number(rng, 2)
    elif name == "power":
        a, b = rng.randint(2, 40), rng.randint(2, 5)
    elif name == "remainder":
        a, b = rng.randint(20, 999), rng.randint(2, 30)
    elif name in ("gcd", "lcm"):
        common = rng.randint(2, 20)
        a, b = common * rng.randint(2, 20), common * rng.randint(2, 20)
    elif name == "sqrt":
        return {"a": str(rng.randint(2, 150) ** 2)}, None
    elif name in ("mixed", "grouped"):
        return {
            "a": str(pick_tool_argument_number(rng, 2)),
            "b": str(pick_tool_argument_number(rng, 2)),
            "c": str(c),
        }, None
    elif name == "percent":
        a = rng.randint(1, 99)
    if name in ("add", "subtract", "multiply", "divide"):
        a, b = (-value if rng.random() < NEGATIVE else value for value in (a, b))
    return {"a": str(a), "b": str(b)}, None


_REFUSED = ("grouped_digits", "decimal_comma", "by_zero", "negative_root")


def _pick_operands_that_calculator_refuses(rng: random.Random, name: str) -> dict[str, str]:
    a, b = str(pick_tool_argument_number(rng, 3)), str(pick_tool_argument_number(rng, 3))
    if name == "negative_root":
        return {"a": a}
    if name == "by_zero":
        return {"a": a, "b": "0"}
    if name == "decimal_comma":
        return {"a": f"{pick_tool_argument_number(rng, 2)},{rng.randint(1, 99)}", "b": b}
    return {"a": f"{rng.randint(1, 99)},{rng.randint(0, 999):03d}", "b": b}


def _calculator_intent(name: str, argument: str, *cores: str, weight: int = 1) -> Intent:
    # One sum in eighteen is refused. Its call is copied from the question as every other is, so more of them would
    # teach nothing about calls, and of the roots half would be of negative numbers.
    weight = 1 if name in _REFUSED else 4 * weight
    return Intent(name, cores, argument, partial(pick_calculator_tool_operands, name=name), weight)


def answer_with_calculator(expression: str) -> str:
    """The value of an expression, or what is wrong with it."""
    try:
        return calculate(expression)
    except CalculatorError as error:
        return f"error: {error}"


def open_calculator(setting: ToolSetting, stack: ExitStack) -> Answer:
    """It needs nothing."""
    return answer_with_calculator


INTENTS = (
    _calculator_intent("add", "{a}+{b}", "{a} plus {b}", "{a} + {b}", "{a}+{b}", "the sum of {a} and {b}", weight=2),
    _calculator_intent(
        "subtract", "{a}-{b}", "{a} minus {b}", "{a} - {b}", "{a}-{b}", "{a} take away {b}", "{a} − {b}", weight=2
    ),
    _calculator_intent(
        "multiply",
        "{a}*{b}",
        "{a} times {b}",
        "{a} * {b}",
        "{a}*{b}",
        "{a} multiplied by {b}",
        "{a} × {b}",
        "{a}×{b}",
        "{a} x {b}",
        "the product of {a} and {b}",
        weight=3,
    ),
    _calculator_intent(
        "divide",
        "{a}/{b}",
        "{a} divided by {b}",
        "{a} / {b}",
        "{a}/{b}",
        "{a} over {b}",
        "{a} ÷ {b}",
        "{a}÷{b}",
        weight=2,
    ),
    _calculator_intent(
        "power", "{a}**{b}", "{a} to the power of {b}", "{a}**{b}", "{a} to the power {b}", "{a}^{b}", "{a} ^ {b}"
    ),
    _calculator_intent(
        "remainder",
        "{a}%{b}",
        "{a} modulo {b}",
        "the remainder of {a} divided by {b}",
        "{a} mod {b}",
        "{a} % {b}",
        "{a}%{b}",
    ),
    _calculator_intent(
        "gcd", "gcd({a}, {b})", "the gcd of {a} and {b}", "the greatest common divisor of {a} and {b}", "gcd({a}, {b})"
    ),
    _calculator_intent(
        "lcm", "lcm({a}, {b})", "the lcm of {a} and {b}", "the least common multiple of {a} and {b}", "lcm({a}, {b})"
    ),
    _calculator_intent("sqrt", "sqrt({a})", "the square root of {a}", "sqrt({a})", "the root of {a}"),
    _calculator_intent("mixed", "{a}+{b}*{c}", "{a} plus {b} times {c}", "{a} + {b} * {c}", "{a}+{b}*{c}"),
    _calculator_intent(
        "grouped", "({a}+{b})*{c}", "({a} + {b}) * {c}", "({a}+{b})*{c}", "the sum of {a} and {b}, times {c}"
    ),
    _calculator_intent("percent", "{a}*{b}/100", "{a}% of {b}", "{a} percent of {b}"),
    _calculator_intent("grouped_digits", "{a}+{b}", "{a} + {b}", "{a} plus {b}", "{a}+{b}", "the sum of {a} and {b}"),
    _calculator_intent("decimal_comma", "{a}*{b}", "{a} * {b}", "{a} times {b}", "{a} × {b}", "{a} multiplied by {b}"),
    _calculator_intent("by_zero", "{a}/{b}", "{a} / {b}", "{a} divided by {b}", "{a} ÷ {b}", "{a} over {b}"),
    _calculator_intent("negative_root", "sqrt(-{a})", "the square root of -{a}", "sqrt(-{a})", "the root of -{a}"),
)
TOOL = Tool(
    "calculator",
    1,
    open_calculator,
    FRAMES,
    INTENTS,
    split_by_argument=True,
    parameter="expression",
    description="Work out an arithmetic expression.",
)
