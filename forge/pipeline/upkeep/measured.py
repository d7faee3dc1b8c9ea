"""Tables of the docs that show the committed results: `make reference` writes them, a test holds them to results/.

A page says where such a table goes: between `<!-- results: claims evomerge -->` (of some directories below results/;
the first claim of one is `evomerge:1`), `<!-- results: ledger -->` or `<!-- results: runs -->` (with the name of a kept
run behind it, of that below docs/runs/), `<!-- results: beside spec -->` (the committed run and a kept one, phase by
phase), and `<!-- end of results -->`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.evals.claims import Claim, read_claims
from forge.evals.ledger import TITLES, ledger_row_cells
from forge.files import read_json
from forge.pipeline.report.gather import report_claim_interval, report_number, report_table_lines
from forge.pipeline.upkeep.keep_run import RUNS

_BLOCK = re.compile(r"(<!-- results: (.+?) -->\n)(.*?)(<!-- end of results -->)", re.DOTALL)
_Table = tuple[Sequence[str], Sequence[tuple[str, ...]]]
_CLAIMS = ("claim (metric)", "value", "control", "difference, 95 % interval", "n", "verdict")


def measured_pages(root: Path = Path()) -> dict[Path, str]:
    """Every page with tables of results, by its path from the project, with its text.

    Raises:
        ForgeError: a page asks for a table that there is none of, or the results lack what it shows.
    """
    found = {}
    for page in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        text = page.read_text(encoding="utf-8")
        if _BLOCK.search(text):
            made = _BLOCK.sub(lambda block: f"{block[1]}\n{_measured_table(root, block[2])}\n{block[4]}", text)
            found[page.relative_to(root)] = made
    return found


def _measured_table(root: Path, wanted: str) -> str:
    what, *places = wanted.split()
    if what == "claims" and places:
        claims = [claim for place in places for claim in _claims_of_place(root, place)]
        return "\n".join(report_table_lines(_CLAIMS, [_claim_cells(claim) for claim in claims])) + "\n"
    if what in _TABLES and len(places) <= 1:
        header, cells = _TABLES[what](*(_report(root, place) for place in ["", *places][-1:]))
        return "\n".join(report_table_lines(header, cells)) + "\n"
    if what == "beside" and len(places) == 1:
        header, cells = _beside(_report(root), _report(root, places[0]))
        return "\n".join(report_table_lines(header, cells)) + "\n"
    raise ForgeError(f"docs: no table of results is called '{wanted}'")


def _report(root: Path, kept: str = "") -> dict[str, Any]:
    """report.json of the committed run, or of a kept one."""
    found: dict[str, Any] = read_json(root / RUNS / kept / "report.json" if kept else root / "results" / "report.json")
    return found


def _ledger(report: dict[str, Any]) -> _Table:
    return TITLES, [ledger_row_cells(row) for row in report["ledger"]]


def _runs(report: dict[str, Any]) -> _Table:
    cells = [
        (str(run["stage"]), f"{run['seconds'] / 60:.1f}", f"{run['peak_memory_mb']:,.0f}") for run in report["runs"]
    ]
    return ("stage", "minutes", "peak memory, MB"), cells


_TABLES = {"ledger": _ledger, "runs": _runs}
_SHARES = {"tools": "accuracy_tools", "thoughts": "accuracy_thoughts", "free questions": "questions_right"}


def _beside(first: dict[str, Any], second: dict[str, Any]) -> _Table:
    """Phase by phase: bytes, shares with their intervals and minutes, of both runs in turn."""
    names, rows = (first["scale"], second["scale"]), {row["phase"]: row for row in second["ledger"]}
    header = ["phase", *(f"{what}, {name}" for what in ("bytes", *_SHARES, "minutes") for name in names)]
    cells: list[tuple[str, ...]] = []
    for row in first["ledger"]:
        if row["phase"] not in rows:
            raise ForgeError(f"docs: the run at {second['scale']} has no row of {row['phase']}")
        pair = (row, rows[row["phase"]])
        shares = [_share_cell(one, key) for key in _SHARES.values() for one in pair]
        minutes = [f"{one['seconds'] / 60:.1f}" for one in pair]
        cells.append((row["phase"], *(f"{one['bytes']:,}" for one in pair), *shares, *minutes))
    return header, cells


def _share_cell(row: dict[str, Any], key: str) -> str:
    explained = "accuracy_tools_prompted"  # before phase 6 a model has to be told of its tools
    key = explained if key == "accuracy_tools" and row.get(explained) is not None else key
    if row.get(key) is None:
        return ""
    interval = row.get("ci95", {}).get(key)
    return report_number(row[key]) + (f" ({report_claim_interval(interval)})" if interval else "")


def _claims_of_place(root: Path, place: str) -> list[Claim]:
    """All claims of a directory below results/, or with `:3` behind its name the third."""
    folder, _, number = place.partition(":")
    claims = read_claims(root / "results" / folder / "claims.json")
    return [claims[int(number) - 1]] if number else claims


def _claim_cells(claim: Claim) -> tuple[str, ...]:
    return (
        f"{claim.claim} ({claim.metric})",
        report_number(claim.value),
        f"{report_number(claim.control_value)} ({claim.control})",
        report_claim_interval(claim.ci95),
        str(claim.n),
        "pass" if claim.passed else "**FAIL**",
    )
