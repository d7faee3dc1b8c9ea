"""The kinds of values that parameters are made of.

A field's docstring is its explanation: `agent-forge config show`, error messages and the dashboard print it. No field
has a default: a value that acts is a value that is written in `params.yaml`, so DVC sees every one of them, and these
models can only refuse a run, never change its result.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from forge.interface.limits import COOLEST, HOTTEST, LARGEST_SEED, MOST_ANSWER_TOKENS

# Every number is bounded above as well: infinity, and what no library can work with, are refused before a run.
_MANY = 10**9
_GREAT = 1e6

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Count = Annotated[int, Field(ge=0, le=_MANY)]
Positive = Annotated[int, Field(ge=1, le=_MANY)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0, le=_GREAT)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]  # a learning rate
Above = Annotated[float, Field(gt=0.0, le=_GREAT)]
Temperature = Annotated[float, Field(ge=COOLEST, le=HOTTEST)]
AnswerTokens = Annotated[int, Field(ge=1, le=MOST_ANSWER_TOKENS)]


def _check_declared_power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError(f"must be a power of two, got {value}")
    return value


def _check_declared_temperature(value: float) -> float:
    if value != 0.0 and not COOLEST <= value <= HOTTEST:
        raise ValueError(f"must be 0 (always the likeliest) or from {COOLEST:g} to {HOTTEST:g}, got {value:g}")
    return value


PowerOfTwo = Annotated[int, Field(ge=2, le=65536), AfterValidator(_check_declared_power_of_two)]
SamplingTemperature = Annotated[float, AfterValidator(_check_declared_temperature)]
Heads = Annotated[list[Annotated[int, Field(ge=1, le=512)]], Field(min_length=1, max_length=64)]  # one entry per block
Widths = Annotated[list[Annotated[int, Field(ge=1, le=65536)]], Field(min_length=1, max_length=64)]


class Strict(BaseModel):
    """Unknown keys and values of another type are refused; an instance cannot be changed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, defer_build=True)


def check_fields_sum_to_one(weights: BaseModel) -> None:
    """Raise ValueError unless the model's fields add up to 1 (to 1e-6)."""
    total = sum(weights.model_dump().values())
    if abs(total - 1.0) > 1e-6:
        raise ValueError(f"the weights must add up to 1, got {total:g}")


class Mix(Strict):
    """Relative weights of the kinds of training rows; the number of examples drawn is in proportion."""

    direct: Weight
    """Problems of the suite answered at once, without a tool."""
    tooled: Weight
    """Problems of the suite solved by calling a tool."""
    tool: Weight
    """Dialogues that use one of the tools."""
    persona: Weight
    """Dialogues in the voice of a persona."""
    recall: Weight
    """Questions about something said earlier in the conversation."""
    text: Weight
    """Plain prose."""
    worked: Weight
    """Problems of the suite answered after a worked thought."""
    own_tool: Weight
    """Dialogues with your own tools, where data.tools declares any."""

    @field_validator("own_tool")
    @classmethod
    def _some_weight(cls, value: float, info: ValidationInfo) -> float:
        if value + sum(info.data.values()) <= 0:
            raise ValueError("at least one kind of the mix needs a weight above 0")
        return value


class Checkpointed(Strict):
    """A loop that saves itself every so many steps."""

    checkpoint_every: Positive
    """Steps (generations in evomerge) between checkpoints; a killed run loses at most so many."""


class Budget(Strict):
    """What a training loop may spend."""

    steps: Positive
    """Updates of the weights."""
    batch_tokens: Positive
    """Tokens of one update, padding included."""
    lr: Rate
    """Peak learning rate of the matrices of the core."""
