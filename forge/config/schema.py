"""The shape of `params.yaml`.

Every phase has two halves: `<phase>` (what does not depend on the scale) and `scales.<name>.<phase>` (sizes
and budgets). A `*Params` model is both halves together, which is what a stage works with. No field has a
default: a value that acts is a value that is written in `params.yaml`, so DVC sees every one of them, and
this module can only refuse a run, never change its result.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from forge.config.fields import (
    Count,
    Fraction,
    Positive,
    PowerOfTwo,
    Rate,
    Strict,
    Weight,
    Widths,
    check_sum_to_one,
)
from forge.config.thresholds import ContractThresholds


class Mix(Strict):
    """Relative weights of the kinds of training rows."""

    direct: Weight
    tooled: Weight
    tool: Weight
    persona: Weight
    recall: Weight
    text: Weight

    @field_validator("text")
    @classmethod
    def _some_weight(cls, value: float, info: ValidationInfo) -> float:
        if value + sum(info.data.values()) <= 0:
            raise ValueError("at least one kind of the mix needs a weight above 0")
        return value


class Checkpointed(Strict):
    """A loop that saves itself every so many steps (generations in evomerge)."""

    checkpoint_every: Positive


class Budget(Strict):
    """What a training loop may spend: steps, tokens a step (padding included), peak learning rate."""

    steps: Positive
    batch_tokens: Positive
    lr: Rate


# ---- data --------------------------------------------------------------------------------------------------


class DataBase(Strict):
    """Data: what does not depend on the scale."""

    own_data: list[Annotated[str, Field(min_length=1)]]


class DataScale(Strict):
    """Data: rows of each kind, and the vocabulary."""

    vocab_size: Annotated[int, Field(ge=288, le=65536)]  # 256 bytes, 14 role tokens, room for a few merges
    train_direct: Count
    train_tooled: Count
    train_tool: Count
    train_persona: Count
    train_recall: Count
    train_text: Count
    eval_per_family: Positive
    val_per_family: Positive


class DataParams(DataBase, DataScale):
    """Phase 0: rows per kind and the size of the vocabulary."""


# ---- cognate -----------------------------------------------------------------------------------------------


class Branch(Strict):
    """Cognate: what makes one branch differ from the others."""

    seed: Count
    memory_capacity: Positive
    ponder_cost: Weight
    multi_step: Positive
    mix: Mix


class CognateBase(Checkpointed):
    """Cognate: branches, optimizer and schedule."""

    branches: Annotated[dict[str, Branch], Field(min_length=1)]
    trunk_mix: Mix
    muon_lr: Rate
    adam_lr: Rate
    weight_decay: Weight
    clip: Annotated[float, Field(gt=0.0)]
    halt_weight: Weight
    warmup_fraction: Fraction
    decay_fraction: Fraction

    @field_validator("decay_fraction")
    @classmethod
    def _schedule_fits(cls, value: float, info: ValidationInfo) -> float:
        if value + info.data.get("warmup_fraction", 0.0) > 1.0:
            raise ValueError("warmup_fraction + decay_fraction must not exceed 1")
        return value


class CognateScale(Strict):
    """Cognate: shapes and budget."""

    parameters_target: Positive
    head_dim: Annotated[int, Field(ge=4, le=256, multiple_of=2)]  # even: RoPE turns pairs
    hidden_size: Annotated[int, Field(ge=16, le=8192)]
    low_heads: Widths
    low_ffn: Widths
    high_heads: Widths
    high_ffn: Widths
    max_steps: Annotated[int, Field(ge=1, le=64)]
    window: Positive
    memory: bool
    memory_heads: Positive
    memory_head_dim: Annotated[int, Field(ge=4, le=256)]
    memory_chunk: Positive
    halting: bool
    trunk_steps: Positive
    branch_steps: Positive
    batch_tokens: Positive

    @field_validator("hidden_size")
    @classmethod
    def _whole_heads(cls, value: int, info: ValidationInfo) -> int:
        head_dim = info.data.get("head_dim")
        if head_dim and value % head_dim:
            raise ValueError(f"must be a multiple of head_dim ({head_dim}), got {value}")
        return value

    @field_validator("low_ffn", "high_ffn")
    @classmethod
    def _same_depth(cls, value: list[int], info: ValidationInfo) -> list[int]:
        heads_name = str(info.field_name).replace("ffn", "heads")
        heads = info.data.get(heads_name)
        if heads is not None and len(heads) != len(value):
            raise ValueError(f"needs one width a block, as {heads_name} has {len(heads)} blocks, got {len(value)}")
        return value


class CognateParams(CognateBase, CognateScale):
    """Phase 1: the shared trunk and its branches."""


# ---- evomerge ----------------------------------------------------------------------------------------------


class FitnessWeights(Strict):
    """Evomerge: weights of the fitness terms; they add up to 1."""

    perplexity: Weight
    accuracy: Weight
    speed: Weight
    memory: Weight


class EvomergeBase(Checkpointed):
    """Evomerge: selection and search. ``backend`` says where, not what: no result depends on it."""

    fitness: FitnessWeights
    search: Literal["ga", "cma"]
    grouping: Literal["module", "block"]
    elites: Positive
    crossover_rate: Fraction
    mutation_sigma: Annotated[float, Field(gt=0.0)]
    diversity_threshold: Fraction
    reseed: Count
    archive: Positive
    patience: Count
    backend: Literal["serial", "process", "ray"]

    @field_validator("fitness")
    @classmethod
    def _sums(cls, value: FitnessWeights) -> FitnessWeights:
        check_sum_to_one(value)
        return value


class EvomergeScale(Strict):
    """Evomerge: how long and on how much."""

    generations: Positive
    population: Annotated[int, Field(ge=4, le=256)]
    fitness_samples: Positive


class EvomergeParams(EvomergeBase, EvomergeScale):
    """Phase 2: evolution over merges."""


# ---- quietstar ---------------------------------------------------------------------------------------------


class ThoughtWeights(Strict):
    """Quietstar: weights of a thought's coherence; they add up to 1."""

    semantic: Weight
    logical: Weight
    relevance: Weight
    fluency: Weight


class QuietstarBase(Checkpointed):
    """Quietstar: coherence, rewards and policy."""

    thought_weights: ThoughtWeights
    coherence_threshold: Fraction
    policy_weight: Weight
    alone_weight: Fraction
    on_fail: Literal["continue", "stop"]

    @field_validator("thought_weights")
    @classmethod
    def _sums(cls, value: ThoughtWeights) -> ThoughtWeights:
        check_sum_to_one(value)
        return value


class QuietstarScale(Strict):
    """Quietstar: thoughts and budget."""

    steps: Positive
    thoughts: Annotated[int, Field(ge=2, le=64)]  # leave-one-out needs another one
    thought_tokens: Positive
    batch: Positive
    replay_tokens: Positive
    validation_rows: Annotated[int, Field(ge=2)]  # a thought is held against another row's prompt
    lr: Rate


class QuietstarParams(QuietstarBase, QuietstarScale):
    """Phase 3: thoughts."""


# ---- bitnet, forge -----------------------------------------------------------------------------------------


class BitnetBase(Checkpointed):
    """Bitnet: widths in bits and distillation."""

    act_bits: Literal[0, 8]
    embed_bits: Literal[0, 4, 8]
    kd_weight: Fraction
    temperature: Annotated[float, Field(gt=0.0)]


class BitnetScale(Budget):
    """Bitnet: budget."""


class BitnetParams(BitnetBase, BitnetScale):
    """Phase 4: ternary weights."""


class ForgeBase(Checkpointed):
    """Forge: the Grokfast filter."""

    grokfast_alpha: Annotated[float, Field(ge=0.0, lt=1.0)]
    grokfast_lambda: Weight


class ForgeScale(Budget):
    """Forge: budget; steps and seeds of Grokfast's comparison on modular addition."""

    eval_every: Positive
    modular_steps: Positive
    modular_seeds: Annotated[int, Field(ge=2)]  # an interval needs two


class ForgeParams(ForgeBase, ForgeScale):
    """Phase 5: the long training loop."""


# ---- baking, edge ------------------------------------------------------------------------------------------


class BakingBase(Checkpointed):
    """Baking: adapters and trajectories."""

    lora_rank: Annotated[int, Field(ge=1, le=1024)]
    temperature: Annotated[float, Field(ge=0.0)]
    half_bake: Annotated[float, Field(gt=0.0, lt=1.0)]


class BakingScale(Budget):
    """Baking: budget; steps between measurements of tool use."""

    trajectories: Positive
    eval_every: Positive


class BakingParams(BakingBase, BakingScale):
    """Phase 6: tools and personas."""


class EdgeBase(Checkpointed):
    """Edge: how much to prune."""

    prune_ratio: Annotated[float, Field(gt=0.0, le=0.9)]


class EdgeScale(Budget):
    """Edge: budget and repetitions."""

    latency_repeats: Positive


class EdgeParams(EdgeBase, EdgeScale):
    """Phase 7: pruning and fusion."""


# ---- compress, evaluation ----------------------------------------------------------------------------------


class CompressBase(Checkpointed):
    """Compress: codebooks, bits, gates."""

    kd_weight: Fraction
    vq_groups: Annotated[int, Field(ge=1, le=64)]
    vq_codebook: PowerOfTwo
    embed_bits: Literal[2, 3, 4, 8]
    gates: Annotated[list[Fraction], Field(min_length=3, max_length=3)]
    cumulative_gate: Fraction
    budget_mb: Annotated[float, Field(gt=0.0)] | None


class CompressScale(Budget):
    """Compress: vocabulary and budget."""

    vocab_size: Annotated[int, Field(ge=270, le=65536)]


class CompressParams(CompressBase, CompressScale):
    """Phase 8: one file."""


class EvaluationBase(Strict):
    """Evaluation: draws and resamples."""

    seed: Count
    bootstrap: Annotated[int, Field(ge=100)]


class EvaluationScale(Strict):
    """Evaluation: sample sizes and the longest answer."""

    suite_n: Positive
    tool_n: Positive
    persona_n: Positive
    answer_tokens: Positive
    text_chars: Positive


class EvaluationParams(EvaluationBase, EvaluationScale):
    """How much of the test split every phase is measured on."""


# ---- the registry ----------------------------------------------------------------------------------------------


class RegistryParams(Strict):
    """How long the registry remembers sessions, in days and in number; no result depends on it."""

    keep_days: Positive
    keep_failed_days: Positive
    keep_sessions: Positive


# ---- the file ----------------------------------------------------------------------------------------------


class Scale(Strict):
    """One scale: sizes, budgets and bounds of all phases."""

    data: DataScale
    cognate: CognateScale
    evomerge: EvomergeScale
    quietstar: QuietstarScale
    bitnet: BitnetScale
    forge: ForgeScale
    baking: BakingScale
    edge: EdgeScale
    compress: CompressScale
    evaluation: EvaluationScale
    contracts: ContractThresholds

    @field_validator("compress")
    @classmethod
    def _vocabulary_shrinks(cls, value: CompressScale, info: ValidationInfo) -> CompressScale:
        data = info.data.get("data")
        if data and value.vocab_size > data.vocab_size:
            raise ValueError(f"vocab_size ({value.vocab_size}) exceeds data.vocab_size ({data.vocab_size})")
        return value


class ParamsFile(Strict):
    """`params.yaml` as a whole."""

    scale: str
    seed: Count
    data: DataBase
    cognate: CognateBase
    evomerge: EvomergeBase
    quietstar: QuietstarBase
    bitnet: BitnetBase
    forge: ForgeBase
    baking: BakingBase
    edge: EdgeBase
    compress: CompressBase
    evaluation: EvaluationBase
    registry: RegistryParams
    scales: Annotated[dict[str, Scale], Field(min_length=1)]

    @field_validator("scales")
    @classmethod
    def _elites_fit(cls, value: dict[str, Scale], info: ValidationInfo) -> dict[str, Scale]:
        evomerge = info.data.get("evomerge")
        for name, scale in value.items():
            if evomerge and evomerge.elites >= scale.evomerge.population:
                raise ValueError(
                    f"{name}.evomerge.population ({scale.evomerge.population}) must exceed"
                    f" evomerge.elites ({evomerge.elites})"
                )
        return value
