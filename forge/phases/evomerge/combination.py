"""Problems that take two skills at once, which no training row shows together.

Such a test is what merging promises: arXiv 2403.13187 asks problems of maths in Japanese of a merge of a model that
speaks it and models that calculate.

A sum with a recalled number takes recall and a thought; a problem under a persona's prompt takes the persona's context
and a thought.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from transformers import PreTrainedTokenizerFast

from forge.data.personas import PERSONA_PROMPTS, PERSONAS
from forge.data.tasks import SUITE, draw_problems, reasoning_gym_accepts_answer
from forge.data.texts import recall_dialogues
from forge.evals.answering import Message, answer_all, eval_prompt_messages
from forge.model import TinyTitanForCausalLM


@dataclass(frozen=True)
class CombinedProblem:
    """A conversation to be answered after a thought, and whether a text is the right answer."""

    messages: list[Message]
    accepts: Callable[[str], bool]


def evomerge_recalled_sum_problems(n: int, seed: int, split: str = "test") -> list[CombinedProblem]:
    """``Remember red 12, fox 45. <question of chain_sum> red + 27 =``: held-out pairs, one of which is an operand."""
    rng = Random(f"recalled sums {seed} {split}")
    asked_as = draw_problems("chain_sum", seed, 1, split)[0].prompt.rsplit(":", 1)[0]
    problems = []
    for row in recall_dialogues(n, seed, split):
        pairs, _, question = row["messages"][0]["content"].rpartition(" What is ")
        other = rng.randint(10, 99)
        total = str(int(row["messages"][1]["content"]) + other)
        prompt = f"{pairs} {asked_as}: {question.rstrip('?')} + {other} ="
        problems.append(CombinedProblem(eval_prompt_messages(prompt), partial(_is_number, total)))
    return problems


def _is_number(number: str, text: str) -> bool:
    return text.strip() == number


def evomerge_persona_problems(n: int, seed: int, split: str = "test") -> list[CombinedProblem]:
    """``n`` held-out problems of the suite, families and personas in turn, under the persona's prompt."""
    families = list(SUITE)
    problems = []
    for place in range(n):
        family, turn = families[place % len(families)], place // len(families)
        item = draw_problems(family, seed, -(-n // len(families)), split)[turn]
        system = PERSONA_PROMPTS[PERSONAS[turn % len(PERSONAS)]]
        messages = eval_prompt_messages(item.prompt, system=system)
        problems.append(CombinedProblem(messages, partial(reasoning_gym_accepts_answer, item)))
    return problems


def score_evomerge_combined(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    problems: list[CombinedProblem],
    max_new_tokens: int,
) -> list[float]:
    """1.0 or 0.0 a problem: answered rightly, without tools, after a thought."""
    conversations = [problem.messages for problem in problems]
    made = answer_all(model, tokenizer, conversations, execute=None, max_new_tokens=max_new_tokens, thoughts="on")
    return [float(problem.accepts(answer.text)) for problem, answer in zip(problems, made, strict=True)]


def evomerge_combination_scores(
    model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, n: int, seed: int, max_new_tokens: int
) -> dict[str, list[float]]:
    """Scores on ``n`` problems of either kind, by kind."""
    kinds = {"recalled_sum": evomerge_recalled_sum_problems, "persona_problem": evomerge_persona_problems}
    return {
        kind: score_evomerge_combined(model, tokenizer, draw(n, seed), max_new_tokens) for kind, draw in kinds.items()
    }
