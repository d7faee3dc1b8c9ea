"""Exact fusions for inference: fewer, larger operators that compute the same float32 numbers.

- Queries, keys and values come from one product. Each part keeps its own quantized values, so nothing changes
  but the number of calls; the two normalizations and rotations of queries and keys become one.
- Weights and embedding table are quantized once, not at each call.
- Sums and squares work in place.

What is usually folded is not here to fold: norms have no gain, and the squared-ReLU network has no gate
beside ``up``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from forge.model.blocks import Block, KeyValue, Places, apply_rotary, rms_norm, softmax_attention
from forge.model.memory import NeuralMemory
from forge.model.quantizers import fake_int8_activation
from forge.model.titan import TinyTitanForCausalLM
from forge.phases.edge.importance import refuse_edge_lora_deltas


@dataclass(frozen=True)
class Fusion:
    """fused_layers: projections that now share a product with others. optimized_operators: places where an
    operator was replaced by a cheaper one of the same value."""

    fused_layers: int
    optimized_operators: int


def _edge_frozen_parameter(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.detach().clone(), requires_grad=False)


class FusedBlock(nn.Module):
    """A :class:`forge.model.blocks.Block` for inference, with the same two methods."""

    FUSED = ("q", "k", "v")
    OPERATORS = (
        "query and key norm and rotation",
        "attention sum",
        "squared ReLU",
        "feed-forward sum",
    )

    def __init__(self, block: Block) -> None:
        super().__init__()
        attn = block.attn
        self.heads, self.head_dim, self.act_bits = attn.heads, attn.head_dim, block.act_bits
        self.qkv = _edge_frozen_parameter(torch.cat([part.effective_weight() for part in (attn.q, attn.k, attn.v)]))
        self.out, self.up, self.down = (
            _edge_frozen_parameter(part.effective_weight()) for part in (attn.o, block.ffn.up, block.ffn.down)
        )
        self._waiting: tuple[Tensor, Tensor] | None = None

    def _input(self, x: Tensor) -> Tensor:
        normed = rms_norm(x)
        return fake_int8_activation(normed) if self.act_bits else normed

    def keys_values(self, x: Tensor, cos_sin: Tensor) -> tuple[Tensor, KeyValue]:
        """Normalized input and the keys and values made from it; the queries wait for :meth:`forward`."""
        normed, h = self._input(x), self.heads
        made = self._by_head(F.linear(normed, self.qkv))
        rotated = apply_rotary(rms_norm(made[:, : 2 * h]), cos_sin.transpose(-3, -2))
        self._waiting = (normed, rotated[:, :h])
        return normed, (rotated[:, h:], made[:, 2 * h :])

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], x.shape[-1] // self.head_dim, self.head_dim)

    def _by_head(self, x: Tensor) -> Tensor:
        return self._split(x).transpose(1, 2).contiguous()

    def _query(self, normed: Tensor, cos_sin: Tensor, places: Places | None) -> Tensor:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting[0] is normed:
            return waiting[1]
        made = F.linear(normed, self.qkv[: self.heads * self.head_dim])
        if places is None:
            return apply_rotary(rms_norm(self._by_head(made)), cos_sin.transpose(-3, -2))
        return places.spread(apply_rotary(rms_norm(self._split(made)), cos_sin)).transpose(1, 2)

    def forward(
        self,
        x: Tensor,
        cos_sin: Tensor,
        kv: KeyValue,
        bias: Tensor | None,
        normed: Tensor | None = None,
        side: Tensor | None = None,
        places: Places | None = None,
    ) -> Tensor:
        """x (b,t,d) -> (b,t,d), as the block it was made from."""
        query = self._query(self._input(x) if normed is None else normed, cos_sin, places)
        seen = softmax_attention(query, kv, bias, (2.0 / self.head_dim) ** 0.5).transpose(1, 2)
        seen = (seen if places is None else places.collect(seen)).flatten(-2)
        y = F.linear(self._input(seen), self.out).add_(x)
        if side is not None:
            y.add_(side)
        hidden = F.linear(self._input(y), self.up).relu_().square_()
        return F.linear(self._input(hidden), self.down).add_(y)


class FusedMemory(NeuralMemory):
    """A :class:`forge.model.memory.NeuralMemory` for inference: one product for queries, keys and values."""

    FUSED = ("q", "k", "v")
    OPERATORS: tuple[str, ...] = ()
    qkv: Tensor

    def __init__(self, memory: NeuralMemory) -> None:
        super().__init__(memory.gate.in_features, memory.heads, memory.head_dim, memory.chunk, memory.capacity)
        for part in ("q", "k", "v", "o"):
            getattr(self, part).weight = _edge_frozen_parameter(getattr(memory, part).effective_weight())
        self.gate.load_state_dict(memory.gate.state_dict())
        self.key_shift = memory.key_shift
        self.requires_grad_(False)
        weights = torch.cat([self.q.weight, self.k.weight, self.v.weight])
        self.register_buffer("qkv", weights, persistent=False)

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of x (b,t,d), each (b,h,t,m)."""
        made = F.linear(x, self.qkv).view(*x.shape[:2], 3 * self.heads, self.head_dim).transpose(1, 2)
        query, key, value = made.chunk(3, dim=1)
        return query, key, value


@torch.no_grad()
def fuse_for_edge_inference(model: TinyTitanForCausalLM) -> TinyTitanForCausalLM:
    """A fused copy for inference: same class, same methods, so that generation and evaluation run unchanged.

    ``model`` is left alone. The copy cannot be trained, nor saved as a model directory: save ``model`` and
    fuse after loading. Not to be shared by threads. ForgeError when a low-rank delta is not merged.
    """
    refuse_edge_lora_deltas(model)
    fused = copy.deepcopy(model).eval().requires_grad_(False)
    fused.embed.weight.copy_(model.embedding_weight())
    for name in ("low", "high"):
        blocks = cast(Iterable[Block], getattr(model, name))
        setattr(fused, name, nn.ModuleList(FusedBlock(block) for block in blocks))
    if hasattr(model, "memory"):
        fused.memory = FusedMemory(model.memory)
    fused.config.weight_quant = "frozen"
    return fused


def edge_fusion_of(fused: TinyTitanForCausalLM) -> Fusion:
    """Count what :func:`fuse_for_edge_inference` did to a model; zeros for one that is not fused. An embedding that is
    quantized once instead of at every call counts as an operator."""
    parts = [m for m in fused.modules() if isinstance(m, FusedBlock | FusedMemory)]
    table = int(bool(parts) and bool(fused.config.embed_bits))
    return Fusion(sum(len(p.FUSED) for p in parts), sum(len(p.OPERATORS) for p in parts) + table)


@torch.no_grad()
def max_output_delta(a: TinyTitanForCausalLM, b: TinyTitanForCausalLM, ids: Tensor) -> float:
    """Largest absolute difference of the logits over ids (b,t): read at once, every step of the recurrence
    taken."""
    first, second = (m.eval()(ids, steps=m.steps).logits for m in (a, b))
    return float((first - second).abs().max())
