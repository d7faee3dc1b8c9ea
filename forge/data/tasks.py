"""The suite: ten families of reasoning_gym with their official prompts, settings, splits and scorers.

Splits are disjoint by construction: the hash of the normalized prompt decides which split a problem belongs
to, and a problem drawn for another split is skipped. Every family has far more than 2,000 distinct prompts at
these settings.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from forge.data.splits import SPLITS, dataset_split_by_hash
from forge.data.thoughts.families import (
    ThoughtWriter,
    base_conversion_thought,
    chain_sum_thought,
    count_bits_thought,
    decimal_chain_sum_thought,
    equation_thought,
    gcd_thought,
    lcm_thought,
    leg_counting_thought,
    products_thought,
    spelling_thought,
)
from forge.errors import ForgeError


@dataclass(frozen=True)
class TaskSpec:
    """One family: reasoning_gym settings, how a call solves a problem, how a thought does, whether that takes several
    steps."""

    settings: dict[str, Any]
    call: Callable[[str, dict[str, Any]], str]
    thought: ThoughtWriter
    multi_step: bool = False
    weight: float = 1.0  # of its training problems with tools, against the other families
    worked: float = 1.0  # of those with thoughts


@dataclass(frozen=True)
class Item:
    """One problem. ``entry`` is what reasoning_gym's scorer wants; ``difficulty`` in 0..1 grows with the
    call's length."""

    task: str
    prompt: str
    answer: str
    call: str
    difficulty: float
    entry: dict[str, Any] = field(hash=False, compare=False)

    def thought(self) -> str:
        """The worked thought that leads to the answer.

        Raises:
            ForgeError: reasoning_gym's scorer does not accept what it comes to.
        """
        thought, found = SUITE[self.task].thought(self.prompt, self.entry["metadata"])
        if not reasoning_gym_accepts_answer(self, found):
            raise ForgeError(f"{self.task}: the thought '{thought}' comes to '{found}', not '{self.answer}'")
        return thought


def _arithmetic_problem_call(prompt: str, _: dict[str, Any]) -> str:
    """The arithmetic expression of a prompt '... problem: 4 - 1 - 7 =', without spaces."""
    expression = prompt.rsplit(":", 1)[1].split("=")[0]
    return "calculator " + expression.split(". ")[0].replace(" ", "")


def _number_list_problem_call(function: str) -> Callable[[str, dict[str, Any]], str]:
    def call(prompt: str, _: dict[str, Any]) -> str:
        # with the prompt's spaces: a comma alone may be one between the digits of a number
        return f"calculator {function}({', '.join(re.findall(r'[0-9]{1,}', prompt.rsplit(':', 1)[1]))})"

    return call


def _count_bits_problem_call(prompt: str, _: dict[str, Any]) -> str:
    return f"calculator bits({re.findall(r'[0-9]+', prompt)[-1]})"


def _equation_problem_call(prompt: str, _: dict[str, Any]) -> str:
    return f"calculator solve({prompt.split(': ', 1)[1]})"


def _spelling_problem_call(prompt: str, _: dict[str, Any]) -> str:
    # The word keeps the space before it, so that its tokens are the prompt's; [:0:-1] drops that space.
    return f"code_executor print('{prompt.rsplit(':', 1)[1]}'[:0:-1])"


def _leg_counting_problem_call(_: str, metadata: dict[str, Any]) -> str:
    from reasoning_gym.arithmetic.leg_counting import ANIMALS

    return "calculator " + "+".join(f"{count}*{ANIMALS[name]}" for name, count in metadata["animals"].items())


def _base_conversion_problem_call(prompt: str, metadata: dict[str, Any]) -> str:
    digits = re.search(r"number( \S+) to ", prompt)
    if digits is None:
        raise ForgeError(f"base_conversion: no number in the prompt '{prompt}'")
    return f"calculator base({digits[1]},{metadata['source_base']},{metadata['target_base']})"


SUITE: dict[str, TaskSpec] = {
    "chain_sum": TaskSpec(
        {"min_terms": 2, "max_terms": 4, "min_digits": 1, "max_digits": 3},
        _arithmetic_problem_call,
        chain_sum_thought,
        worked=0.8,
    ),
    "products": TaskSpec({"min_digits": 2, "max_digits": 3}, _arithmetic_problem_call, products_thought),
    "decimal_chain_sum": TaskSpec(
        {"min_terms": 2, "max_terms": 3, "max_digits": 2, "max_decimal_places": 2},
        _arithmetic_problem_call,
        decimal_chain_sum_thought,
        worked=0.8,
    ),
    "gcd": TaskSpec({"max_value": 1000}, _number_list_problem_call("gcd"), gcd_thought),
    "lcm": TaskSpec({"max_value": 200}, _number_list_problem_call("lcm"), lcm_thought),
    "count_bits": TaskSpec({"max_n": 9_999_999}, _count_bits_problem_call, count_bits_thought, worked=0.6),
    "simple_equations": TaskSpec(
        {"max_terms": 3, "max_value": 50}, _equation_problem_call, equation_thought, multi_step=True, worked=1.5
    ),
    "leg_counting": TaskSpec(
        {"min_animals": 2, "max_animals": 4, "max_instances": 15},
        _leg_counting_problem_call,
        leg_counting_thought,
        multi_step=True,
        worked=0.7,
    ),
    "spell_backward": TaskSpec(
        {"min_word_len": 3, "max_word_len": 8}, _spelling_problem_call, spelling_thought, weight=2.5, worked=3.5
    ),
    "base_conversion": TaskSpec(
        {"min_value": 16, "max_value": 1000},
        _base_conversion_problem_call,
        base_conversion_thought,
        multi_step=True,
        worked=2.5,
    ),
}


def normalize_problem_prompt(prompt: str) -> str:
    """Lower case, single spaces: prompts that differ otherwise are different."""
    return " ".join(prompt.lower().split())


def dataset_split_of_problem(prompt: str) -> str:
    """'train' (60 %), 'val' (20 %) or 'test' (20 %), decided by the normalized prompt's hash alone."""
    return dataset_split_by_hash(normalize_problem_prompt(prompt), held_out=2, digest_bytes=4)


def problem_stream_seed(*parts: object) -> int:
    """A 31-bit seed from names and numbers. reasoning_gym adds the item's index to its seed, so neighboring
    seeds overlap."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big") % (2**31 - 10_000_000)


@lru_cache(maxsize=64)
def _reasoning_gym_problems(task: str, seed: int) -> Any:
    from reasoning_gym import create_dataset

    if task not in SUITE:
        raise ForgeError(f"unknown task '{task}'; the suite has {', '.join(SUITE)}")
    return create_dataset(task, seed=seed, size=9_000_000, **SUITE[task].settings)


@lru_cache(maxsize=256)
def draw_problems(task: str, seed: int, n: int, split: str) -> tuple[Item, ...]:
    """``n`` distinct problems of a family that belong to ``split`` and have one answer; equal arguments, equal
    problems."""
    if split not in SPLITS:
        raise ForgeError(f"unknown split '{split}'; there are {', '.join(SPLITS)}")
    data = _reasoning_gym_problems(task, problem_stream_seed(task, seed, split))
    items: list[Item] = []
    seen: set[str] = set()
    index = 0
    while len(items) < n:
        entry = data[index]
        index += 1
        if index > 200 * n + 10_000:
            raise ForgeError(f"{task}: fewer than {n} distinct problems in split '{split}'")
        prompt = entry["question"]
        if dataset_split_of_problem(prompt) == split and prompt not in seen:
            seen.add(prompt)
            item = _problem_from_entry(task, entry)
            if SUITE[task].thought(item.prompt, entry["metadata"])[0]:  # else no single answer: "0 = 0"
                items.append(item)
    return tuple(items)


def _problem_from_entry(task: str, entry: dict[str, Any]) -> Item:
    prompt = entry["question"].strip()
    call = SUITE[task].call(prompt, entry["metadata"])
    return Item(task, prompt, str(entry["answer"]), call, min(1.0, len(call) / 40), entry)


@lru_cache(maxsize=32)
def _problem_answer_checker(task: str) -> Callable[[str, dict[str, Any]], float]:
    """reasoning_gym builds a whole dataset to look a scorer up, so each is looked up once."""
    from reasoning_gym import get_score_answer_fn

    scorer: Callable[[str, dict[str, Any]], float] = get_score_answer_fn(task)
    return scorer


def reasoning_gym_accepts_answer(item: Item, text: str) -> bool:
    """Whether reasoning_gym's own scorer gives the full mark."""
    return float(_problem_answer_checker(item.task)(text.strip(), item.entry)) >= 1.0
