"""The suite: ten families, splits that cannot overlap, calls that solve every problem by the library's own
scorer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from forge.data.splits import SPLITS
from forge.data.tasks import (
    SUITE,
    Item,
    _reasoning_gym_problems,
    dataset_split_of_problem,
    draw_problems,
    normalize_problem_prompt,
    problem_stream_seed,
    reasoning_gym_accepts_answer,
)
from forge.errors import ForgeError
from forge.tools import Toolbox

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def toolbox() -> Iterator[Toolbox]:
    with Toolbox() as tools:
        yield tools


@pytest.mark.parametrize("task", SUITE)
def test_splits_are_disjoint_and_decided_by_the_prompt(task: str) -> None:
    prompts = {}
    for split in SPLITS:
        items = draw_problems(task, 0, 300, split)
        assert len({item.prompt for item in items}) == 300
        assert {dataset_split_of_problem(item.prompt) for item in items} == {split}
        prompts[split] = {normalize_problem_prompt(item.prompt) for item in items}
    # Any seed: a later evaluation draws with a seed that training never used.
    prompts["other seed"] = {normalize_problem_prompt(item.prompt) for item in draw_problems(task, 7, 300, "test")}
    assert not prompts["train"] & (prompts["val"] | prompts["test"] | prompts["other seed"])
    assert not prompts["val"] & (prompts["test"] | prompts["other seed"])
    assert prompts["test"] != prompts["other seed"]


@pytest.mark.parametrize("task", SUITE)
def test_no_answer_is_a_majority(task: str) -> None:
    answers = Counter(item.answer for split in SPLITS for item in draw_problems(task, 0, 300, split))
    assert answers.most_common(1)[0][1] / 900 < 0.4


@pytest.mark.parametrize("task", SUITE)
def test_a_family_has_two_thousand_prompts(task: str) -> None:
    data = _reasoning_gym_problems(task, problem_stream_seed(task, 0, "train"))
    seen: set[str] = set()
    index = 0
    while len(seen) < 2000:
        seen.add(normalize_problem_prompt(data[index]["question"]))
        index += 1
        assert index < 4000


@pytest.mark.parametrize("task", [name for name in SUITE if name != "spell_backward"])
def test_every_call_solves_its_problem(task: str, toolbox: Toolbox) -> None:
    for item in draw_problems(task, 0, 100, "test"):
        assert item.call.startswith("calculator ")
        assert reasoning_gym_accepts_answer(item, toolbox.execute(item.call)), item.call
        assert not reasoning_gym_accepts_answer(item, "error: no")


def test_code_calls_solve_their_problem_in_the_sandbox(toolbox: Toolbox) -> None:
    for item in draw_problems("spell_backward", 0, 5, "test"):
        assert item.call.startswith("code_executor ")
        assert toolbox.execute(item.call) == item.answer
        assert reasoning_gym_accepts_answer(item, item.answer)
        assert not reasoning_gym_accepts_answer(item, item.answer[::-1] + "x")


def test_every_code_call_prints_the_answer() -> None:
    """The sandbox is slow, the calls are one slice each: check all of them by the shape of the call."""
    for item in draw_problems("spell_backward", 0, 300, "train"):
        word = item.call.removeprefix("code_executor print('").removesuffix("'[:0:-1])")
        assert word.isalpha() or word[1:].isalpha()
        assert item.call == f"code_executor print('{word}'[:0:-1])"
        assert word[:0:-1] == item.answer


@pytest.mark.parametrize("task", SUITE)
def test_the_official_answer_scores_and_another_does_not(task: str) -> None:
    items = draw_problems(task, 0, 300, "val")
    other = next(item.answer for item in items if item.answer != items[0].answer)
    assert reasoning_gym_accepts_answer(items[0], items[0].answer)
    assert reasoning_gym_accepts_answer(items[0], f" {items[0].answer}\n")
    assert not reasoning_gym_accepts_answer(items[0], other)
    assert not reasoning_gym_accepts_answer(items[0], "")


def test_draws_are_repeatable_and_prefixes_of_longer_ones() -> None:
    first = draw_problems("gcd", 3, 20, "val")
    draw_problems.cache_clear()
    _reasoning_gym_problems.cache_clear()
    assert draw_problems("gcd", 3, 20, "val") == first
    assert draw_problems("gcd", 3, 30, "val")[:20] == first
    assert draw_problems("gcd", 4, 20, "val") != first


def test_difficulty_is_a_share_that_grows_with_the_call() -> None:
    items: list[Item] = [item for task in SUITE for item in draw_problems(task, 0, 50, "val")]
    assert all(0 < item.difficulty <= 1 for item in items)
    sums = sorted(draw_problems("chain_sum", 0, 300, "val"), key=lambda item: len(item.call))
    assert [item.difficulty for item in sums] == sorted(item.difficulty for item in sums)
    assert sums[0].difficulty < sums[-1].difficulty


def test_seeds_and_splits_are_stable() -> None:
    """Stored data sets rely on these: a change here silently moves problems between splits."""
    assert normalize_problem_prompt("  What  IS\n1 ") == "what is 1"
    shares = Counter(dataset_split_of_problem(f"prompt {n}") for n in range(3000))
    assert 0.56 < shares["train"] / 3000 < 0.64
    assert 0.17 < shares["val"] / 3000 < 0.23
    assert dataset_split_of_problem("A  b") == dataset_split_of_problem("a B ")
    assert len({problem_stream_seed("gcd", seed, split) for seed in range(50) for split in SPLITS}) == 150
    assert all(0 <= problem_stream_seed(n) < 2**31 - 10_000_000 for n in range(200))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ForgeError, match="unknown task 'sudoku'"):
        draw_problems("sudoku", 0, 1, "train")
    with pytest.raises(ForgeError, match="unknown split 'dev'"):
        draw_problems("gcd", 0, 1, "dev")


def test_a_family_that_runs_out_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"question": "What is 1?", "answer": "1", "metadata": {}}
    split = dataset_split_of_problem(entry["question"])

    class Endless:
        def __getitem__(self, index: int) -> dict[str, object]:
            return entry

    monkeypatch.setattr("forge.data.tasks._reasoning_gym_problems", lambda task, seed: Endless())
    monkeypatch.setitem(SUITE, "gcd", SUITE["count_bits"])
    with pytest.raises(ForgeError, match="fewer than 2 distinct problems"):
        draw_problems("gcd", 991, 2, split)
