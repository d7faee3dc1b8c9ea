"""Phase 6's metrics are what they say: each tool, each persona, forgetting, the way of the half-baked control."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from forge.data.build import Row, tokenize_data_rows
from forge.data.personas import PERSONA_PROMPTS
from forge.evals.persona import PersonaScore
from forge.evals.tool_use import ToolScore
from forge.phases.baking.curve import ToolCurve, baking_iterations_by_tool
from forge.phases.baking.lora import add_lora, merge_lora
from forge.phases.baking.metrics import (
    baked_persona_divergence,
    baking_forgetting_percent,
    baking_metrics,
    half_strength,
)
from forge.phases.baking.trajectories import Trajectories
from forge.tools import TOOL_NAMES, set_up_tool_workspace
from tests.support.declared import declared
from tests.support.stub_run import StubRun, conversation, measured, smoke_params, watch_lengths, write_rows
from tests.support.tiny_models import tiny_model, tiny_tokenizer


def tool_scores(**success: float) -> dict[str, ToolScore]:
    return {
        name: ToolScore({tool: {"success": share} for tool in TOOL_NAMES}, share, 0.0, 0.0, [])
        for name, share in success.items()
    }


def persona_scores(both: float) -> dict[str, PersonaScore]:
    """Scores with perfect style, and so many answers that keep the facts as well."""
    row = {"consistency": 1.0, "preferred": 0.75, "both": both}
    score = PersonaScore(dict.fromkeys(PERSONA_PROMPTS, row), 1.0, 0.0, 0.75, 1.0, [], both=both)
    return {"baked": score, "none": score}


def persona_rows() -> list[Row]:
    rows: list[Row] = []
    for number, (name, prompt) in enumerate(PERSONA_PROMPTS.items()):
        row = {**conversation("persona", number), "task": name}
        rows.append({**row, "messages": [{"role": "system", "content": prompt}, *row["messages"][1:]]})
    return rows


def trajectories() -> Trajectories:
    rows = [*(conversation("tool", i) for i in range(8)), *(conversation("direct", i) for i in range(4))]
    data = tokenize_data_rows(tiny_tokenizer(), rows)
    return Trajectories(data, data, 1.0, ["calculator"] * 6 + ["search"] * 2 + [None] * 4)


def test_baking_records_its_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up_tool_workspace(tmp_path / "workspace")
    lengths = watch_lengths(monkeypatch)
    model = tiny_model(vocab_size=320, max_steps=1)
    rows = [{**conversation("tool", i), "task": name} for i, name in enumerate(TOOL_NAMES)]
    for row, call in zip(rows, _calls(), strict=True):
        row["messages"] = [row["messages"][1], {"role": "call", "content": call}, *row["messages"][3:]]
    write_rows(tmp_path / "val.jsonl", rows)
    run = StubRun(tmp_path, **smoke_params("baking", steps=4, eval_every=3, batch_tokens=200))
    curve = ToolCurve(run, tiny_tokenizer())
    on_step = curve.watch(model)
    for step in (1, 2, 3, 4):
        model.train()
        on_step(step, {})
        assert model.training
    assert [step for step, _ in run.logged] == [3, 4]
    assert lengths == [run.evaluation.answer_tokens] * 2
    half = copy.deepcopy(model)
    metrics = {
        **curve.metrics(),
        **baking_iterations_by_tool(run, trajectories()),
        **baking_metrics(tool_scores(baked=0.8, prompted=0.8, unbaked=0.1, half=0.4), persona_scores(0.9), 2.0),
        **baked_persona_divergence(model, half, tiny_tokenizer(), persona_rows()),
        **half_strength(model, half, half),
    }
    assert declared("baking") <= set(metrics)
    assert all(math.isfinite(value) for value in metrics.values())
    assert metrics["tool_search/convergence_step"] == 3  # never anything: there from the start
    resumed = ToolCurve(run, tiny_tokenizer())
    assert resumed.metrics() == curve.metrics()


def _calls() -> list[str]:
    known = {"calculator": "calculator 1+1", "code_executor": "code_executor print(2)", "search": "search moon"}
    return [known.get(name, f"{name} x") for name in TOOL_NAMES]


def test_a_tool_has_arrived_when_it_stays() -> None:
    curve = object.__new__(ToolCurve)
    rates = {"search": [0.1, 0.9, 0.5, 0.88, 0.9], "calculator": [0.9, 0.95, 1.0, 0.97, 0.96]}
    points = [{"step": 10 * (i + 1), "success": {name: series[i] for name, series in rates.items()}} for i in range(5)]
    curve.file = SimpleNamespace(points=points)  # type: ignore[assignment]
    found = curve.metrics()
    assert found["tool_search/convergence_step"] == 40
    assert found["tool_calculator/convergence_step"] == 20
    assert found["tool_search/success_rate"] == 0.9
    assert found["phase/avg_tool_success_rate"] == pytest.approx(0.93)


def test_iterations_count_batches_with_the_tool(tmp_path: Path) -> None:
    run = StubRun(tmp_path, **smoke_params("baking", steps=40, batch_tokens=40))
    found = baking_iterations_by_tool(run, trajectories())
    assert found["tool_file_reader/baking_iterations"] == 0
    assert 0 < found["tool_search/baking_iterations"] < found["tool_calculator/baking_iterations"] < 40


def test_baking_metrics_by_hand() -> None:
    scores = tool_scores(baked=0.8, prompted=0.8, unbaked=0.1, half=0.4)
    good = baking_metrics(scores, persona_scores(0.9), 2.0)
    assert (good["phase/tools_baked"], good["phase/personas_baked"], good["phase/success"]) == (5, 4, False)
    assert good["phase/prompted_success_rate"] == 0.8
    assert good["persona_teacher/trait_adherence"] == 0.75
    assert baking_metrics(tool_scores(baked=0.95, prompted=0.8, unbaked=0, half=0), persona_scores(0.9), 2.0)[
        "phase/success"
    ]
    assert not baking_metrics(tool_scores(baked=0.95, prompted=0.8, unbaked=0, half=0), persona_scores(0.9), 5.0)[
        "phase/success"
    ]
    nothing = baking_metrics(tool_scores(baked=0.0, prompted=0.0, unbaked=0, half=0), persona_scores(0.5), 0.0)
    assert (nothing["phase/tools_baked"], nothing["phase/personas_baked"]) == (0, 0)


def test_divergence_is_nothing_from_oneself_without_a_prompt() -> None:
    model = tiny_model(vocab_size=320)
    bare = [{**row, "messages": row["messages"][1:]} for row in persona_rows()]
    for row in bare:
        row["messages"] = [{"role": "persona", "content": row["task"]}, *row["messages"]]
    same = baked_persona_divergence(model, model, tiny_tokenizer(), [{**r, "kind": "direct"} for r in bare])
    assert set(same) == {f"persona_{name}/baking_kl" for name in PERSONA_PROMPTS}
    assert all(value == pytest.approx(0.0, abs=1e-6) for value in same.values())
    prompted = baked_persona_divergence(model, model, tiny_tokenizer(), persona_rows())
    assert all(value > 0.01 for value in prompted.values())


def test_half_strength_is_measured_on_the_weights() -> None:
    base, full = tiny_model(), tiny_model()
    add_lora(full, 2, seed=1)
    with torch.no_grad():
        for linear in full.core_linears().values():
            assert linear.delta is not None
            linear.delta.b.fill_(0.1)
    part = copy.deepcopy(full)
    merge_lora(full)
    merge_lora(part, 0.3)
    assert half_strength(base, part, full)["phase/half_bake_strength"] == pytest.approx(0.3, rel=1e-4)


def test_forgetting_is_in_points() -> None:
    many, none = [1.0] * 20, [0.0] * 20
    assert baking_forgetting_percent(measured([1.0, 1.0], many), measured([1.0, 0.0], many)) == 50.0
    assert baking_forgetting_percent(measured([1.0, 0.0], many), measured([1.0, 1.0], many)) == 0.0
    assert baking_forgetting_percent(measured(none, many), measured(none, many)) == 0.0
    thinks, not_any_more = measured(none, many, None, many), measured(many, many, None, none)
    assert baking_forgetting_percent(thinks, not_any_more) == 100.0, "what is answered at once is left out"
