"""The kinds of values that parameters are made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]  # a learning rate


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError(f"must be a power of two, got {value}")
    return value


PowerOfTwo = Annotated[int, Field(ge=2), AfterValidator(_power_of_two)]
Widths = Annotated[list[Positive], Field(min_length=1, max_length=64)]


class Strict(BaseModel):
    """Unknown keys and values of another type are refused; an instance cannot be changed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def check_sum_to_one(weights: BaseModel) -> None:
    """Raise ValueError unless the model's fields add up to 1 (to 1e-6)."""
    total = sum(weights.model_dump().values())
    if abs(total - 1.0) > 1e-6:
        raise ValueError(f"the weights must add up to 1, got {total:g}")
