"""The report: every figure traced to its file, failures shown, same rows same bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from forge.errors import ForgeError
from forge.evals.claims import Claim
from forge.evals.ledger import LedgerRow
from forge.files import atomic_write_json
from forge.interface.paths import AGENT_FILE
from forge.phases import ORDER
from forge.pipeline.report.gather import gather, report_to_markdown, write_report
from forge.pipeline.report.overview import overview_last_stage_seconds, read_run_report
from forge.pipeline.report.plot import plot_ladder_svg


def _write_claims(path: Path, claims: list[Claim]) -> None:
    atomic_write_json(path, [claim.model_dump(mode="json") for claim in claims])


def _row(phase: str, size: int, accuracy: float) -> LedgerRow:
    return LedgerRow(
        phase=phase, bytes=size, parameters=900_000, bpb=2.25, accuracy_no_tools=0.2, accuracy_tools=accuracy,
        accuracy_thoughts=accuracy / 2, accuracy_all=accuracy, seconds=30.0, files=[f"models/{phase}/x"],
        ci95={"accuracy_thoughts": (accuracy / 2 - 0.03, accuracy / 2 + 0.03)},
        **({"tool_final": 0.5, "questions_right": accuracy / 4} if phase in ORDER[5:] else {}),
    )  # fmt: skip


def _claim(passed: bool, **changes: object) -> Claim:
    fields: dict[str, object] = {
        "claim": "helps | much", "metric": "accuracy", "value": 0.5, "control": "without",
        "control_value": 0.25, "ci95": (0.125, 0.375), "n": 40, "passed": passed,
    }  # fmt: skip
    return Claim.model_validate({**fields, **changes})


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("results")
    for index, phase in enumerate(ORDER):
        atomic_write_json(
            folder / phase / "ledger.json", _row(phase, 4_000_000 >> index, 0.5 + index / 20).model_dump(mode="json")
        )
        _write_claims(folder / phase / "claims.json", [_claim(index != 2)])
        atomic_write_json(folder / phase / "metrics.json", {"val": {"loss": 1.5}, "curve": [1, 2]})
        atomic_write_json(folder / phase / "run.json", {"stage": phase, "seconds": 30.0, "peak_memory_mb": 90 + index})
    _write_claims(folder / "cognate" / "reasoning" / "claims.json", [_claim(True, ci95=None)])
    atomic_write_json(folder / "data" / "metrics.json", {"rows": 12345, "ok": True, "name": "a|b", "zero": 0.0})
    return folder


def test_every_figure_names_a_file_that_holds_it(results: Path) -> None:
    report = gather(results, scale="smoke", seed=3)
    assert [row["phase"] for row in report["ledger"]] == list(ORDER)
    for row in report["ledger"]:
        held = json.loads(Path(row["file"]).read_text())
        assert {k: v for k, v in row.items() if k != "file"} == held
    for claim in report["claims"]:
        held = json.loads(Path(claim["file"]).read_text())
        assert {k: v for k, v in claim.items() if k not in ("file", "phase")} in held
    first, last = report["summary"]["times_smaller_than_phase_1"]["files"]
    sizes = [json.loads(Path(name).read_text())["bytes"] for name in (first, last)]
    assert report["summary"]["times_smaller_than_phase_1"]["value"] == sizes[0] / sizes[1]
    assert report["summary"]["seconds_in_all"]["value"] == 240.0
    assert report["summary"]["peak_memory_mb"]["value"] == 97
    assert len(report["summary"]["seconds_in_all"]["files"]) == 8


def test_failed_claims_are_counted_and_shown_as_failed(results: Path) -> None:
    report = gather(results, scale="tiny", seed=0)
    assert (report["claims_passed"], report["claims_failed"]) == (8, 1)
    text = report_to_markdown(report)
    assert text.count("**FAIL**") == 1
    line = next(line for line in text.splitlines() if "**FAIL**" in line)
    assert "quietstar" in line
    assert "0.125 to 0.375" in line
    assert "`results/quietstar/claims.json`" in line
    assert "not sampled" in text


def test_markdown_tables_stay_rectangular(results: Path) -> None:
    width = None
    for line in report_to_markdown(gather(results, scale="tiny", seed=0)).splitlines():
        cells = line.replace("\\|", "").count("|")
        assert width in (None, cells) or not line.startswith("|"), line
        width = cells if line.startswith("|") else None


def test_metrics_come_in_pipeline_order_flat_and_without_series(results: Path) -> None:
    tables = gather(results, scale="tiny", seed=0)["metrics"]
    assert [table["phase"] for table in tables] == ["data", *ORDER]
    assert tables[1]["values"] == {"val/loss": 1.5}
    assert tables[0]["values"]["rows"] == 12345


@pytest.mark.parametrize("name", ["ledger.json", "claims.json"])
def test_a_phase_without_a_row_or_a_claim_stops_the_report(results: Path, name: str) -> None:
    (results / "baking" / name).unlink()
    with pytest.raises(ForgeError, match="baking"):
        gather(results, scale="tiny", seed=0)
    assert gather(results, scale="tiny", seed=0, partial=True)["ledger"]


def test_faulty_inputs_are_named(results: Path) -> None:
    atomic_write_json(results / "edge" / "ledger.json", _row("forge", 5, 0.5).model_dump(mode="json"))
    with pytest.raises(ForgeError, match=r"edge/ledger\.json"):
        gather(results, scale="tiny", seed=0)
    atomic_write_json(results / "edge" / "ledger.json", _row("edge", 5, 0.5).model_dump(mode="json"))
    atomic_write_json(results / "edge" / "run.json", {"stage": "edge"})
    with pytest.raises(ForgeError, match=r"edge/run\.json"):
        gather(results, scale="tiny", seed=0)
    (results / "edge" / "run.json").unlink()
    (results / "data" / "metrics.json").write_text("[1]")
    with pytest.raises(ForgeError, match=r"data/metrics\.json"):
        gather(results, scale="tiny", seed=0)


def test_written_report_is_the_gathered_one_and_repeats_to_the_byte(results: Path) -> None:
    report = write_report(results, scale="tiny", seed=0)
    names = ("report.md", "report.json", "ladder.svg")
    first = [(results / name).read_bytes() for name in names]
    assert json.loads(first[1]) == json.loads(json.dumps(report))
    write_report(results, scale="tiny", seed=0)
    assert [(results / name).read_bytes() for name in names] == first
    assert b"ladder.svg" in first[0]


def test_empty_results_give_an_honest_partial_report_without_a_picture(tmp_path: Path) -> None:
    report = write_report(tmp_path, scale="tiny", seed=0, partial=True)
    assert report["ledger"] == []
    assert report["summary"] == {}
    assert not (tmp_path / "ladder.svg").exists()
    with pytest.raises(ForgeError, match="no row"):
        plot_ladder_svg([])


def test_ladder_names_phases_and_sizes_and_follows_the_rows() -> None:
    rows = [_row("cognate", 4 << 20, 0.5), _row("compress", 90 << 10, 0.75)]
    svg = plot_ladder_svg(rows)
    assert svg == plot_ladder_svg(rows)
    for words in ("1 cognate", "2 compress", "4 MiB", "90 KiB"):
        assert words in svg
    assert plot_ladder_svg([_row("cognate", 4 << 20, 0.5), _row("compress", 90 << 10, 0.7)]) != svg
    for title in ("suite, at once", "thoughts", "tools", "all"):
        assert f">{title}<" in svg
    assert ">tools explained<" not in svg, "no row has it"
    bare = [row.model_copy(update={"ci95": {}}) for row in rows]
    assert plot_ladder_svg(bare) != svg, "intervals are drawn"


def test_no_line_runs_through_a_label_of_the_ladder() -> None:
    svg = plot_ladder_svg([_row("cognate", 4 << 20, 0.0), _row("baking", 4 << 10, 1.0)])
    placed = re.findall(r"(?:translate\(|rotate\(\S+ )[\d.]+ ([\d.]+)\)\">([^<]+)<", svg)
    baseline = {words: float(y) for y, words in placed}
    zero = baseline["0.0"]  # lines end at or above the middle of this label, half a digit above its baseline
    for words in ("1 cognate", "4 MiB", "2 baking", "4 KiB"):
        assert baseline[words] - 9 > zero - 4, f"{words} stands among the lines"


def test_rows_from_before_a_column_are_reported_with_an_empty_cell(results: Path) -> None:
    new = ("accuracy_thoughts", "accuracy_all", "tool_final", "questions_right", "sha256", "ci95")
    for phase in ORDER:
        row = json.loads((results / phase / "ledger.json").read_text())
        atomic_write_json(results / phase / "ledger.json", {key: row[key] for key in row if key not in new})
    report = write_report(results, scale="tiny", seed=0)
    assert "thoughts_of_phase_3_kept" not in report["summary"]
    assert "| 2.250 | 0.200 |  | 0.500 |  |  |  |  |" in (results / "report.md").read_text()
    assert ">thoughts<" not in (results / "ladder.svg").read_text()
    assert "accuracy_thoughts" not in json.loads((results / "headline.json").read_text())
    assert json.loads((results / "ladder.json").read_text())[0]["accuracy_thoughts"] is None


def test_the_headline_and_the_ladder_are_the_reports_figures(results: Path) -> None:
    report = write_report(results, scale="smoke", seed=3)
    told = json.loads((results / "headline.json").read_text())
    last = report["ledger"][-1]
    assert told["bytes"] == last["bytes"] == 4_000_000 >> 7
    assert told["compression"] == 128.0
    for key in ("accuracy_thoughts", "accuracy_tools", "questions_right"):
        assert told[key] == last[key]
    assert (told["bpb"], report["summary"]["thoughts_of_phase_3_kept"]["value"]) == (2.25, 0.85 / 0.6)
    assert told["claims_passed"] == report["claims_passed"]
    assert told["minutes"] == 4.0
    points = json.loads((results / "ladder.json").read_text())
    assert [point["phase"] for point in points] == [f"{i + 1} {phase}" for i, phase in enumerate(ORDER)]
    assert [point["bytes"] for point in points] == [row["bytes"] for row in report["ledger"]]
    assert [point["questions_right"] for point in points[:5]] == [None] * 5


def test_phases_before_baking_show_blanks_for_use_and_not_zeros(results: Path) -> None:
    write_report(results, scale="smoke", seed=3)
    lines = (results / "report.md").read_text().splitlines()
    forge, baking = (next(line for line in lines if line.startswith(f"| {name} |")) for name in ("forge", "baking"))
    assert "|  |  | 0.5 | `results/forge/ledger.json` |" in forge
    assert "| 0.500 | 0.188 | 0.5 | `results/baking/ledger.json` |" in baking
    svg = (results / "ladder.svg").read_text()
    for title in ("free questions", "tool answers"):
        assert f">{title}<" in svg


def test_the_report_names_the_bytes_of_the_agent(results: Path) -> None:
    path, digest = results / "compress" / "ledger.json", "ab" * 32
    agent = AGENT_FILE.as_posix()
    atomic_write_json(path, {**json.loads(path.read_text()), "files": [agent], "sha256": {agent: digest}})
    write_report(results, scale="smoke", seed=3)
    told = f"- `{agent}`: 31,250 bytes, SHA-256 `{digest}` (from `results/compress/ledger.json`)."
    assert told in (results / "report.md").read_text().splitlines()


def test_what_the_last_phase_made_of_own_data_is_told(results: Path) -> None:
    assert "own_data" not in gather(results, scale="smoke", seed=3)["summary"]
    for phase, right in (("edge", 0.5), ("compress", 0.75)):
        told = {"rows": 1234, "held_out": 8, "exact_match": right}
        atomic_write_json(results / phase / "metrics.json", {"own": told})
    line = "- own: 1,234 rows, exact match 0.75 on held-out 8 (from `results/compress/metrics.json`)."
    assert line in report_to_markdown(gather(results, scale="smoke", seed=3)).splitlines()


def test_an_unfinished_run_has_no_headline(results: Path) -> None:
    (results / "compress" / "ledger.json").unlink()
    write_report(results, scale="smoke", seed=3, partial=True)
    assert json.loads((results / "headline.json").read_text()) == {}


def test_a_report_so_far_is_of_one_scale(results: Path) -> None:
    """A run at another scale has begun: what the old one left is named and not mixed in."""
    for phase in ORDER:
        scale = "smoke" if phase in ("cognate", "evomerge") else "tiny"
        facts = {"stage": phase, "seconds": 30.0, "peak_memory_mb": 90, "scale": scale}
        atomic_write_json(results / phase / "run.json", facts)
    report = gather(results, scale="smoke", seed=3, partial=True, one_scale=True)
    assert [row["phase"] for row in report["ledger"]] == ["cognate", "evomerge"]
    assert {claim["phase"] for claim in report["claims"]} == {"cognate", "evomerge"}
    assert {run["stage"] for run in report["runs"]} == {"cognate", "evomerge"}
    assert report["claims_passed"] + report["claims_failed"] == len(report["claims"])
    assert report["other_scales"] == dict.fromkeys(ORDER[2:], "tiny")
    assert "Left out, of another scale: quietstar (tiny), bitnet (tiny)" in report_to_markdown(report)
    assert "other_scales" not in gather(results, scale="smoke", seed=3)


@pytest.mark.parametrize(
    "content",
    [[], 5, {"scale": "tiny"}, {"ledger": 5, "scale": "t", "seed": 0, "claims_passed": 0, "claims_failed": 0}],
    ids=repr,
)
def test_a_report_of_another_form_is_one_line(tmp_path: Path, content: object) -> None:
    assert read_run_report(tmp_path) is None
    atomic_write_json(tmp_path / "results/report.json", content)
    with pytest.raises(ForgeError, match=r"report\.json: not a report of a run; make it anew"):
        read_run_report(tmp_path)


@pytest.mark.parametrize("runs", [5, [5], {"a": 1}, [{"stage": "edge", "seconds": None}], [{"seconds": 3}]], ids=repr)
def test_seconds_that_are_none_are_left_out(tmp_path: Path, runs: object) -> None:
    atomic_write_json(tmp_path / "results/report.json", {"scale": "tiny", "runs": runs})
    for place, run in enumerate((5, {"scale": "tiny", "stage": "x", "seconds": "long"})):
        atomic_write_json(tmp_path / f"results/{place}/run.json", run)
    assert overview_last_stage_seconds(tmp_path, "tiny") == {}
