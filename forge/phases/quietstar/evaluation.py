"""Do thoughts help? One checkpoint, the same problems, four ways to answer them.

off: without. on: with the most coherent thought, where it passes the threshold. pause: as many ``<|pause|>`` tokens in
its place. shuffled: in its place the most coherent thought of another problem. The controls stand in exactly where 'on'
has a thought, so what differs is what is thought and nothing else; where nothing passes, all four answer alike. No true
answer is used before answers are scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from forge.data.render import ID, render, tokenize_text
from forge.data.tasks import Item, draw_problems, reasoning_gym_accepts_answer
from forge.evals.suite import suite_tasks
from forge.model import TinyTitanForCausalLM
from forge.model.engine import decode_titan_output_ids
from forge.thinking.coherence import thought_derangement
from forge.thinking.likelihood import thinker_answer_log_likelihood
from forge.thinking.rows import PROMPTS_AT_ONCE, slice_prompts_for_thinker
from forge.thinking.sampling import answer_thinking
from forge.thinking.thinker import Thinker, Thoughts, draft_without_thinking

CONDITIONS = ("off", "on", "pause", "shuffled")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """One suite problem as ids: prompt up to ``<|assistant|>``, true answer with ``<|end|>``."""

    prompt: list[int]
    answer: list[int]
    item: Item


@dataclass(frozen=True)
class Evaluation:
    """Per problem (p) by condition: exact match 0/1, log-likelihood of the true answer (nats); thoughts."""

    correct: dict[str, Floats]
    log_likelihood: dict[str, Floats]
    thoughts: list[Thoughts]

    @property
    def coherence(self) -> Floats:
        """Coherence of every thought (p,n)."""
        return np.concatenate([part.coherence for part in self.thoughts]).astype(np.float64)

    @property
    def passed(self) -> NDArray[np.bool_]:
        """Problems (p) in which a thought is mixed in."""
        return np.concatenate([part.passed for part in self.thoughts])


def quietstar_suite_problems(tokenizer: PreTrainedTokenizerFast, n: int, seed: int, split: str) -> list[Problem]:
    """``n`` problems of every family: the ones that :func:`forge.evals.suite.score_suite` scores."""
    out = []
    for name in suite_tasks():
        for item in draw_problems(name, seed, n, split):
            prompt = render(tokenizer, [{"role": "user", "content": item.prompt}], generation_prompt=True)[0]
            out.append(Problem(prompt, [*tokenize_text(tokenizer, item.answer), ID["end"]], item))
    return out


def evaluate_thoughts(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    thinker: Thinker,
    problems: Sequence[Problem],
    *,
    max_new_tokens: int,
    seed: int,
) -> Evaluation:
    """Answer every problem under every condition."""
    model.eval()
    prompts, answers = [p.prompt for p in problems], [p.answer for p in problems]
    drafts = draft_without_thinking(model, prompts, max_new_tokens)
    thoughts = [
        thinker.think(model, prompts[part], drafts[part], seed + index)
        for index, part in enumerate(slice_prompts_for_thinker(len(problems), PROMPTS_AT_ONCE))
    ]
    where = np.flatnonzero(np.concatenate([part.passed for part in thoughts]))
    insides = quietstar_stand_ins([inside for part in thoughts for inside in part.chosen()], seed)
    made = {"off": drafts}
    likely = {"off": thinker_answer_log_likelihood(model, prompts, answers)}
    for name in CONDITIONS[1:]:
        ids, values = list(drafts), likely["off"].copy()
        asked, inside, wanted = ([rows[i] for i in where] for rows in (prompts, insides[name], answers))
        if len(where):
            values[where] = thinker_answer_log_likelihood(model, asked, wanted, thinker.gate, inside)
            replies = answer_thinking(model, thinker.gate, asked, inside, max_new_tokens)
            for i, reply in zip(where, replies, strict=True):
                ids[i] = reply
        made[name], likely[name] = ids, values
    correct = {name: quietstar_exact_match(tokenizer, problems, rows) for name, rows in made.items()}
    return Evaluation(correct, likely, thoughts)


def quietstar_exact_match(
    tokenizer: PreTrainedTokenizerFast, problems: Sequence[Problem], answers: Sequence[Sequence[int]]
) -> Floats:
    """Scores (p) of answers (ids) by the families' own scorers."""
    pairs = zip(problems, answers, strict=True)
    return np.array(
        [
            float(reasoning_gym_accepts_answer(problem.item, decode_titan_output_ids(tokenizer, ids)))
            for problem, ids in pairs
        ]
    )


def quietstar_stand_ins(chosen: list[list[int]], seed: int) -> dict[str, list[list[int]]]:
    """What stands between ``<|think|>`` and ``<|/think|>`` in each condition but 'off'."""
    other = thought_derangement(len(chosen), seed)
    return {
        "on": chosen,
        "pause": [[ID["pause"]] * len(inside) for inside in chosen],
        "shuffled": [chosen[i] for i in other],
    }
