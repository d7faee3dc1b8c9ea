"""The curve of bytes against quality: both arms have one shape and the same arithmetic; the table pairs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forge.config import load_params
from forge.curve.points import curve_flops_per_row, plan_curve_point
from forge.curve.table import curve_markdown, curve_pairs, plot_curve
from forge.data.views import dataset_without_prompts
from forge.errors import ForgeError
from forge.interface.run import Published
from forge.phases.compress.student import choose_compression_student_shape
from tests.support.stub_run import ROOT, StubRun, conversations
from tests.support.tiny_models import tiny_model, tiny_tokenizer

ROWS = conversations()


def a_run(folder: Path) -> Any:
    run: Any = StubRun(folder)
    sizes = {"vocab_size": 320, "steps": 10, "student_steps": 10}
    run.params = load_params(ROOT / "params.yaml").at("smoke").block("compress").model_copy(update=sizes)
    shape = {"vocab_size": len(tiny_tokenizer()), "low_ffn": [2048, 2048], "weight_quant": "ternary"}
    run.edge = Published(tiny_model(**shape), tiny_tokenizer(), folder)
    return run


def test_both_arms_have_one_shape_and_the_same_arithmetic(tmp_path: Path) -> None:
    run, budget = a_run(tmp_path), 12_000
    shape = choose_compression_student_shape(run.edge.model.config, run.params, budget)
    taught, scratch = (plan_curve_point(run, ROWS, budget, arm) for arm in ("taught", "scratch"))
    assert taught.student == shape
    assert taught.params == run.params
    assert scratch.student is not None
    assert scratch.student.config.to_dict() == shape.config.to_dict()
    assert (taught.student.taught, scratch.student.taught) == (True, False)
    assert scratch.params.vocabulary_steps == 0.0
    data = dataset_without_prompts(tiny_tokenizer(), ROWS)
    teacher, student = (curve_flops_per_row(c, data) for c in (run.edge.model.config, shape.config))
    spent = 10 * teacher + 10 * (student + teacher / 3)
    assert abs(scratch.student.steps * student - spent) <= student


def test_where_phase_7_fits_its_control_is_its_own_shape(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    taught, scratch = (plan_curve_point(run, ROWS, 10**6, arm) for arm in ("taught", "scratch"))
    assert taught.student is None
    assert scratch.student.config.low_ffn == run.edge.model.config.low_ffn
    assert scratch.student.config.weight_quant == "ternary"
    assert scratch.student.steps == run.params.steps


def test_an_unknown_arm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ForgeError, match="no arm 'other'"):
        plan_curve_point(a_run(tmp_path), ROWS, 10**6, "other")


def point(times: int, arm: str, right: int) -> dict[str, Any]:
    solved = [1.0] * right + [0.0] * (10 - right)
    size = 100_000 // times
    return {
        "times": times, "arm": arm, "ratio": float(times), "bytes": size, "parameters": 9, "tools": solved,
        "thoughts": [0.0] * 10,
    }  # fmt: skip


POINTS = [point(280, "scratch", 3), point(40, "taught", 8), point(40, "scratch", 8), point(280, "taught", 6)]


def test_points_are_paired_by_size_and_shown_largest_first() -> None:
    assert [(a["times"], a["arm"], b["arm"]) for a, b in curve_pairs(POINTS)] == [
        (40, "taught", "scratch"),
        (280, "taught", "scratch"),
    ]
    rows = curve_markdown(POINTS).splitlines()
    assert rows[2].startswith("| 40.0 | 2,500 | 9 | suite with tools | 0.800 | 0.800 | +0.000 (")
    assert "| 280.0 | 357 | 9 | suite with tools | 0.600 | 0.300 | +0.300 (" in rows[4]
    assert len(rows) == 2 + 2 * 2


def test_the_plot_has_both_arms_and_the_same_bytes_each_time() -> None:
    drawn = plot_curve(POINTS)
    assert drawn == plot_curve(POINTS)
    assert all(word in drawn for word in ("taught", "scratch", "suite by thoughts"))
