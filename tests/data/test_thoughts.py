"""Worked thoughts: the reader finds every written one sound and the right answer in it, and each slip wrong."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random
from string import ascii_lowercase, digits
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.data.build import worked_problem_row
from forge.data.render import ID, render
from forge.data.tasks import SUITE, Item, draw_problems, reasoning_gym_accepts_answer
from forge.data.thoughts.families import base_conversion_thought
from forge.data.thoughts.replay import Replay, replay, tampered
from forge.data.thoughts.steps import (
    division_step,
    division_steps,
    euclid_steps,
    reversed_number,
    signed_sum_steps,
    thought_difference_columns,
    thought_product_columns,
    thought_product_steps,
    thought_sum_columns,
)
from tests.support.tiny_models import tiny_tokenizer

LONGEST = 242  # characters of a thought, and so its tokens; of lcm three pairs in 20,100 take more than 230
SUM = "State the final answer to the following arithmetic problem: {} ="
PRODUCT = "Solve the following multiplication: {}. Give only the result as your final answer."
GCD = "Find the Greatest Common Divisor (GCD) of these numbers: {}. Give only the GCD as your final answer."
LCM = "Find the Least Common Multiple (LCM) of these numbers: {}"
BITS = "How many 1 bits are there in the binary representation of the number {}?"
LEGS = "Now, how many legs are there in total if you have {}?"
SPELL = "Spell this word backward (example: sun -> nus): {}"
BASE = "Now, convert the {} number {} to {}"
EQUATION = "Solve for x: 42 - 22*x = -970"
TO_16 = BASE.format("base-12", "249", "hexadecimal")

# Written by hand, not by the writer: prompt, thought, steps that hold of how many, answer.
READ: list[tuple[str, str, tuple[int, int], str | None]] = [
    (SUM.format("72 + 48 - 63"), "+280174210010=037126511000", (6, 6), "57"),
    (SUM.format("72 + 48 - 63"), "+280174310010=037136611000", (5, 6), "67"),  # one slip, and what follows holds again
    (SUM.format("72 + 48 - 63"), "+280174210010=046126511000", (5, 6), "56"),  # 64 is not the prompt's
    (SUM.format("72 + 48 - 63"), "+280174210010=03712651", (5, 9), None),  # a column is missing, and a borrow is open
    (SUM.format("72 + 48 - 63"), "+280174210010=03712651100", (5, 6), None),  # a character is missing
    (SUM.format("72 + 48 - 63"), "+280174210010,037126511000", (6, 7), "-57"),
    (SUM.format("72 + 48 - 63"), "+280174210010", (3, 6), "120"),
    (SUM.format("72 + 48 - 63"), "-280174210010=037126511000", (6, 7), "57"),
    (SUM.format("72 + 48 - 63"), "+280174210010=037126511000+7180", (6, 7), "8"),
    (SUM.format("72 - 98"), "=28417971,82609720", (4, 4), "-26"),
    (SUM.format("72 - 98"), "=28417971", (2, 4), None),
    (SUM.format("72 - 98"), "=28417970", (1, 2), "74"),  # as if it did not borrow
    (SUM.format("5 - 5"), "=5500", (1, 1), "0"),
    (SUM.format("0 - 5 - 4"), "-5490=0911,9090", (3, 3), "-9"),
    (SUM.format("2.5 - 2.54"), "=046155912291,404055002200", (6, 6), "-0.04"),
    (SUM.format("0.2 + 0.8"), "+28010010", (2, 2), "1.0"),
    (SUM.format("0.2 + 0.8"), "+2801", (1, 2), "0.0"),
    (PRODUCT.format("95 * 86"), "*6:503975,*8:504967+707056110780", (9, 9), "8170"),
    (PRODUCT.format("95 * 86"), "*6:503975,*7:553966+752156210670", (8, 9), "7220"),  # no 7 there
    (PRODUCT.format("95 * 86"), "*6:503985,*8:504967+808056110780", (8, 9), "8180"),
    (PRODUCT.format("95 * 86"), "*6:503975,*8:504967+757056110780", (8, 9), "8170"),
    (PRODUCT.format("95 * 86"), "*6:503975,*8:504967", (6, 9), "7600"),
    (GCD.format("10, 7"), "01:7*1-07311000;7:3*2:360-7610;1", (11, 11), "1"),
    (GCD.format("10, 7"), "01:7*1-07311000;7:3*2:360-7610;2", (10, 11), "2"),
    (GCD.format("7, 10"), "01:7*1-07311000", (5, 6), "7"),
    (GCD.format("4, 24"), "42:4*6:442-44002200", (6, 6), "4"),
    (GCD.format("4, 24"), "42:8*6:842-44002200", (3, 6), "8"),
    (GCD.format("4, 24"), "42:4*5:402-40402200", (5, 7), "4"),  # not all that can be taken
    (GCD.format("7, 1"), "1", (1, 1), "1"),
    (GCD.format("7, 1"), "1;1", (1, 2), "1"),
    (LCM.format("12, 8"), "21:8*1-28411000;8:4*2:480-8800|8:4*2:480-8800=2|*2:240120", (19, 19), "24"),
    (LCM.format("12, 8"), "21:8*1-28411000;8:4*2:480-8800|8:4*2:480-8800=3|*3:260130", (18, 19), "36"),
    (LCM.format("7, 3"), "7:3*2:360-7610;1|*3:712", (8, 8), "21"),
    (BITS.format("9"), "8911 1.8101 2.", (6, 6), "2"),
    (BITS.format("9"), "8911 1.8101 3.", (5, 6), "3"),
    (BITS.format("9"), "8911 1.", (3, 4), "1"),
    (BITS.format("9"), "8912 1.8101 2.", (5, 6), "2"),
    (BITS.format("300"), "8303036074 1.8303745 3.8404 4.", (12, 12), "4"),
    (EQUATION, "-0220741190010010|2101:22*40:280280-2020183108111000;231:22*6:221231-220033001100", (21, 21), "46"),
    (EQUATION, "-0220741190010010|2101:22*40:280280-2020183108111000;231:22*5:201211-202031201100", (20, 23), "45"),
    (EQUATION, "-0220741190010010|2101:22*46:221231-220033001100", (4, 7), None),
    ("Find the value of x in the equation: 4*x = 32", "|23:4*8:423-22003300", (6, 6), "8"),
    ("Find the value of x in the equation: 4*x = 32", "|23:4*9:423-22003300", (4, 6), "9"),
    ("Find the value of x in the equation: x + 1 = 32", "=21103030|13:1*30:130-10103300;1:1*1-1100", (12, 12), "31"),
    ("Find the value of x in the equation: x + 1 = 1", "=1100|", (1, 1), "0"),
    (LEGS.format("2 wasps, 3 starfishs, 1 sheep"), "2*6=21,3*5=51+25701120,1*4=4+74112030", (13, 13), "31"),
    (LEGS.format("2 wasps, 3 starfishs, 1 sheep"), "2*6=21,3*4=21+22401120,1*4=4+44802020", (12, 13), "28"),
    (LEGS.format("2 wasps, 3 griffins"), "2*6=21,3*4=21+22401120", (7, 8), "24"),
    (SPELL.format("pyke"), "pyke", (4, 4), "ekyp"),
    (SPELL.format("pyke"), "pike", (3, 4), "ekip"),
    (SPELL.format("pyke"), "pyk", (3, 4), "kyp"),
    (TO_16, "c:2,4:282,9:85a243|g303422519.g202115.g101.", (16, 16), "159"),
    (TO_16, "c:2,4:282,9:85a243|g303422518.g202115.g101.", (15, 16), "158"),
    (TO_16, "c:2,4:282,8:84a243|g303422418.g202115.g101.", (15, 16), "158"),
    (BASE.format("base-12", "249", "base-10"), "c:2,4:282,9:85a243", (7, 7), "345"),
    (BASE.format("base-13", "99", "base-10"), "d:9,9:96c021", (5, 5), "126"),
    (BASE.format("base-13", "99", "base-10"), "d:9,9:96c", (4, 5), None),
    (BASE.format("base-10", "27", "hexadecimal"), "g20271b.g101.", (5, 5), "1b"),
    (BASE.format("base-10", "27", "base-9"), "9202729.9202.", (4, 5), None),  # 9 is no digit to the base 9
    (BASE.format("binary", "1001", "base-10"), "2:1,0:120,0:240,1:490", (8, 8), "9"),
]  # fmt: skip


def _worked(task: str, count: int, seed: int = 0) -> list[tuple[Item, str]]:
    return [(item, item.thought()) for item in draw_problems(task, seed, count, "train")]


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param((task, 40, 0), id=task) for task in SUITE),
        *(pytest.param((task, 500, 1), id=f"{task}-500", marks=pytest.mark.long) for task in SUITE),
    ],
)
def worked(request: pytest.FixtureRequest) -> list[tuple[Item, str]]:
    """Problems of a family with their thoughts."""
    return _worked(*request.param)


def _another(random: Random, text: str, place: int) -> str:
    """The text with another digit or letter at ``place``."""
    alphabet = digits if text[place].isdigit() else ascii_lowercase
    other = random.choice([sign for sign in alphabet if sign != text[place].lower()])
    return text[:place] + other + text[place + 1 :]


@pytest.mark.parametrize(("prompt", "thought", "held", "answer"), READ, ids=[thought for _, thought, *_ in READ])
def test_steps_are_checked_one_by_one(prompt: str, thought: str, held: tuple[int, int], answer: str | None) -> None:
    assert replay(prompt, thought) == Replay(held[0] / held[1], answer)


def test_every_written_thought_is_sound_and_comes_to_the_answer(worked: list[tuple[Item, str]]) -> None:
    for item, thought in worked:
        found = replay(item.prompt, thought)
        assert found == Replay(1.0, item.answer), (item.prompt, thought)
        assert reasoning_gym_accepts_answer(item, found.answer or "")
        assert len(thought) <= LONGEST, thought


def test_no_slip_goes_unnoticed(worked: list[tuple[Item, str]]) -> None:
    """The format leaves one way to write a thought: whichever digit or letter is another, a step does not hold."""
    random = Random(0)
    for item, thought in worked:
        place = random.choice([at for at, sign in enumerate(thought) if sign.isalnum()])
        changed = _another(random, thought, place)
        assert replay(item.prompt, changed).sound < 1, (item.prompt, thought, changed)
        cut = thought[: random.randrange(len(thought))]
        assert replay(item.prompt, cut).sound < 1, (item.prompt, thought, cut)


@pytest.mark.parametrize("task", SUITE)
def test_a_thought_on_another_problem_is_not_sound(task: str) -> None:
    worked = _worked(task, 40)
    for (item, thought), (_, other) in pairwise(worked):
        assert other == thought or replay(item.prompt, other).sound < 1


@pytest.mark.parametrize("task", SUITE)
def test_tampering_changes_one_digit_and_the_answer(task: str) -> None:
    places = set()
    for seed, (item, thought) in enumerate(_worked(task, 40)):
        found = tampered(item.prompt, thought, seed)
        assert found is not None
        assert found == tampered(item.prompt, thought, seed)
        changed, answer = found
        (place,) = [at for at, sign in enumerate(thought) if sign != changed[at]]
        assert len(changed) == len(thought)
        assert len(answer) == len(item.answer)
        assert not reasoning_gym_accepts_answer(item, answer)
        after = replay(item.prompt, changed)
        assert after.answer == answer
        assert after.sound < 1
        places.add(len(thought) - place)
    assert len(places) > 1 or task == "count_bits"  # not always the same digit


def test_seeds_tamper_differently() -> None:
    prompt, thought, *_ = READ[0]
    assert len({tampered(prompt, thought, seed) for seed in range(20)}) > 5


@pytest.mark.parametrize(
    ("prompt", "thought"), [("What is 1 + 1?", "1+1=2"), ("", ""), (READ[0][0], ""), (READ[0][0], "+28")]
)
def test_what_cannot_be_read_is_not_tampered_with(prompt: str, thought: str) -> None:
    assert replay(prompt, thought).answer is None
    assert replay(prompt, thought).sound < 1
    assert tampered(prompt, thought, 0) is None


SOUND = {prompt: thought for prompt, thought, held, _ in READ if held[0] == held[1]}
_SCRAPS = st.sampled_from([*digits, *"+-*=:;,. \n", *"abfxz²٣", "=0", ":1", "nan"])


@st.composite
def _damaged(draw: st.DrawFn) -> tuple[str, str]:
    """A prompt, and its thought with a part of it replaced by scraps."""
    prompt = draw(st.sampled_from(sorted(SOUND)))
    thought = SOUND[draw(st.one_of(st.just(prompt), st.sampled_from(sorted(SOUND))))]
    start, end = sorted((draw(st.integers(0, len(thought))), draw(st.integers(0, len(thought)))))
    return prompt, thought[:start] + draw(st.lists(_SCRAPS, max_size=5).map("".join)) + thought[end:]


@given(st.one_of(_damaged(), st.tuples(st.sampled_from(sorted(SOUND)), st.text()), st.tuples(st.text(), st.text())))
@settings(max_examples=150, deadline=None)
def test_garbage_raises_nothing_and_is_not_sound(case: tuple[str, str]) -> None:
    prompt, thought = case
    found = replay(prompt, thought)
    assert 0 <= found.sound <= 1
    assert found.sound < 1 or SOUND[prompt] == thought
    change = tampered(prompt, thought, 0)
    assert change is None or replay(prompt, change[0]).answer == change[1] != found.answer


@pytest.mark.parametrize(
    "scrap", ["9", "=", "1,", ":1=1", "1-1100,", "00 0.", "g101.", "0000,", "+000", "+2801=03", "7:4*1-7430;"]
)
def test_long_garbage_is_read_in_linear_time(scrap: str) -> None:
    """Squared, this would be 10 ** 10 steps."""
    for prompt, thought in list(SOUND.items())[::3]:
        assert replay(prompt, thought + scrap * (100_000 // len(scrap))).sound < 1


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (reversed_number, (72,), "27"),
        (reversed_number, (7, 3), "700"),
        (thought_sum_columns, (72, 48), "280174210010"),
        (thought_difference_columns, (70, 53), "03717510"),
        (thought_product_columns, (875, 7), "553725816"),
        (thought_product_columns, (28, 12, 9), "85a243"),
        (thought_product_columns, (9, 13, 9), "96c021"),
        (signed_sum_steps, ([72, 48, -63],), ("+280174210010=037126511000", 57)),
        (signed_sum_steps, ([72, -98],), ("=28417971,82609720", -26)),
        (signed_sum_steps, ([0, -5],), ("=0551,5050", -5)),
        (signed_sum_steps, ([-3, -4],), ("-3470", -7)),
        (thought_product_steps, (95, 86), ("*6:503975,*8:504967+707056110780", 8170)),
        (division_steps, (1674, 31), ("4761:13*50:150351-4040752065101100;421:13*4:140321-440022001100", 54, 0)),
        (division_steps, (7, 4), ("7:4*1-7430", 1, 3)),
        (division_step, (1674, 31), ("4761:13*50:150351-4040752065101100", 50, 124)),
        (division_steps, (3, 5), ("", 0, 3)),
        (euclid_steps, (10, 7), ("01:7*1-07311000;7:3*2:360-7610;1", 1)),
        (euclid_steps, (20, 12), ("02:21*1-02812100;21:8*1-28411000;8:4*2:480-8800", 4)),
    ],
)
def test_steps_are_written_as_documented(
    function: Callable[..., Any], arguments: tuple[Any, ...], expected: Any
) -> None:
    assert function(*arguments) == expected


def test_bases_are_written_as_documented() -> None:
    problem = {"source_base": 12, "target_base": 16, "decimal_value": 345, "source_repr": "249"}
    assert base_conversion_thought("", problem) == ("c:2,4:282,9:85a243|g303422519.g202115.g101.", "159")


@pytest.mark.parametrize("task", SUITE)
def test_a_worked_row_is_a_token_a_character_and_learned_from_the_thought_on(task: str) -> None:
    tokenizer = tiny_tokenizer()
    for item, thought in _worked(task, 10):
        row = worked_problem_row(item, 0.5)
        assert (row["kind"], row["task"]) == ("worked", task)
        ids, mask = render(tokenizer, row["messages"])
        text = f"<|user|>{item.prompt}<|assistant|><|think|>{thought}<|/think|>{item.answer}<|end|>"
        assert tokenizer.decode(ids) == text
        start = ids.index(ID["think"])
        assert ids[start - 1] == ID["assistant"]
        assert len(ids) - start == 1 + len(thought) + 1 + len(item.answer) + 1
        assert [tokenizer.decode([i]) for i in ids[start + 1 : start + 1 + len(thought)]] == list(thought)
        assert mask == [0] * start + [1] * (len(ids) - start)
