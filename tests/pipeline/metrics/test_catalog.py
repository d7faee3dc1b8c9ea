"""The catalog of metrics, the document made of it, the dashboards, and the command that compares it with a run."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import types
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from forge.cli.main import main
from forge.pipeline import wandb_views
from forge.pipeline.layout.phases import PHASES
from forge.pipeline.metrics.catalog import COUNTS, TEXT, Metric, document, expand, implied, metrics, patterns
from forge.pipeline.records.tracking import write_all_metrics

ROOT = Path(__file__).resolve().parents[3]
ALL = [metric.name for metric in metrics()]


def record(values: dict[str, Any]) -> None:
    """Write values by full name as the stages would: branches in files of their own."""
    for phase in COUNTS:
        own = {name: value for name, value in values.items() if name.startswith(f"{phase}/")}
        branches = {name: value for name, value in own.items() if "/model_2/" in name}
        for group, place in ((branches, f"{phase}/memory_integration"), (own.keys() - branches.keys(), phase)):
            short = {name.removeprefix(f"{phase}/"): values[name] for name in group}
            write_all_metrics(Path("results") / place / "all_metrics.json", phase, short)


def made_up() -> dict[str, Any]:
    return {m.name: "linear" if m.unit == TEXT else i + 0.5 for i, m in enumerate(metrics())}


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["metrics", *arguments])
    return code, capsys.readouterr().out


# ---- the catalog ---------------------------------------------------------------------------------------------


def test_the_catalog_has_603_distinct_metrics() -> None:
    assert list(COUNTS.values()) == [37, 370, 17, 19, 55, 42, 28, 35]
    assert len(ALL) == len(set(ALL)) == sum(COUNTS.values()) == 603
    assert Counter(metric.phase for metric in metrics()) == COUNTS
    assert set(COUNTS) < {phase.name for phase in PHASES}
    assert [m.name for phase in COUNTS for m in metrics(phase)] == ALL


def test_every_metric_says_what_it_is_in_one_line() -> None:
    for metric in metrics():
        assert re.fullmatch(r"[a-z]+(/[a-z0-9_]+)+", metric.name), metric.name
        assert metric.unit, metric.name
        assert len(metric.description) > 3, metric.name
    assert {m.name for m in metrics() if m.unit == TEXT} == {
        "evomerge/phase/best_merge_technique",
        "edge/deployment/device_type",
    }


def test_patterns_expand_to_every_combination() -> None:
    assert expand("a/{b,c}/{0..2}") == ["a/b/0", "a/b/1", "a/b/2", "a/c/0", "a/c/1", "a/c/2"]
    assert expand("plain/name") == ["plain/name"]
    assert sum(len(expand(pattern)) for lines in patterns().values() for pattern, _, _ in lines) == 603


@pytest.mark.parametrize(
    ("unit", "value", "held"),
    [
        *(("s", 0, True), ("s", 1.5, True), ("s", math.nan, False), ("s", math.inf, False), ("s", None, False)),
        *(("s", "fast", False), (TEXT, "cpu", True), (TEXT, "", False), (TEXT, 3, False)),
    ],
)
def test_what_counts_as_a_measurement(unit: str, value: Any, held: bool) -> None:
    assert Metric("a/b", "a", unit, "x").holds(value) is held


def test_parameters_decide_what_a_run_must_observe() -> None:
    assert len(implied({})) == 603
    short = {m.name for m in implied({"evomerge": {"generations": 2}})}
    assert set(ALL) - short == {n for n in ALL if re.match(r"evomerge/generation_([3-9]|\d\d)/", n)}
    assert len(short) == 603 - 48 * 7
    bare = {m.name for m in implied({"forge": {"grokfast_lambda": 0.0}})}
    assert set(ALL) - bare == {n for n in ALL if n.startswith("forge/grokfast/")}
    assert [m.phase for m in implied({}, "edge")] == ["edge"] * 28


def test_the_document_is_up_to_date() -> None:
    assert (ROOT / "docs/metrics.md").read_text(encoding="utf-8") == document(), (
        "run: python -m forge.pipeline.metrics.catalog > docs/metrics.md"
    )


def test_the_module_prints_the_document() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "forge.pipeline.metrics.catalog"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == document()
    assert "torch" not in done.stderr


# ---- the command ---------------------------------------------------------------------------------------------


def test_nothing_is_missing_after_a_whole_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (project / "params.yaml").read_text().replace("\nscale: smoke\n", "\nscale: tiny\n")
    (project / "params.yaml").write_text(text)
    record(made_up())
    assert ask(capsys, "--missing") == (0, "")
    code, out = ask(capsys, "--json")
    found = json.loads(out.splitlines()[-1])
    assert (code, found["scale"], found["declared"], found["observed"]) == (0, "tiny", 603, 603)
    assert [row["metric"] for row in found["metrics"]] == ALL
    assert found["metrics"][1]["value"] == 1.5
    code, out = ask(capsys)
    assert code == 0
    assert out.splitlines()[-1] == "scale tiny: 603 of 603 metrics observed"
    assert re.search(r"edge/deployment/device_type +yes +linear +text", out)


def test_what_is_missing_is_named_and_fails(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = made_up()
    gone = ["cognate/model_2/memory/usage", "forge/grokfast/cosine_raw_ema", "edge/deployment/device_type"]
    for name in gone[:2]:
        del values[name]
    values[gone[2]] = 3  # a number where a name belongs
    record(values)
    assert ask(capsys, "--missing") == (1, "\n".join(gone) + "\n")
    assert ask(capsys, "--missing", "--phase", "bitnet") == (0, "")
    code, out = ask(capsys, "--missing", "--json", "--phase", "edge")
    assert code == 1
    answer = {"scale": "smoke", "declared": 28, "observed": 27, "missing": gone[2:]}
    assert json.loads(out) == answer
    code, out = ask(capsys, "--phase", "edge")
    assert code == 0
    assert re.search(r"edge/deployment/device_type +no +text", out)


def test_a_scale_of_two_generations_is_not_asked_for_fifty(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record({name: value for name, value in made_up().items() if not re.search(r"generation_([3-9]|\d\d)/", name)})
    assert ask(capsys, "--missing") == (0, "")
    code, out = ask(capsys, "--json")
    assert (code, json.loads(out)["declared"]) == (0, 603 - 48 * 7)


@pytest.mark.parametrize("content", ['{"a": 1}', "[1]", '[{"metric": "a"}]', "{"])
def test_a_damaged_record_is_one_line(project: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    path = Path("results/edge/all_metrics.json")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert main(["metrics"]) == 1
    error = capsys.readouterr().err
    assert "results/edge/all_metrics.json" in error
    assert len(error.splitlines()) == 1


def test_questions_without_an_answer_are_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "--phase", "report"]) == 1
    assert "no metrics of a phase 'report'" in capsys.readouterr().err
    (project / "params.yaml").write_text("scale: huge\nscales: {}\n")
    assert main(["metrics"]) == 1
    assert "no scale 'huge'" in capsys.readouterr().err


# ---- dashboards ----------------------------------------------------------------------------------------------


def test_dashboards_name_declared_metrics_and_recorded_axes() -> None:
    from forge.pipeline.lifecycle.stage import metric_prefix

    axes = {f"{metric_prefix(phase, branch)}/global_step" for phase in PHASES for branch in phase.branches}
    seen: set[str] = set()
    for view in wandb_views.views():
        for phase, made in view.sections.items():
            for panel in made:
                assert set(panel.metrics) <= set(ALL)
                assert all(name.startswith(f"{phase}/") for name in panel.metrics)
                assert panel.x == "" or (panel.x in axes and panel.metrics[0].startswith(panel.x.rsplit("/", 1)[0]))
                seen.update(panel.metrics)
    assert seen == set(ALL)
    names = [view.name for view in wandb_views.views()]
    assert names == ["pipeline", "phases", "system"]
    system = {n for made in wandb_views.views()[2].sections.values() for p in made for n in p.metrics}
    assert {"forge/system/cpu_percent", "edge/performance/speedup", "quietstar/phase/duration_seconds"} <= system
    assert "forge/train/loss" not in system


def fake_workspaces(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Stands in for wandb-workspaces; its constructors take what the real ones of 0.4 do."""
    saved: list[dict[str, Any]] = []

    def thing(*known: str) -> Any:
        class Thing:
            url = "https://wandb.example/view"

            def __init__(self, **given: Any) -> None:
                assert set(given) <= set(known), given
                self.given = given

            def save(self) -> None:
                saved.append(self.given)

        return Thing

    charts = types.ModuleType("wandb_workspaces.reports.v2")
    spaces = types.ModuleType("wandb_workspaces.workspaces")
    charts.LinePlot, charts.BarPlot = thing("title", "x", "y"), thing("title", "metrics")  # type: ignore[attr-defined]
    spaces.Section = thing("name", "panels", "is_open")  # type: ignore[attr-defined]
    spaces.Workspace = thing("entity", "project", "name", "sections")  # type: ignore[attr-defined]
    reports = types.ModuleType("wandb_workspaces.reports")
    package = types.ModuleType("wandb_workspaces")
    reports.v2, package.reports, package.workspaces = charts, reports, spaces  # type: ignore[attr-defined]
    for module in (package, reports, charts, spaces):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return saved


def test_dashboards_are_saved_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    saved = fake_workspaces(monkeypatch)
    assert wandb_views.main(["--entity", "me"]) == 0
    assert [space["name"] for space in saved] == [f"Agent Forge: {name}" for name in ("pipeline", "phases", "system")]
    assert {(space["entity"], space["project"]) for space in saved} == {("me", "agent-forge")}
    lines = [panel.given for s in saved[1]["sections"] for panel in s.given["panels"] if "x" in panel.given]
    assert {"title": "train/loss (nats per token)", "x": "forge/global_step", "y": ["forge/train/loss"]} in lines
    assert capsys.readouterr().out.split() == ["https://wandb.example/view"] * 3


def test_dashboards_without_the_library(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert wandb_views.main(["--entity", "me"]) == 1
    assert "pip install wandb-workspaces" in capsys.readouterr().err
    assert wandb_views.main(["--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3
    with pytest.raises(SystemExit):
        wandb_views.main([])
