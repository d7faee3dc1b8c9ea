"""The long run: accuracy measured as it goes, on a fixed sample; stopped and resumed to the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from forge.data.dataset import KINDS, EncodedSet
from forge.errors import Interrupted
from forge.evals.likelihood import likelihood
from forge.model import TinyTitanForCausalLM
from forge.phases.forge import long_training
from forge.phases.forge.long_training import AccuracyProbe, train_forge_long_run
from forge.phases.forge.params import CurriculumPart, Params
from tests.support.declared import declared
from tests.support.stub_run import StubRun, random_set, smoke_params
from tests.support.tiny_models import tiny_model

LONG: dict[str, Any] = smoke_params(
    "forge", steps=6, lr=0.01, checkpoint_every=3, batch_tokens=120, eval_every=2, grokfast_alpha=0.9
)


def ternary() -> TinyTitanForCausalLM:
    return tiny_model(max_steps=2, weight_quant="ternary", act_bits=8, embed_bits=8)


def same(model: TinyTitanForCausalLM, other: TinyTitanForCausalLM) -> bool:
    weights = other.state_dict()
    return all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_the_probe_measures_when_it_is_time_and_survives_a_resume(tmp_path: Path) -> None:
    run, model = StubRun(tmp_path, **{**LONG, "steps": 5}), tiny_model(max_steps=1)
    train, val = random_set(), random_set(seed=1)
    probe = AccuracyProbe(run, model, train, val)
    for step in range(1, 6):
        model.train()
        probe(step, {})
        assert model.training
    assert [p.step for p in probe.points] == [2, 4, 5]
    assert [step for step, _ in run.logged] == [2, 4, 5]
    wanted = likelihood(model, val, val.where("direct", "tooled", "tool")).accuracy
    assert run.logged[-1][1]["val/accuracy"] == probe.points[-1].val_accuracy == wanted
    again = AccuracyProbe(run, model, train, val)
    assert again.points == probe.points
    again(4, {})  # a run that resumed from step 3
    assert [p.step for p in again.points] == [2, 4]
    assert [row["step"] for row in json.loads((run.checkpoint_dir / "probe.json").read_text())] == [2, 4]


def test_the_probe_asks_a_fixed_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_training, "PROBE_ROWS", 5)
    data, run = random_set(40), StubRun(tmp_path, **LONG)
    first, second = (AccuracyProbe(run, tiny_model(), data, data) for _ in "ab")
    assert [len(sample) for sample in first.sets] == [5, 5]
    assert (first.sets[0].ids == second.sets[0].ids).all()
    assert set(first.sets[0].kind.tolist()) <= {KINDS.index(kind) for kind in long_training.PROBED}


def test_a_long_run_that_was_stopped_ends_like_one_that_was_not(tmp_path: Path) -> None:
    data, val = random_set(40), random_set(seed=1)
    straight = ternary()
    result, points = train_forge_long_run(StubRun(tmp_path / "a", **LONG), straight, data, val)
    assert [p.step for p in points] == [2, 4, 6]
    assert result.resumed_from == 0
    run = StubRun(tmp_path / "b", **LONG)
    run.stop_at = 5
    with pytest.raises(Interrupted):
        train_forge_long_run(run, ternary(), data, val)
    fresh = ternary()
    resumed, later = train_forge_long_run(run, fresh, data, val)
    assert resumed.resumed_from == 5
    assert same(fresh, straight)
    assert later == points


def test_easier_problems_come_first(tmp_path: Path) -> None:
    easy = [CurriculumPart(share=1.0, difficulty=0.3)]
    data, val = random_set(40), random_set(seed=1)
    easy_rows = data.subset((data.difficulty <= 0.3).nonzero()[0])

    def trained(name: str, rows: EncodedSet, parts: list[CurriculumPart]) -> TinyTitanForCausalLM:
        model = ternary()
        train_forge_long_run(StubRun(tmp_path / name, **{**LONG, "curriculum": parts}), model, rows, val)
        return model

    only_easy = trained("easy", data, easy)
    assert same(only_easy, trained("few", easy_rows, easy))
    assert not same(only_easy, trained("all", data, LONG["curriculum"]))


def test_parts_of_a_curriculum_make_a_whole() -> None:
    assert Params(**LONG).curriculum == LONG["curriculum"]
    with pytest.raises(ValidationError, match=r"the shares must add up to 1, got 0\.15"):
        Params(**{**LONG, "curriculum": LONG["curriculum"][:1]})


def test_without_the_filter_its_norms_are_not_made_up(tmp_path: Path) -> None:
    run = StubRun(tmp_path, **{**LONG, "grokfast_lambda": 0.0})
    train_forge_long_run(run, tiny_model(max_steps=1), random_set(36), random_set(24, seed=1))
    assert not {name for _, point in run.logged for name in point} & declared("forge", "grokfast")
