"""Generation: batched greedy or sampled decoding with a cache; tool calls are executed and fed back, thoughts kept
apart from the answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from forge.data.render import ID, TOOL_ERROR, tokenize_text
from forge.errors import ForgeError
from forge.model.calling import CallRules, call_question
from forge.model.titan import RecurrentState, TinyTitanForCausalLM

if TYPE_CHECKING:
    from forge.model.constrain import CallMatcher

Execute = Callable[[str], str | None]  # a call's text to its result; None leaves the call to whoever asked
MAX_CALLS = 4
STUCK = 16  # equal tokens in a row, at which a call is written on with another
_UNLIKELY = 1e4
ROWS_AT_ONCE = 512
CACHE_BYTES = 2**30  # of the keys and values of the rows at once, at most, were none to end early
DENSE = 0.75  # share of rows still being written at which the others leave the cache: to copy it is dear
ROOM = 32  # tokens that a cache grows by at least
MAX_CONTEXT = 65_536  # tokens of a prompt and its answer: keys and values of every one are kept


@dataclass
class Generation:
    """One answer: all ids after the prompt (results that were fed back included), the calls made, the last thought
    (empty where there was none), the final text, and the mean number of recurrence steps per predicted token.
    fluency: geometric mean of the probabilities of the tokens of the thoughts and of their ends, where scores were
    asked for.

    With rules for calls, of every call that was written: ``call_scores``, its log-probability as the model alone gives
    it, and ``confidences``, how likely it is right. ``pending``: a last call that was not run, because ``execute`` left
    it to the caller, or because it is ``unsure``: then the text asks whether it is meant. ``question``: what the text
    asks for, because a last call was begun of which a required argument was not said. ``parts``: of a question, that
    were answered one by one."""

    ids: list[int] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    thought: str = ""
    text: str = ""
    steps: float = 0.0
    fluency: float = 0.0
    finished: bool = False
    call_scores: list[float] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    pending: str = ""
    unsure: bool = False
    question: str = ""
    parts: int = 1


@dataclass
class _Row:
    """Decoding state of one row: tokens to force, the call or the thought being written, ids of the current answer.
    due: a call comes next. silent: none may be made. matcher: what the call may go on with. last: log-probability of
    the last token; call_score: of the call so far."""

    out: Generation
    prompt: Sequence[int] = ()
    forced: list[int] = field(default_factory=list)
    call: list[int] | None = None
    thought: list[int] | None = None
    answer: list[int] = field(default_factory=list)
    predicted: int = 0
    steps: int = 0
    scores: list[float] = field(default_factory=list)
    due: bool = False
    silent: bool = False
    matcher: CallMatcher | None = None
    last: float = 0.0
    call_score: float = 0.0

    @property
    def says_nothing(self) -> bool:
        """Whether an answer that ended now would be empty; behind a call the result is the answer."""
        return self.call is None and self.thought is None and not (self.answer or self.out.calls)


class _Decoder:
    """What every row of one call shares."""

    def __init__(
        self,
        model: TinyTitanForCausalLM,
        tokenizer: PreTrainedTokenizerFast | None,
        execute: Execute | None,
        temperature: float,
        seed: int,
        ban_ids: Sequence[int],
        hear: Callable[[str], None] | None,
        watch: Callable[[Sequence[int]], bool] | None,
        scored: bool,
        rules: CallRules | None,
    ) -> None:
        self.model, self.tokenizer, self.execute, self.hear, self.rules = model, tokenizer, execute, hear, rules
        self.watch, self.scored = watch, scored or rules is not None
        self.table = model.embedding_weight()
        self.temperature, self.banned = temperature, list(ban_ids)
        self.random = torch.Generator().manual_seed(seed)

    def sample(self, hidden: Tensor, rows: Sequence[_Row]) -> tuple[list[int], list[float]]:
        """Next token ids from final hidden states (n,d) of these rows and, where scores are wanted, their
        log-probabilities at temperature 1, whatever a grammar allows; ForgeError when they are not finite."""
        if not math.isfinite(float(hidden.sum())):  # states are normalized: their sum is finite if they are
            raise ForgeError("the model computes values that are not finite; its weights are damaged")
        logits = F.linear(hidden, self.table)
        logits[:, [ID["pad"], *self.banned]] = -torch.inf
        if spent := [i for i, row in enumerate(rows) if row.silent or len(row.out.calls) >= MAX_CALLS]:
            logits[spent, ID["call"]] = -torch.inf
        if mute := [i for i, row in enumerate(rows) if self.rules is not None and row.says_nothing]:
            logits[mute, ID["end"]] = -torch.inf
        for i, row in enumerate(rows):
            if row.call and len(row.call) >= STUCK and len(set(row.call[-STUCK:])) == 1:
                logits[i, row.call[-1]] -= _UNLIKELY  # not infinite: a grammar may allow nothing else
        chosen = self._draw(logits)
        if self.rules is not None:
            self._mend(chosen, logits, rows)
        scores = logits.gather(1, chosen) - logits.logsumexp(-1, keepdim=True) if self.scored else chosen[:0]
        return chosen.squeeze(1).tolist(), scores.squeeze(1).tolist()

    def _draw(self, logits: Tensor) -> Tensor:
        """Tokens (n,1), greedy or sampled."""
        if self.temperature <= 0:
            return torch.from_numpy(logits.numpy().argmax(-1))[:, None]  # a tenth of the time of torch's
        # by the inverse of the distribution: one random number per row, not one per token of the vocabulary
        upto = F.softmax(logits / self.temperature, dim=-1).cumsum(-1)
        drawn = torch.rand(len(logits), 1, generator=self.random) * upto[:, -1:]
        return torch.searchsorted(upto, drawn, right=True).clamp(max=logits.shape[1] - 1)

    def _mend(self, chosen: Tensor, logits: Tensor, rows: Sequence[_Row]) -> None:
        """Draw again, among what fits, where a token does not fit the call that it would go on with. To keep what fits
        at once and draw among it else is to draw among it always."""
        for i, row in enumerate(rows):
            if row.matcher is None or row.forced or row.matcher.take(int(chosen[i])):
                continue
            fits = torch.from_numpy(row.matcher.fitting(logits.shape[1]))
            masked = logits[i : i + 1].masked_fill(~fits, -torch.inf)
            if self.temperature > 0:  # which never draws what has no probability, as rounding in _draw might
                share = F.softmax(masked.double() / self.temperature, dim=-1)
                chosen[i] = torch.multinomial(share, 1, generator=self.random)[0]
            else:
                chosen[i] = masked.argmax(-1)
            row.matcher.take(int(chosen[i]))

    def advance(self, row: _Row, token: int, steps: int) -> int:
        """Put a token into a row: a forced one if there is any, else ``token``. Returns what to feed."""
        if row.forced:
            token = row.forced.pop(0)
            row.out.ids.append(token)
            return token
        if row.due and row.thought is None:
            token, row.due, row.last = ID["call"], False, 0.0
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
            row.call, row.call_score = [], row.last
            if self.rules is not None and self.rules.grammar is not None:
                said, asked, made = self._said(row)
                row.matcher = self.rules.grammar.begin(said, asked, made=made)
        elif token == ID["think"]:
            row.thought = []
        else:
            row.answer.append(token)
        return token

    def _said(self, row: _Row) -> tuple[str, str, list[str]]:
        """The conversation up to now as text, a line a turn: all of it, and what the user said; and the calls that
        were made since the user's last turn."""
        role, turns = ID["user"], list[tuple[int, str]]()
        for is_role, tokens in groupby([*row.prompt, *row.out.ids], lambda token: token < len(ID)):
            if is_role:
                *_, role = tokens
            else:
                turns.append((role, decode_titan_output_ids(self.tokenizer, list(tokens))))
        last = max((place for place, (who, _) in enumerate(turns) if who == ID["user"]), default=-1)
        made = [text for who, text in turns[last + 1 :] if who == ID["call"]]
        lines = [(who, " ".join(text.splitlines())) for who, text in turns]
        return "\n".join(line for _, line in lines), "\n".join(line for who, line in lines if who == ID["user"]), made

    def _write_call(self, row: _Row, token: int) -> None:
        """Collect a call; at its end run the tool and force its result into the row, unless the call is unsure or the
        caller runs it."""
        row.call_score += row.last
        if token != ID["result"]:
            row.call.append(token)  # type: ignore[union-attr]
            if row.matcher is not None and row.matcher.question and not self.rules.due:  # type: ignore[union-attr]
                row.out.question, row.out.finished = row.matcher.question, True
            return
        call = decode_titan_output_ids(self.tokenizer, row.call or [])
        row.call, row.matcher, row.answer = None, None, []
        if self.rules is not None:
            row.out.call_scores.append(row.call_score)
            row.out.confidences.append(self.rules.calibration.probability(row.call_score))
            row.out.unsure = row.out.confidences[-1] < self.rules.ask_below
        result = None if row.out.unsure else self.execute(call)  # type: ignore[misc]
        if result is None:
            row.out.pending, row.out.finished = call, True
            return
        row.out.calls.append((call, result))
        if self.rules is not None and self.rules.grammar is not None:
            _, asked, made = self._said(row)
            wanted = self.rules.grammar.wants_more(asked, made)
            answered = self.rules.grammar.is_answer(call) and not result.startswith(TOOL_ERROR)
            if answered and wanted is not True:
                row.out.finished = True
                return
            row.due, row.silent = wanted is True and len(made) < MAX_CALLS, row.silent or wanted is False
        row.forced = [*tokenize_text(self.tokenizer, result), ID["assistant"]]  # type: ignore[arg-type]

    def _write_thought(self, row: _Row, token: int) -> None:
        """Collect a thought; what follows its end is the answer."""
        if token != ID["/think"]:
            row.thought.append(token)  # type: ignore[union-attr]
            return
        row.out.thought = decode_titan_output_ids(self.tokenizer, row.thought or [])
        row.thought, row.answer = None, []
        if self.hear is not None:
            self.hear(row.out.thought)

    def run(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[Generation]:
        """Decode one batch of prompts."""
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        ids = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.long)
        for i, prompt in enumerate(prompts):
            ids[i, : len(prompt)] = torch.tensor(prompt)
        cache = self.model.empty_cache(len(prompts), ids.shape[1] + min(max_new_tokens, ROOM))
        trace = self.model.prefill_prompts(ids, self.table, lengths, cache)
        everyone = [self._row(prompt) for prompt in prompts]
        rows, live = everyone, list(range(len(prompts)))  # rows of the cache; those of them that go on
        for left in range(max_new_tokens, 0, -1):
            feed = self._predict(rows, live, trace)
            live = [i for i in live if not rows[i].out.finished]
            if not live or left == 1:
                break
            longest = int(cache.lengths.max())
            if len(live) <= DENSE * len(rows) or longest == cache.capacity:
                cache = cache.rows(torch.tensor(live), longest + min(left, max(ROOM, longest // 4)))
                rows, feed = [rows[i] for i in live], [feed[i] for i in live]
                live = list(range(len(rows)))
            trace = self.model.prefill(torch.tensor(feed)[:, None], self.table, None, cache)
        return [self._finish(row) for row in everyone]

    def _row(self, prompt: Sequence[int]) -> _Row:
        due = self.rules is not None and self.rules.due
        row = _Row(Generation(), prompt, thought=[] if prompt[-1] == ID["think"] else None, due=due)
        if due or self.rules is None or self.rules.grammar is None or self.execute is None or ID["call"] in self.banned:
            return row
        # A persona or a prompt before the question may ask for something else.
        if prompt[0] == ID["user"] and prompt[-1] == ID["assistant"]:
            _, asked, made = self._said(row)
            grammar = self.rules.grammar
            wanted = grammar.wants_more(asked, made) if made else grammar.wants_call(asked)
            row.due, row.silent = wanted is True, wanted is False
        return row

    def _predict(self, rows: Sequence[_Row], live: list[int], trace: RecurrentState) -> list[int]:
        """Put the next token into the rows that are live. Returns what to feed to each, padding to the others."""
        index = torch.tensor(live)
        going = torch.zeros(len(rows), dtype=torch.bool).index_fill_(0, index, True)
        hidden, steps = self.model.run_until_halt(trace, live=going)
        tokens, scores = self.sample(hidden[index, 0], [rows[i] for i in live])
        feed = [ID["pad"]] * len(rows)
        for i, score in zip(live, scores, strict=False):
            rows[i].last = score
            if rows[i].thought is not None:
                rows[i].scores.append(score)
        for i, token, taken in zip(live, tokens, steps[index, 0].tolist(), strict=True):
            feed[i] = self.advance(rows[i], token, taken)
            if self.watch is not None and self.watch(rows[i].answer):
                rows[i].out.finished = True
        return feed

    def _finish(self, row: _Row) -> Generation:
        row.out.text = decode_titan_output_ids(self.tokenizer, row.answer) if self.tokenizer is not None else ""
        if row.out.unsure:
            row.out.text = call_question(row.out.pending)
        row.out.text = row.out.question or row.out.text
        row.out.steps = row.steps / max(1, row.predicted)
        row.out.fluency = math.exp(sum(row.scores) / len(row.scores)) if row.scores else 0.0
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
    execute: Execute | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    ban_ids: Sequence[int] = (),
    hear: Callable[[str], None] | None = None,
    watch: Callable[[Sequence[int]], bool] | None = None,
    scored: bool = False,
    rules: CallRules | None = None,
) -> list[Generation]:
    """Answer each prompt (ids that end with ``<|assistant|>``, or in a thought with ``<|think|>``) until ``<|end|>`` or
    ``max_new_tokens``.

    With ``execute`` a call is run when the model closes it with ``<|result|>`` and the result is fed back, at most
    :data:`MAX_CALLS` times in an answer; where it gives None the answer ends there. ``rules`` say what a call may be
    and when to ask instead of acting. Without ``execute`` a call is just text. ``ban_ids`` are never sampled (ban
    ``<|call|>`` for an answer without tools, ``<|think|>`` for one without a thought). ``hear`` is called with each
    thought when it ends, ``watch`` after each token with the ids of the answer so far (a call or a thought begins it
    anew), and ends the answer where it gives true; ``scored`` adds the fluency. Greedy at temperature 0. Rows are
    independent: the batch a prompt is in changes its answer by rounding only. ForgeError when a prompt and its answer
    may take more than :data:`MAX_CONTEXT` tokens.
    """
    if execute is not None and tokenizer is None:
        raise ValueError("executing calls needs the tokenizer that spells them")
    longest = max(map(len, prompts), default=0)
    if longest + max_new_tokens > MAX_CONTEXT:
        raise ForgeError(
            f"a prompt of {longest:,} tokens and an answer of up to {max_new_tokens:,} are more than {MAX_CONTEXT:,}"
        )
    decoder = _Decoder(model.eval(), tokenizer, execute, temperature, seed, ban_ids, hear, watch, scored, rules)
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    c, out = model.config, dict[int, Generation]()
    token_bytes = 2 * c.head_dim * sum([*c.low_heads, *c.high_heads]) * model.embed.weight.element_size()
    size = max(1, min(ROWS_AT_ONCE, CACHE_BYTES // (token_bytes * (longest + max_new_tokens))))
    while len(out) < len(order):
        part = order[len(out) : len(out) + size]
        out |= zip(part, decoder.run([prompts[i] for i in part], max_new_tokens), strict=True)
    return [out[i] for i in range(len(prompts))]
