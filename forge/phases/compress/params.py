"""Parameters of phase 8: one file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from forge.interface.fields import (
    Above,
    Budget,
    Checkpointed,
    Count,
    Fraction,
    Mix,
    Positive,
    PowerOfTwo,
    Rate,
    Strict,
    Temperature,
    Weight,
)

StudentBlocks = Annotated[int, Field(ge=1, le=16)]


class TokenWeights(Strict):
    """How often a kind's rows count when the vocabulary is pruned by the tokens that they use."""

    tool: Count
    """Dialogues that use a tool."""
    direct: Count
    """Problems answered at once."""
    tooled: Count
    """Problems solved by a tool."""
    worked: Count
    """Problems answered after a worked thought."""
    persona: Count
    """Dialogues of personas."""
    recall: Count
    """Questions about something said before."""
    own_tool: Count
    """Dialogues with your own tools."""


class Base(Checkpointed):
    """Codebooks, bits, gates."""

    kd_weight: Fraction
    """Share of the distillation loss."""
    kd_temperature: Temperature
    """Of the distillation loss: both distributions are softened by it."""
    mix: Mix
    """What it reads: the file is trained on what it is for."""
    token_weights: TokenWeights
    """By whose tokens the vocabulary is pruned."""
    vq_groups: Annotated[int, Field(ge=1, le=64)]
    """Weights that one code stands for."""
    vq_codebook: PowerOfTwo
    """Codes."""
    vq_bits: Annotated[int, Field(ge=2, le=8)]
    """Bits of each entry of a code."""
    embed_bits: Literal[2, 3, 4, 8]
    """Bits of each entry of the embedding, before entropy coding."""
    reassign_every: Positive
    """Steps between moves of groups of weights to their nearest code."""
    pull: Fraction
    """Commitment: how far latent weights move to their code then."""
    latent_ratio: Above
    """Learning rate of latent weights and codebooks against the phase's: they start far from a solution."""
    vocabulary_steps: Fraction
    """Share of the phase's steps that the pruned vocabulary is trained for before vector quantization takes all."""
    vocabulary_decay_fraction: Fraction
    """Share of the steps after the pruning of the vocabulary in which the learning rate falls."""
    codes_decay_fraction: Fraction
    """Share of the steps of vector quantization in which it falls."""
    min_ratio: Weight
    """Times smaller than phase 1's model that the file claims to be."""
    gates: Annotated[list[Fraction], Field(min_length=3, max_length=3)]
    """Accuracy kept after vocabulary pruning, vector quantization, entropy coding."""
    cumulative_gate: Fraction
    """Accuracy kept after all three."""
    retry_vocabulary: Annotated[float, Field(ge=1.0, le=1000.0)]
    """Times the tokens that vocabulary pruning keeps at its second attempt, if its gate refused the first."""
    retry_groups: Fraction
    """Share of the weights that one code stands for at the second attempt of vector quantization."""
    student_lr: Rate
    """Peak learning rate of a student, the model of fewer weights that a budget of bytes asks for."""
    student_decay_fraction: Fraction
    """Share of a student's steps in which it falls."""
    student_low_blocks: StudentBlocks
    """Blocks of a student's fast module."""
    student_high_blocks: StudentBlocks
    """Blocks of a student's slow module."""
    student_head_dim: Annotated[int, Field(ge=16, le=256, multiple_of=2)]
    """Dimensions of a student's attention heads; its width is a multiple."""
    student_widening: Annotated[int, Field(ge=1, le=64)]
    """Feed-forward width of a student against its hidden width, at least; what the budget leaves makes it wider."""
    student_table_share: Annotated[float, Field(gt=0.0, le=1.0)]
    """Share of a budget that what grows with the vocabulary may take, as far as fewer tokens can help it."""
    budget_mb: Above | None
    """A size in MiB to reach whatever it costs, for example 0.34; null leaves it to the scale's `times_smaller`."""


class Scale(Budget):
    """Vocabulary and budget."""

    vocab_size: Annotated[int, Field(ge=270, le=65536)]
    """Tokens that are kept."""
    student_steps: Positive
    """Updates of a student, where a budget of bytes asks for one."""
    times_smaller: Above | None
    """Times smaller than phase 1's model that the file is made, whatever it costs: a student of as many weights as fit
    is taught by phase 7's model. Null for none: the file holds phase 7's own weights."""


class Params(Base, Scale):
    """Phase 8: one file."""


class Bounds(Strict):
    """Bounds of the handoff edge -> compress."""

    min_accuracy_retention: Weight
    """Least share of the accuracy of phase 6 that phase 7 keeps."""
    max_size_mb: Above
    """Largest packed model, in MB."""
