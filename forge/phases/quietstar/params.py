"""Parameters of phase 3: thoughts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from forge.interface.fields import (
    AnswerTokens,
    Checkpointed,
    Fraction,
    Positive,
    Rate,
    Strict,
    Weight,
    check_fields_sum_to_one,
)


class ThoughtWeights(Strict):
    """Weights of the parts of a thought's coherence; they add up to 1."""

    semantic: Weight
    """Nearness of the thought to the prompt."""
    logical: Weight
    """Agreement of the answer with and without the thought."""
    relevance: Weight
    """Nearness to this prompt rather than to another."""
    fluency: Weight
    """Likelihood of its tokens."""


class Base(Checkpointed):
    """Coherence, rewards and policy."""

    thought_weights: ThoughtWeights
    """What makes a thought coherent."""
    coherence_threshold: Fraction
    """Calibrated on validation problems: 0.7 means more coherent than 70 % of thoughts that belong to another problem.
    Thoughts below it are not mixed in."""
    policy_weight: Weight
    """Of REINFORCE, against the likelihoods."""
    alone_weight: Fraction
    """Share of the likelihood after a thought that is not mixed with the one without."""
    gate_start: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Weight of a thought before training; 0 is the state without it, 1 the state after it."""
    reward_keep: Fraction
    """Share of the rewards' running mean square that a step keeps; rewards are divided by its root."""
    decay_fraction: Fraction
    """Share of the steps, at the end, in which the learning rate falls."""
    answer_tokens: AnswerTokens
    """Longest answer after a thought, in tokens; the longest true one of the suite has 12."""
    on_fail: Literal["continue", "stop"]
    """If thoughts do not help: continue hands on the better (by validation loss, thoughts off) of the model that came
    in and the trained one, and says so; stop ends the run here."""

    @field_validator("thought_weights")
    @classmethod
    def _sums(cls, value: ThoughtWeights) -> ThoughtWeights:
        check_fields_sum_to_one(value)
        return value


class Scale(Strict):
    """Thoughts and budget."""

    steps: Positive
    """Updates of the weights."""
    thoughts: Annotated[int, Field(ge=2, le=64)]  # leave-one-out needs another one
    """Thoughts sampled for each problem."""
    thought_tokens: Annotated[int, Field(ge=1, le=4096)]
    """Tokens of a thought."""
    batch: Annotated[int, Field(ge=1, le=65536)]
    """Problems of one update."""
    replay_tokens: Positive
    """Tokens of other rows in one update, without thoughts, so that nothing is forgotten."""
    validation_rows: Annotated[int, Field(ge=2, le=10**6)]  # a thought is held against another row's prompt
    """Rows that calibrate coherence and choose between input and trained model."""
    lr: Rate
    """Peak learning rate of the matrices of the core."""


class Params(Base, Scale):
    """Phase 3: thoughts."""


class Bounds(Strict):
    """Bounds of the handoff evomerge -> quietstar."""

    fitness_margin: Weight
    """By how much the champion's fitness may lie below the best parent's."""
