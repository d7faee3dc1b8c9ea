"""Evolution on toy models whose best merge is known to lie between the parents."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from torch import Tensor

from forge.config import parse_params
from forge.config.load import edited
from forge.errors import ForgeError, Interrupted
from forge.merge.methods import is_merge_finite
from forge.phases.evomerge.evolve import EvolutionResult, convergence, evolution_success_rates, evolve
from forge.phases.evomerge.fitness import Fitness
from forge.phases.evomerge.genome import TECHNIQUES, express_genome
from forge.phases.evomerge.state import EvolutionState, Record
from tests.support.toy_merge import (
    BASE,
    PARENTS,
    SHORT,
    TARGET,
    changed,
    evaluate,
    interrupted_after,
    outcome,
    through_json,
)


@pytest.fixture(scope="module")
def finished() -> EvolutionResult:
    return evolve(BASE, PARENTS, evaluate, changed(SHORT, generations=20), seed=3)


@pytest.fixture(scope="module")
def whole() -> EvolutionResult:
    """A short run without a stop, seed 5."""
    return evolve(BASE, PARENTS, evaluate, SHORT, seed=5)


def test_best_never_falls_and_the_search_gains(finished) -> None:
    best = [row["best_fitness"] for row in finished.history]
    assert len(best) == 21
    assert all(later >= earlier for earlier, later in pairwise(best))
    zero = [value for value in finished.generation_zero.values() if value is not None]
    assert best[0] == max(zero)
    assert best[-1] > best[0] + 0.02
    assert finished.champion.fitness.value == best[-1]
    champion = express_genome(finished.champion.genome, BASE, PARENTS)
    assert evaluate(champion) == finished.champion.fitness


def test_history_measures_the_population(finished) -> None:
    for row in finished.history:
        assert row["min_fitness"] <= row["avg_fitness"] <= row["max_fitness"] <= row["best_fitness"]
        assert 0.0 <= row["diversity_score"] <= 1.0
        assert 0.0 <= row["convergence_indicator"] <= 1.0
    for name in ("avg_fitness", "std_fitness", "diversity_score", "convergence_indicator"):
        assert len({round(row[name], 6) for row in finished.history}) > 3, name
    values = [individual.fitness.value for individual in finished.state.population]
    last = finished.history[-1]
    assert (last["max_fitness"], last["min_fitness"]) == (max(values), min(values))
    assert len(values) == 8


def test_success_rates_by_hand(finished) -> None:
    assert set(finished.success_rate) == set(TECHNIQUES) - {"regmean"}  # no Gram matrices are given
    good, poor = evaluate(TARGET), evaluate(BASE)
    records = [Record(["linear", "ties"], good), Record(["linear"], poor), Record(["dfs"], None, "dead")]
    bar = (good.value + poor.value) / 2
    assert evolution_success_rates(records, bar) == {"linear": 0.5, "ties": 1.0, "dfs": 0.0}


def test_convergence_by_hand() -> None:
    assert convergence([], best=2.0, average=1.0) == 0.0
    rows = [{"best_fitness": b, "avg_fitness": 1.0} for b in (2.0, 2.0, 2.5, 2.5, 2.5)]
    assert convergence(rows, best=3.0, average=2.0) == pytest.approx(0.5)  # half of the gain is of the last 5
    assert convergence(rows, best=2.0, average=2.0) == 1.0
    assert convergence([], best=1.0, average=1.0) == 1.0


def test_archive_holds_the_best_distinct_genomes(finished) -> None:
    values = [individual.fitness.value for individual in finished.archive]
    assert len(values) == 5
    assert values == sorted(values, reverse=True)
    assert len({individual.genome.key() for individual in finished.archive}) == 5
    ever = sorted((r.fitness.value for r in finished.state.records.values() if r.fitness), reverse=True)
    assert values == ever[:5]


def test_a_genome_is_evaluated_once() -> None:
    calls = []

    def counting(model: dict[str, Tensor]) -> Fitness:
        calls.append(1)
        return evaluate(model)

    result = evolve(BASE, PARENTS, counting, SHORT, seed=1)
    assert len(calls) == len(result.state.records) == result.history[-1]["evaluations"]
    hits = [row["cache_hits"] for row in result.history]
    assert hits[0] == 0
    assert hits[-1] >= 2 * SHORT.generations
    assert result.state.lookups == hits[-1] + len(calls)


def test_same_seed_same_run_other_seed_other_run(whole) -> None:
    again, other = (evolve(BASE, PARENTS, evaluate, SHORT, seed=seed) for seed in (5, 6))
    assert outcome(again) == outcome(whole)
    assert other.champion.genome != whole.champion.genome


@pytest.mark.parametrize("stop", [0, 3])
def test_resumed_after_a_generation_ends_the_same(stop, whole) -> None:
    saved: list[EvolutionState] = []

    def interrupt(row: dict[str, float], state: EvolutionState) -> None:
        saved[:] = [through_json(state)]
        if row["generation"] == stop:
            raise Interrupted(stop, SHORT.generations)

    with pytest.raises(Interrupted):
        evolve(BASE, PARENTS, evaluate, SHORT, seed=5, on_generation=interrupt)
    assert saved[0].generation == stop
    resumed = evolve(BASE, PARENTS, evaluate, SHORT, seed=12345, state=saved[0])
    assert outcome(resumed) == outcome(whole)


@pytest.mark.parametrize("stop", [1, 12, 15])
def test_resumed_in_mid_generation_ends_the_same_without_double_work(stop, whole) -> None:
    saved = interrupted_after(stop, SHORT)
    calls: list[int] = []
    resumed = evolve(BASE, PARENTS, lambda m: (calls.append(1), evaluate(m))[1], SHORT, seed=5, state=saved)
    assert outcome(resumed) == outcome(whole)
    assert len(calls) == len(whole.state.records) - stop


def test_a_dead_parent_is_caught_counted_and_replaced() -> None:
    dead = {name: tensor.clone() for name, tensor in PARENTS[2].items()}
    dead["high.1.ffn.up.weight"][0, 0] = math.inf
    seen: list[dict[str, Tensor]] = []

    def guarded(model: dict[str, Tensor]) -> Fitness:
        seen.append(model)
        return evaluate(model)

    told: list[str] = []
    result = evolve(
        BASE, [*PARENTS[:2], dead], guarded, changed(SHORT, generations=10), seed=1,
        on_evaluation=lambda record, state: told.append(record.failure) if record.fitness is None else None,
    )  # fmt: skip
    assert set(told) == {"the merged weights are not finite"}
    assert len(told) == result.history[-1]["failures"]
    assert all(is_merge_finite(model) for model in seen)
    assert result.generation_zero["parent_3"] is None
    assert result.generation_zero["uniform_average"] is None
    assert result.generation_zero["parent_1"] is not None
    assert result.history[0]["failures"] >= 5
    assert math.isfinite(result.champion.fitness.value)
    assert len(result.state.population) == 8
    assert result.success_rate["frankenmerge"] < 1.0


def test_a_fitness_that_is_not_finite_is_a_failure() -> None:
    def picky(model: dict[str, Tensor]) -> Fitness:
        fitness = evaluate(model)
        return replace(fitness, value=math.nan) if fitness.value < 0.6 else fitness

    result = evolve(BASE, PARENTS, picky, SHORT, seed=1)
    failures = [record for record in result.state.records.values() if record.fitness is None]
    assert failures
    assert all(record.failure == "the fitness is not finite" for record in failures)
    assert all(individual.fitness.value >= 0.6 for individual in result.state.population)


def test_nothing_alive_is_an_error() -> None:
    nothing = replace(evaluate(BASE), value=math.nan)
    with pytest.raises(ForgeError, match="no model of generation 0 has a finite fitness"):
        evolve(BASE, PARENTS, lambda model: nothing, SHORT, seed=0)


def test_low_diversity_reseeds_the_worst() -> None:
    still = changed(SHORT, gene_rate=0.05, mutation_sigma=0.01, category_rate=0.0, crossover_rate=0.0)
    calm = evolve(BASE, PARENTS, evaluate, changed(still, diversity_threshold=0.0), seed=1)
    lively = evolve(BASE, PARENTS, evaluate, changed(still, diversity_threshold=0.3), seed=1)
    assert calm.history[-1]["reseeded"] == 0
    assert lively.history[-1]["reseeded"] > 0
    assert lively.history[-1]["diversity_score"] > calm.history[-1]["diversity_score"]
    assert len(lively.state.population) == 8
    best = [row["best_fitness"] for row in lively.history]
    assert best == sorted(best)


def test_patience_stops_early_and_none_does_not() -> None:
    flat = evaluate(BASE)
    early = evolve(BASE, PARENTS, lambda model: flat, changed(SHORT, patience=2), seed=0)
    assert len(early.history) == 3
    assert len(evolve(BASE, PARENTS, lambda model: flat, SHORT, seed=0).history) == 5


def test_one_block_a_module_and_two_parents_are_enough() -> None:
    small = [{n: t for n, t in m.items() if ".1." not in n} for m in (BASE, *PARENTS[:2])]

    def score(model: dict[str, Tensor]) -> Fitness:
        return evaluate({**BASE, **model})

    result = evolve(small[0], small[1:], score, changed(SHORT, generations=2, population=4, reseed=1), seed=0)
    assert len(result.history) == 3
    assert len(result.generation_zero) == 12


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("scales.tiny.evomerge.population", 1, "evomerge.population: input should be greater than or equal to 4"),
        ("evomerge.elites", 0, "elites: input should be greater than or equal to 1"),
        ("evomerge.elites", 8, r"population \(8\) must exceed evomerge.elites \(8\)"),
        ("evomerge.tournament", 0, "tournament: input should be greater than or equal to 1"),
        ("evomerge.mutation_sigma", 1.5, "mutation_sigma: input should be less than or equal to 1"),
        ("evomerge.gene_rate", 1.5, "gene_rate: input should be less than or equal to 1"),
        ("evomerge.crossover_rate", -0.1, "crossover_rate: input should be greater than or equal to 0"),
        ("evomerge.search", "random", "search: input should be 'ga' or 'cma'"),
    ],
)
def test_impossible_parameters_are_refused(key, value, words) -> None:
    text = (Path(__file__).resolve().parents[3] / "params.yaml").read_text(encoding="utf-8")
    with pytest.raises(ForgeError, match=words):
        parse_params(edited(text, {key: value}))
