"""Tables of results in the docs: written where a page asks for them, from the results as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.errors import ForgeError
from forge.evals.claims import compare_for_claim
from forge.files import atomic_write_json
from forge.pipeline.upkeep.measured import measured_pages


def _page(root: Path, wanted: str) -> str:
    (root / "docs").mkdir(exist_ok=True)
    (root / "README.md").write_text("nothing measured\n", encoding="utf-8")
    text = f"before\n\n<!-- results: {wanted} -->\nold\n<!-- end of results -->\n\nafter\n"
    (root / "docs" / "page.md").write_text(text, encoding="utf-8")
    return measured_pages(root)[Path("docs/page.md")]


def test_claims_of_several_places_in_order(tmp_path: Path) -> None:
    for place in ("one", "two"):
        claim = compare_for_claim(f"claim {place}", "share", [1.0, 1.0], [0.0, 0.0], control_name="nothing")
        atomic_write_json(tmp_path / "results" / place / "claims.json", [claim.model_dump(mode="json")])
    page = _page(tmp_path, "claims two one")
    assert page.startswith("before\n")
    assert page.endswith("<!-- end of results -->\n\nafter\n")
    assert "old" not in page
    assert "| claim two (share) | 1 | 0 (nothing) | 1 to 1 | 2 | pass |\n| claim one (share)" in page


def test_one_claim_of_a_place(tmp_path: Path) -> None:
    claims = [
        compare_for_claim(name, "share", [1.0], [0.0], control_name="nothing").model_dump(mode="json")
        for name in ("first", "second")
    ]
    atomic_write_json(tmp_path / "results" / "one" / "claims.json", claims)
    page = _page(tmp_path, "claims one:2")
    assert "| second (share)" in page
    assert "first" not in page


def test_minutes_and_memory_of_the_run(tmp_path: Path) -> None:
    run = {"stage": "data", "seconds": 90.0, "peak_memory_mb": 1234.4, "file": "results/data/run.json"}
    atomic_write_json(tmp_path / "results" / "report.json", {"runs": [run], "ledger": []})
    assert "| data | 1.5 | 1,234 |" in _page(tmp_path, "runs")


def test_a_kept_run_by_its_name_and_beside_the_committed_one(tmp_path: Path) -> None:
    for place, scale, right in (("results", "tiny", 0.5), ("docs/runs/spec", "spec", 0.75)):
        run = {"stage": f"data of {scale}", "seconds": 60.0, "peak_memory_mb": 10.0}
        row = {"phase": "edge", "bytes": 1000, "seconds": 90.0, "questions_right": None}
        row |= {"accuracy_tools": 0.1, "accuracy_tools_prompted": right, "accuracy_thoughts": 0.25}
        row["ci95"] = {"accuracy_tools_prompted": [right - 0.25, right + 0.25]}
        atomic_write_json(tmp_path / place / "report.json", {"scale": scale, "runs": [run], "ledger": [row]})
    assert "data of spec" in _page(tmp_path, "runs spec")
    lines = _page(tmp_path, "beside spec").splitlines()
    assert lines[4].startswith("| phase | bytes, tiny | bytes, spec | tools, tiny | tools, spec | thoughts, tiny |")
    assert lines[6] == "| edge | 1,000 | 1,000 | 0.5 (0.25 to 0.75) | 0.75 (0.5 to 1) | 0.25 | 0.25 |  |  | 1.5 | 1.5 |"


def test_writing_it_again_changes_nothing(tmp_path: Path) -> None:
    test_minutes_and_memory_of_the_run(tmp_path)
    page = tmp_path / "docs" / "page.md"
    page.write_text(_page(tmp_path, "runs"), encoding="utf-8")
    assert measured_pages(tmp_path)[Path("docs/page.md")] == page.read_text(encoding="utf-8")


def test_an_unknown_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match="no table of results is called 'weather'"):
        _page(tmp_path, "weather")
