from __future__ import annotations

import random
import re

import pytest
from forge.data.asked_forms import learned_asked_forms, pattern_of_argument
from forge.data.dialogues import tool_dialogues
from forge.tools.builtin import TOOLS


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_pattern_of_an_argument_fits_every_filling(tool: object) -> None:
    for intent in tool.intents:  # type: ignore[attr-defined]
        for seed in range(40):
            argument = intent.argument.format(**intent.draw(random.Random(seed))[0])
            assert re.fullmatch(pattern_of_argument(intent.argument), argument), (intent.argument, argument)


def test_patterns_are_no_wider_than_their_slots() -> None:
    product = pattern_of_argument("{A}*{B}")
    assert re.fullmatch(product, "-4*0.5")
    assert not re.fullmatch(product, "4+5")
    assert not re.fullmatch(product, "4*5*6")
    price = pattern_of_argument("SELECT price FROM products WHERE name='{E}'")
    assert re.fullmatch(price, "SELECT price FROM products WHERE name='oat milk'")
    assert not re.fullmatch(price, "SELECT stock FROM products WHERE name='chair'")
    assert re.fullmatch(pattern_of_argument("{code}"), "print(3)")


def _missed(split: str, n: int) -> tuple[list[tuple[str, str]], int]:
    """Questions whose call has none of the forms that they are held to, and how many are held to some."""
    missed, held = [], 0
    for row in tool_dialogues(n, 3, split):  # type: ignore[arg-type]
        user, (name, _, argument) = row["messages"][1]["content"], row["messages"][2]["content"].partition(" ")
        forms = learned_asked_forms().arguments(name, user)
        held += bool(forms)
        if forms and not any(re.fullmatch(pattern_of_argument(form), argument) for form in forms):
            missed.append((user, argument))
    return missed, held


def test_what_is_asked_is_among_the_forms() -> None:
    missed, held = _missed("train", 1000)
    assert held > 800
    assert len(missed) < 0.02 * held, missed[:10]
    missed, held = _missed("val", 1000)  # in words that stand in no index
    assert held > 800
    assert len(missed) < 0.04 * held, missed[:10]


@pytest.mark.parametrize(
    "text", ["what is 12*(3+4)?", "run print(7*8)", "3 + 4 - 5", "2^10", "", "?", "zxqv qqw", "\u4f60\u597d"]
)
def test_nothing_is_held_to_a_form_that_may_hold_its_argument_as_it_is_or_is_like_none(text: str) -> None:
    for tool in TOOLS[:2]:
        assert learned_asked_forms().arguments(tool.name, text) == []


def test_as_many_numbers_as_a_form_takes() -> None:
    forms = learned_asked_forms().arguments("calculator", "add 12 and 30 and 41")
    assert forms[0] == "{A}+{B}+{C}"
    assert "{A}+{B}" not in forms
    assert learned_asked_forms().arguments("calculator", "what is -8 times -6")[0] == "{A}*{B}"
