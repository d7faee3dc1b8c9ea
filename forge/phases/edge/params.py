"""Parameters of phase 7: pruning and fusion."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from forge.interface.fields import Budget, Checkpointed, Fraction, Strict, Temperature, Weight


class Base(Checkpointed):
    """How much to prune, and how to recover."""

    prune_ratio: Annotated[float, Field(gt=0.0, le=0.9)]
    """Share of the core's parameters that is physically removed."""
    importance_batches: Annotated[int, Field(ge=1, le=10**6)]
    """Batches of training rows that the importance of heads and units is estimated on."""
    unit_multiple: Annotated[int, Field(ge=1, le=65536)]
    """Feed-forward widths stay multiples of this: the numbers that a vector register of the processor holds."""
    kd_weight: Fraction
    """Share of the distillation loss in the recovery."""
    kd_temperature: Temperature
    """Of the distillation loss: both distributions are softened by it."""
    decay_fraction: Fraction
    """Share of the steps, at the end, in which the learning rate falls."""


class Scale(Budget):
    """Budget and repetitions."""

    latency_repeats: Annotated[int, Field(ge=1, le=10_000)]
    """Timings behind each latency."""


class Params(Base, Scale):
    """Phase 7: pruning and fusion."""


class Bounds(Strict):
    """Bounds of the handoff baking -> edge."""

    min_tool_success: Fraction
    """Least share of tool calls with the right result, without any tool text."""
    min_persona_consistency: Fraction
    """Least share of persona answers that a held-out classifier recognizes."""
    max_forgetting_percent: Weight
    """Points of accuracy by thoughts, without tools, that baking may cost."""
