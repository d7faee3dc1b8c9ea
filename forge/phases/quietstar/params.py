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
    Temperature,
    Weight,
    check_fields_sum_to_one,
)


class ThoughtWeights(Strict):
    """Weights of the parts of a thought's coherence; they add up to 1."""

    semantic: Weight
    """Nearness of the thought to the prompt as a whole."""
    logical: Weight
    """Whether each of its steps holds."""
    relevance: Weight
    """Nearness of each of its tokens to one of the prompt."""
    fluency: Weight
    """Likelihood of its tokens."""


class Base(Checkpointed):
    """Coherence, rewards and policy."""

    method: Literal["both", "star", "reinforce"]
    """How the model learns from its own thoughts: star trains on those that led to a right answer, reinforce makes
    thoughts likelier by how much better they did than the others of their problem; both tries one after the other, with
    the same problems and updates, and the better on validation problems counts."""
    thought_weights: ThoughtWeights
    """What makes a thought coherent."""
    coherence_threshold: Fraction
    """Calibrated on validation problems: 0.7 means more coherent than 70 % of thoughts that belong to another problem.
    Thoughts below it have no vote."""
    temperature: Temperature
    """Of the sampling of thoughts, in training and at test."""
    policy_weight: Weight
    """Of the loss of sampled thoughts, against that of given rows."""
    control_weight: Weight
    """Of the loss of answers at once and after pause tokens, against that of given rows: what thoughts are held against
    has to be trained too, but most of it cannot be learned."""
    gain_weight: Weight
    """Of the reward for making the true answer likelier (nats per token), against 1 for a right answer."""
    entropy_floor: Weight
    """Nats per token of a thought below which entropy is asked for, so that sampled thoughts go on to differ."""
    gate_start: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Weight of a thought before training; 0 is the state without it, 1 the state after it."""
    reward_keep: Fraction
    """Share of the rewards' running mean square that a step keeps; rewards are divided by its root."""
    decay_fraction: Fraction
    """Share of the steps, at the end, in which the learning rate falls."""
    answer_tokens: AnswerTokens
    """Longest answer after a thought, in tokens; the longest true one of the suite has 12."""
    even_share: Fraction
    """Share of the training problems that all families have alike; the rest goes to those that are solved at times."""
    on_fail: Literal["continue", "stop"]
    """If thoughts do not help: continue hands on the better (by validation problems answered with thoughts) of the
    model that came in and the trained ones, and says so; stop ends the run here."""

    @field_validator("thought_weights")
    @classmethod
    def _sums(cls, value: ThoughtWeights) -> ThoughtWeights:
        check_fields_sum_to_one(value)
        return value


class Scale(Strict):
    """Thoughts and budget."""

    steps: Positive
    """Updates of the weights, for each method."""
    thoughts: Annotated[int, Field(ge=2, le=64)]  # leave-one-out needs another one
    """Thoughts sampled for each problem."""
    thought_tokens: Annotated[int, Field(ge=1, le=4096)]
    """Longest thought, in tokens; they end by themselves."""
    batch: Annotated[int, Field(ge=1, le=65536)]
    """Problems of one update."""
    replay_tokens: Positive
    """Tokens of other rows in one update, so that nothing is forgotten."""
    validation_n: Annotated[int, Field(ge=1, le=10**6)]
    """Validation problems of each family, which calibrate coherence and choose between input and trained models."""
    lr: Rate
    """Peak learning rate of the matrices of the core."""


class Params(Base, Scale):
    """Phase 3: thoughts."""


class Bounds(Strict):
    """Bounds of the handoff evomerge -> quietstar."""

    fitness_margin: Weight
    """By how much the champion's fitness may lie below the best parent's."""
