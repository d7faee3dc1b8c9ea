"""Thoughts: several in parallel after one prompt, and answers decoded with a thought mixed in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from forge.data.render import ID
from forge.model import TinyTitanForCausalLM
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import ROLE_IDS, Ids, prompt_with_thought, slice_prompts_for_thinker

NEVER_ANSWERED = tuple(i for name, i in ID.items() if name != "end")  # role tokens that no answer may hold
PAIRS_AT_ONCE = 128


def thought_sampling_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step, whatever ran before it."""
    state = np.random.SeedSequence([seed, step]).generate_state(2)
    return torch.Generator().manual_seed(int(state[0]) << 16 ^ int(state[1]))


def pad_thought_rows(rows: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Right-padded ids (r,t) and lengths (r)."""
    lengths = torch.tensor([len(row) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    return ids, lengths


@torch.no_grad()
def sample_thoughts(
    model: TinyTitanForCausalLM,
    prompts: Sequence[Ids],
    thoughts: int,
    tokens: int,
    generator: torch.Generator,
) -> Tensor:
    """``thoughts`` thoughts of ``tokens`` tokens after each of b prompts: ids (b, thoughts, tokens).

    Drawn at temperature 1 from the vocabulary without role tokens, with every recurrence step taken, which is the
    distribution that the training of thoughts differentiates. The prompt is read once; the thoughts go on from copies
    of its cache, neural memory included, and so cannot see each other.
    """
    table = model.embedding_weight()
    ids, lengths = pad_thought_rows(prompts)
    cache = model.empty_cache(len(prompts), ids.shape[1] + tokens + 1)
    model.prefill_prompts(ids, table, lengths, cache)
    cache = cache.rows(torch.arange(len(prompts)).repeat_interleave(thoughts))
    feed = torch.full((len(prompts) * thoughts,), ID["think"])
    drawn = []
    for _ in range(tokens):
        trace = model.prefill(feed[:, None], table, None, cache)
        states, _taken = model.run_until_halt(trace, model.steps)
        chances = F.softmax(F.linear(states[:, 0], table[ROLE_IDS:]), dim=-1)
        feed = ROLE_IDS + torch.multinomial(chances, 1, generator=generator).squeeze(1)
        drawn.append(feed)
    return torch.stack(drawn, dim=1).view(len(prompts), thoughts, tokens)


@torch.no_grad()
def answer_thinking(
    model: TinyTitanForCausalLM,
    gate: ThoughtGate,
    prompts: Sequence[Ids],
    insides: Sequence[Ids],
    max_new_tokens: int,
) -> list[list[int]]:
    """Greedy answers to prompts, each mixed with one thought: ids up to and with ``<|end|>``. No tools.

    Two streams per prompt, without and with the thought, advance together on the mixed prediction.
    """
    out: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
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
    ids, lengths = pad_thought_rows([*(prompts[i] for i in live), *with_thoughts])
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
