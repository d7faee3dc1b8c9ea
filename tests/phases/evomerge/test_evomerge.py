"""Phase 2 as a whole: what merges are judged by, and an evolution that can be stopped at any generation."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from forge.data.dataset import KINDS
from forge.errors import Interrupted
from forge.evals.likelihood import likelihood
from forge.merge.methods import StateDict
from forge.phases.cognate.params import Params as CognateParams
from forge.phases.evomerge.checkpointing import Checkpointer
from forge.phases.evomerge.claims import Contender, merge_claims
from forge.phases.evomerge.fitness import (
    SKILLS,
    fitness_batch,
    fitness_batch_loss,
    fitness_function,
    mean_evomerge_skill_loss,
    measure_evomerge_individual,
    measure_evomerge_skills,
)
from forge.phases.evomerge.joint_training import evomerge_joint_mix, train_evomerge_control
from forge.phases.evomerge.merging import Merged, evolve_champion
from forge.phases.evomerge.state import EvolutionState, Record
from forge.train.checkpoint import load_checkpoint
from tests.support.stub_run import StubRun, measured, random_set
from tests.support.tiny_models import tiny_model
from tests.support.toy_merge import SHORT, WEIGHTS, changed

PARAMS: dict[str, Any] = dict(
    changed(SHORT, generations=3, population=4, elites=1, diversity_threshold=0.0, fitness_samples=10,
            checkpoint_every=100)
)  # fmt: skip


def weights(seed: int, spread: float = 0.05) -> StateDict:
    """The trunk with noise of its own kind on top."""
    trunk, noise = tiny_model().state_dict(), tiny_model(seed=seed).state_dict()
    return {name: (w + spread * noise[name] if seed else w).clone() for name, w in trunk.items()}


PARENTS = {name: weights(seed) for name, seed in (("one", 1), ("two", 2), ("three", 3))}
VAL = random_set(35)


def mixture(**shares: float) -> SimpleNamespace:
    return SimpleNamespace(model_dump=lambda: shares)


COGNATE = SimpleNamespace(
    muon_lr=0.02, adam_lr=0.004, weight_decay=0.0, clip=1.0, end_rate=0.05, warmup_fraction=0.0, decay_fraction=1.0,
    checkpoint_every=2, batch_tokens=100, branch_rate=0.5, branch_steps=4,
    branches={name: SimpleNamespace(ponder_cost=0.1, mix=mixture(direct=1.0, recall=float(place)))
              for place, name in enumerate(PARENTS)},
)  # fmt: skip


def evolved(run: StubRun) -> Merged:
    run.blocks[CognateParams] = COGNATE
    return evolve_champion(run, tiny_model(), weights(0), PARENTS, VAL, random_set(14, seed=2))


def same(a: StateDict, b: StateDict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Merged:
    return evolved(StubRun(tmp_path_factory.mktemp("whole"), **PARAMS))


# ---- what merges are judged by -------------------------------------------------------------------------------


def test_the_fitness_batch_is_fixed_by_the_seed() -> None:
    first, second, other = (fitness_batch(VAL, 8, seed) for seed in (1, 1, 2))
    assert len(first) == 8
    assert [len(first.where(*kinds)) for kinds in SKILLS.values()] == [2, 2, 2, 2]
    assert (first.ids == second.ids).all()
    assert len(first.ids) != len(other.ids) or (first.ids != other.ids).any()
    whole = fitness_batch(VAL, 1000, 1)
    assert {KINDS[kind] for kind in whole.kind} == {"worked", "tooled", "tool", "recall", "persona"}
    assert len(whole) == 25


def test_a_merge_is_measured_by_likelihood_and_counts() -> None:
    model, batch = tiny_model(), fitness_batch(VAL, 10, 1)
    found = measure_evomerge_individual(model, PARENTS["two"], batch)
    assert same(model.state_dict(), PARENTS["two"])
    scored = likelihood(model, batch)
    each = [likelihood(model, batch, batch.where(*kinds)) for kinds in SKILLS.values()]
    assert math.log(found.perplexity) == pytest.approx(math.prod(skill.loss for skill in each) ** 0.25)
    assert found.accuracy == pytest.approx(np.mean([np.exp(-skill.nll).mean() for skill in each]))
    assert mean_evomerge_skill_loss(measure_evomerge_skills(scored, batch)) == pytest.approx(math.log(found.perplexity))
    assert found.bytes == 4 * sum(w.numel() for w in PARENTS["two"].values())
    core = sum(w.numel() for n, w in PARENTS["two"].items() if n.startswith(("low.", "high.", "memory.")))
    core -= sum(w.numel() for n, w in PARENTS["two"].items() if "gate" in n or "key_shift" in n)
    assert found.flops == pytest.approx(2 * core * np.average(scored.steps, weights=scored.tokens))


def test_halting_earlier_is_fitter() -> None:
    """Thinking less costs fewer FLOPs and nothing else where the prediction stays."""
    model, batch = tiny_model(), fitness_batch(VAL, 10, 1)
    never, always = ({**PARENTS["one"], "halt.bias": torch.tensor([b])} for b in (-50.0, 50.0))
    costs = [measure_evomerge_individual(model, w, batch).flops for w in (never, always)]
    assert costs[0] == pytest.approx(3 * costs[1])


def test_the_best_parent_scores_one_and_the_same_every_time() -> None:
    parents = list(PARENTS.values())
    evaluate, best = fitness_function(tiny_model(), fitness_batch(VAL, 10, 1), parents, WEIGHTS)
    assert evaluate(parents[best]).value == pytest.approx(1.0, abs=1e-12)
    first = [evaluate(parent) for parent in parents]
    assert [evaluate(parent) for parent in reversed(parents)] == first[::-1]
    assert len({fitness.measured.perplexity for fitness in first}) == 3
    again = fitness_function(tiny_model(seed=8), fitness_batch(VAL, 10, 1), parents, WEIGHTS)
    assert again[1] == best
    assert again[0](parents[0]) == first[0]


def test_the_barriers_loss_is_the_log_of_perplexity() -> None:
    model, batch = tiny_model(), fitness_batch(VAL, 10, 1)
    loss = fitness_batch_loss(model, batch)(PARENTS["one"])
    assert loss == pytest.approx(math.log(measure_evomerge_individual(model, PARENTS["one"], batch).perplexity))


# ---- the run -------------------------------------------------------------------------------------------------


def test_an_evolution_reports_its_champion_and_controls(whole: Merged) -> None:
    parents = list(PARENTS.values())
    assert whole.best_parent_fitness == pytest.approx(1.0, abs=1e-12)
    assert whole.result.champion.fitness.value >= whole.best_parent_fitness
    for name, average in whole.average.items():
        torch.testing.assert_close(average, sum(p[name] for p in parents) / 3, atol=1e-6, rtol=1e-5)
    assert set(whole.barriers) == {"one~two", "one~three", "two~three"}
    batch = fitness_batch(VAL, 10, 3)
    assert {"extrapolated_average", "regmean"} < set(whole.result.generation_zero)
    evaluate, best = fitness_function(tiny_model(), batch, parents, WEIGHTS)
    assert list(PARENTS)[best] == whole.best_parent
    assert evaluate(whole.champion).value == whole.result.champion.fitness.value


def test_a_merge_that_only_guesses_is_dead(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It counts as a failure with its reason, unless the parents guess as well."""
    batch = fitness_batch(VAL, 10, 1)
    evaluate, _ = fitness_function(tiny_model(), batch, list(PARENTS.values()), WEIGHTS)
    assert evaluate.reference.perplexity > 48
    assert evaluate(PARENTS["two"]).finite
    sane = replace(evaluate, reference=replace(evaluate.reference, perplexity=5.0))
    found = sane(PARENTS["two"])
    assert not found.finite
    assert "the model is dead: perplexity" in found.fault
    saver = Checkpointer(StubRun(tmp_path), 3, 1)
    saver.after_evaluation(Record(["linear", "ties"], None, found.fault, 2), EvolutionState.start(0))
    assert capsys.readouterr().err == f"generation 2: linear+ties discarded: {found.fault}\n"


@pytest.mark.parametrize("evaluations", [1, 13])
def test_an_evolution_stopped_in_mid_generation_resumes_to_the_same(
    tmp_path: Path, whole: Merged, evaluations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, seen = StubRun(tmp_path, **PARAMS), []
    told = Checkpointer.after_evaluation

    def count(saver: Checkpointer, record: Record, state: EvolutionState) -> None:
        seen.append(record)
        run.stop_requested = len(seen) == evaluations
        told(saver, record, state)

    monkeypatch.setattr(Checkpointer, "after_evaluation", count)
    with pytest.raises(Interrupted):
        evolved(run)
    saved = load_checkpoint(run.checkpoint_dir / "evolution")
    assert saved is not None
    assert len(saved[1]["records"]) == evaluations
    resumed = evolved(run)
    assert len(seen) == len(whole.result.state.records)
    assert same(resumed.champion, whole.champion)
    assert resumed.result.history == whole.result.history


def test_a_long_generation_is_saved_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forge.phases.evomerge.checkpointing.SAVE_SECONDS", 0.0)
    run, saved = StubRun(tmp_path, **PARAMS), []
    saver = Checkpointer(run, 3, 100)
    for _ in range(2):
        saver.after_evaluation(Record([], None, "for a test"), EvolutionState.start(0))
        saved.append(saver.load())
    assert [state.generation for state in saved if state is not None] == [-1, -1]


def saved_generation(run: StubRun) -> int:
    saved = load_checkpoint(run.checkpoint_dir / "evolution")
    assert saved is not None
    generation: int = saved[1]["generation"]
    return generation


@pytest.mark.parametrize("generation", [1, 2])
def test_a_stopped_evolution_resumes_to_the_same_champion(tmp_path: Path, whole: Merged, generation: int) -> None:
    run = StubRun(tmp_path, **PARAMS)
    run.stop_at = generation
    with pytest.raises(Interrupted) as stopped:
        evolved(run)
    assert (stopped.value.step, stopped.value.total) == (generation, 3)
    assert saved_generation(run) == generation
    before, run.stop_at, run.stop_requested = len(run.logged), -1, False
    resumed = evolved(run)
    assert [step for step, _ in run.logged[before:]] == list(range(generation + 1, 4))
    assert same(resumed.champion, whole.champion)
    assert resumed.result.history == whole.result.history
    assert replace(resumed, champion={}, average={}, result=whole.result) == replace(whole, champion={}, average={})


def test_the_last_generation_is_not_interrupted(tmp_path: Path, whole: Merged) -> None:
    run = StubRun(tmp_path, **{**PARAMS, "checkpoint_every": 2})
    run.stop_at = 3
    assert same(evolved(run).champion, whole.champion)
    assert [step for step, _ in run.logged] == [0, 1, 2, 3]
    assert set(run.logged[0][1]) == {"fitness/best", "fitness/average", "fitness/diversity"}
    assert saved_generation(run) == 2


# ---- controls and claims -------------------------------------------------------------------------------------


def test_the_control_reads_what_all_branches_read(tmp_path: Path) -> None:
    run = StubRun(tmp_path)
    run.blocks[CognateParams] = COGNATE
    VAL.save(tmp_path / "train.safetensors")
    trunk = tiny_model()
    joint = train_evomerge_control(run, trunk)
    assert same(dict(trunk.state_dict()), weights(0))
    assert not same(dict(joint.state_dict()), weights(0))
    assert (run.checkpoint_dir / "joint").is_dir()
    steps = len(COGNATE.branches) * COGNATE.branch_steps
    assert [step for step, _ in run.logged] == [10, steps]
    first, last = (point["joint/learning_rate"] for _, point in run.logged)
    peak = COGNATE.branch_rate * COGNATE.muon_lr
    assert (first, last) == (pytest.approx(peak * 3 / steps), pytest.approx(peak * 1 / steps))


def test_mixtures_count_alike_in_their_mean() -> None:
    assert evomerge_joint_mix([{"direct": 1.0, "recall": 0.0}, {"direct": 30.0, "recall": 90.0}]) == {
        "direct": 0.625,
        "recall": 0.375,
    }


def test_claims_name_every_control(tmp_path: Path, whole: Merged) -> None:
    run, good, bad = StubRun(tmp_path), measured([1.0] * 20, [1.0] * 20), measured([0.0] * 20, [1.0] * 20)
    rivals = {"the average": Contender(bad, 0.75, [0.5] * 20), "a twin": Contender(good, 0.5, [0.7] * 20)}
    claims = merge_claims(run, Contender(good, 0.5, [0.6] * 20), rivals, "a twin", whole.result)
    assert claims[0].note == "test loss, geometric mean over skills: 0.5000 against 0.7500 nats"
    assert [claim.control for claim in claims] == [*["the average", "a twin"] * 2, "a twin", "mean of generation 0"]
    assert [claim.passed for claim in claims[:5]] == [True, False, True, False, True]
    assert "best of generation 0" in claims[5].note
    assert (claims[0].value, claims[0].control_value) == (1.0, 0.5)
    assert (claims[2].value, claims[2].control_value) == (pytest.approx(0.6), pytest.approx(0.5))
    start = [v for v in whole.result.generation_zero.values() if v is not None]
    assert claims[5].control_value == pytest.approx(sum(start) / len(start))
    assert claims[5].passed == (whole.result.champion.fitness.value > 1.2 * claims[5].control_value)
    assert claims[5].n == len(start)
