"""The ledger: one definition of size and quality for all eight phases, so that its rows can be compared.

A column is a line of `COLUMNS`; report, dashboard and the row's own checks follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, create_model

from forge.errors import ForgeError
from forge.evals.measure import Measurement
from forge.files import read_json


@dataclass(frozen=True)
class Column:
    """A quality that each phase's model is measured for.

    key: in ledger.json. title: above the column. of: its value in a measurement; None where it was not asked for.
    bounds: lowest and highest value that can be, None for any. says: what it is.
    """

    key: str
    title: str
    of: Callable[[Measurement], float | None]
    bounds: tuple[float, float] | None
    says: str


_SHARE = (0.0, 1.0)
COLUMNS = (
    Column("bpb", "BPB", lambda m: m.bpb, None, "bits per UTF-8 byte of held-out text"),
    Column("accuracy_no_tools", "suite, no tools", lambda m: m.no_tools.mean_accuracy, _SHARE, "exact match, no tools"),
    Column("accuracy_tools", "suite, tools", lambda m: m.tools.mean_accuracy, _SHARE, "with tools, unexplained"),
    Column("accuracy_tools_prompted", "suite, tools explained", lambda m: m.prompted_accuracy, _SHARE, "in the prompt"),
)


def _column_field(column: Column) -> Any:
    low, high = column.bounds or (None, None)
    return (FiniteFloat | None, Field(ge=low, le=high, description=column.says))


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    phase: str
    bytes: int = Field(ge=1, description="deployable files on disk")
    parameters: int = Field(ge=1)
    seconds: float = Field(ge=0.0, description="wall clock")
    files: list[str] = Field(min_length=1)


LedgerRow = create_model(
    "LedgerRow",
    __base__=_Row,
    __doc__="One phase's row: size, time, and each of `COLUMNS`.",
    **{column.key: _column_field(column) for column in COLUMNS},
)


def deployable_files(names: Sequence[str], directory: Path | str) -> list[Path]:
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


def ledger_row(phase: str, files: Sequence[Path], parameters: int, measured: Measurement, seconds: float) -> Any:
    """Build a row; `bytes` is measured on disk here and cannot be passed in."""
    if not files:
        raise ForgeError(f"ledger: {phase} names no file")
    return LedgerRow.model_validate(
        {
            "phase": phase,
            "bytes": sum(path.stat().st_size for path in files),
            "parameters": parameters,
            "seconds": seconds,
            "files": [_shown(path) for path in files],
            **{column.key: column.of(measured) for column in COLUMNS},
        }
    )


def _shown(path: Path) -> str:
    """Relative to the project when inside it: a committed row must not carry a path of one machine."""
    absolute, here = path.resolve(), Path.cwd().resolve()
    return absolute.relative_to(here).as_posix() if absolute.is_relative_to(here) else path.name


def read_ledger(path: Path | str) -> Any:
    """Read a row. Raises ForgeError that names the file and the field."""
    raw = read_json(path)
    try:
        return LedgerRow.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ForgeError(f"{path}: ledger field {where!r}: {first['msg']}") from error
