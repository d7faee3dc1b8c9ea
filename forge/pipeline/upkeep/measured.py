"""Tables of the docs that show the committed results: `make reference` writes them, a test holds them to results/.

A page says where such a table goes: between `<!-- results: claims evomerge -->` (of some directories below results/;
the first claim of one is `evomerge:1`), `<!-- results: ledger -->` or `<!-- results: runs -->`, and
`<!-- end of results -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

from forge.errors import ForgeError
from forge.evals.claims import Claim, read_claims
from forge.evals.ledger import TITLES, ledger_row_cells
from forge.files import read_json
from forge.pipeline.report.gather import claim_interval_text, report_number, report_table_lines

_BLOCK = re.compile(r"(<!-- results: (.+?) -->\n)(.*?)(<!-- end of results -->)", re.DOTALL)
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
    if what == "ledger" and not places:
        rows = read_json(root / "results" / "report.json")["ledger"]
        return "\n".join(report_table_lines(TITLES, [ledger_row_cells(row) for row in rows])) + "\n"
    if what == "runs" and not places:
        runs = read_json(root / "results" / "report.json")["runs"]
        cells = [(run["stage"], f"{run['seconds'] / 60:.1f}", f"{run['peak_memory_mb']:,.0f}") for run in runs]
        return "\n".join(report_table_lines(("stage", "minutes", "peak memory, MB"), cells)) + "\n"
    raise ForgeError(f"docs: no table of results is called '{wanted}'")


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
        claim_interval_text(claim.ci95),
        str(claim.n),
        "pass" if claim.passed else "**FAIL**",
    )
