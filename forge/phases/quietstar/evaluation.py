"""Do thoughts help, and is it what they say that helps? One checkpoint, the same problems, several ways to answer them.

off: at once. on: several thoughts vote (:mod:`forge.thinking.thinker`). one: after the likeliest thought, which the
controls are held against: pause: as many ``<|pause|>`` tokens in its place; family: the thought of another problem of
the same family; foreign: that of any other problem. tampered: the likeliest thought with one digit changed where the
answer is read off; does the answer follow? Likelihoods of the true answer mix the state after a thought with the state
without by the gate, which is trained for them; answers are decoded so only where validation problems favor it
(``Thinker.mixed``), else after the thought alone. No true answer is used before answers are scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from forge.data.render import ID, tokenize_characters
from forge.data.thoughts.replay import replay, tampered
from forge.model import TinyTitanForCausalLM
from forge.model.engine import decode_titan_output_ids
from forge.phases.quietstar.problems import Floats, Problem, quietstar_exact_match
from forge.thinking.coherence import thought_derangement
from forge.thinking.likelihood import log_likelihood_with_gate, thought_continuation_likelihood
from forge.thinking.rows import PROMPTS_AT_ONCE, prompt_with_thought, slice_prompts_for_thinker
from forge.thinking.sampling import (
    Thought,
    answer_after_thoughts,
    draft_without_thinking,
    thought_sampling_seed,
    write_thoughts,
)
from forge.thinking.thinker import Thinker, Thoughts

CONTROLS = ("pause", "family", "foreign")


@dataclass(frozen=True)
class Tampering:
    """Of the thoughts in which a digit could be changed (k): whether the answer was then what the changed thought comes
    to, and whether it was what the unchanged one comes to; 0 or 1."""

    followed: Floats
    stayed: Floats


@dataclass(frozen=True)
class Evaluation:
    """Per problem (p) by condition: exact match 0/1; log-likelihood of the true answer (nats), which votes have not.

    mixed: whether the answers that vote were decoded from states that the gate mixes, as likelihoods always are.
    """

    correct: dict[str, Floats]
    log_likelihood: dict[str, Floats]
    thoughts: list[Thoughts]
    tampering: Tampering
    mixed: bool

    @property
    def coherence(self) -> Floats:
        """Coherence of every thought (p,n)."""
        return np.concatenate([part.coherence for part in self.thoughts]).astype(np.float64)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Thoughts (p,n) that vote."""
        return np.concatenate([part.valid for part in self.thoughts])


def likeliest_quietstar_thoughts(
    model: TinyTitanForCausalLM, problems: Sequence[Problem], tokens: int, answer_tokens: int
) -> list[Thought]:
    """The greedy thought of each problem, with its answer."""
    prompts = [problem.prompt for problem in problems]
    return [row[0] for row in write_thoughts(model, prompts, tokens=tokens, answer_tokens=answer_tokens)]


def evaluate_quietstar_thoughts(
    model: TinyTitanForCausalLM,
    thinker: Thinker,
    problems: Sequence[Problem],
    *,
    max_new_tokens: int,
    seed: int,
) -> Evaluation:
    """Answer every problem under every condition."""
    model.eval()
    tokenizer, prompts = thinker.tokenizer, [p.prompt for p in problems]
    thoughts = [
        thinker.think(model, prompts[part], max_new_tokens, thought_sampling_seed(seed, index))
        for index, part in enumerate(slice_prompts_for_thinker(len(problems), PROMPTS_AT_ONCE))
    ]
    likeliest = [row[0] for part in thoughts for row in part.written]
    made = {
        "off": draft_without_thinking(model, prompts, max_new_tokens),
        "one": [thought.answer for thought in likeliest],
        "on": [answer for part in thoughts for answer in part.vote()],
        "majority": [answer for part in thoughts for answer in part.majority()],
    }
    insides = quietstar_stand_ins([thought.inside for thought in likeliest], [p.item.task for p in problems], seed)
    likely = {"off": thought_continuation_likelihood(model, prompts, [p.answer for p in problems])}
    for name, inside in insides.items():
        contexts = [prompt_with_thought(prompt, thought) for prompt, thought in zip(prompts, inside, strict=True)]
        likely[name] = log_likelihood_with_gate(model, thinker.gate, prompts, contexts, [p.written for p in problems])
        if name in CONTROLS:
            made[name] = draft_without_thinking(model, contexts, max_new_tokens)
    correct = {name: quietstar_exact_match(tokenizer, problems, rows) for name, rows in made.items()}
    tampering = tamper_with_quietstar_thoughts(model, tokenizer, problems, likeliest, max_new_tokens, seed)
    return Evaluation(correct, likely, thoughts, tampering, thinker.mixed)


def quietstar_stand_ins(insides: Sequence[list[int]], families: Sequence[str], seed: int) -> dict[str, list[list[int]]]:
    """What stands between ``<|think|>`` and ``<|/think|>`` in each condition; for a problem that is alone in its family
    'family' is 'foreign'."""
    foreign = thought_derangement(len(insides), seed)
    family = foreign.copy()
    for name in dict.fromkeys(families):
        where = np.flatnonzero(np.array(families) == name)
        if len(where) > 1:
            family[where] = where[thought_derangement(len(where), seed)]
    return {
        "one": list(insides),
        "pause": [[ID["pause"]] * len(inside) for inside in insides],
        "family": [insides[i] for i in family],
        "foreign": [insides[i] for i in foreign],
    }


def tamper_with_quietstar_thoughts(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[Problem],
    thoughts: Sequence[Thought],
    max_new_tokens: int,
    seed: int,
) -> Tampering:
    """Change a digit of each thought that can be read, and look which answer is given after it."""
    asked, insides, wanted, before = [], [], [], []
    for problem, thought in zip(problems, thoughts, strict=True):
        text = decode_titan_output_ids(tokenizer, thought.inside)
        found = tampered(problem.item.prompt, text, seed) if thought.closed else None
        if found is not None:
            asked.append(problem.prompt)
            insides.append(tokenize_characters(tokenizer, found[0]))
            wanted.append(found[1])
            before.append(replay(problem.item.prompt, text).answer)
    ids = answer_after_thoughts(model, asked, insides, max_new_tokens)
    answers = [decode_titan_output_ids(tokenizer, answer).strip() for answer in ids]
    followed, stayed = (
        np.array([a == b for a, b in zip(answers, row, strict=True)], dtype=float) for row in (wanted, before)
    )
    return Tampering(followed, stayed)
