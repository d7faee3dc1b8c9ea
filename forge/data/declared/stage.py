"""The stage `tools`: rows of the tools and personas that a user has declared."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from forge.data.declared.own_set import DECLARED_FILE, list_own_tools_of_rows
from forge.data.declared.rows import own_persona_rows, own_tool_rows
from forge.files import atomic_write_text
from forge.interface.params import DataParams, OwnToolsScale
from forge.interface.paths import OWN_TOOLS
from forge.interface.run import DataRun
from forge.tools.declared.checking import read_sound_tools
from forge.tools.declared.reading import ToolFile

PERSONA_SHARE = 10  # one row of declared personas to so many of declared tools


def run(run: DataRun[OwnToolsScale]) -> None:
    """Write `data/own_tools`, without rows where nothing is declared, and record how many rows there are."""
    files = read_sound_tools(run.parameters_of(DataParams).tools)
    with run.building(OWN_TOOLS) as folder:
        rows = write_own_tool_rows(folder, files, run.params.model_dump(), run.seed)
    run.record(
        headline={
            "tools": sum(len(file.tools) for file in files),
            "personas": sum(len(file.personas) for file in files),
            **{f"rows/{split}": count for split, count in rows.items()},
        }
    )


def write_own_tool_rows(
    folder: Path, files: Sequence[ToolFile], counts: Mapping[str, int], seed: int
) -> dict[str, int]:
    """Write `tools.json` and `<split>.jsonl`; equal arguments give equal bytes.

    Args:
        files: may be none: then the rows are, too.
        counts: rows by split.

    Returns:
        Rows that came about, by split.

    Raises:
        ForgeError: no tool has an example, or values of one never fit its schema.
    """
    tools = [tool for file in files for tool in file.tools]
    personas = [persona for file in files for persona in file.personas]
    called = own_tool_rows(tools, counts, seed) if tools else {}
    voiced = own_persona_rows(personas, {split: count // PERSONA_SHARE for split, count in counts.items()}, seed)
    for split in counts:
        rows = [*called.get(split, []), *voiced[split]]
        lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
        atomic_write_text(folder / f"{split}.jsonl", "".join(lines))
    listed = json.dumps(
        list_own_tools_of_rows(tools, personas), ensure_ascii=False, indent=1
    )  # in the order of declaration
    atomic_write_text(folder / DECLARED_FILE, f"{listed}\n")
    return {split: len(called.get(split, [])) + len(voiced[split]) for split in counts}
