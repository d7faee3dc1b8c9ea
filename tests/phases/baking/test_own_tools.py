"""Declared tools are taught before anything is baked, and nothing happens where none are declared."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from forge.data.dataset import KINDS
from forge.errors import Interrupted
from forge.phases.baking.own_tools import teach_own_tools_before_baking
from forge.phases.baking.run import run as run_baking
from forge.pipeline.metrics.catalog import list_optional_metrics
from tests.support.own_tools import declare_own_tools
from tests.support.stub_run import StubRun, smoke_params
from tests.support.tiny_models import tiny_model

pytestmark = pytest.mark.long


def prepared(folder: Path) -> StubRun:
    run = StubRun(folder, **smoke_params("baking", answer_tokens=12, own_tool_steps=6, checkpoint_every=2))
    model = tiny_model(vocab_size=320, max_steps=1, weight_quant="ternary", act_bits=8, embed_bits=8)
    run.prepare("forge", model)
    return run


def test_without_declared_tools_the_model_that_came_in_goes_on(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    model, tokenizer, _ = run.load("forge")
    assert teach_own_tools_before_baking(run, model, tokenizer) is model
    assert run.logged == []
    assert not list(run.checkpoint_dir.iterdir())


def test_teaching_changes_a_copy_and_resumes_to_the_same_weights(tmp_path: Path) -> None:
    taught = []
    for name, stop_at in (("through", -1), ("stopped", 3)):
        run = prepared(tmp_path / name)
        run.own_tools = declare_own_tools(tmp_path / name / "own")
        model, tokenizer, _ = run.load("forge")
        before = {key: weight.clone() for key, weight in model.state_dict().items()}
        run.stop_at = stop_at
        if stop_at > 0:
            with pytest.raises(Interrupted):
                teach_own_tools_before_baking(run, model, tokenizer)
            run.stop_at, run.stop_requested = -1, False
        taught.append(teach_own_tools_before_baking(run, model, tokenizer).state_dict())
        assert all(torch.equal(model.state_dict()[key], weight) for key, weight in before.items())
        assert any("own_tools/loss" in point for _, point in run.logged)
    assert all(torch.equal(weight, taught[1][key]) for key, weight in taught[0].items())
    assert any(not torch.equal(weight, before[key]) for key, weight in taught[0].items())


def test_the_phase_measures_claims_and_publishes_declared_tools(tmp_path: Path) -> None:
    run = prepared(tmp_path)
    run.own_tools = declare_own_tools(tmp_path / "own", rows=80)
    run_baking(run)
    ((facts, _),) = run.published
    assert [tool["name"] for tool in facts["declared_tools"]] == ["set_light", "set_lock", "tell_weather"]
    assert [persona["name"] for persona in facts["declared_personas"]] == ["butler"]
    assert set(facts["call_confidence"]) == {"slope", "intercept"}
    optional = {metric.name.removeprefix("baking/") for metric in list_optional_metrics("baking")}
    assert optional <= set(run.metrics)
    assert {name for name in run.metrics if name.startswith("own_tools/")} == optional
    assert "own_tools/call_right" in run.headline
    claim, search, *targets = [claim for claim in run.claims if claim.claim.startswith("own tools")]
    assert claim.n == run.metrics["own_tools/call_n"]
    assert search.n >= claim.n
    assert [claim.control for claim in targets] == ["the target"] * 5
    assert len(run.claims) == 15


def test_own_rows_are_replayed_while_baking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forge.phases.baking import run as module

    kinds: list[set[str]] = []
    bake = module.bake

    def watched(run: StubRun, teacher: object, tokenizer: object, made: object, watch: object) -> object:
        kinds.append({KINDS[kind] for kind in made.bare.kind})  # type: ignore[attr-defined]
        return bake(run, teacher, tokenizer, made, watch)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "bake", watched)
    run = prepared(tmp_path)
    run.own_tools = declare_own_tools(tmp_path / "own")
    run_baking(run)
    assert "own_tool" in kinds[0]
