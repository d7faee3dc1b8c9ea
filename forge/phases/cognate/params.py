"""Parameters of phase 1: the shared trunk and its branches."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from forge.interface.fields import (
    Above,
    Checkpointed,
    Count,
    Fraction,
    Heads,
    Mix,
    Positive,
    Rate,
    Seed,
    Strict,
    Weight,
    Widths,
)

MAX_BLOCK_CALLS = 256  # at each token
MAX_MEMORY_STATE = 1 << 20  # numbers
STATE_PER_TOKEN = 1 << 15  # of a chunk: each chunk of a prompt keeps a state


class Branch(Strict):
    """What makes one branch differ from the others; they share shapes, so that they can be merged."""

    seed: Seed
    """Added to the seed of the run."""
    memory_capacity: Positive
    """Tokens that its memory may hold."""
    ponder_cost: Weight
    """Price of a recurrence step in the halting loss."""
    multi_step: Annotated[int, Field(ge=1, le=1000)]
    """How often it meets each problem of the multi-step families, against once."""
    mix: Mix
    """What it reads."""


class Base(Checkpointed):
    """Branches, optimizer and schedule."""

    branches: Annotated[dict[str, Branch], Field(min_length=1)]
    """Three branches of one trunk."""
    trunk_mix: Mix
    """What the trunk reads before any branch leaves it."""
    branch_rate: Rate
    """Learning rate at which the trunk ends and a branch starts, against the trunk's peak."""
    muon_lr: Rate
    """Learning rate of the matrices of the core (Muon)."""
    adam_lr: Rate
    """Learning rate of the embedding, the gates and heads of a single row (Adam)."""
    weight_decay: Weight
    """Decoupled weight decay."""
    clip: Above
    """Largest norm of the gradient."""
    warmup_fraction: Fraction
    """Share of the steps of trunk or branch in which the learning rate rises, linearly; then it is flat."""
    decay_fraction: Fraction
    """Share of the steps, at the end, in which it falls, linearly: a trunk's no further than to `branch_rate`, a
    branch's from there to `end_rate`."""
    end_rate: Fraction
    """Learning rate at a branch's last step, against its first."""

    @field_validator("decay_fraction")
    @classmethod
    def _schedule_fits(cls, value: float, info: ValidationInfo) -> float:
        if value + info.data.get("warmup_fraction", 0.0) > 1.0:
            raise ValueError("warmup_fraction + decay_fraction must not exceed 1")
        return value


class Scale(Strict):
    """Shapes and budget."""

    parameters_target: Annotated[int, Field(ge=1, le=10**12)]
    """Parameters that a branch should have; the handoff to phase 2 allows a tolerance."""
    head_dim: Annotated[int, Field(ge=4, le=256, multiple_of=2)]  # even: RoPE rotates pairs
    """Dimensions of an attention head."""
    hidden_size: Annotated[int, Field(ge=16, le=8192)]
    """Width of the residual stream, a multiple of head_dim."""
    low_heads: Heads
    """Attention heads of each block of the fast module."""
    low_ffn: Widths
    """Feed-forward width of each block of the fast module."""
    high_heads: Heads
    """Attention heads of each block of the slow module."""
    high_ffn: Widths
    """Feed-forward width of each block of the slow module."""
    max_steps: Annotated[int, Field(ge=1, le=64)]
    """Recurrence steps at most; 1 is a plain transformer."""
    window: Annotated[int, Field(ge=1, le=2**20)]
    """Tokens that attention looks back."""
    memory: bool
    """Whether there is a neural memory (Titans)."""
    memory_heads: Annotated[int, Field(ge=1, le=512)]
    """Heads of the memory."""
    memory_head_dim: Annotated[int, Field(ge=4, le=256)]
    """Dimensions of a head of the memory."""
    memory_chunk: Annotated[int, Field(ge=1, le=4096)]
    """Tokens that the memory learns from at once."""
    halting: bool
    """Whether recurrence may stop early (ACT)."""
    narrow_steps: Count
    """Updates of the trunk that come first, while its feed-forward networks are narrow; 0: it has none such."""
    widen: Annotated[int, Field(ge=1, le=64)]
    """How many times narrower they are then; it divides their widths."""
    trunk_steps: Positive
    """Updates of the trunk at its full width."""
    branch_steps: Positive
    """Updates of each branch."""
    batch_tokens: Positive
    """Tokens of one update, padding included."""

    @field_validator("hidden_size")
    @classmethod
    def _whole_heads(cls, value: int, info: ValidationInfo) -> int:
        head_dim = info.data.get("head_dim")
        if head_dim and value % head_dim:
            raise ValueError(f"must be a multiple of head_dim ({head_dim}), got {value}")
        return value

    @field_validator("max_steps")
    @classmethod
    def _calls_of_blocks(cls, value: int, info: ValidationInfo) -> int:
        """An agent.forge of a few kilobytes that asked for more would not be opened: see forge.agentfile.model."""
        blocks = len(info.data.get("low_heads", ())) + len(info.data.get("high_heads", ()))
        if value * blocks > MAX_BLOCK_CALLS:
            raise ValueError(f"{value} steps through {blocks} blocks are more than {MAX_BLOCK_CALLS} blocks per token")
        return value

    @field_validator("memory_chunk")
    @classmethod
    def _memory_fits(cls, value: int, info: ValidationInfo) -> int:
        state = info.data.get("memory_heads", 0) * info.data.get("memory_head_dim", 0) ** 2
        if state > min(MAX_MEMORY_STATE, STATE_PER_TOKEN * value):
            bounds = f"{MAX_MEMORY_STATE}, or {STATE_PER_TOKEN} for each token of a chunk"
            raise ValueError(f"memory_heads * memory_head_dim^2 is {state}, which is more than {bounds}")
        return value

    @field_validator("widen")
    @classmethod
    def _whole_widths(cls, value: int, info: ValidationInfo) -> int:
        for width in (*info.data.get("low_ffn", ()), *info.data.get("high_ffn", ())):
            if width % value:
                raise ValueError(f"must divide all feed-forward widths, and {value} does not divide {width}")
        return value

    @field_validator("low_ffn", "high_ffn")
    @classmethod
    def _same_depth(cls, value: list[int], info: ValidationInfo) -> list[int]:
        heads_name = str(info.field_name).replace("ffn", "heads")
        heads = info.data.get(heads_name)
        if heads is not None and len(heads) != len(value):
            raise ValueError(f"needs one width per block, as {heads_name} has {len(heads)} blocks, got {len(value)}")
        return value


class Params(Base, Scale):
    """Phase 1: the shared trunk and its branches."""
