"""TinyTitan: a two-timescale recurrent decoder with a neural memory and learned halting.

One recurrence step is ``z_L = f_L(z_L + z_H); z_H = f_H(z_H + z_L)`` with shared weights over steps (HRM,
arXiv 2506.21734; for language HRM-Text, arXiv 2605.20613). Step 1 reads every token and makes the keys,
values and the memory; later steps refine only the positions whose prediction is wanted, over the keys of step
1. So a step is cheap, and halting saves it.

Shapes: b batch, t tokens, s chosen positions, d hidden, v vocabulary.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_outputs import CausalLMOutput

from forge.model.blocks import (
    Block,
    CoreLinear,
    KeyValue,
    Places,
    disable_model_autocast,
    make_quantizer,
    rms_norm,
    rotary_cos_sin,
)
from forge.model.cache import Cache, CacheWriter, attention_window_bias
from forge.model.config import TinyTitanConfig
from forge.model.memory import KEY_SHIFT, MemoryState, NeuralMemory
from forge.model.quantizers import fake_rowwise

ROLL = 1  # channels that the token before is turned by, so that a projection can tell it from the token itself
# Tokens of a prompt that are read at once. What attention and its bias take grows with the square of them.
PIECE = 1024
# Where more than one row in so many goes on in decoding, reading all keys takes less than a copy of theirs.
FEW = 4

rope = lru_cache(maxsize=8)(rotary_cos_sin)


@dataclass
class RecurrentState:
    """Hidden states at some positions, (b,s,d) or at ``places`` (n,d), and all that a further recurrence step
    needs. ``before``: how many of the keys lie before the call's own tokens."""

    low: Tensor
    high: Tensor
    cos_sin: Tensor
    bias: Tensor | None
    kv: list[KeyValue] = field(default_factory=list)
    memory: MemoryState | None = None
    places: Places | None = None
    before: int = 0


class TinyTitanForCausalLM(nn.Module):
    """Causal language model; see :class:`TinyTitanConfig` for the switches of its parts.

    A plain module, since transformers' ``PreTrainedModel`` takes longer to import than torch does.
    ``from_pretrained``, and with it ``AutoModelForCausalLM``, gives one that is a ``PreTrainedModel`` as well.
    """

    config_class = TinyTitanConfig
    # Further 2-D parameters that an optimizer for matrices should treat like the core, by name.
    extra_matrices: tuple[str, ...] = ()

    def __init__(self, config: TinyTitanConfig) -> None:
        super().__init__()
        self.config = config
        self._add_parts(config)
        self.apply(self._init_weights)
        self._init_outputs()

    @classmethod
    def from_pretrained(cls, *arguments: Any, **keywords: Any) -> TinyTitanForCausalLM:
        """See ``PreTrainedModel.from_pretrained``."""
        from forge.model.hugging_face import TinyTitanForCausalLM as PreTrained

        return PreTrained.from_pretrained(*arguments, **keywords)

    @classmethod
    def _from_config(cls, *arguments: Any, **keywords: Any) -> TinyTitanForCausalLM:
        """What ``AutoModelForCausalLM.from_config`` asks for."""
        from forge.model.hugging_face import TinyTitanForCausalLM as PreTrained

        return PreTrained._from_config(*arguments, **keywords)

    def _add_parts(self, config: TinyTitanConfig) -> None:
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.low = self._stack(config.low_heads, config.low_ffn)
        self.high = self._stack(config.high_heads, config.high_ffn)
        titan = config.architecture == "titan"
        if config.token_shift:
            self.shift = nn.Parameter(torch.full((config.hidden_size,), 0.5))
        if titan:
            self.low_init = nn.Parameter(torch.zeros(config.hidden_size))
        if titan and config.memory:
            self.memory = NeuralMemory(
                config.hidden_size,
                config.memory_heads,
                config.memory_head_dim,
                config.memory_chunk,
                config.memory_capacity,
            )
        if titan and config.halting:
            self.halt = nn.Linear(config.hidden_size, 1)
        self.set_weight_quant(config.weight_quant)

    def _stack(self, heads: list[int], widths: list[int]) -> nn.ModuleList:
        c = self.config
        return nn.ModuleList(
            Block(c.hidden_size, h, c.head_dim, w, c.act_bits) for h, w in zip(heads, widths, strict=True)
        )

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, CoreLinear):
            reach = (3.0 / module.in_features) ** 0.5
            nn.init.uniform_(module.weight, -reach, reach)
        elif isinstance(module, TinyTitanForCausalLM):
            self._init_vectors()

    def _init_outputs(self) -> None:
        """Outputs into the residual stream start near zero: first gradients see a plain embedding model.

        Not in _init_weights: transformers passes modules over there that have no parameters of their own.
        """
        for linear in (p for block in [*self.low, *self.high] for p in (block.attn.o, block.ffn.down)):
            nn.init.normal_(linear.weight, std=0.002)
        if hasattr(self, "memory"):
            nn.init.normal_(self.memory.o.weight, std=0.002)
            nn.init.zeros_(self.memory.gate.weight)
            nn.init.constant_(self.memory.key_shift, KEY_SHIFT)
            for part, value in zip(self.memory.gate.bias.chunk(4), (0.0, -2.0, -2.0, 0.0), strict=True):
                nn.init.constant_(part, value)

    def _init_vectors(self) -> None:
        if hasattr(self, "shift"):
            nn.init.constant_(self.shift, 0.5)
        if hasattr(self, "low_init"):
            nn.init.zeros_(self.low_init)
        if hasattr(self, "halt"):
            nn.init.zeros_(self.halt.weight)
            nn.init.zeros_(self.halt.bias)

    # ---- parts ---------------------------------------------------------------------------------------------

    def num_parameters(self) -> int:
        """How many numbers the model learns; the tied table counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def core_linears(self) -> dict[str, CoreLinear]:
        """Every projection of the core by module name, in a fixed order."""
        return {name: m for name, m in self.named_modules() if isinstance(m, CoreLinear)}

    def set_weight_quant(self, mode: str) -> None:
        """Switch how core weights are seen: 'none', 'ternary' (latents, fake-quantized) or 'frozen'."""
        self.config.weight_quant = mode
        for linear in self.core_linears().values():
            linear.quantizer = make_quantizer(mode)

    def set_act_bits(self, bits: int) -> None:
        """8 quantizes the input of every projection per token, 0 does not."""
        self.config.act_bits = bits
        for block in [*self.low, *self.high]:
            block.act_bits = bits

    def set_memory_capacity(self, tokens: int) -> None:
        """How many tokens the memory is asked to hold: a bound on forgetting, not a shape."""
        self.config.memory_capacity = tokens
        if hasattr(self, "memory"):
            self.memory.capacity = tokens

    @property
    def steps(self) -> int:
        """Recurrence steps at most; a plain stack has one."""
        return self.config.max_steps if self.config.architecture == "titan" else 1

    def embedding_weight(self) -> Tensor:
        """The embedding table (v,d) as it multiplies: quantized per row where the config says so."""
        bits = self.config.embed_bits if self.config.weight_quant != "frozen" else 0
        return fake_rowwise(self.embed.weight, bits) if bits else self.embed.weight

    # ---- recurrence ----------------------------------------------------------------------------------------

    def prefill(
        self,
        ids: Tensor,
        table: Tensor,
        lengths: Tensor | None = None,
        cache: Cache | None = None,
        select: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> RecurrentState:
        """Recurrence step 1 over ids (b,t). ``lengths`` (b) marks right padding. An empty cache is filled.

        With a cache whose rows hold tokens already, one token without ``lengths`` goes on at each row's own position;
        other calls go on where the longest row ends, and shorter rows must have length 0.

        ``select`` and ``valid`` as in :meth:`at`: the trace is there alone, and the last block, whose output
        nobody else reads, works there alone.
        """
        c = self.config
        embedded = rms_norm(F.embedding(ids, table))
        decoding = cache is not None and ids.shape[1] == 1 and lengths is None and bool((cache.lengths > 0).all())
        start = 0 if cache is None or decoding else int(cache.lengths.max())
        x, positions = self._shifted(embedded, lengths, cache, None if decoding else start)
        longest = ids.shape[1] if cache is None else int(positions.max()) + 1
        cos_sin = rope(_round_up(longest), c.head_dim, c.rope_theta, ids.device)[positions]
        before = min(start, c.window - 1)
        if decoding and cache is not None:
            seen = max(0, int(positions.min()) + 1 - c.window)  # keys before it are outside of every row's window
            keys = torch.arange(seen, longest, device=ids.device)
            bias: Tensor | None = attention_window_bias(positions[:, :, None] - keys, c.window, x.dtype)[:, None]
            writer = CacheWriter(cache, seen, seen, longest, places=positions[:, 0])
        else:
            bias = self._bias(ids.shape[1], before, ids.device, x.dtype)
            writer = CacheWriter(cache, start - before, start, start + ids.shape[1])
        trace = RecurrentState(x, x, cos_sin, bias, before=before)
        if c.architecture == "plain":
            x = self._stack_step(self.low, x, trace, writer)
        else:
            state = cache.memory if cache is not None else None
            trace.low = rms_norm(self._stack_step(self.low, x + self.low_init, trace, writer, state, lengths))
            x = x + trace.low
        x = self._stack_step(list(self.high)[:-1], x, trace, writer)
        trace = self._last_step(x, trace, writer, select, valid)
        if cache is not None:
            step = torch.full_like(cache.lengths, ids.shape[1]) if lengths is None else lengths
            cache.lengths = cache.lengths + step
            cache.memory = trace.memory
        return trace

    def prefill_prompts(self, ids: Tensor, table: Tensor, lengths: Tensor, cache: Cache) -> RecurrentState:
        """The trace at the last token of every prompt, ids (b,t) padded on the right to ``lengths`` (b), with all of
        them in the cache, which was empty. Prompts longer than :data:`PIECE` are read in pieces: memory grows with
        their length, not with its square, and the numbers differ from those of one pass by rounding only."""
        time, last = ids.shape[1], (lengths - 1)[:, None]
        if time <= PIECE:
            return self.prefill(ids, table, lengths, cache, last)
        whole: RecurrentState | None = None
        for start in range(0, time, PIECE):
            inside = (lengths - start).clamp(0, PIECE)
            select = (inside - 1).clamp(min=0)[:, None]
            trace = self.prefill(ids[:, start : start + PIECE], table, inside, cache, select)
            here = (inside > 0)[:, None, None]
            if whole is not None:  # a row that ended in an earlier piece keeps its state
                trace.low = torch.where(here, trace.low, whole.low)
                trace.high = torch.where(here, trace.high, whole.high)
                trace.cos_sin = torch.where(here[..., None], trace.cos_sin, whole.cos_sin)
            whole = trace
        offset = last[:, :, None] - torch.arange(time, device=ids.device)
        bias = attention_window_bias(offset, self.config.window, trace.low.dtype)[:, None]
        kv = [(k[:, :, :time], v[:, :, :time]) for k, v in zip(cache.keys, cache.values, strict=True)]
        return replace(trace, kv=kv, bias=bias, before=0)

    def _shifted(
        self, embedded: Tensor, lengths: Tensor | None, cache: Cache | None, start: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mix each embedding with the one before it (a short convolution of width 2); positions (t) or (b,t), from
        ``start`` on, by default from the end of each row."""
        before = torch.zeros_like(embedded[:, :1]) if cache is None else cache.last_embed[:, None]
        x = embedded
        if self.config.token_shift:
            x = embedded + self.shift * torch.cat((before, embedded[:, :-1]), dim=1).roll(ROLL, dims=-1)
        time = torch.arange(embedded.shape[1], device=embedded.device)
        if cache is None:
            return x, time
        rows = torch.arange(len(embedded), device=embedded.device)
        last = embedded[:, -1] if lengths is None else embedded[rows, (lengths - 1).clamp(min=0)]
        cache.last_embed = last if lengths is None else torch.where((lengths > 0)[:, None], last, cache.last_embed)
        first = cache.lengths[:, None] if start is None else torch.full_like(cache.lengths, start)[:, None]
        return x, first + time

    def _bias(self, time: int, before: int, device: torch.device, dtype: torch.dtype) -> Tensor | None:
        """What attention of ``time`` tokens after ``before`` others adds to its logits, 0 or -inf; None where plain
        square causal attention is meant."""
        if time <= self.config.window and not before:
            return None
        keys = torch.arange(before + time, device=device)
        return attention_window_bias(keys[before:, None] - keys, self.config.window, dtype)

    def _stack_step(
        self,
        blocks: Sequence[nn.Module] | nn.ModuleList,
        x: Tensor,
        trace: RecurrentState,
        writer: CacheWriter,
        state: MemoryState | None = None,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """Blocks of a module, once, with keys and values made; the last low block carries the memory."""
        for i, block in enumerate(cast(Iterable[Block], blocks)):
            normed, kv = block.keys_values(x, trace.cos_sin)
            trace.kv.append(writer.store(len(trace.kv), kv))
            side = None
            if blocks is self.low and i == len(blocks) - 1 and hasattr(self, "memory"):
                with disable_model_autocast(x):  # the memory adds up over the whole sequence
                    side, trace.memory = self.memory(normed, state, lengths)
            x = block(x, trace.cos_sin, trace.kv[-1], trace.bias, normed, side)
        return x

    def _last_step(
        self, x: Tensor, trace: RecurrentState, writer: CacheWriter, select: Tensor | None, valid: Tensor | None
    ) -> RecurrentState:
        """The last block: keys and values of every position, its output at the chosen ones."""
        block = cast(Block, self.high[-1])
        normed, kv = block.keys_values(x, trace.cos_sin)
        trace.kv.append(writer.store(len(trace.kv), kv))
        if select is None:
            trace.high = rms_norm(block(x, trace.cos_sin, trace.kv[-1], trace.bias, normed))
            return trace
        trace = self.at(replace(trace, high=x), select, valid)
        trace.high = rms_norm(block(trace.high, trace.cos_sin, trace.kv[-1], trace.bias, places=trace.places))
        return trace

    def at(self, trace: RecurrentState, select: Tensor, valid: Tensor | None = None) -> RecurrentState:
        """The trace at positions ``select`` (b,s), so that later steps run there alone. With ``valid`` (b,s) only
        the n valid ones are kept, side by side."""
        rows = torch.arange(len(select), device=select.device)[:, None]
        offset = trace.before + select[:, :, None] - torch.arange(trace.kv[0][0].shape[2], device=select.device)
        bias = attention_window_bias(offset, self.config.window, trace.low.dtype)[:, None]
        places = None
        if valid is not None:
            index = valid.flatten().nonzero().squeeze(1)
            places = Places(index, *select.shape)
            rows, select = index // select.shape[1], select.flatten()[index]
        low, high = trace.low[rows, select], trace.high[rows, select]
        cos_sin = trace.cos_sin[select] if trace.cos_sin.dim() == 3 else trace.cos_sin[rows, select]
        return replace(trace, low=low, high=high, cos_sin=cos_sin, bias=bias, places=places)

    def recurrence_step(self, trace: RecurrentState) -> RecurrentState:
        """One further recurrence step at the trace's positions, over the keys and values of step 1."""
        low, depth = trace.low + trace.high, len(self.low)
        for block, kv in zip(self.low, trace.kv[:depth], strict=True):
            low = block(low, trace.cos_sin, kv, trace.bias, places=trace.places)
        low = rms_norm(low)
        high = trace.high + low
        for block, kv in zip(self.high, trace.kv[depth:], strict=True):
            high = block(high, trace.cos_sin, kv, trace.bias, places=trace.places)
        return replace(trace, low=low, high=rms_norm(high))

    # ---- predictions ---------------------------------------------------------------------------------------

    def halt_logits(self, high: Tensor) -> Tensor:
        """Score (...) that a further step will not help; positive halts."""
        return self.halt(high).squeeze(-1)

    def predictions(
        self, ids: Tensor, select: Tensor, valid: Tensor, steps: int | None = None, outputs: Tensor | None = None
    ) -> list[tuple[Tensor, Tensor | None]]:
        """For training: (logits (n,v), halt logits (n) or None) after every step at the n chosen positions.

        ids (b,t), select (b,s) positions to predict from, valid (b,s) marks the real ones among them; outputs (k): the
        tokens whose logits (n,k) are wanted, not all.
        """
        table = self.embedding_weight()
        head = table if outputs is None else table[outputs]
        trace = self.prefill(ids, table, select=select, valid=valid)
        out = []
        for step in range(steps or self.steps):
            trace = trace if step == 0 else self.recurrence_step(trace)
            halt = self.halt_logits(trace.high) if hasattr(self, "halt") else None
            out.append((F.linear(trace.high, head), halt))
        return out

    def run_until_halt(
        self, trace: RecurrentState, steps: int | None = None, live: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run positions until they halt: (final hidden (b,s,d), steps taken (b,s)); ``steps`` fixes those. Rows that
        are not ``live`` (b) stop after the first."""
        return deque(self.halting_states(trace, steps, live), maxlen=1).pop()

    def halting_states(
        self, trace: RecurrentState, steps: int | None = None, live: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """:meth:`run_until_halt` step by step: what it would return after each; a halted position keeps its state."""
        limit = self.steps if steps is None else steps
        taken = torch.ones(trace.high.shape[:2], dtype=torch.long, device=trace.high.device)
        final, going = trace.high, torch.ones_like(taken, dtype=torch.bool)
        going = going if live is None else going & live[:, None]
        yield final, taken
        for _ in range(1, limit):
            if steps is None and hasattr(self, "halt"):
                going = going & (torch.sigmoid(self.halt_logits(trace.high)) <= self.config.halt_threshold)
            rows = going.any(dim=1).nonzero().squeeze(1)
            if len(rows) == 0:
                break
            # Rows in which every position has halted are dropped: this is where compute is saved.
            trace = self.recurrence_step(trace) if len(rows) == len(going) else self._recurrence_step_rows(trace, rows)
            final = torch.where(going.unsqueeze(-1), trace.high, final)
            taken = taken + going
            yield final, taken

    def _recurrence_step_rows(self, trace: RecurrentState, rows: Tensor) -> RecurrentState:
        picked = lambda x, shared: x if x is None or x.dim() == shared else x[rows]  # noqa: E731
        part = replace(trace, low=trace.low[rows], high=trace.high[rows], cos_sin=picked(trace.cos_sin, 3))
        if trace.high.shape[1] == 1 and part.cos_sin.dim() == 4 and FEW * len(rows) > len(trace.high):
            low, high, cos_sin = (x[:, 0] for x in (part.low, part.high, part.cos_sin))
            part = replace(part, low=low, high=high, cos_sin=cos_sin, places=Places(rows, len(trace.high), 1))
        else:
            part = replace(part, kv=[(k[rows], v[rows]) for k, v in trace.kv], bias=picked(trace.bias, 2))
        part = self.recurrence_step(part)
        low, high = (
            x.index_copy(0, rows, new.view(-1, *x.shape[1:]))
            for x, new in ((trace.low, part.low), (trace.high, part.high))
        )
        return replace(trace, low=low, high=high)

    def empty_cache(self, batch: int, capacity: int) -> Cache:
        """An empty decoding cache for ``batch`` rows of at most ``capacity`` tokens."""
        c = self.config
        shapes = [(batch, heads, capacity, c.head_dim) for heads in [*c.low_heads, *c.high_heads]]
        memory = self.memory.empty_state(batch) if hasattr(self, "memory") else None
        zeros = self.embed.weight.new_zeros
        keys, values = [zeros(s) for s in shapes], [zeros(s) for s in shapes]
        return Cache(keys, values, zeros(batch, dtype=torch.long), zeros(batch, c.hidden_size), memory)

    def forward(self, input_ids: Tensor, labels: Tensor | None = None, steps: int | None = None) -> CausalLMOutput:
        """Logits (b,t,v) after each position has halted; labels -100 are ignored. No row is padded here: masks,
        caches and all else that transformers passes on are for the model that ``from_pretrained`` gives."""
        table = self.embedding_weight()
        high, _taken = self.run_until_halt(self.prefill(input_ids, table), steps)
        logits = F.linear(high, table)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        return CausalLMOutput(loss=loss, logits=logits)


def _round_up(length: int, step: int = 128) -> int:
    return (length + step - 1) // step * step


def names_of_core_model_weights(model: TinyTitanForCausalLM) -> list[str]:
    """State-dict names of the core: every weight that phases 4 to 8 quantize."""
    return [f"{name}.weight" for name in model.core_linears()]
