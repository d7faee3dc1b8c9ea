"""Bootstrap, claims and ledger: properties and faults, no model needed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forge.errors import ForgeError
from forge.evals import bootstrap
from forge.evals.bootstrap import mean_interval, paired_bootstrap
from forge.evals.claims import Claim, compare_for_claim, read_claims
from forge.evals.free_questions import FreeAnswer, FreeQuestion, summarize_free_answers
from forge.evals.ledger import (
    COLUMNS,
    TITLES,
    LedgerRow,
    LedgerScores,
    ledger_deployable_files,
    ledger_row,
    ledger_row_cells,
    read_ledger,
)
from forge.evals.tool_use import ToolScore
from forge.files import atomic_write_json
from forge.interface.phase import FULL_PRECISION, PACKED
from tests.support.stub_run import measured

SCORES = st.lists(st.floats(-5, 5), min_size=1, max_size=40)


@settings(max_examples=30, deadline=None)
@given(SCORES, st.integers(0, 1000))
def test_swapping_the_two_sides_mirrors_the_interval(values: list[float], seed: int) -> None:
    other = [value * 0.5 - 1 for value in values]
    one = paired_bootstrap(values, other, n_boot=200, seed=seed)
    two = paired_bootstrap(other, values, n_boot=200, seed=seed)
    assert one.diff == pytest.approx(-two.diff)
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low), abs=1e-9)


def test_a_constant_gap_has_no_width_and_the_same_seed_the_same_interval() -> None:
    gap = paired_bootstrap([3.0, 5.0, 9.0], [1.0, 3.0, 7.0])
    assert gap == pytest.approx((2.0, 2.0, 2.0))
    x, y = np.random.default_rng(1).normal(size=(2, 50))
    assert paired_bootstrap(x, y, seed=4) == paired_bootstrap(x, y, seed=4)
    assert paired_bootstrap(x, y, seed=4) != paired_bootstrap(x, y, seed=5)


def test_interval_agrees_with_scipy_and_with_the_normal_theory() -> None:
    gaps = np.random.default_rng(0).normal(0.3, 1.0, size=400)
    ours = paired_bootstrap(gaps, np.zeros(400), n_boot=8000)
    oracle = stats.bootstrap((gaps,), np.mean, n_resamples=8000, method="percentile", rng=1).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((oracle.low, oracle.high), abs=0.01)
    assert ours.high - ours.low == pytest.approx(2 * 1.96 * gaps.std() / 20, rel=0.05)


def test_chunks_of_resamples_do_not_change_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(2).normal(size=64)
    whole = mean_interval(x, n_boot=300)
    monkeypatch.setattr(bootstrap, "_INDEX_BUDGET", 64 * 7)
    assert mean_interval(x, n_boot=300) == whole


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (20, 20), (7, 20), (1, 3)])
def test_proportions_get_the_wilson_interval(hits: int, n: int) -> None:
    found = mean_interval([1.0] * hits + [0.0] * (n - hits))
    oracle = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=1e-9)
    assert found.low <= found.diff <= found.high
    assert found.high > found.low


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([], [], "non-empty"),
        ([1.0], [1.0, 2.0], "equal lengths"),
        ([float("nan")], [0.0], "not finite"),
        ([[1.0]], [[1.0]], "shape"),
    ],
)
def test_bad_pairs_are_refused(a: list[float], b: list[float], words: str) -> None:
    with pytest.raises(ForgeError, match=words):
        paired_bootstrap(a, b)


def test_claims_pass_only_when_the_whole_interval_clears_the_margin() -> None:
    rng = np.random.default_rng(3)
    weak = rng.normal(0.0, 1.0, size=200)
    strong = weak + 0.5 + rng.normal(0.0, 0.1, size=200)
    better = compare_for_claim("gain", "accuracy", strong, weak, control_name="parent")
    assert better.passed
    assert better.control == "parent"
    assert better.n == 200
    assert better.value - better.control_value == pytest.approx(0.5, abs=0.05)
    assert not compare_for_claim("gain", "accuracy", strong, weak, control_name="parent", margin=0.6).passed
    assert not compare_for_claim("gain", "accuracy", weak, strong, control_name="parent").passed
    noise = weak + rng.normal(0.0, 0.1, size=200)
    assert not compare_for_claim("gain", "accuracy", noise, noise, control_name="itself").passed
    assert compare_for_claim("kept", "accuracy", noise, noise, control_name="itself", margin=-0.01).passed


def test_lower_is_better_turns_the_verdict_and_not_the_numbers() -> None:
    fast, slow = [1.0, 1.1, 0.9], [2.0, 2.1, 1.8]
    claim = compare_for_claim("faster", "ms", fast, slow, control_name="before", higher_is_better=False)
    assert claim.passed
    assert claim.ci95 is not None
    assert claim.ci95[1] < 0
    assert not compare_for_claim("faster", "ms", slow, fast, control_name="before", higher_is_better=False).passed


def test_claims_survive_the_file_and_faults_name_it(tmp_path: Path) -> None:
    path = tmp_path / "claims.json"
    claim = compare_for_claim("c", "m", [1.0, 0.0], [0.0, 0.0], control_name="k", note="why")
    size = Claim(claim="small", metric="bytes", value=1, control="fp32", control_value=9, ci95=None, n=1, passed=True)
    atomic_write_json(path, [made.model_dump(mode="json") for made in (claim, size)])
    assert read_claims(path) == [claim, size]
    rows = json.loads(path.read_text())
    del rows[1]["metric"]
    path.write_text(json.dumps(rows))
    with pytest.raises(ForgeError, match=r"claims\.json.*metric"):
        read_claims(path)
    path.write_text("{}")
    with pytest.raises(ForgeError, match="list"):
        read_claims(path)


def test_a_claim_with_a_backward_interval_or_a_nan_is_refused() -> None:
    fields = {
        "claim": "c",
        "metric": "m",
        "value": 1.0,
        "control": "k",
        "control_value": 0.0,
        "n": 1,
        "passed": True,
    }
    with pytest.raises(ValueError, match="lower bound"):
        Claim(**fields, ci95=(1.0, 0.0))
    with pytest.raises(ValueError, match="finite"):
        Claim(**{**fields, "value": float("nan")}, ci95=(0.0, 1.0))


MEASURED = measured([1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0], None, [1.0, 1.0, 0.0, 0.0], [1.0] * 4)


def _model_files(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        (folder / name).write_bytes(b"x" * (10 + index))
    return folder


def test_deployable_files_follow_the_phase(tmp_path: Path) -> None:
    folder = _model_files(
        tmp_path / "m", "model.safetensors", "packed.safetensors", "config.json", "tokenizer.json",
        "tokenizer_config.json", "metadata.json", "manifest.json",
    )  # fmt: skip
    full = [path.name for path in ledger_deployable_files(FULL_PRECISION, folder)]
    assert full == ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
    assert ledger_deployable_files(PACKED, folder)[0].name == "packed.safetensors"
    _model_files(tmp_path / "c", "agent.forge", "config.json")
    assert [path.name for path in ledger_deployable_files(("agent.forge",), tmp_path / "c")] == ["agent.forge"]


def test_a_missing_deployable_file_is_an_error_and_not_a_smaller_row(tmp_path: Path) -> None:
    folder = _model_files(tmp_path / "m", "model.safetensors", "config.json", "tokenizer.json")
    with pytest.raises(ForgeError, match=r"packed\.safetensors"):
        ledger_deployable_files(PACKED, folder)
    with pytest.raises(ForgeError, match="names no file"):
        ledger_row("bitnet", [], 1, LedgerScores(MEASURED), 1.0)


def test_ledger_row_measures_bytes_and_hides_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = _model_files(tmp_path / "models" / "edge", "packed.safetensors", "config.json", "tokenizer.json")
    row = ledger_row("edge", ledger_deployable_files(PACKED, folder), 7, LedgerScores(MEASURED), 60.0)
    assert row.bytes == 10 + 11 + 12
    assert row.sha256.keys() == set(row.files)
    assert row.sha256["models/edge/packed.safetensors"] == hashlib.sha256(b"x" * 10).hexdigest()
    assert row.files[0] == "models/edge/packed.safetensors"
    monkeypatch.chdir(tmp_path / "models")
    (tmp_path / "elsewhere.bin").write_bytes(b"xy")
    outside = ledger_row("edge", [tmp_path / "elsewhere.bin"], 7, LedgerScores(MEASURED), 60.0)
    assert (outside.files, outside.bytes) == (["elsewhere.bin"], 2)
    assert {column.key: row.value(column.key) for column in COLUMNS} == {
        "bpb": 2.0,
        "accuracy_no_tools": 0.25,
        "accuracy_thoughts": 0.5,
        "accuracy_tools": 0.75,
        "accuracy_tools_prompted": None,
        "accuracy_all": 1.0,
        "tool_final": None,
        "questions_right": None,
    }
    assert row.ci95.keys() == {"accuracy_no_tools", "accuracy_thoughts", "accuracy_tools", "accuracy_all"}
    assert row.ci95["accuracy_thoughts"] == mean_interval([1.0, 1.0, 0.0, 0.0])[1:]
    atomic_write_json(tmp_path / "ledger.json", row.model_dump(mode="json"))
    assert read_ledger(tmp_path / "ledger.json") == row


def test_a_row_of_an_agent_in_use_has_free_questions_and_tool_answers(tmp_path: Path) -> None:
    texts = [FreeAnswer("42", [], verdict) for verdict in ("right", "wrong", "right", "junk")]
    asked = [FreeQuestion(id=str(i), kind="sum", turns=("6 * 7?",), refusal=True) for i in range(len(texts))]
    questions = summarize_free_answers(asked, texts)
    tools = ToolScore({}, 0.75, 1.0, 1.0, [1.0, 0.0], final=0.625, final_correct=[1.0, 0.0])
    row = ledger_row("edge", [_model_files(tmp_path, "f") / "f"], 1, LedgerScores(MEASURED, questions, tools), 1.0)
    assert (row.value("questions_right"), row.value("tool_final")) == (0.5, 0.625)
    assert row.ci95["questions_right"] == mean_interval([1.0, 0.0, 1.0, 0.0])[1:]
    assert "tool_final" not in row.ci95  # a mean over tools, whose numbers of dialogues may differ
    shown = dict(zip(TITLES, ledger_row_cells(row.model_dump()), strict=True))
    assert (shown["free questions"], shown["tool answers"]) == ("0.500", "0.625")
    before = ledger_row("forge", [tmp_path / "f"], 1, LedgerScores(MEASURED), 1.0)
    shown = dict(zip(TITLES, ledger_row_cells(before.model_dump()), strict=True))
    assert (shown["free questions"], shown["tool answers"]) == ("", "")


def test_a_ledger_with_an_impossible_accuracy_is_refused(tmp_path: Path) -> None:
    row = LedgerRow(
        phase="edge",
        bytes=1,
        parameters=1,
        bpb=1,
        accuracy_no_tools=0,
        accuracy_tools=1,
        accuracy_tools_prompted=None,
        seconds=0,
        files=["f"],
    )
    (tmp_path / "l.json").write_text(json.dumps({**row.model_dump(), "accuracy_tools": 1.2}))
    with pytest.raises(ForgeError, match="accuracy_tools"):
        read_ledger(tmp_path / "l.json")


def test_a_row_has_the_declared_columns_and_no_others(tmp_path: Path) -> None:
    row = ledger_row("edge", [_model_files(tmp_path, "f") / "f"], 1, LedgerScores(MEASURED), 1.0).model_dump()
    with pytest.raises(ValueError, match="no such column: charm"):
        LedgerRow.model_validate({**row, "charm": 0.5})
    with pytest.raises(ValueError, match=r"accuracy_tools: 0\.75 is not in its interval"):
        LedgerRow.model_validate({**row, "ci95": {"accuracy_tools": [0.1, 0.2]}})
    with pytest.raises(ValueError, match="accuracy_tools_prompted: None is not in its interval"):
        LedgerRow.model_validate({**row, "ci95": {"accuracy_tools_prompted": [0.1, 0.2]}})
    new = {column.key for column in COLUMNS if column.optional} | {"sha256", "ci95"}
    older = LedgerRow.model_validate({key: value for key, value in row.items() if key not in new})
    assert older.value("accuracy_thoughts") is None
    shown = dict(zip(TITLES, ledger_row_cells(older.model_dump()), strict=True))
    assert (shown["suite, at once"], shown["thoughts"], shown["tools"], shown["all"]) == ("0.250", "", "0.750", "")
    for gone in ({**row, "bpb": None}, {key: value for key, value in row.items() if key != "bpb"}):
        with pytest.raises(ValueError, match="bpb: missing"):
            LedgerRow.model_validate(gone)
