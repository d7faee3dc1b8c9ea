"""What is derived from the declarations is in Git as it is derived."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.pipeline.layout.phases import CONTRACTS
from forge.pipeline.upkeep.reference import REFERENCE, pages

ROOT = Path(__file__).resolve().parents[3]
PAGES = pages(ROOT)


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_a_derived_file_is_up_to_date(path: Path) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path], "run: make reference"


def test_no_derived_file_is_left_over() -> None:
    schemas = {path.name for path in (ROOT / REFERENCE / "schemas").iterdir()}
    assert len(schemas) == len(CONTRACTS)
    assert {path.relative_to(ROOT) for path in (ROOT / REFERENCE).rglob("*") if path.is_file()} == {
        path for path in PAGES if REFERENCE in path.parents
    }


def test_every_parameter_is_explained() -> None:
    """A row of the page: key, meaning, values; none is without a meaning."""
    rows = [line.split(" | ") for line in PAGES[REFERENCE / "parameters.md"].splitlines() if line.startswith("| `")]
    assert len(rows) > 200
    unexplained = [row[0] for row in rows if not row[1].strip().endswith((".", "!"))]
    assert not unexplained
