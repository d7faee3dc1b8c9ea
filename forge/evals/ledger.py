"""The ledger: one definition of size and quality for all eight phases, so that its rows can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from forge.errors import ForgeError
from forge.files import atomic_write_json, read_json

PHASES = ("cognate", "evomerge", "quietstar", "bitnet", "forge", "baking", "edge", "compress")
_FULL_PRECISION = ("cognate", "evomerge", "quietstar")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


class LedgerRow(BaseModel):
    """One phase's row.

    bytes: deployable files on disk; bpb: bits per UTF-8 byte of held-out text; seconds: wall clock.
    accuracy_tools: with tools and no word of them in the prompt. accuracy_tools_prompted: with the prompt that explains
    them; None from phase 6 on, which makes it superfluous.
    """

    model_config = ConfigDict(extra="forbid")

    phase: str
    bytes: int = Field(ge=1)
    parameters: int = Field(ge=1)
    bpb: FiniteFloat
    accuracy_no_tools: float = Field(ge=0.0, le=1.0)
    accuracy_tools: float = Field(ge=0.0, le=1.0)
    accuracy_tools_prompted: float | None = Field(default=None, ge=0.0, le=1.0)
    seconds: float = Field(ge=0.0)
    files: list[str] = Field(min_length=1)


def deployable_files(phase: str, directory: Path | str) -> list[Path]:
    """The files someone must copy to run the phase's model; nothing else is counted.

    Phases 1 to 3: model.safetensors; phases 4 to 7: packed.safetensors (ternary weights, five to a byte);
    both with config.json and the tokenizer. Phase 8: agent.forge alone.
    Raises ForgeError when one of them is missing, so that a row never shrinks by an oversight.
    """
    if phase not in PHASES:
        raise ForgeError(f"ledger: unknown phase {phase!r}; known: {', '.join(PHASES)}")
    folder = Path(directory)
    if phase == "compress":
        needed = [folder / "agent.forge"]
    else:
        weights = "model.safetensors" if phase in _FULL_PRECISION else "packed.safetensors"
        needed = [folder / weights, folder / "config.json", folder / "tokenizer.json"]
    for path in needed:
        if not path.is_file():
            raise ForgeError(f"ledger: {phase} has no deployable file {path}")
    if phase == "compress":
        return needed
    extras = [folder / name for name in (*TOKENIZER_FILES[1:], "think_gate.safetensors")]
    return needed + [path for path in extras if path.is_file()]


def ledger_row(
    phase: str,
    deployable_files: Sequence[Path],
    parameters: int,
    bpb: float,
    accuracy_no_tools: float,
    accuracy_tools: float,
    seconds: float,
    accuracy_tools_prompted: float | None = None,
) -> LedgerRow:
    """Build a row; `bytes` is measured on disk here and cannot be passed in."""
    paths = [Path(path) for path in deployable_files]
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        raise ForgeError(f"ledger: {phase} has no file {missing[0]}" if missing else f"ledger: {phase} names no file")
    return LedgerRow(
        phase=phase,
        bytes=sum(path.stat().st_size for path in paths),
        parameters=parameters,
        bpb=bpb,
        accuracy_no_tools=accuracy_no_tools,
        accuracy_tools=accuracy_tools,
        accuracy_tools_prompted=accuracy_tools_prompted,
        seconds=seconds,
        files=[_shown(path) for path in paths],
    )


def _shown(path: Path) -> str:
    """Relative to the project when inside it: a committed row must not carry a path of one machine."""
    absolute, here = path.resolve(), Path.cwd().resolve()
    return absolute.relative_to(here).as_posix() if absolute.is_relative_to(here) else path.name


def write_ledger(path: Path | str, row: LedgerRow) -> None:
    """Write one row to results/<phase>/ledger.json, atomically."""
    atomic_write_json(path, row.model_dump(mode="json"))


def read_ledger(path: Path | str) -> LedgerRow:
    """Read a row. Raises ForgeError that names the file and the field."""
    raw = read_json(path)
    try:
        return LedgerRow.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ForgeError(f"{path}: ledger field {where!r}: {first['msg']}") from error
