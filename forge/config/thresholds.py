"""Bounds of the handoff contracts: the part of them that a small scale may miss, and so is its own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from forge.config.fields import Fraction, Strict, Weight


class ToEvomerge(Strict):
    """Bounds of cognate -> evomerge."""

    parameter_tolerance: Fraction


class ToQuietstar(Strict):
    """Bounds of evomerge -> quietstar."""

    fitness_margin: Weight


class ToBitnet(Strict):
    """Bounds of quietstar -> bitnet."""

    min_validity_rate: Fraction


class ToForge(Strict):
    """Bounds of bitnet -> forge."""

    min_compression_ratio: Weight
    min_accuracy_retention: Weight


class ToBaking(Strict):
    """Bounds of forge -> baking."""

    max_accuracy_drop: Fraction


class ToEdge(Strict):
    """Bounds of baking -> edge."""

    min_tool_success: Fraction
    min_persona_consistency: Fraction
    max_forgetting_percent: Weight


class ToCompress(Strict):
    """Bounds of edge -> compress."""

    min_accuracy_retention: Weight
    max_size_mb: Annotated[float, Field(gt=0.0)]


class ContractThresholds(Strict):
    """Bounds of the handoff contracts, by the phase that receives."""

    evomerge: ToEvomerge
    quietstar: ToQuietstar
    bitnet: ToBitnet
    forge: ToForge
    baking: ToBaking
    edge: ToEdge
    compress: ToCompress
