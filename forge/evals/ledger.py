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
from forge.files import read_json, sha256_file

if TYPE_CHECKING:
    from forge.evals.bootstrap import Interval
    from forge.evals.free_questions import FreeQuestionScore
    from forge.evals.measure import Measurement
    from forge.evals.tool_use import ToolScore


@dataclass(frozen=True)
class LedgerScores:
    """What the columns are taken from. suite: of every phase. questions, tools: of phases 6 to 8, whose models are
    asked as an agent is used; None before."""

    suite: Measurement
    questions: FreeQuestionScore | None = None
    tools: ToolScore | None = None


@dataclass(frozen=True)
class Column:
    """A quality that a phase's model is measured for.

    key: in ledger.json. title: above the column. of: its value, a value with its interval, or the score whose mean it
    is and whose problems give its interval; None where it was not asked for. bounds: lowest and highest value that can
    be, None for any. says: what it is. optional: a row may lack it: not asked for, or older than the column.
    """

    key: str
    title: str
    of: Callable[[LedgerScores], SuiteScore | Interval | float | None]
    bounds: tuple[float, float] | None
    says: str
    optional: bool = False


_SHARE = (0.0, 1.0)
COLUMNS = (
    Column("bpb", "BPB", lambda s: s.suite.bpb, None, "bits per UTF-8 byte of held-out text"),
    Column("accuracy_no_tools", "suite, at once", lambda s: s.suite.no_tools, _SHARE, "no tools, no thoughts"),
    Column("accuracy_thoughts", "thoughts", lambda s: s.suite.thoughts, _SHARE, "no tools, always a thought", True),
    Column("accuracy_tools", "tools", lambda s: s.suite.tools, _SHARE, "no thoughts, no word about tools"),
    Column("accuracy_tools_prompted", "tools explained", lambda s: s.suite.prompted, _SHARE, "in the prompt", True),
    Column("accuracy_all", "all", lambda s: s.suite.everything, _SHARE, "tools and thoughts left to the model", True),
    Column(
        "tool_final",
        "tool answers",
        lambda s: None if s.tools is None else s.tools.final,
        _SHARE,
        "of questions that need a tool, those whose answer tells its result (phases 6 to 8)",
        True,
    ),
    Column(
        "questions_right",
        "free questions",
        lambda s: None if s.questions is None else s.questions.shares["right"],
        _SHARE,
        "of questions as people type them, those answered right (phases 6 to 8)",
        True,
    ),
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
    sha256: dict[str, str] = {}
    """Of each of the files; empty in a row that is older than this field."""
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


def ledger_row(phase: str, files: Sequence[Path], parameters: int, scores: LedgerScores, seconds: float) -> LedgerRow:
    """Build a row; `bytes` and `sha256` are taken on disk here and cannot be passed in. Intervals are Wilson's."""
    from forge.evals.bootstrap import Interval, mean_interval  # numpy: not for those who only read rows

    if not files:
        raise ForgeError(f"ledger: {phase} names no file")
    values: dict[str, float | None] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for column in COLUMNS:
        found = column.of(scores)
        if isinstance(found, SuiteScore):
            values[column.key], intervals[column.key] = found.mean_accuracy, mean_interval(found.correct)[1:]
        elif isinstance(found, Interval):
            values[column.key], intervals[column.key] = found.diff, found[1:]
        else:
            values[column.key] = found
    return LedgerRow.model_validate(
        {
            "phase": phase,
            "bytes": sum(path.stat().st_size for path in files),
            "parameters": parameters,
            "seconds": seconds,
            "files": [_ledger_file_path(path) for path in files],
            "sha256": {_ledger_file_path(path): sha256_file(path) for path in files},
            "ci95": intervals,
            **values,
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
