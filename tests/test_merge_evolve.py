"""Genomes and evolution on toy models whose best merge is known to lie between the parents."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import combinations, pairwise
from random import Random

import pytest
import torch
from torch import Tensor

from forge.errors import ForgeError, Interrupted
from forge.merge.evolve import EvolutionResult, convergence, evolve, success_rates
from forge.merge.fitness import Fitness, Measured, combine
from forge.merge.genome import (
    RANGES,
    TECHNIQUES,
    Genome,
    GroupGenes,
    Layout,
    distance,
    express,
    group_of,
    parent_genome,
    uniform_average,
)
from forge.merge.layers import Junction
from forge.merge.methods import all_finite, dare, linear, ties
from forge.merge.operators import crossover, diversity, generation_zero, mutate, random_genome, tournament
from forge.merge.settings import EvolveSettings, MutationSettings
from forge.merge.state import EvolutionState, Record

HIDDEN, WIDTH = 6, 9


def toy(seed: int, spread: float = 1.0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embed.weight": (11, HIDDEN),
        "low_init": (HIDDEN,),
        "halt.bias": (1,),
    }
    for prefix in ("low.0.", "low.1.", "high.0.", "high.1."):
        shapes |= {f"{prefix}attn.{part}.weight": (HIDDEN, HIDDEN) for part in "qkvo"}
        shapes |= {f"{prefix}ffn.up.weight": (WIDTH, HIDDEN), f"{prefix}ffn.down.weight": (HIDDEN, WIDTH)}
    return {name: spread * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


BASE = toy(0)
PARENTS = [{name: BASE[name] + delta for name, delta in toy(seed, 0.1).items()} for seed in (1, 2, 3)]
# What evolution looks for: mostly parent 1, some of parent 3, further from the base than their average.
TARGET = {n: BASE[n] + 0.9 * (PARENTS[0][n] - BASE[n]) + 0.4 * (PARENTS[2][n] - BASE[n]) for n in BASE}
LAYOUT = Layout.of(BASE, PARENTS)
REFERENCE = Measured(perplexity=3.0, accuracy=0.5, flops=1.0, bytes=1.0)
SHORT = EvolveSettings(generations=4)


def evaluate(model: dict[str, Tensor]) -> Fitness:
    """Fitness that falls with the distance from the target; accuracy rises with how near it is."""
    error = sum(float((model[name] - TARGET[name]).square().sum()) for name in TARGET)
    size = sum(tensor.numel() for tensor in TARGET.values())
    return combine(math.exp(100 * error / size), 1 / (1 + 50 * error / size), 1.0, 1.0, REFERENCE)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def through_json(state: EvolutionState) -> EvolutionState:
    return EvolutionState.from_dict(json.loads(json.dumps(state.to_dict(), sort_keys=True, allow_nan=False)))


def outcome(result: EvolutionResult) -> tuple[object, ...]:
    return (
        result.champion, result.archive, result.history, result.success_rate, result.generation_zero,
        result.state.population, result.state.random,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished() -> EvolutionResult:
    return evolve(BASE, PARENTS, evaluate, EvolveSettings(generations=20), seed=3)


@pytest.fixture(scope="module")
def whole() -> EvolutionResult:
    """A short run without a stop, seed 5."""
    return evolve(BASE, PARENTS, evaluate, SHORT, seed=5)


# --- genome


@pytest.mark.parametrize("index", range(3))
def test_parent_genome_is_the_parent_bit_for_bit(index) -> None:
    genome = parent_genome(LAYOUT, index)
    assert same(express(genome, BASE, PARENTS), PARENTS[index])
    assert genome.label == "parent"
    assert genome.techniques == ()
    assert same(express(replace(genome, interpolation="slerp"), BASE, PARENTS), PARENTS[index])


def test_uniform_average_is_the_average() -> None:
    assert same(express(uniform_average(LAYOUT), BASE, PARENTS), linear(PARENTS, [1, 1, 1]))
    assert uniform_average(LAYOUT).label == "linear"


def test_identity_path_leaves_the_merge_bit_for_bit() -> None:
    plain = express(uniform_average(LAYOUT), BASE, PARENTS)
    for recombination in ("frankenmerge", "dfs"):
        genome = replace(uniform_average(LAYOUT), recombination=recombination)
        assert same(express(genome, BASE, PARENTS), plain)


def test_stage_two_alone_is_the_sparse_merge() -> None:
    genes = GroupGenes((0.5, 0.25, 0.25), density=0.6, lam=1.2, blend=1.0)
    genome = replace(uniform_average(LAYOUT), sparsifier="ties", groups=(genes,) * 4)
    expected = ties(BASE, PARENTS, genes.weights, 0.6, lam=1.2)
    result = express(genome, BASE, PARENTS)
    assert all(torch.allclose(result[name], expected[name], atol=1e-6) for name in BASE)
    genome = replace(genome, sparsifier="dare", seed=4)
    embeds = [{"embed.weight": model["embed.weight"]} for model in (BASE, *PARENTS)]
    only_embed = dare(embeds[0], embeds[1:], genes.weights, 0.6, 4, lam=1.2)
    result = express(genome, BASE, PARENTS)
    assert torch.allclose(result["embed.weight"], only_embed["embed.weight"], atol=1e-6)


def test_t_moves_along_the_line_from_the_base() -> None:
    genome = replace(uniform_average(LAYOUT), groups=(GroupGenes((0.0, 1.0, 0.0), t=0.5),) * 4)
    result = express(genome, BASE, PARENTS)
    for name in BASE:
        assert torch.allclose(result[name], (BASE[name] + PARENTS[1][name]) / 2, atol=1e-6)
    assert not genome.is_parent


def test_groups_lean_on_their_own_parents() -> None:
    ones = [GroupGenes(tuple(float(i == j) for j in range(3))) for i in (0, 1, 2, 1)]
    genome = replace(uniform_average(LAYOUT), groups=tuple(ones))
    result = express(genome, BASE, PARENTS)
    for name, index in (("embed.weight", 0), ("low.1.ffn.up.weight", 1), ("high.0.attn.q.weight", 2),
                        ("low_init", 1), ("halt.bias", 1)):  # fmt: skip
        assert torch.equal(result[name], PARENTS[index][name])
    names = ("embed", "low", "high", "memory", "rest")
    assert [group_of(name, names) for name in ("low_init", "memory.q.weight", "low.10.ffn.up.weight")] == [
        "rest", "memory", "low",
    ]  # fmt: skip
    assert LAYOUT.groups == ("embed", "low", "high", "rest")


def test_every_block_may_have_coefficients_of_its_own() -> None:
    layout = Layout.of(BASE, PARENTS, "block")
    assert layout.groups == ("embed", "low.0", "low.1", "high.0", "high.1", "rest")
    ones = [GroupGenes(tuple(float(i == j) for j in range(3))) for i in (0, 1, 2, 1, 0, 2)]
    result = express(replace(uniform_average(layout), groups=tuple(ones)), BASE, PARENTS)
    for name, index in (("low.0.attn.q.weight", 1), ("low.1.attn.q.weight", 2), ("high.1.ffn.up.weight", 0)):
        assert torch.equal(result[name], PARENTS[index][name])
    with pytest.raises(ForgeError, match="grouping 'layer' is not one of module, block"):
        Layout.of(BASE, PARENTS, "layer")
    with pytest.raises(ForgeError, match="no layer group for 'low_init'"):
        express(replace(uniform_average(layout), names=("embed", "a", "b", "c", "d", "e")), BASE, PARENTS)


def test_a_dead_parent_without_weight_does_no_harm() -> None:
    dead = {name: torch.full_like(tensor, math.nan) for name, tensor in BASE.items()}
    genes = GroupGenes((1.0, 1.0, 0.0))
    genome = replace(uniform_average(LAYOUT), sparsifier="dare", groups=(genes,) * 4)
    assert all_finite(express(genome, BASE, [*PARENTS[:2], dead]))


def test_the_eight_combinations_are_distinct_finite_and_widely_drawn() -> None:
    first = generation_zero(LAYOUT, Random(0))
    assert len(first) == 8 + 3 + 1
    assert {"linear+dare+frankenmerge", "slerp+ties+dfs", "parent_1", "parent_3", "uniform_average"} < set(first)
    models = {name: express(genome, BASE, PARENTS) for name, genome in first.items()}
    assert all(all_finite(model) for model in models.values())
    for (name, a), (other, b) in combinations(models.items(), 2):
        gap = max(float((a[tensor] - b[tensor]).abs().max()) for tensor in a)
        assert gap > 1e-3, (name, other)
    drawn = [genes for name, genome in first.items() if "+" in name for genes in genome.groups]
    for gene in ("t", "density", "lam", "blend"):
        low, high = RANGES[gene]
        values = [getattr(genes, gene) for genes in drawn]
        assert min(values) < low + 0.2 * (high - low)
        assert max(values) > high - 0.2 * (high - low)
    for seed in range(5):  # every one really recombines
        for name, genome in generation_zero(LAYOUT, Random(seed)).items():
            path = [*enumerate(genome.low), *enumerate(genome.high)]
            if "dfs" in name:
                assert any(junction.block != depth for depth, junction in path)
            if "frankenmerge" in name:
                assert any(junction.donor for _, junction in path)


def test_each_technique_changes_the_model() -> None:
    genome = generation_zero(LAYOUT, Random(0))["linear+dare+frankenmerge"]
    model = express(genome, BASE, PARENTS)
    for change in ({"interpolation": "slerp"}, {"sparsifier": "ties"}, {"sparsifier": "none"},
                   {"recombination": "none"}, {"seed": genome.seed + 1}):  # fmt: skip
        other = replace(genome, **change)
        assert other.key() != genome.key()
        assert not same(express(other, BASE, PARENTS), model)


def test_key_ignores_genes_without_effect_and_json_keeps_the_genome() -> None:
    genome = uniform_average(LAYOUT)
    moved = replace(genome, seed=99, low=(Junction(2, 1, 1.2), Junction(1, 0, 0.8)))
    assert moved.key() == genome.key()
    assert distance(moved, genome) == 0.0
    assert replace(moved, recombination="frankenmerge").key() != genome.key()
    assert replace(moved, sparsifier="dare").key() != replace(genome, sparsifier="dare").key()
    assert Genome.from_dict(json.loads(json.dumps(moved.to_dict()))) == moved
    assert len({genome, moved, Genome.from_dict(moved.to_dict())}) == 2


def test_impossible_genomes_are_refused() -> None:
    genome = uniform_average(LAYOUT)
    for change, words in (
        ({"interpolation": "cubic"}, "'cubic' is not one of linear, slerp"),
        ({"groups": genome.groups[:2]}, "2 groups of coefficients"),
        ({"groups": (GroupGenes((0.0, 0.0)),) * 4}, "not all 0"),
    ):
        with pytest.raises(ForgeError, match=words):
            replace(genome, **change)
    with pytest.raises(ForgeError, match="made for 3 parents, 2 given"):
        express(genome, BASE, PARENTS[:2])
    with pytest.raises(ForgeError, match="no parents"):
        Layout.of(BASE, [])
    with pytest.raises(ForgeError, match="no blocks named"):
        Layout.of({"w": torch.ones(1)}, [{"w": torch.ones(1)}])


# --- operators


def test_distance_is_a_normalised_measure() -> None:
    rng = Random(1)
    genomes = [random_genome(LAYOUT, rng) for _ in range(12)]
    for a, b in combinations(genomes, 2):
        assert 0.0 < distance(a, b) <= 1.0
        assert distance(a, b) == distance(b, a)
    assert distance(genomes[0], genomes[0]) == 0.0
    assert diversity(genomes[:1] * 3) == 0.0
    assert diversity(genomes) > diversity(
        [mutate(genomes[0], LAYOUT, rng, MutationSettings()) for _ in range(12)]
    )


def test_mutants_stay_in_range_and_every_kind_of_gene_moves() -> None:
    rng, genome = Random(2), uniform_average(LAYOUT)
    strong = MutationSettings(gene_rate=1.0, mutation_sigma=1.0, category_rate=0.5)
    mutants = [mutate(genome, LAYOUT, rng, strong) for _ in range(100)]
    for mutant in mutants:
        for genes in mutant.groups:
            assert sum(genes.weights) > 0
            for name in ("t", "density", "lam", "blend"):
                assert RANGES[name][0] <= getattr(genes, name) <= RANGES[name][1]
        for junction in (*mutant.low, *mutant.high):
            assert 0 <= junction.donor <= 3
            assert 0 <= junction.block < 2
            assert RANGES["scale"][0] <= junction.scale <= RANGES["scale"][1]
        assert all_finite(express(mutant, BASE, PARENTS))
    assert {m.interpolation for m in mutants} == {"linear", "slerp"}
    assert {m.sparsifier for m in mutants} == {"dare", "ties", "none"}
    assert {m.recombination for m in mutants} == {"frankenmerge", "dfs", "none"}
    assert {j.donor for m in mutants for j in m.low} == {0, 1, 2, 3}
    assert any(m.low[0].block == 1 for m in mutants)
    assert len({m.seed for m in mutants}) > 25
    together = [len(set(m.groups)) == 1 for m in mutants]
    assert 20 < sum(together) < 80  # about half move all layer groups alike


def test_no_mutation_at_rate_zero() -> None:
    still = MutationSettings(gene_rate=0.0, mutation_sigma=0.5, category_rate=0.0)
    genome = random_genome(LAYOUT, Random(4))
    assert mutate(genome, LAYOUT, Random(5), still) == genome


def test_a_child_has_only_its_parents_genes() -> None:
    a, b = (random_genome(LAYOUT, Random(seed)) for seed in (1, 2))
    children = [crossover(a, b, Random(seed)) for seed in range(60)]
    for child in children:
        assert child.sparsifier in (a.sparsifier, b.sparsifier)
        assert child.seed in (a.seed, b.seed)
        for index, junction in enumerate(child.high):
            assert junction in (a.high[index], b.high[index])
        for genes, x, y in zip(child.groups, a.groups, b.groups, strict=True):
            assert min(x.t, y.t) - 1e-4 <= genes.t <= max(x.t, y.t) + 1e-4
    assert len({child.key() for child in children}) > 50
    assert crossover(a, a, Random(0)).high == a.high


def test_tournament_prefers_the_better() -> None:
    rng = Random(0)
    picks = [tournament(range(5), 2, rng) for _ in range(1000)]
    assert set(picks) == set(range(5))
    assert sum(picks) / 1000 == pytest.approx(
        1.2, abs=0.15
    )  # mean of the least of two of 0..4; of one it is 2


# --- evolution


def test_best_never_falls_and_the_search_gains(finished) -> None:
    best = [row["best_fitness"] for row in finished.history]
    assert len(best) == 21
    assert all(later >= earlier for earlier, later in pairwise(best))
    zero = [value for value in finished.generation_zero.values() if value is not None]
    assert best[0] == max(zero)
    assert best[-1] > best[0] + 0.02
    assert finished.champion.fitness.value == best[-1]
    champion = express(finished.champion.genome, BASE, PARENTS)
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
    assert set(finished.success_rate) == set(TECHNIQUES)
    good, poor = evaluate(TARGET), evaluate(BASE)
    records = [Record(["linear", "ties"], good), Record(["linear"], poor), Record(["dfs"], None, "dead")]
    bar = (good.value + poor.value) / 2
    assert success_rates(records, bar) == {"linear": 0.5, "ties": 1.0, "dfs": 0.0}


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
    saved: list[EvolutionState] = []

    def interrupt(record: Record, state: EvolutionState) -> None:
        if len(state.records) == stop:
            saved.append(through_json(state))
            raise Interrupted(0, 1)

    with pytest.raises(Interrupted):
        evolve(BASE, PARENTS, evaluate, SHORT, seed=5, on_evaluation=interrupt)
    calls: list[int] = []
    resumed = evolve(
        BASE, PARENTS, lambda m: (calls.append(1), evaluate(m))[1], SHORT, seed=5, state=saved[0]
    )
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
        BASE, [*PARENTS[:2], dead], guarded, replace(SHORT, generations=10), seed=1,
        on_evaluation=lambda record, state: told.append(record.failure) if record.fitness is None else None,
    )  # fmt: skip
    assert set(told) == {"the merged weights are not finite"}
    assert len(told) == result.history[-1]["failures"]
    assert all(all_finite(model) for model in seen)
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
        evolve(BASE, PARENTS, lambda model: nothing, SHORT)


def test_low_diversity_reseeds_the_worst() -> None:
    still = replace(SHORT, gene_rate=0.05, mutation_sigma=0.01, category_rate=0.0, crossover_rate=0.0)
    calm = evolve(BASE, PARENTS, evaluate, replace(still, diversity_threshold=0.0), seed=1)
    lively = evolve(BASE, PARENTS, evaluate, replace(still, diversity_threshold=0.3), seed=1)
    assert calm.history[-1]["reseeded"] == 0
    assert lively.history[-1]["reseeded"] > 0
    assert lively.history[-1]["diversity_score"] > calm.history[-1]["diversity_score"]
    assert len(lively.state.population) == 8
    best = [row["best_fitness"] for row in lively.history]
    assert best == sorted(best)


def test_patience_stops_early_and_none_does_not() -> None:
    flat = evaluate(BASE)
    early = evolve(BASE, PARENTS, lambda model: flat, replace(SHORT, patience=2))
    assert len(early.history) == 3
    assert len(evolve(BASE, PARENTS, lambda model: flat, SHORT).history) == 5


def test_one_block_a_module_and_two_parents_are_enough() -> None:
    small = [{n: t for n, t in m.items() if ".1." not in n} for m in (BASE, *PARENTS[:2])]

    def score(model: dict[str, Tensor]) -> Fitness:
        return evaluate({**BASE, **model})

    result = evolve(small[0], small[1:], score, replace(SHORT, generations=2, population=3, reseed=1))
    assert len(result.history) == 3
    assert len(result.generation_zero) == 11


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"population": 1}, "population must be at least 2"),
        ({"elites": 0}, "elites must be at least 1"),
        ({"elites": 8}, "8 elites leave no room in a population of 8"),
        ({"mutation_sigma": 1.5}, "mutation_sigma must lie between 0 and 1"),
        ({"crossover_rate": -0.1}, "crossover_rate must lie"),
    ],
)
def test_impossible_settings_are_refused(change, words) -> None:
    with pytest.raises(ForgeError, match=words):
        EvolveSettings(**change)
