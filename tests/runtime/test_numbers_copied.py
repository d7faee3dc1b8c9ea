"""Numbers that no training row is likely to have are copied into a call digit for digit, however they are written."""

from __future__ import annotations

import random
import re
from decimal import Decimal
from pathlib import Path

import pytest

from forge.data.phrasing import tool_phrasings
from forge.runtime.load import load_agent
from forge.tools.builtin import TOOLS

pytestmark = pytest.mark.long
AGENT = Path(__file__).resolve().parents[2] / "agents" / "tiny.forge"
CALCULATOR = next(tool for tool in TOOLS if tool.name == "calculator")
INTENTS = ("add", "subtract", "multiply", "divide", "percent", "remainder", "three", "mean")
QUESTIONS = 120
EXACT = 0.99


def draw_hard_number(rng: random.Random) -> tuple[str, str]:
    """A number as it is typed, and as a call has it: long, negative, grouped, decimal."""
    plain = str(rng.randint(10_000, 99_999_999_999))
    kind = rng.choice(("long", "negative", "grouped", "decimal", "small", "money"))
    if kind == "negative":
        return f"-{plain}", f"-{plain}"
    if kind == "grouped":
        return f"{int(plain):,}", plain
    if kind == "decimal":
        return (written := f"{plain[:-3]}.{plain[-3:]}"), written
    if kind == "small":
        return (written := f"0.0{rng.randint(1, 999)}"), written
    if kind == "money":
        return f"${int(plain[:5]):,}.{plain[-2:]}", f"{plain[:5]}.{plain[-2:]}"
    return plain, plain


def draw_question(rng: random.Random) -> tuple[str, list[str]]:
    """A held-out phrasing with such numbers, and what the call has to have."""
    intent = rng.choice([one for one in CALCULATOR.intents if one.name in INTENTS])
    templates = [text for text in tool_phrasings(CALCULATOR, intent, "test").templates if "{" in text]
    template, wanted = rng.choice(templates), list[str]()

    def fill(_: re.Match[str]) -> str:
        typed, number = draw_hard_number(rng)
        wanted.append(number)
        return typed

    return re.sub(r"\{\w+\}", fill, template), wanted


def test_hard_numbers_are_copied_exactly() -> None:
    rng = random.Random(5)
    copied, called, wrong = list[bool](), 0, list[str]()
    with load_agent(AGENT) as agent:
        for _ in range(QUESTIONS):
            question, wanted = draw_question(rng)
            reply = agent.reply([{"role": "user", "content": question}])
            call = reply.calls[0].text if reply.calls else ""
            called += call.startswith("calculator ")
            if call.startswith("calculator "):
                found = set(map(Decimal, re.findall(r"\d+(?:\.\d+)?", call)))  # 0.50 is 0.5
                good = [abs(Decimal(number)) in found for number in wanted]
                copied += good
                wrong += [f"{question} -> {call}"] if not all(good) else []
    assert called >= 0.9 * QUESTIONS
    assert sum(copied) >= EXACT * len(copied), wrong
