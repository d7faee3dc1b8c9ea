"""Generation: batched greedy or sampled decoding with a cache; tool calls are executed and fed back, thoughts kept
apart from the answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from forge.data.render import ID, tokenize_text
from forge.errors import ForgeError
from forge.model.titan import TinyTitanForCausalLM

MAX_CALLS = 4
ROWS_AT_ONCE = 256
MAX_CONTEXT = 65_536  # tokens of a prompt and its answer: keys and values of every one are kept


@dataclass
class Generation:
    """One answer: all ids after the prompt (results that were fed back included), the calls made, the last thought
    (empty where there was none), the final text, and the mean number of recurrence steps per predicted token."""

    ids: list[int] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    thought: str = ""
    text: str = ""
    steps: float = 0.0
    finished: bool = False


@dataclass
class _Row:
    """Decoding state of one row: tokens to force, the call or the thought being written, ids of the current answer."""

    out: Generation
    forced: list[int] = field(default_factory=list)
    call: list[int] | None = None
    thought: list[int] | None = None
    answer: list[int] = field(default_factory=list)
    predicted: int = 0
    steps: int = 0


class _Decoder:
    """What every row of one call shares."""

    def __init__(
        self,
        model: TinyTitanForCausalLM,
        tokenizer: PreTrainedTokenizerFast | None,
        execute: Callable[[str], str] | None,
        temperature: float,
        seed: int,
        ban_ids: Sequence[int],
    ) -> None:
        self.model, self.tokenizer, self.execute = model, tokenizer, execute
        self.temperature, self.banned = temperature, list(ban_ids)
        self.random = torch.Generator().manual_seed(seed)

    def sample(self, hidden: Tensor, table: Tensor) -> list[int]:
        """Next token ids from final hidden states (n,d); ForgeError when they are not finite."""
        if not math.isfinite(float(hidden.sum())):  # states are normalized: their sum is finite if they are
            raise ForgeError("the model computes values that are not finite; its weights are damaged")
        logits = F.linear(hidden, table)
        logits[:, [ID["pad"], *self.banned]] = -torch.inf
        if self.temperature <= 0:
            return logits.argmax(-1).tolist()
        probabilities = F.softmax(logits / self.temperature, dim=-1)
        return torch.multinomial(probabilities, 1, generator=self.random).squeeze(1).tolist()

    def advance(self, row: _Row, token: int, steps: int) -> int:
        """Put a token into a row: a forced one if there is any, else ``token``. Returns what to feed."""
        if row.forced:
            token = row.forced.pop(0)
            row.out.ids.append(token)
            return token
        row.predicted += 1
        row.steps += steps
        row.out.ids.append(token)
        if token == ID["end"]:
            row.out.finished = True
        elif row.call is not None:
            self._write_call(row, token)
        elif row.thought is not None:
            self._write_thought(row, token)
        elif token == ID["call"] and self.execute is not None:
            row.call = []
        elif token == ID["think"]:
            row.thought = []
        else:
            row.answer.append(token)
        return token

    def _write_call(self, row: _Row, token: int) -> None:
        """Collect a call; at its end run the tool and force its result into the row."""
        if token != ID["result"]:
            row.call.append(token)  # type: ignore[union-attr]
            return
        call = decode_titan_output_ids(self.tokenizer, row.call or [])
        result = self.execute(call)  # type: ignore[misc]
        row.out.calls.append((call, result))
        row.call, row.answer = None, []
        row.forced = [*tokenize_text(self.tokenizer, result), ID["assistant"]]  # type: ignore[arg-type]
        if len(row.out.calls) >= MAX_CALLS:
            row.out.finished = True

    def _write_thought(self, row: _Row, token: int) -> None:
        """Collect a thought; what follows its end is the answer."""
        if token != ID["/think"]:
            row.thought.append(token)  # type: ignore[union-attr]
            return
        row.out.thought = decode_titan_output_ids(self.tokenizer, row.thought or [])
        row.thought, row.answer = None, []

    def run(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[Generation]:
        """Decode one batch of prompts."""
        model, table = self.model, self.model.embedding_weight()
        lengths = torch.tensor([len(p) for p in prompts])
        ids = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.long)
        for i, prompt in enumerate(prompts):
            ids[i, : len(prompt)] = torch.tensor(prompt)
        cache = model.empty_cache(len(prompts), int(lengths.max()) + max_new_tokens)
        trace = model.prefill_prompts(ids, table, lengths, cache)
        rows = [_Row(Generation(), thought=[] if prompt[-1] == ID["think"] else None) for prompt in prompts]
        live = list(range(len(rows)))
        for _ in range(max_new_tokens):
            hidden, steps = model.run_until_halt(trace)
            tokens = self.sample(hidden[:, 0], table)
            feed = [self.advance(rows[r], t, int(s)) for r, t, s in zip(live, tokens, steps[:, 0], strict=True)]
            keep = [i for i, r in enumerate(live) if not rows[r].out.finished]
            if not keep:
                break
            if len(keep) < len(live):
                live, feed = [live[i] for i in keep], [feed[i] for i in keep]
                cache = cache.rows(torch.tensor(keep))
            trace = model.prefill(torch.tensor(feed)[:, None], table, None, cache)
        return [self._finish(row) for row in rows]

    def _finish(self, row: _Row) -> Generation:
        row.out.text = decode_titan_output_ids(self.tokenizer, row.answer) if self.tokenizer is not None else ""
        row.out.steps = row.steps / max(1, row.predicted)
        return row.out


def decode_titan_output_ids(tokenizer: PreTrainedTokenizerFast | None, ids: Sequence[int]) -> str:
    """Text of ids without role tokens."""
    if tokenizer is None:
        return ""
    return str(tokenizer.decode([i for i in ids if i >= len(ID)], skip_special_tokens=False))


@torch.no_grad()
def generate(
    model: TinyTitanForCausalLM,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    tokenizer: PreTrainedTokenizerFast | None = None,
    execute: Callable[[str], str] | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    ban_ids: Sequence[int] = (),
) -> list[Generation]:
    """Answer each prompt (ids that end with ``<|assistant|>``, or in a thought with ``<|think|>``) until ``<|end|>`` or
    ``max_new_tokens``.

    With ``execute`` a call is run when the model closes it with ``<|result|>`` and the result is fed back;
    without it a call is just text. ``ban_ids`` are never sampled (ban ``<|call|>`` for an answer without
    tools, ``<|think|>`` for one without a thought). Greedy at temperature 0. Rows are independent: the batch a
    prompt is in changes its answer by rounding only. ForgeError when a prompt and its answer may take more than
    :data:`MAX_CONTEXT` tokens.
    """
    if execute is not None and tokenizer is None:
        raise ValueError("executing calls needs the tokenizer that spells them")
    longest = max(map(len, prompts), default=0)
    if longest + max_new_tokens > MAX_CONTEXT:
        raise ForgeError(
            f"a prompt of {longest:,} tokens and an answer of up to {max_new_tokens:,} are more than {MAX_CONTEXT:,}"
        )
    decoder = _Decoder(model.eval(), tokenizer, execute, temperature, seed, ban_ids)
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    out: list[Generation | None] = [None] * len(prompts)
    for start in range(0, len(order), ROWS_AT_ONCE):
        part = order[start : start + ROWS_AT_ONCE]
        for i, generation in zip(part, decoder.run([prompts[i] for i in part], max_new_tokens), strict=True):
            out[i] = generation
    return [g for g in out if g is not None]
