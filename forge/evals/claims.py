"""A claim: a benefit that a phase asserts, measured against a control, with an interval and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from forge.errors import ForgeError
from forge.evals.bootstrap import paired_bootstrap
from forge.files import read_json


class Claim(BaseModel):
    """One line of claims.json.

    `value` and `control_value` are in the metric's own unit. `ci95` is the interval of their difference
    (value - control_value); it is None only where nothing was sampled, for example a size in bytes.
    """

    model_config = ConfigDict(extra="forbid")

    claim: str = Field(min_length=1)
    metric: str = Field(min_length=1)
    value: FiniteFloat
    control: str = Field(min_length=1)
    control_value: FiniteFloat
    ci95: tuple[FiniteFloat, FiniteFloat] | None
    n: int = Field(ge=1)
    passed: bool
    note: str = ""
    seed: int = 0

    @model_validator(mode="after")
    def _ordered(self) -> Claim:
        if self.ci95 is not None and self.ci95[0] > self.ci95[1]:
            raise ValueError("ci95: the lower bound lies above the upper bound")
        return self


def compare_for_claim(
    claim: str,
    metric: str,
    treatment: Sequence[float],
    control: Sequence[float],
    *,
    control_name: str,
    margin: float = 0.0,
    note: str = "",
    higher_is_better: bool = True,
    n_boot: int = 2000,
    seed: int = 0,
) -> Claim:
    """Paired comparison of per-item scores (n,) of a treatment and its control.

    Passed when the whole 95 % interval of the improvement lies above `margin`: a positive margin asks for
    more than nothing, a negative one asks for "not worse by more than that". With higher_is_better=False
    (loss, latency) the improvement is control - treatment. Errors as in `paired_bootstrap`.
    """
    gap = paired_bootstrap(treatment, control, n_boot=n_boot, seed=seed)
    worst_gain = gap.low if higher_is_better else -gap.high
    return Claim(
        claim=claim,
        metric=metric,
        value=float(sum(treatment) / len(treatment)),
        control=control_name,
        control_value=float(sum(control) / len(control)),
        ci95=(gap.low, gap.high),
        n=len(treatment),
        passed=bool(worst_gain > margin),
        note=note,
        seed=seed,
    )


def read_claims(path: Path | str) -> list[Claim]:
    """Read a claims.json. Raises ForgeError that names the file when it is missing, corrupt or misses a
    field.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise ForgeError(f"{path}: a claims file holds a list")
    try:
        return [Claim.model_validate(row) for row in rows]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ForgeError(f"{path}: claim field {where!r}: {first['msg']}") from error
