from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge.data.tasks import SUITE, draw_problems
from forge.tools.calculator import calculate
from forge.tools.written_out import code_written_out_for_tool, sums_written_out_for_calculator


def _fits(patterns: list[str], argument: str) -> bool:
    return any(re.fullmatch(pattern, argument) for pattern in patterns)


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("5+5*5 equals", "5+5*5"),
        ("sqrt(2704) =", "sqrt(2704)"),
        ("Work this out: 45 x 12 - 40", "45*12-40"),
        ("-7 + 12", "-7+12"),
        ("1,250 + 3,400", "1250+3400"),
        ("12.6 \u00f7 0.3 =", "12.6/0.3"),
        ("what's 2^10?", "2**10"),
        ("10 000 - 1", "10000-1"),
        ("how many is 2'470'078 - 9?", "2470078-9"),
        ("(5+3)*2 is?", "(5+3)*2"),
        ("7 * -15", "7*-15"),
        ("solve 5x + 3 = 28", "solve(5*x+3=28)"),
        ("Solve for p: 13*p + 34 = 216", "solve(13*p + 34 = 216)"),
        ("simplify the fraction 18/24", "frac(18, 24)"),
        ("3,86 \u00d7 15 =", "3,86*15"),
    ],
)
def test_a_sum_that_is_written_out_is_copied(text: str, argument: str) -> None:
    assert _fits(sums_written_out_for_calculator(text), argument)
    assert not _fits(sums_written_out_for_calculator(text), argument + "+1")


@pytest.mark.parametrize("text", ["2 x 3 and 4", "3 km at 5 a day", "a + b", "well-known", "", "24/7 for 3"])
def test_what_is_no_sum_or_not_all_of_it_is_none(text: str) -> None:
    assert sums_written_out_for_calculator(text) == []


@pytest.mark.parametrize("task", [task for task in SUITE if task in ("chain_sum", "products", "decimal_chain_sum")])
def test_sums_of_the_suite_are_read_as_their_calls(task: str) -> None:
    for item in draw_problems(task, 3, 60, "val"):
        assert _fits(sums_written_out_for_calculator(item.prompt), item.call.partition(" ")[2]), item.prompt


@given(st.lists(st.integers(0, 9999), min_size=2, max_size=5), st.sampled_from(["+", " - ", "*", " * "]))
def test_what_is_copied_is_worth_what_was_written(numbers: list[int], sign: str) -> None:
    text = sign.join(map(str, numbers))
    written = text.replace(" ", "")
    assert _fits(sums_written_out_for_calculator(f"what is {text}?"), written)
    assert calculate(written) == calculate(text)


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert all(
        re.compile(pattern) for pattern in (*sums_written_out_for_calculator(text), *code_written_out_for_tool(text))
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("execute this please: print(sum([3, 5, 9]))", "print(sum([3, 5, 9]))"),
        ("which one does max(4, 19, 7) return", "print(max(4, 19, 7))"),
        ("tell me the output of x=2; print(x*2)", "x=2; print(x*2)"),
        ("what does print('a' in 'b') give?", "print('a' in 'b')"),
        ("what is len('lamp')?", "print(len('lamp'))"),
    ],
)
def test_a_line_of_code_is_copied(text: str, line: str) -> None:
    assert _fits(code_written_out_for_tool(text), line)
    assert not _fits(code_written_out_for_tool(text), line.replace("(", "( "))


def test_brackets_alone_are_no_code() -> None:
    assert code_written_out_for_tool("Spell this word backward (example: sun -> nus): lamp") == []
