"""Problems that take two skills: what they ask, and which answers are right."""

from __future__ import annotations

import re

from forge.data.personas import PERSONA_PROMPTS
from forge.data.splits import dataset_split_by_hash
from forge.data.tasks import SUITE, draw_problems
from forge.phases.evomerge.combination import evomerge_persona_problems, evomerge_recalled_sum_problems


def test_a_recalled_number_is_an_operand() -> None:
    problems = evomerge_recalled_sum_problems(6, 1)
    assert [p.messages for p in problems] == [p.messages for p in evomerge_recalled_sum_problems(6, 1)]
    for problem in problems:
        prompt = problem.messages[-1]["content"]
        key, other = re.fullmatch(r".* problem: (\w+) \+ (\d+) =", prompt).groups()  # type: ignore[union-attr]
        pairs, _, _ = prompt.partition(". ")
        total = int(re.search(rf"\b{key} (\d+)", pairs)[1]) + int(other)  # type: ignore[index]
        assert problem.accepts(f" {total}")
        assert not problem.accepts(str(total + 1))
        assert dataset_split_by_hash(f"{pairs}. What is {key}?") == "test"


def test_a_problem_is_put_to_a_persona() -> None:
    problems = evomerge_persona_problems(2 * len(SUITE), 1)
    systems = [problem.messages[0]["content"] for problem in problems]
    assert systems == [prompt for prompt in list(PERSONA_PROMPTS.values())[:2] for _ in SUITE]
    asked = [problem.messages[-1]["content"] for problem in problems]
    assert asked[:: len(SUITE)] == [item.prompt for item in draw_problems("chain_sum", 1, 2, "test")]
    item = draw_problems("gcd", 1, 2, "test")[1]
    problem = problems[len(SUITE) + list(SUITE).index("gcd")]
    assert problem.accepts(item.answer)
    assert not problem.accepts("0")
