"""Parameters of phase 5: the long training loop."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from forge.interface.fields import Budget, Checkpointed, Fraction, Positive, Strict, Weight


class CurriculumPart(Strict):
    """One part of the curriculum."""

    share: Fraction
    """Share of the steps."""
    difficulty: Fraction
    """Hardest rows that are drawn meanwhile, 0 to 1."""


def _check_forge_curriculum(parts: list[CurriculumPart]) -> list[CurriculumPart]:
    total = sum(part.share for part in parts)
    if abs(total - 1.0) > 1e-6:
        raise ValueError(f"the shares must add up to 1, got {total:g}")
    return parts


class Base(Checkpointed):
    """The Grokfast filter and the schedule."""

    grokfast_alpha: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Decay of the filter's moving average of gradients (EMA)."""
    grokfast_lambda: Weight
    """How much of the slow part is added to each gradient; 0 switches the filter off."""
    decay_fraction: Fraction
    """Share of the steps, at the end, in which the learning rate falls."""
    curriculum: Annotated[list[CurriculumPart], Field(min_length=1), AfterValidator(_check_forge_curriculum)]
    """From easy to hard: parts in order, whose shares add up to 1."""


class Scale(Budget):
    """Budget; steps and seeds of Grokfast's comparison on modular addition."""

    eval_every: Positive
    """Steps between measurements on validation rows."""
    modular_steps: Positive
    """Steps at most of each run of Grokfast's comparison with its controls on modular addition."""
    modular_seeds: Annotated[int, Field(ge=2, le=1000)]  # an interval needs two
    """Seeds of that comparison."""


class Params(Base, Scale):
    """Phase 5: the long training loop."""


class Bounds(Strict):
    """Bounds of the handoff bitnet -> forge."""

    min_compression_ratio: Weight
    """Least ratio of the float32 file to the packed one."""
    min_accuracy_retention: Weight
    """Least share of the accuracy of phase 3 that phase 4 keeps."""
