"""Problems of the suite as this phase reads them, and the scorer's verdict on answers to them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from forge.data.render import ID, render, tokenize_characters, tokenize_text
from forge.data.tasks import Item, draw_problems, reasoning_gym_accepts_answer
from forge.evals.suite import suite_tasks
from forge.model.engine import decode_titan_output_ids

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """One problem as ids: prompt up to ``<|assistant|>``; true answer with ``<|end|>`` as it is given at once, and as
    it is written after a thought, a token a character."""

    prompt: list[int]
    answer: list[int]
    written: list[int]
    item: Item


def quietstar_problems(tokenizer: PreTrainedTokenizerFast, n: int, seed: int, split: str) -> list[Problem]:
    """``n`` problems of every family, a family after the other: with the seed of the evaluation the ones that
    :func:`forge.evals.suite.score_suite` scores."""
    return [problem for name in suite_tasks() for problem in _problems(tokenizer, name, n, seed, split)]


def _problems(tokenizer: PreTrainedTokenizerFast, name: str, n: int, seed: int, split: str) -> list[Problem]:
    """``n`` problems of a family."""
    out = []
    for item in draw_problems(name, seed, n, split):
        prompt = render(tokenizer, [{"role": "user", "content": item.prompt}], generation_prompt=True)[0]
        answer, written = tokenize_text(tokenizer, item.answer), tokenize_characters(tokenizer, item.answer)
        out.append(Problem(prompt, [*answer, ID["end"]], [*written, ID["end"]], item))
    return out


def fresh_quietstar_problems(
    tokenizer: PreTrainedTokenizerFast, total: int, seed: int, accuracy: Mapping[str, float], even_share: float
) -> list[Problem]:
    """At least ``total`` training problems, most of them from families that are solved about half of the time.

    Where a family is always or never solved there is nothing to tell thoughts apart by: shares are in proportion to
    the variance p (1 - p) of the verdict, by ``accuracy`` p of each family; an ``even_share`` is for all alike.
    """
    spread = {name: p * (1 - p) for name, p in accuracy.items()}
    whole, even = sum(spread.values()), 1 / len(spread)
    out = []
    for name, value in spread.items():
        share = even_share * even + (1 - even_share) * (value / whole if whole else even)
        out += _problems(tokenizer, name, max(1, math.ceil(total * share)), seed, "train")
    return out


def quietstar_exact_match(
    tokenizer: PreTrainedTokenizerFast, problems: Sequence[Problem], answers: Sequence[Sequence[int]]
) -> Floats:
    """Verdicts (p) of the families' own scorers on answers (ids): 0 or 1."""
    pairs = zip(problems, answers, strict=True)
    return np.array(
        [
            float(reasoning_gym_accepts_answer(problem.item, decode_titan_output_ids(tokenizer, ids)))
            for problem, ids in pairs
        ]
    )
