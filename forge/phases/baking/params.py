"""Parameters of phase 6: tools and personas."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from forge.interface.fields import (
    AnswerTokens,
    Budget,
    Checkpointed,
    Fraction,
    Mix,
    Positive,
    Rate,
    SamplingTemperature,
    Strict,
    Temperature,
)


def _check_baking_mix(mix: Mix) -> Mix:
    if mix.recall or mix.text:
        raise ValueError("recall and text must be 0: no trajectory is of these kinds")
    return mix


class Base(Checkpointed):
    """Adapters and trajectories."""

    lora_rank: Annotated[int, Field(ge=1, le=1024)]
    """Rank of the adapters."""
    temperature: SamplingTemperature
    """Of the prompted model's sampled trajectories."""
    answer_tokens: AnswerTokens
    """Longest sampled trajectory in tokens, results of tools included."""
    half_bake: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Where between unbaked and baked the half-baked control sits."""
    kd_weight: Fraction
    """Share of the distillation loss; the rest is cross-entropy on the trajectory's own tokens, which its verifier has
    accepted."""
    kd_temperature: Temperature
    """Of the distillation loss: both distributions are softened by it."""
    mix: Annotated[Mix, AfterValidator(_check_baking_mix)]
    """What it reads, of the trajectories."""
    own_tool_mix: Mix
    """What it reads before that, where own tools are declared: their rows, and others that are to stay as they are."""
    decay_fraction: Fraction
    """Share of the steps, at the end, in which the learning rate falls."""
    min_kept: Fraction
    """Share of usable trajectories below which reference dialogues fill the gaps."""
    persona_every: Positive
    """One trajectory in so many is a persona's."""
    replay_every: Positive
    """One answer at once and one after a thought to so many trajectories, so that neither is forgotten."""


class Scale(Budget):
    """Budget; steps between measurements of tool use."""

    trajectories: Positive
    """Dialogues sampled from the prompted model."""
    eval_every: Positive
    """Steps between measurements of tool use."""
    own_tool_steps: Positive
    """Updates that teach your own tools, before anything is baked; none where no tools are declared."""
    own_tool_lr: Rate
    """Peak learning rate of the matrices of the core in these."""


class Params(Base, Scale):
    """Phase 6: tools and personas."""


class Bounds(Strict):
    """Bounds of the handoff forge -> baking."""

    max_accuracy_drop: Fraction
    """By how much the accuracy on validation rows may fall in phase 5."""
