"""Quantizers shared by training, packing and the one-file format.

Every fake quantizer returns *exactly* ``codes * scale`` (not ``w + (codes*scale - w)``, which differs in the
last bit), so the model that was trained and the model that is decoded from a packed file compute with the
same float32 numbers. Gradients pass straight through (identity), Bengio et al. 2013, arXiv 1308.3432.

Sources: BitNet b1.58, arXiv 2402.17764, section 2 (absmean ternary weights, per-token absmax int8
activations).
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from forge.errors import ForgeError

TERNARY_EPS = 1e-5
ROW_BITS = (2, 3, 4, 8)
# Row scales are stored as float16: they stay inside its *normal* range, so rounding costs at most 2**-11.
_HALF_MIN, _HALF_MAX = 2.0**-14, 65504.0


def ternary(w: Tensor) -> tuple[Tensor, Tensor]:
    """Absmean ternary codes of a whole tensor.

    ``w``: float tensor of any shape. Returns ``(codes int8 in {-1,0,1}, same shape; scale float32, 0-d)``;
    the quantized value is ``codes * scale``. Rounding is half to even (BitNet b1.58, eq. 1-3).
    """
    with torch.no_grad():
        scale = w.abs().mean(dtype=torch.float32).clamp_(min=TERNARY_EPS)
        codes = (w / scale).round_().clamp_(-1, 1).to(torch.int8)
    return codes, scale


def _row_scale(w: Tensor, bits: int) -> Tensor:
    """Scale (rows, 1) float32, already rounded to a float16 value, so that files may hold it in two bytes."""
    if bits not in ROW_BITS:
        raise ValueError(f"bits must be one of {ROW_BITS}, got {bits}")
    # With three levels the absolute maximum would zero most of a row; its mean is the ternary rule above.
    size = w.abs()
    reach = size.mean(-1, keepdim=True) if bits == 2 else size.amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)
    return reach.clamp_(_HALF_MIN, _HALF_MAX).half().float()


def rowwise(w: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Symmetric codes per row: absmax scale for 3, 4, 8 bits, absmean (ternary) for 2 bits.

    ``w``: (rows, columns). Returns ``(codes int8 (rows, columns) in -(2**(bits-1)-1) .. 2**(bits-1)-1,
    scale float32 (rows, 1), exactly representable in float16)``. ValueError for other ``bits``.
    """
    with torch.no_grad():
        scale, top = _row_scale(w, bits), 2 ** (bits - 1) - 1
        codes = (w / scale).round_().clamp_(-top, top).to(torch.int8)
    return codes, scale


def _ternary_quantizer_values(w: Tensor) -> Tensor:
    scale = w.abs().mean(dtype=torch.float32).clamp_(min=TERNARY_EPS)
    return (w / scale).round_().clamp_(-1, 1).mul_(scale)


def _rowwise_quantizer_values(w: Tensor, bits: int) -> Tensor:
    scale, top = _row_scale(w, bits), 2 ** (bits - 1) - 1
    return (w / scale).round_().clamp_(-top, top).mul_(scale)


def _int8_quantizer_values(x: Tensor) -> Tensor:
    # Two plain reductions beat abs().amax() (a copy), aminmax and the infinity norm (neither is vectorized
    # along the last axis): 3x to 5x on CPU with torch 2.13. No clamp of the codes is needed: |x| * 127 /
    # reach is at most 127 up to one rounding error, so it cannot round to 128.
    reach = torch.maximum(x.amax(-1, keepdim=True), x.amin(-1, keepdim=True).neg_())
    reach.clamp_(min=TERNARY_EPS)
    return (x * (127.0 / reach)).round_().mul_(reach.div_(127.0))


def frozen_titan_weight_codes(w: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (int8) and scale (0-d) of a tensor that holds only ``-s, 0, s``; ForgeError for any other."""
    scale, codes = w.abs().max().float(), torch.sign(w)
    if not torch.equal(codes * scale, w):
        raise ForgeError("frozen ternary weights must hold only -s, 0 and s")
    return codes.to(torch.int8), scale


class _TernarySTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor) -> Tensor:
        return _ternary_quantizer_values(w)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class _RowwiseSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, w: Tensor, bits: int) -> Tensor:
        return _rowwise_quantizer_values(w, bits)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


class _Int8ActivationSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _int8_quantizer_values(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


def _quantizer_needs_gradient(x: Tensor) -> bool:
    # Function.apply costs about 20 microseconds: as much as the work itself for one token at generation.
    return x.requires_grad and torch.is_grad_enabled()


def fake_ternary(w: Tensor) -> Tensor:
    """``codes * scale`` of :func:`ternary`, same shape as ``w``, with the identity as gradient."""
    return cast(Tensor, _TernarySTE.apply(w)) if _quantizer_needs_gradient(w) else _ternary_quantizer_values(w)


def fake_rowwise(w: Tensor, bits: int) -> Tensor:
    """``codes * scale`` of :func:`rowwise`, (rows, columns), with the identity as gradient."""
    return (
        cast(Tensor, _RowwiseSTE.apply(w, bits)) if _quantizer_needs_gradient(w) else _rowwise_quantizer_values(w, bits)
    )


def fake_int8_activation(x: Tensor) -> Tensor:
    """Per-token absmax int8: the last axis of ``x`` (..., d) shares one scale; identity gradient.

    BitNet b1.58, arXiv 2402.17764, section 2; a token of zeros stays zero (scale clamped at 1e-5 / 127).
    """
    return cast(Tensor, _Int8ActivationSTE.apply(x)) if _quantizer_needs_gradient(x) else _int8_quantizer_values(x)
