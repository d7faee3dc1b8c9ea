"""The catalog of metrics, the document made of it, and the command that compares it with a run."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from forge.cli.main import main
from forge.phases import PHASES
from forge.pipeline.metrics.catalog import (
    TEXT,
    Metric,
    count_catalog_metrics,
    expand_metric_pattern,
    implied_catalog_metrics,
    list_catalog_metrics,
    list_optional_metrics,
    metric_catalog_patterns,
)
from forge.pipeline.records.tracking import record_all_metrics

ROOT = Path(__file__).resolve().parents[3]
ALL = [metric.name for metric in list_catalog_metrics()]


def record(values: dict[str, Any]) -> None:
    """Write values by full name as the stages would: branches in files of their own."""
    for phase in count_catalog_metrics():
        own = {name: value for name, value in values.items() if name.startswith(f"{phase}/")}
        branches = {name: value for name, value in own.items() if "/model_2/" in name}
        for group, place in ((branches, f"{phase}/memory_integration"), (own.keys() - branches.keys(), phase)):
            short = {name.removeprefix(f"{phase}/"): values[name] for name in group}
            record_all_metrics(Path("results") / place / "all_metrics.json", phase, short)


def made_up() -> dict[str, Any]:
    return {m.name: "linear" if m.unit == TEXT else i + 0.5 for i, m in enumerate(list_catalog_metrics())}


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["metrics", *arguments])
    return code, capsys.readouterr().out


# ---- the catalog ---------------------------------------------------------------------------------------------


def test_the_catalog_has_603_distinct_metrics() -> None:
    assert list(count_catalog_metrics().values()) == [37, 370, 17, 19, 55, 42, 28, 35]
    assert len(ALL) == len(set(ALL)) == sum(count_catalog_metrics().values()) == 603
    assert Counter(metric.phase for metric in list_catalog_metrics()) == count_catalog_metrics()
    assert list(count_catalog_metrics()) == [phase.name for phase in PHASES]
    assert [m.name for phase in count_catalog_metrics() for m in list_catalog_metrics(phase)] == ALL


def test_every_metric_says_what_it_is_in_one_line() -> None:
    for metric in list_catalog_metrics():
        assert re.fullmatch(r"[a-z]+(/[a-z0-9_]+)+", metric.name), metric.name
        assert metric.unit, metric.name
        assert len(metric.description) > 3, metric.name
    assert {m.name for m in list_catalog_metrics() if m.unit == TEXT} == {
        "evomerge/phase/best_merge_technique",
        "edge/deployment/device_type",
    }


def test_patterns_expand_to_every_combination() -> None:
    assert expand_metric_pattern("a/{b,c}/{0..2}") == ["a/b/0", "a/b/1", "a/b/2", "a/c/0", "a/c/1", "a/c/2"]
    assert expand_metric_pattern("plain/name") == ["plain/name"]
    assert (
        sum(
            len(expand_metric_pattern(pattern))
            for lines in metric_catalog_patterns().values()
            for pattern, _, _ in lines
        )
        == 603
    )


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
    assert len(implied_catalog_metrics({})) == 603
    short = {m.name for m in implied_catalog_metrics({"evomerge": {"generations": 2}})}
    assert set(ALL) - short == {n for n in ALL if re.match(r"evomerge/generation_([3-9]|\d\d)/", n)}
    assert len(short) == 603 - 48 * 7
    bare = {m.name for m in implied_catalog_metrics({"forge": {"grokfast_lambda": 0.0}})}
    assert set(ALL) - bare == {n for n in ALL if n.startswith("forge/grokfast/")}
    assert [m.phase for m in implied_catalog_metrics({}, "edge")] == ["edge"] * 28


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


def test_optional_metrics_are_shown_where_observed_and_never_missing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optional = list_optional_metrics()
    assert Counter(metric.phase for metric in optional) == {"baking": 42, "edge": 42, "compress": 42}
    assert not {metric.name for metric in optional} & set(ALL)
    assert list_optional_metrics("cognate") == []
    record(made_up() | {"edge/own_tools/call_right": 0.75})
    assert ask(capsys, "--missing", "--phase", "edge") == (0, "")
    code, out = ask(capsys, "--phase", "edge")
    assert code == 0
    assert re.search(r"edge/own_tools/call_right +yes +0.75 +share", out)
    assert "own_tools/call_n" not in out


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
