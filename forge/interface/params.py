"""Parameters that no phase owns: data, training in general, evaluation, the registry."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from forge.interface.fields import Above, AnswerTokens, Count, Fraction, Mix, Positive, Seed, Strict, Weight


class DataBase(Strict):
    """Data: what does not depend on the scale."""

    own_data: list[Annotated[str, Field(min_length=1)]]
    """Your own text, JSON or Parquet files, as paths from the project. Files under data/own/ are watched: change one
    and the pipeline reruns. Elsewhere only a changed path is seen."""
    own_share: Fraction
    """What these rows are of every phase's training mix, by number of examples; they are repeated as often as that
    takes. 0 trains on none of them."""
    talk_share: Fraction
    """What dialogues that need no tool are of the dialogues with tools."""
    fact_share: Fraction
    """What dialogues that tell a fact in plain words are of those of the training split."""

    @field_validator("fact_share")
    @classmethod
    def _leaves_some(cls, value: float, info: ValidationInfo) -> float:
        if value + info.data.get("talk_share", 0.0) > 1.0:
            raise ValueError("talk_share + fact_share must not exceed 1")
        return value

    tools: Annotated[str, Field(min_length=1)]
    """Your own tools: a tools file, or a folder of such files (*.yaml). Phases 6 to 8 train on them, and rerun when one
    changes."""


class DataScale(Strict):
    """Data: rows of each kind, and the vocabulary."""

    vocab_size: Annotated[int, Field(ge=288, le=65536)]  # 256 bytes, 14 role tokens, room for a few words
    """Tokens of the vocabulary, at most: role tokens, bytes, phrases, and as many common words as there are."""
    train_direct: Count
    """Training rows of each family of the suite that are answered at once."""
    train_tooled: Count
    """Training rows of each family of the suite that are solved by a tool."""
    train_worked: Count
    """Training rows of each family of the suite that are answered after a worked thought."""
    train_tool: Count
    """Training dialogues with tools, over all tools."""
    train_persona: Count
    """Training dialogues with personas, over all personas."""
    train_recall: Count
    """Training rows that ask for something said before."""
    train_text: Count
    """Training chunks of prose."""
    eval_per_family: Positive
    """Test problems of each family, of which the evaluation draws."""
    val_per_family: Positive
    """Validation problems of each family, on which choices are made."""


class DataParams(DataBase, DataScale):
    """Rows per kind and the size of the vocabulary."""


class OwnToolsScale(Strict):
    """Your own tools: rows drawn from what `data.tools` declares; to declared personas a tenth as many besides."""

    train: Positive
    """Training rows."""
    val: Positive
    """Validation rows, on which the confidence of calls is fitted."""
    test: Positive
    """Test rows; nearly half of them ask for one call."""


class TrainingParams(Strict):
    """Training of phases 3 to 8, as far as they share it."""

    mix: Mix
    """What they read: the trunk's diet with more tools and thoughts, which few bits forget first."""
    adam_ratio: Weight
    """Learning rate of embeddings and vectors against that of the matrices."""
    weight_decay: Weight
    """Of all matrices, decoupled: a step takes the learning rate times this off every weight."""
    warmup_fraction: Fraction
    """Share of the steps, at the start, in which the learning rate rises."""
    end_rate: Fraction
    """Learning rate at the last step, against its peak."""
    clip: Above
    """Largest norm of the gradient of all weights; a longer one is made as short."""
    halt_weight: Weight
    """Weight of the halting loss; phases 1 and 2 use it too."""
    early_weight: Fraction
    """Weight of the loss at a recurrence step that is not the last; phases 1 and 2 use it too."""
    further_steps: Fraction
    """Share of the batches on which recurrence steps after the first are taken and trained; in phases 1 and 2 too."""
    sampled_outputs: Annotated[int, Field(ge=0, le=65536)]
    """Tokens that stand, in the loss, for all that no target of the batch is; 0 looks at all; in phases 1 and 2 too."""


class EvaluationBase(Strict):
    """Evaluation: draws and resamples."""

    seed: Seed
    """Of the test draws; training never sees it."""
    bootstrap: Annotated[int, Field(ge=100, le=100_000)]
    """Resamples behind each 95 % interval."""


class EvaluationScale(Strict):
    """Evaluation: sample sizes and the longest answer."""

    suite_n: Positive
    """Problems of each family of the suite."""
    tool_n: Positive
    """Held-out dialogues of each tool."""
    persona_n: Positive
    """Held-out dialogues of each persona."""
    answer_tokens: AnswerTokens
    """Longest answer in tokens, results of tools included."""
    text_chars: Positive
    """Characters of held-out prose behind bits per byte."""


class EvaluationParams(EvaluationBase, EvaluationScale):
    """How much of the test split every phase is measured on."""


class RegistryParams(Strict):
    """How long .forge/registry.db remembers sessions (runs of a stage); no result depends on it."""

    keep_days: Positive
    """Days that a session which completed is kept."""
    keep_failed_days: Positive
    """Days that a session which failed is kept."""
    keep_sessions: Positive
    """Sessions that are kept at most."""
