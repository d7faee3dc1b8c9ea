"""The ledger: one definition of size and quality for all eight phases, so that its rows can be compared.

A column is a line of `COLUMNS`; report, dashboard and the row's own checks follow from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from forge.errors import ForgeError
from forge.evals.suite import SuiteScore
from forge.files import read_json

if TYPE_CHECKING:
    from forge.evals.measure import Measurement


@dataclass(frozen=True)
class Column:
    """A quality that each phase's model is measured for.

    key: in ledger.json. title: above the column. of: its value in a measurement, or the score whose mean it is and
    whose problems give its interval; None where it was not asked for. bounds: lowest and highest value that can be,
    None for any. says: what it is. optional: a row may lack it: not asked for, or older than the column.
    """

    key: str
    title: str
    of: Callable[[Measurement], SuiteScore | float | None]
    bounds: tuple[float, float] | None
    says: str
    optional: bool = False


_SHARE = (0.0, 1.0)
COLUMNS = (
    Column("bpb", "BPB", lambda m: m.bpb, None, "bits per UTF-8 byte of held-out text"),
    Column("accuracy_no_tools", "suite, at once", lambda m: m.no_tools, _SHARE, "no tools, no thoughts"),
    Column("accuracy_thoughts", "thoughts", lambda m: m.thoughts, _SHARE, "no tools, a thought for every answer", True),
    Column("accuracy_tools", "tools", lambda m: m.tools, _SHARE, "no thoughts, no word about tools"),
    Column("accuracy_tools_prompted", "tools explained", lambda m: m.prompted, _SHARE, "explained in the prompt", True),
    Column("accuracy_all", "all", lambda m: m.everything, _SHARE, "tools and thoughts left to the model", True),
)


class LedgerRow(BaseModel):
    """One phase's row: size and time, and a value for each of `COLUMNS`."""

    model_config = ConfigDict(extra="allow")

    phase: str
    bytes: int = Field(ge=1)
    """Of the deployable files, as they are on disk."""
    parameters: int = Field(ge=1)
    seconds: float = Field(ge=0.0)
    files: list[str] = Field(min_length=1)
    ci95: dict[str, tuple[float, float]] = {}
    """Lowest and highest value of a column, by its key: 95 % interval over the problems that were asked."""

    def value(self, key: str) -> float | None:
        """The value of a column; None where it was not asked for."""
        found: float | None = (self.__pydantic_extra__ or {}).get(key)
        return found

    @model_validator(mode="after")
    def _columns(self) -> LedgerRow:
        given = self.__pydantic_extra__ or {}
        if unknown := given.keys() - {column.key for column in COLUMNS}:
            raise ValueError(f"no such column: {', '.join(sorted(unknown))}")
        for column in COLUMNS:
            value, (low, high) = self.value(column.key), column.bounds or (-math.inf, math.inf)
            if value is None and not column.optional:
                raise ValueError(f"{column.key}: missing")
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"{column.key}: {value} is not from {low} to {high}")
        for key, (low, high) in self.ci95.items():
            if (value := self.value(key)) is None or not low <= value <= high:
                raise ValueError(f"{key}: {value} is not in its interval")
        return self


TITLES = ("phase", "bytes", "parameters", *(column.title for column in COLUMNS), "minutes")


def ledger_row_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row of ledger.json as people read it, under `TITLES`."""
    values = [row.get(column.key) for column in COLUMNS]
    shown = ["" if value is None else f"{value:.3f}" for value in values]
    return (row["phase"], f"{row['bytes']:,}", f"{row['parameters']:,}", *shown, f"{row['seconds'] / 60:.1f}")


def ledger_deployable_files(names: Sequence[str], directory: Path | str) -> list[Path]:
    """The files someone must copy to run a model, of those that its phase declares; nothing else is counted.

    A name that ends in `?` is counted where it is there. Raises ForgeError when another is missing, so that a row
    never shrinks by an oversight.
    """
    found = []
    for name in names:
        path = Path(directory) / name.removesuffix("?")
        if path.is_file():
            found.append(path)
        elif not name.endswith("?"):
            raise ForgeError(f"ledger: there is no deployable file {path}")
    return found


def ledger_row(phase: str, files: Sequence[Path], parameters: int, measured: Measurement, seconds: float) -> LedgerRow:
    """Build a row; `bytes` is measured on disk here and cannot be passed in. Intervals are Wilson's."""
    from forge.evals.bootstrap import mean_interval  # numpy: not for those who only read rows

    if not files:
        raise ForgeError(f"ledger: {phase} names no file")
    found = {column.key: column.of(measured) for column in COLUMNS}
    scores = {key: score for key, score in found.items() if isinstance(score, SuiteScore)}
    intervals = {key: mean_interval(score.correct) for key, score in scores.items()}
    return LedgerRow.model_validate(
        {
            "phase": phase,
            "bytes": sum(path.stat().st_size for path in files),
            "parameters": parameters,
            "seconds": seconds,
            "files": [_ledger_file_path(path) for path in files],
            "ci95": {key: (interval.low, interval.high) for key, interval in intervals.items()},
            **found,
            **{key: score.mean_accuracy for key, score in scores.items()},
        }
    )


def _ledger_file_path(path: Path) -> str:
    """Relative to the project when inside it: a committed row must not carry a path of one machine."""
    absolute, here = path.resolve(), Path.cwd().resolve()
    return absolute.relative_to(here).as_posix() if absolute.is_relative_to(here) else path.name


def read_ledger(path: Path | str) -> LedgerRow:
    """Read a row. Raises ForgeError that names the file and the field."""
    raw = read_json(path)
    try:
        return LedgerRow.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ForgeError(f"{path}: ledger field {where!r}: {first['msg']}") from error
