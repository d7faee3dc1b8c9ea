"""Thoughts: several in parallel after one prompt, each with its answer; answers after a given thought, with the states
of the two mixed or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from forge.data.render import ID
from forge.model import TinyTitanForCausalLM
from forge.model.engine import generate
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import Ids, prompt_with_open_thought, prompt_with_thought, slice_prompts_for_thinker

NEVER_ANSWERED = tuple(i for name, i in ID.items() if name != "end")  # role tokens that no answer may hold
NEVER_THOUGHT = tuple(i for name, i in ID.items() if name not in ("end", "/think"))
PAIRS_AT_ONCE = 128


@dataclass(frozen=True)
class Thought:
    """What was written after ``<|think|>``.

    ids: all of it. inside: the thought without its end; answer: what came after that, up to and with ``<|end|>``.
    closed: whether the thought ended by itself; if not, there is no answer. fluency: geometric mean of the
    probabilities of its tokens and of its end. steps: mean recurrence steps per token of thought and answer.
    """

    ids: list[int]
    inside: list[int]
    answer: list[int]
    closed: bool
    fluency: float
    steps: float = 0.0

    @classmethod
    def of(cls, ids: list[int], fluency: float, steps: float = 0.0) -> Thought:
        """From all that was written."""
        closed = ID["/think"] in ids
        end = ids.index(ID["/think"]) if closed else len(ids)
        inside = [token for token in ids[:end] if token != ID["end"]]
        return cls(ids, inside, ids[end + 1 :], closed, fluency, steps)


def thought_sampling_seed(seed: int, step: int) -> int:
    """The seed of one step's sampling, whatever ran before it."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def write_thoughts(
    model: TinyTitanForCausalLM,
    prompts: Sequence[Ids],
    *,
    thoughts: int = 1,
    tokens: int,
    answer_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[list[Thought]]:
    """``thoughts`` thoughts of at most ``tokens`` tokens with their answers after each prompt; greedy at temperature 0.

    Each goes on from a row of its own, and so cannot see the others.
    """
    opened = [prompt_with_open_thought(prompt) for prompt in prompts for _ in range(thoughts)]
    made = generate(
        model,
        opened,
        max_new_tokens=tokens + 1 + answer_tokens,
        temperature=temperature,
        seed=seed,
        ban_ids=NEVER_THOUGHT,
        scored=True,
    )
    written = [Thought.of(generation.ids, generation.fluency, generation.steps) for generation in made]
    return [written[row * thoughts : (row + 1) * thoughts] for row in range(len(prompts))]


def draft_without_thinking(model: TinyTitanForCausalLM, prompts: Sequence[Ids], max_new_tokens: int) -> list[list[int]]:
    """Greedy answers without further thoughts and without tools: ids up to and with ``<|end|>``."""
    made = generate(model, prompts, max_new_tokens=max_new_tokens, ban_ids=NEVER_ANSWERED)
    return [generation.ids for generation in made]


def answer_after_thoughts(
    model: TinyTitanForCausalLM, prompts: Sequence[Ids], insides: Sequence[Ids], max_new_tokens: int
) -> list[list[int]]:
    """Greedy answers (ids with ``<|end|>``), each after a given thought."""
    thought = [prompt_with_thought(prompt, inside) for prompt, inside in zip(prompts, insides, strict=True)]
    return draft_without_thinking(model, thought, max_new_tokens)


@torch.no_grad()
def answer_thinking(
    model: TinyTitanForCausalLM,
    gate: ThoughtGate,
    prompts: Sequence[Ids],
    insides: Sequence[Ids],
    max_new_tokens: int,
) -> list[list[int]]:
    """As :func:`answer_after_thoughts`, each answer from the gate's mixture of the states with the thought and without.

    Two streams per prompt, without and with the thought, advance together on the mixed prediction.
    """
    out: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]) + len(insides[i]), i))
    for part in slice_prompts_for_thinker(len(order), PAIRS_AT_ONCE):
        _decode_thinker_answers(model.eval(), gate, prompts, insides, max_new_tokens, order[part], out)
    return out


def _decode_thinker_answers(
    model: TinyTitanForCausalLM,
    gate: ThoughtGate,
    prompts: Sequence[Ids],
    insides: Sequence[Ids],
    max_new_tokens: int,
    live: list[int],
    out: list[list[int]],
) -> None:
    """Decode the prompts ``live``, first half of the rows without thoughts, second half with them."""
    table = model.embedding_weight()
    with_thoughts = [prompt_with_thought(prompts[i], insides[i]) for i in live]
    ids, lengths = _pad_thought_rows([*(prompts[i] for i in live), *with_thoughts])
    cache = model.empty_cache(len(ids), ids.shape[1] + max_new_tokens)
    trace = model.prefill_prompts(ids, table, lengths, cache)
    for _ in range(max_new_tokens):
        base, thought = model.run_until_halt(trace)[0][:, 0].chunk(2)
        logits = F.linear(gate(base, thought)[0], table)
        logits[:, list(NEVER_ANSWERED)] = -torch.inf
        feed = logits.argmax(-1)
        for i, token in zip(live, feed.tolist(), strict=True):
            out[i].append(token)
        keep = torch.nonzero(feed != ID["end"]).squeeze(1)
        if len(keep) == 0:
            return
        if len(keep) < len(live):
            cache = cache.rows(torch.cat((keep, keep + len(live))))
            live, feed = [live[i] for i in keep.tolist()], feed[keep]
        trace = model.prefill(feed.repeat(2)[:, None], table, None, cache)


def _pad_thought_rows(rows: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Right-padded ids (r,t) and lengths (r)."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    return ids, lengths
