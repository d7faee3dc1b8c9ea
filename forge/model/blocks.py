"""Transformer blocks of both modules: parameter-free RMSNorm before every projection, rotary attention,
squared ReLU.

Shapes: b batch, t query positions, s key positions, d hidden, h heads, e head dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from forge.model.quantizers import fake_int8_activation, fake_ternary

KeyValue = tuple[Tensor, Tensor]


def _norm(x: Tensor) -> tuple[Tensor, Tensor]:
    """x over its root mean square along the last axis, and the factor (..., 1) that did it."""
    inverse = x.shape[-1] ** 0.5 / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_(min=1e-6)
    return x * inverse, inverse


def _rms_norm_gradient_in_titan(grad: Tensor, normed: Tensor) -> Tensor:
    """The gradient before the norm, up to its factor. It holds for a rotated norm and its gradient as well: a
    rotation keeps products."""
    along = torch.linalg.vecdot(grad, normed).unsqueeze(-1).div_(-normed.shape[-1])
    return torch.addcmul(grad, normed, along)


class _RMSNorm(torch.autograd.Function):
    """Written out because the composite one makes twice the passes over memory, and on CPU those passes are
    what it costs. The same goes for the two functions below."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        normed, inverse = _norm(x)
        ctx.save_for_backward(normed, inverse)
        return normed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        normed, inverse = ctx.saved_tensors
        return _rms_norm_gradient_in_titan(grads[0], normed).mul_(inverse)


class _TurnedNorm(torch.autograd.Function):
    """RMSNorm, then rotation, of x (..., e); ``cos_sin`` are complex, of shapes that broadcast to (..., e/2)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos_sin: Tensor) -> Tensor:
        normed, inverse = _norm(x)
        turned = apply_rotary(normed, cos_sin)
        ctx.save_for_backward(turned, inverse, cos_sin)
        return turned

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        turned, inverse, cos_sin = ctx.saved_tensors
        return apply_rotary(_rms_norm_gradient_in_titan(grads[0], turned).mul_(inverse), cos_sin.conj()), None


def _squared_relu_norm(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """relu(x), the norm of its square, and the factor that made it."""
    rectified = F.relu(x)
    normed = rectified * rectified
    inverse = normed.shape[-1] ** 0.5 / torch.linalg.vector_norm(normed, dim=-1, keepdim=True).clamp_(min=1e-6)
    return rectified, normed.mul_(inverse), inverse


class _SquaredReLUNorm(torch.autograd.Function):
    """RMSNorm of relu(x) squared."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rectified, normed, inverse = _squared_relu_norm(x)
        ctx.save_for_backward(rectified, normed, inverse)
        return normed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        rectified, normed, inverse = ctx.saved_tensors
        return _rms_norm_gradient_in_titan(grads[0], normed).mul_(rectified).mul_(inverse * 2)


def disable_model_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """Products of tensors like x stay in float32 inside, whatever autocast asks for."""
    device = x.device.type
    narrow = device in ("cpu", "cuda") and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if narrow else nullcontext()


def _upcast_titan_norm_input(x: Tensor) -> Tensor:
    """Norms are computed in at least float32, also where products are not (autocast)."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def rms_norm(x: Tensor) -> Tensor:
    """RMSNorm over the last axis without a gain: nothing to store, nothing to fold away at deployment."""
    x = _upcast_titan_norm_input(x)
    # Where no gradient is wanted, a function of autograd costs more than the norm of a token.
    return cast(Tensor, _RMSNorm.apply(x)) if torch.is_grad_enabled() else _norm(x)[0]


def rotary_norm(x: Tensor, cos_sin: Tensor) -> Tensor:
    """:func:`rms_norm`, then rotary embedding of x (...,e); ``cos_sin`` broadcast to (...,e/2)."""
    x = _upcast_titan_norm_input(x)
    if torch.is_grad_enabled():
        return cast(Tensor, _TurnedNorm.apply(x, cos_sin))
    return apply_rotary(_norm(x)[0], cos_sin)


def squared_relu_norm(x: Tensor) -> Tensor:
    """:func:`rms_norm` of the squared ReLU (arXiv 2109.08668) of x."""
    x = _upcast_titan_norm_input(x)
    return cast(Tensor, _SquaredReLUNorm.apply(x)) if torch.is_grad_enabled() else _squared_relu_norm(x)[1]


class CoreLinear(nn.Linear):
    """A bias-free projection whose weight may be seen through a low-rank delta and a quantizer.

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
        """The weight that multiplies: latent + delta, quantized. Cached while no gradient is wanted."""
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


def rotary_cos_sin(length: int, head_dim: int, theta: float, device: torch.device | None = None) -> Tensor:
    """Rotary position embedding (arXiv 2104.09864) as complex numbers of length 1: (length, 1, head_dim/2)."""
    frequency = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim)
    angle = torch.outer(torch.arange(length, dtype=torch.float32, device=device), frequency)
    return torch.polar(torch.ones_like(angle), angle).unsqueeze(1)


def apply_rotary(x: Tensor, cos_sin: Tensor) -> Tensor:
    """Rotate pairs of neighbors in x (...,e), which may be overwritten."""
    pairs = torch.view_as_complex(x.contiguous().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs.mul_(cos_sin)).flatten(-2)


class _ShortAttention(torch.autograd.Function):
    """Softmax attention that keeps its weights. On CPU the fused kernel's backward pass does not fill two cores
    on short rows: this takes half its time up to 64 keys and breaks even at 128.

    q (b,h,t,e), k and v (b,h,s,e); ``bias`` (t,s) or (b,1,t,s) holds 0 or -inf.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, scale: float) -> Tensor:
        batch, heads = q.shape[:2]
        q, k, v = (x.reshape(batch * heads, x.shape[2], x.shape[3]) for x in (q, k, v))
        if bias.dim() == 4:
            bias = bias.expand(batch, heads, *bias.shape[2:]).reshape(batch * heads, *bias.shape[2:])
        weights = torch.softmax(torch.baddbmm(bias, q, k.transpose(1, 2), alpha=scale), dim=-1)
        ctx.save_for_backward(q, k, v, weights)
        ctx.scale, ctx.batch = scale, batch
        return torch.bmm(weights, v).unflatten(0, (batch, heads))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights = ctx.saved_tensors
        grad = grads[0].flatten(0, 1)
        on_v = torch.bmm(weights.transpose(1, 2), grad)
        on_weights = torch.bmm(grad, v.transpose(1, 2))
        on_logits = torch._softmax_backward_data(on_weights, weights, -1, weights.dtype).mul_(ctx.scale)
        made = (torch.bmm(on_logits, k), torch.bmm(on_logits.transpose(1, 2), q), on_v)
        return *(x.unflatten(0, (ctx.batch, -1)) for x in made), None, None


SHORT = 128  # keys


def softmax_attention(query: Tensor, kv: KeyValue, bias: Tensor | None, scale: float) -> Tensor:
    """Attention of query (b,h,t,e) over keys and values (b,h,s,e); ``bias`` (t,s) or (b,1,t,s) of 0 and -inf,
    None is square causal."""
    plain = query.is_cpu and not torch.is_autocast_enabled("cpu")
    if plain and query.requires_grad and torch.is_grad_enabled() and kv[0].shape[2] <= SHORT:
        bias = causal_bias(query.shape[2], query.dtype) if bias is None else bias.to(query.dtype)
        return cast(Tensor, _ShortAttention.apply(query, *kv, bias, scale))
    causal = bias is None
    return F.scaled_dot_product_attention(query, *kv, attn_mask=bias, is_causal=causal, scale=scale)


@lru_cache(maxsize=2 * SHORT)
def causal_bias(time: int, dtype: torch.dtype) -> Tensor:
    """(time, time): 0 on and below the diagonal, -inf above."""
    return torch.full((time, time), -torch.inf, dtype=dtype).triu_(1)


@dataclass(frozen=True)
class Places:
    """Chosen positions that lie side by side, without padding, where only attention needs them in rows:
    ``index`` (n) numbers them in a grid of ``rows`` x ``columns``."""

    index: Tensor
    rows: int
    columns: int

    def spread(self, x: Tensor) -> Tensor:
        """(n,...) -> (rows, columns, ...), zeros elsewhere."""
        grid = x.new_zeros(self.rows * self.columns, *x.shape[1:]).index_copy(0, self.index, x)
        return grid.unflatten(0, (self.rows, self.columns))

    def collect(self, x: Tensor) -> Tensor:
        """(rows, columns, ...) -> (n,...)."""
        return x.flatten(0, 1).index_select(0, self.index)


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
        return x.unflatten(-1, (self.heads, self.head_dim))

    def _by_head(self, x: Tensor) -> Tensor:
        # Laid out as attention reads it before anything is kept for the backward pass, so that it is kept once.
        return self._split(x).transpose(1, 2).contiguous()

    def keys_values(self, x: Tensor, cos_sin: Tensor) -> KeyValue:
        """(b,t,d) -> rotated, normalized keys and values, each (b,h,t,e)."""
        return rotary_norm(self._by_head(self.k(x)), cos_sin.transpose(-3, -2)), self._by_head(self.v(x))

    def attend(
        self, x: Tensor, cos_sin: Tensor, kv: KeyValue, bias: Tensor | None, places: Places | None = None
    ) -> Tensor:
        """Queries from x (b,t,d), or (n,d) at ``places``, over kv; ``bias`` as in :func:`softmax_attention`."""
        if places is None:
            query = rotary_norm(self._by_head(self.q(x)), cos_sin.transpose(-3, -2))
        else:
            query = places.spread(rotary_norm(self._split(self.q(x)), cos_sin)).transpose(1, 2)
        # Normalized queries and keys bound the logits at sqrt(e); sqrt(2) more lets a head copy sharply.
        out = softmax_attention(query, kv, bias, (2.0 / self.head_dim) ** 0.5).transpose(1, 2)
        return (out if places is None else places.collect(out)).flatten(-2)


class FeedForward(nn.Module):
    """Squared-ReLU feed-forward network (arXiv 2109.08668)."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.up = CoreLinear(hidden, width)
        self.down = CoreLinear(width, hidden)


class Block(nn.Module):
    """Pre-norm residual block; ``act_bits=8`` quantizes each projection's input per token (BitNet b1.58)."""

    def __init__(self, hidden: int, heads: int, head_dim: int, width: int, act_bits: int) -> None:
        super().__init__()
        self.attn = Attention(hidden, heads, head_dim)
        self.ffn = FeedForward(hidden, width)
        self.act_bits = act_bits

    def _input(self, x: Tensor) -> Tensor:
        normed = rms_norm(x)
        return fake_int8_activation(normed) if self.act_bits else normed

    def keys_values(self, x: Tensor, cos_sin: Tensor) -> tuple[Tensor, KeyValue]:
        """Normalized input and the keys and values made from it."""
        normed = self._input(x)
        return normed, self.attn.keys_values(normed, cos_sin)

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
        """x (b,t,d) or, at ``places``, (n,d) -> the same shape. ``normed``: its norm, if known; ``side`` is added
        beside the attention."""
        normed = self._input(x) if normed is None else normed
        x = x + self.attn.o(self._input(self.attn.attend(normed, cos_sin, kv, bias, places)))
        if side is not None:
            x = x + side
        hidden = squared_relu_norm(self.ffn.up(self._input(x)))
        return x + self.ffn.down(fake_int8_activation(hidden) if self.act_bits else hidden)


def make_quantizer(weight_quant: str) -> Callable[[Tensor], Tensor] | None:
    """The weight quantizer that a config asks for; None where weights are used as stored."""
    return fake_ternary if weight_quant == "ternary" else None
