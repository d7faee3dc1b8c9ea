"""Parameters of phase 4: ternary weights."""

from __future__ import annotations

from typing import Literal

from forge.interface.fields import Budget, Checkpointed, Fraction, Strict, Temperature


class Base(Checkpointed):
    """Widths in bits and distillation."""

    act_bits: Literal[0, 8]
    """Bits of the activations; 0 leaves them in float32."""
    embed_bits: Literal[0, 4, 8]
    """Bits of the embedding in the packed file; 0 leaves it in float32."""
    kd_weight: Fraction
    """Share of the distillation loss."""
    temperature: Temperature
    """Of the distillation loss."""
    decay_fraction: Fraction
    """Share of the steps, at the end, in which the learning rate falls."""


class Scale(Budget):
    """Budget."""


class Params(Base, Scale):
    """Phase 4: ternary weights."""


class Bounds(Strict):
    """Bounds of the handoff quietstar -> bitnet."""

    min_validity_rate: Fraction
    """Least share of coherent thoughts."""
