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
from forge.tools.wordings.everyday import everyday_calculator_intents
from forge.tools.wordings.further_sums import (
    further_calculator_intents,
    pick_hundreds_in_words,
    sentences_in_german_and_french,
)
from forge.tools.wordings.sums import SUM_SENTENCES
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
    "{}, what [is it|is that|do i get|comes out]?",
    "[help me with|i'm stuck on|check for me|get me] {}",
    "{}, [quick|how much is that?|what's the answer?]",
    "[my homework says|homework:|in my exercise there is|the task is] {}",
    "[any idea|do you happen to know|remind me|could you say] what {} is?",
    "what do you say {} is?",
    "my [kid|boss|teacher] asks what {} is",
    "[kindly|be so kind and|would you] work out {}",
    "i forgot how much {} is",
    "{} gives [what|how much]?",
    "how much will be {}?",
    "use the calculator: {}",
    "[type in|do the math:|math:] {}",
    "what should i get for {}?",
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
    elif name in ("divide", "missing_factor"):
        divisor = pick_tool_argument_number(rng, 2)
        a, b = str(divisor * pick_tool_argument_number(rng, rng.choice((2, 2, 3)))), str(divisor)
        if rng.random() < 0.15 and name == "divide":
            a, b = f"{int(a) / 10:.1f}", rng.choice((b, f"{int(b) / 10:.1f}"))
        a = f"-{a}" if rng.random() < 0.08 and name == "divide" else a
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
    ending = "th" if 10 < int(float(b)) % 100 < 14 else {"1": "st", "2": "nd", "3": "rd"}.get(b[-1], "th")
    return {"bth": b + ending} | _typed_slots(rng, a=a, b=b), None


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
    return Intent(name, argument, draw, cores, SUM_SENTENCES.get(name, ()), weight, follow_ups=FOLLOW_UPS)


def answer_with_calculator(expression: str) -> str:
    """The value of an expression, or what is wrong with it."""
    try:
        return calculate(expression)
    except CalculatorError as error:
        return f"error: {error}"


def open_calculator(setting: ToolSetting, stack: ExitStack) -> Answer:
    """It needs nothing."""
    return answer_with_calculator


_WORDED = {
    "add": ("{A}+{B}", ("{a} plus {b}", "{a} and {b}", "the sum of {a} and {b}", "{a} added to {b}")),
    "subtract": ("{A}-{B}", ("{a} minus {b}", "{a} take away {b}", "{a} less {b}")),
    "multiply": ("{A}*{B}", ("{a} times {b}", "{a} multiplied by {b}", "the product of {a} and {b}")),
    "divide": ("{A}/{B}", ("{a} divided by {b}", "{a} over {b}")),
}


def _turned_around(name: str, *sentences: str) -> Intent:
    """A difference whose second operand is said first."""
    return Intent(name, "{B}-{A}", partial(pick_calculator_tool_operands, name=name), (), sentences, 1)


def _three_operand_intent(name: str, argument: str, cores: tuple[str, ...], *sentences: str) -> Intent:
    return Intent(name, argument, pick_three_calculator_operands, cores, sentences, 1)


def _refused_intent(name: str, argument: str, *cores: str, says: tuple[str, ...] = ()) -> Intent:
    # One sum in eighteen is refused. Its call is copied from the question as every other is, so more of them would
    # teach nothing about calls.
    return Intent(name, argument, partial(pick_operands_that_calculator_refuses, name=name), cores, says, 2)


def _not_joined(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Patterns in which two numbers in words stay two: three hundred and five is one."""
    return tuple(pattern for pattern in patterns if "{a} and {b}" not in pattern)


INTENTS = (
    _calculator_intent("add", "{A}+{B}", "{a}+{b}", "{a} + {b}", "{a} plus {b}", "the sum of {a} and {b}",
        "{a} and {b} [together|added]", weight=9),
    _calculator_intent("subtract", "{A}-{B}", "{a}-{b}", "{a} - {b}", "{a} minus {b}", "{a} take away {b}",
        "{a} − {b}", "{a} less {b}", "the difference between {a} and {b}", weight=8),
    _turned_around("subtract_from", *SUM_SENTENCES["subtract_from"]),
    _calculator_intent("multiply", "{A}*{B}", "{a}*{b}", "{a} times {b}", "{a} * {b}", "{a}x{b}", "{a} x {b}",
        "{a} × {b}", "{a} multiplied by {b}", "{a}×{b}", "the product of {a} and {b}", weight=11),
    _calculator_intent("divide", "{A}/{B}", "{a}/{b}", "{a} divided by {b}", "{a} / {b}", "{a} ÷ {b}", "{a} over {b}",
        "{a}÷{b}", "{a}:{b}", "{a} over {b} as a decimal", weight=8),
    _calculator_intent("missing_factor", "{A}/{B}"),
    _calculator_intent("power", "{A}**{B}", "{a}^{b}", "{a} to the power of {b}", "{a}**{b}", "{a} ^ {b}",
        "{a} to the power {b}", "{a} to the {bth} power", "{a} to the {bth}", weight=4),
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
        Intent(f"{name}_in_words", argument, partial(pick_calculator_operands_in_words, name=name), cores,
            tuple(say for say in SUM_SENTENCES[name] if "{b}s" not in say), 1)
        for name, (argument, cores) in _WORDED.items()
    ),
    *(
        Intent(f"{name}_of_hundreds", argument, pick_hundreds_in_words, _not_joined(cores),
            _not_joined(SUM_SENTENCES[name]), 0.4)
        for name, (argument, cores) in list(_WORDED.items())[:3]
    ),
    _three_operand_intent("mixed", "{A}+{B}*{C}", ("{a}+{b}*{c}", "{a} + {b} * {c}", "{a} plus {b} times {c}",
        "{a} + {b} x {c}"), "multiply {b} by {c} and add that to {a}", "{a} plus the product of {b} and {c}",
        "{b} times {c} on top of {a}", "add {b} times {c} to {a}", "i have {a} and get {b} times {c} more, total?"),
    _three_operand_intent("mixed_first", "{A}*{B}-{C}", ("{a}*{b}-{c}", "{a} * {b} - {c}", "{a} times {b} minus {c}",
        "{a} x {b} - {c}")),
    _three_operand_intent("grouped", "({A}+{B})*{C}", ("({a}+{b})*{c}", "({a} + {b}) * {c}",
        "the sum of {a} and {b}, times {c}")),
    _three_operand_intent(
        "three", "{A}+{B}+{C}", ("{a}+{b}+{c}", "{a} + {b} + {c}", "{a} plus {b} plus {c}",
        "the total of {a}, {b} and {c}", "the sum of {a}, {b} and {c}"), *SUM_SENTENCES["three"],
    ),
    _three_operand_intent(
        "mean", "({A}+{B}+{C})/3", ("the average of {a}, {b} and {c}", "the mean of {a}, {b} and {c}",
        "the average of {a}, {b}, {c}"), *SUM_SENTENCES["mean"],
    ),
    _refused_intent("decimal_comma", "{A}*{B}", "{a} times {b}", "{a} * {b}", "{a}*{b}", "{a} × {b}",
        "{a} multiplied by {b}", says=SUM_SENTENCES["multiply"]),
    _refused_intent("by_zero", "{A}/{B}", "{a} divided by {b}", "{a}/{b}", "{a} / {b}", "{a} ÷ {b}", "{a} over {b}",
        says=SUM_SENTENCES["by_zero"]),
    _refused_intent("negative_root", "sqrt(-{A})", "the square root of -{a}", "sqrt(-{a})", "the root of -{a}",
        "the root of minus {a}", says=tuple(say.replace("{a}", "-{a}") for say in SUM_SENTENCES["sqrt"]
        if "area" not in say and "garden" not in say)),
    *(
        Intent(f"{name}_abroad", f"{{A}}{sign}{{B}}", partial(pick_calculator_tool_operands, name=name), (),
            sentences_in_german_and_french(name), 0.7)
        for name, sign in (("add", "+"), ("subtract", "-"), ("multiply", "*"), ("divide", "/"))
    ),
    *further_calculator_intents(),
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
