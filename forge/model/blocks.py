"""Transformer blocks of both modules: parameter-free RMSNorm before every projection, rotary attention,
squared ReLU.

Shapes: b batch, t query positions, s key positions, d hidden, h heads, e head dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from forge.model.quantizers import fake_int8_activation, fake_ternary

KeyValue = tuple[Tensor, Tensor]


class _RMSNorm(torch.autograd.Function):
    """Written out because the composite one makes twice the passes over memory, and on CPU those passes are
    what it costs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        inverse = x.shape[-1] ** 0.5 / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_(min=1e-6)
        normed = x * inverse
        ctx.save_for_backward(normed, inverse)
        return normed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        normed, inverse = ctx.saved_tensors
        along = torch.linalg.vecdot(grads[0], normed).unsqueeze(-1).div_(-normed.shape[-1])
        return torch.addcmul(grads[0], normed, along).mul_(inverse)


def rms_norm(x: Tensor) -> Tensor:
    """RMSNorm over the last axis without a gain: nothing to store, nothing to fold away at deployment."""
    return cast(Tensor, _RMSNorm.apply(x))


class CoreLinear(nn.Linear):
    """A bias-free projection whose weight may be seen through a low-rank delta and a quantiser.

    ``delta`` returns a tensor to add to the latent weight (LoRA); ``quantizer`` maps the latent weight to the
    one that is used (absmean ternary, BitNet b1.58 section 2, or a trained codebook). Both are None in a
    full-precision model.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.delta: nn.Module | None = None
        self.quantizer: Callable[[Tensor], Tensor] | None = None
        self._cached: tuple[object, Tensor] | None = None

    def effective_weight(self) -> Tensor:
        """The weight that multiplies: latent + delta, quantised. Cached while no gradient is wanted."""
        if self.delta is None and self.quantizer is None:
            return self.weight
        cacheable = not torch.is_grad_enabled() and self.delta is None
        # The identity too: a deep copy of the module starts counting versions anew.
        key = (id(self.weight), self.weight._version, self.quantizer)
        if cacheable and self._cached is not None and self._cached[0] == key:
            return self._cached[1]
        weight = self.weight if self.delta is None else self.weight + self.delta()
        weight = weight if self.quantizer is None else self.quantizer(weight)
        self._cached = (key, weight) if cacheable else None
        return weight

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.effective_weight())


def rotary_table(length: int, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines (length, head_dim/2) of rotary position embedding (arXiv 2104.09864)."""
    frequency = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angle = torch.outer(torch.arange(length, dtype=torch.float32), frequency)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate x (b,h,t,e) by tables of shape (t,e/2) or (b,1,t,e/2)."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, left * sin + right * cos), dim=-1)


class Attention(nn.Module):
    """Causal multi-head attention. Keys and values are made once, at the first recurrence step, and shared by
    later ones (recursive key-value sharing, Mixture-of-Recursions, arXiv 2507.10524 section 2.2.2): a
    position that halts early still serves every later token, and refinement costs queries only."""

    def __init__(self, hidden: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.q = CoreLinear(hidden, heads * head_dim)
        self.k = CoreLinear(hidden, heads * head_dim)
        self.v = CoreLinear(hidden, heads * head_dim)
        self.o = CoreLinear(heads * head_dim, hidden)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, self.head_dim).transpose(1, 2)

    def keys_values(self, x: Tensor, cos: Tensor, sin: Tensor) -> KeyValue:
        """(b,t,d) -> rotated, normalised keys and values, each (b,h,t,e)."""
        return rotate(rms_norm(self._split(self.k(x))), cos, sin), self._split(self.v(x))

    def attend(self, x: Tensor, cos: Tensor, sin: Tensor, kv: KeyValue, mask: Tensor | None) -> Tensor:
        """Queries from x (b,t,d) over kv; boolean ``mask`` broadcasts to (b,h,t,s), None is square causal."""
        query = rotate(rms_norm(self._split(self.q(x))), cos, sin)
        # Normalised queries and keys bound the logits at sqrt(e); sqrt(2) more lets a head copy sharply.
        scale = (2.0 / self.head_dim) ** 0.5
        out = F.scaled_dot_product_attention(query, *kv, attn_mask=mask, is_causal=mask is None, scale=scale)
        return out.transpose(1, 2).flatten(2)


class FeedForward(nn.Module):
    """Squared-ReLU feed-forward network (arXiv 2109.08668)."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.up = CoreLinear(hidden, width)
        self.down = CoreLinear(width, hidden)


class Block(nn.Module):
    """Pre-norm residual block; ``act_bits=8`` quantises each projection's input per token (BitNet b1.58)."""

    def __init__(self, hidden: int, heads: int, head_dim: int, width: int, act_bits: int) -> None:
        super().__init__()
        self.attn = Attention(hidden, heads, head_dim)
        self.ffn = FeedForward(hidden, width)
        self.act_bits = act_bits

    def _input(self, x: Tensor) -> Tensor:
        normed = rms_norm(x)
        return fake_int8_activation(normed) if self.act_bits else normed

    def keys_values(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, KeyValue]:
        """Normalised input and the keys and values made from it."""
        normed = self._input(x)
        return normed, self.attn.keys_values(normed, cos, sin)

    def forward(
        self,
        x: Tensor,
        cos: Tensor,
        sin: Tensor,
        kv: KeyValue,
        mask: Tensor | None,
        normed: Tensor | None = None,
        side: Tensor | None = None,
    ) -> Tensor:
        """x (b,t,d) -> (b,t,d). ``normed``: its norm, if known; ``side`` is added beside the attention."""
        normed = self._input(x) if normed is None else normed
        x = x + self.attn.o(self._input(self.attn.attend(normed, cos, sin, kv, mask)))
        if side is not None:
            x = x + side
        hidden = F.relu(self.ffn.up(self._input(x))).square()
        return x + self.ffn.down(self._input(hidden))


def make_quantizer(weight_quant: str) -> Callable[[Tensor], Tensor] | None:
    """The weight quantiser that a config asks for; None where weights are used as stored."""
    return fake_ternary if weight_quant == "ternary" else None
