"""Genomes and genetic operators: what a recipe expresses, and how recipes vary."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from random import Random

import pytest
import torch
from pydantic import TypeAdapter

from forge.errors import ForgeError
from forge.merge.layers import Junction
from forge.merge.methods import dare, is_merge_finite, merge_linear, ties
from forge.merge.regmean import regmean
from forge.phases.evomerge.genome import (
    RANGES,
    Genome,
    GroupGenes,
    Layout,
    evomerge_average_genome,
    express_genome,
    genome_distance,
    genome_layer_group,
    parent_genome,
)
from forge.phases.evomerge.operators import (
    crossover,
    generation_zero,
    genome_diversity,
    mutate,
    random_genome,
    tournament,
)
from tests.support.toy_merge import BASE, LAYOUT, PARENTS, SHORT, changed, same


@pytest.mark.parametrize("index", range(3))
def test_parent_genome_is_the_parent_bit_for_bit(index) -> None:
    genome = parent_genome(LAYOUT, index)
    assert same(express_genome(genome, BASE, PARENTS), PARENTS[index])
    assert genome.label == "parent"
    assert genome.techniques == ()
    assert same(express_genome(replace(genome, interpolation="slerp"), BASE, PARENTS), PARENTS[index])


def test_uniform_average_is_the_average() -> None:
    assert same(express_genome(evomerge_average_genome(LAYOUT), BASE, PARENTS), merge_linear(PARENTS, [1, 1, 1]))
    assert evomerge_average_genome(LAYOUT).label == "linear"


def test_identity_path_leaves_the_merge_bit_for_bit() -> None:
    plain = express_genome(evomerge_average_genome(LAYOUT), BASE, PARENTS)
    for recombination in ("frankenmerge", "dfs"):
        genome = replace(evomerge_average_genome(LAYOUT), recombination=recombination)
        assert same(express_genome(genome, BASE, PARENTS), plain)


def test_stage_two_alone_is_the_sparse_merge() -> None:
    genes = GroupGenes((0.5, 0.25, 0.25), density=0.6, lam=1.2, blend=1.0)
    genome = replace(evomerge_average_genome(LAYOUT), sparsifier="ties", groups=(genes,) * 4)
    expected = ties(BASE, PARENTS, genes.weights, 0.6, lam=1.2)
    result = express_genome(genome, BASE, PARENTS)
    assert all(torch.allclose(result[name], expected[name], atol=1e-6) for name in BASE)
    genome = replace(genome, sparsifier="dare", seed=4)
    embeds = [{"embed.weight": model["embed.weight"]} for model in (BASE, *PARENTS)]
    only_embed = dare(embeds[0], embeds[1:], genes.weights, 0.6, 4, lam=1.2)
    result = express_genome(genome, BASE, PARENTS)
    assert torch.allclose(result["embed.weight"], only_embed["embed.weight"], atol=1e-6)


def test_t_moves_along_the_line_from_the_base() -> None:
    genome = replace(evomerge_average_genome(LAYOUT), groups=(GroupGenes((0.0, 1.0, 0.0), t=0.5),) * 4)
    result = express_genome(genome, BASE, PARENTS)
    for name in BASE:
        assert torch.allclose(result[name], (BASE[name] + PARENTS[1][name]) / 2, atol=1e-6)
    assert not genome.is_parent


def test_groups_lean_on_their_own_parents() -> None:
    ones = [GroupGenes(tuple(float(i == j) for j in range(3))) for i in (0, 1, 2, 1)]
    genome = replace(evomerge_average_genome(LAYOUT), groups=tuple(ones))
    result = express_genome(genome, BASE, PARENTS)
    for name, index in (("embed.weight", 0), ("low.1.ffn.up.weight", 1), ("high.0.attn.q.weight", 2),
                        ("low_init", 1), ("halt.bias", 1)):  # fmt: skip
        assert torch.equal(result[name], PARENTS[index][name])
    names = ("embed", "low", "high", "memory", "rest")
    assert [genome_layer_group(name, names) for name in ("low_init", "memory.q.weight", "low.10.ffn.up.weight")] == [
        "rest", "memory", "low",
    ]  # fmt: skip
    assert LAYOUT.groups == ("embed", "low", "high", "rest")


def test_regmean_is_an_interpolation_where_moments_are_known() -> None:
    grams = [
        {name: (tensor.T @ tensor)[None] for name, tensor in parent.items() if "low.1" in name or "high.0.ffn" in name}
        for parent in PARENTS
    ]
    layout = Layout.of(BASE, PARENTS, grams=grams)
    assert (layout.interpolations, LAYOUT.interpolations) == (("linear", "slerp", "regmean"), ("linear", "slerp"))
    first = generation_zero(layout, Random(0), 1.2)
    assert first["regmean"].techniques == ("regmean",)
    result = express_genome(first["regmean"], BASE, PARENTS, grams)
    expected = regmean(PARENTS, grams, [1 / 3] * 3)
    assert all(torch.allclose(result[name], expected[name], atol=1e-6) for name in BASE)
    leaning = replace(first["regmean"], groups=(GroupGenes((0.0, 1.0, 3.0)),) * 4)
    expected = regmean(PARENTS[1:], grams[1:], [0.25, 0.75])
    assert torch.allclose(express_genome(leaning, BASE, PARENTS, grams)["low.1.ffn.up.weight"],
                          expected["low.1.ffn.up.weight"], atol=1e-6)  # fmt: skip
    drawn = {random_genome(layout, Random(seed)).interpolation for seed in range(20)}
    assert drawn == set(layout.interpolations)
    with pytest.raises(ForgeError, match="0 sets of Gram matrices"):
        express_genome(leaning, BASE, PARENTS)


def test_every_block_may_have_coefficients_of_its_own() -> None:
    layout = Layout.of(BASE, PARENTS, "block")
    assert layout.groups == ("embed", "low.0", "low.1", "high.0", "high.1", "rest")
    ones = [GroupGenes(tuple(float(i == j) for j in range(3))) for i in (0, 1, 2, 1, 0, 2)]
    result = express_genome(replace(evomerge_average_genome(layout), groups=tuple(ones)), BASE, PARENTS)
    for name, index in (("low.0.attn.q.weight", 1), ("low.1.attn.q.weight", 2), ("high.1.ffn.up.weight", 0)):
        assert torch.equal(result[name], PARENTS[index][name])
    with pytest.raises(ForgeError, match="grouping 'layer' is not one of module, block"):
        Layout.of(BASE, PARENTS, "layer")
    with pytest.raises(ForgeError, match="no layer group for 'low_init'"):
        express_genome(
            replace(evomerge_average_genome(layout), names=("embed", "a", "b", "c", "d", "e")), BASE, PARENTS
        )


def test_a_dead_parent_without_weight_does_no_harm() -> None:
    dead = {name: torch.full_like(tensor, math.nan) for name, tensor in BASE.items()}
    genes = GroupGenes((1.0, 1.0, 0.0))
    genome = replace(evomerge_average_genome(LAYOUT), sparsifier="dare", groups=(genes,) * 4)
    assert is_merge_finite(express_genome(genome, BASE, [*PARENTS[:2], dead]))


def test_the_eight_combinations_are_distinct_finite_and_widely_drawn() -> None:
    first = generation_zero(LAYOUT, Random(0), 1.2)
    assert len(first) == 8 + 3 + 2
    assert {"linear+dare+frankenmerge", "slerp+ties+dfs", "parent_1", "parent_3", "uniform_average"} < set(first)
    extrapolated, average = (
        express_genome(first[name], BASE, PARENTS) for name in ("extrapolated_average", "uniform_average")
    )
    for name, tensor in extrapolated.items():
        torch.testing.assert_close(tensor, BASE[name] + 1.2 * (average[name] - BASE[name]))
    models = {name: express_genome(genome, BASE, PARENTS) for name, genome in first.items()}
    assert all(is_merge_finite(model) for model in models.values())
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
        for name, genome in generation_zero(LAYOUT, Random(seed), 1.2).items():
            path = [*enumerate(genome.low), *enumerate(genome.high)]
            if "dfs" in name:
                assert any(junction.block != depth for depth, junction in path)
            if "frankenmerge" in name:
                assert any(junction.donor for _, junction in path)


def test_each_technique_changes_the_model() -> None:
    genome = generation_zero(LAYOUT, Random(0), 1.2)["linear+dare+frankenmerge"]
    model = express_genome(genome, BASE, PARENTS)
    for change in ({"interpolation": "slerp"}, {"sparsifier": "ties"}, {"sparsifier": "none"},
                   {"recombination": "none"}, {"seed": genome.seed + 1}):  # fmt: skip
        other = replace(genome, **change)
        assert other.key() != genome.key()
        assert not same(express_genome(other, BASE, PARENTS), model)


def test_key_ignores_genes_without_effect_and_json_keeps_the_genome() -> None:
    genome = evomerge_average_genome(LAYOUT)
    moved = replace(genome, seed=99, low=(Junction(2, 1, 1.2), Junction(1, 0, 0.8)))
    assert moved.key() == genome.key()
    assert genome_distance(moved, genome) == 0.0
    assert replace(moved, recombination="frankenmerge").key() != genome.key()
    assert replace(moved, sparsifier="dare").key() != replace(genome, sparsifier="dare").key()
    stored = TypeAdapter(Genome)
    back = stored.validate_json(stored.dump_json(moved))
    assert back == moved
    assert len({genome, moved, back}) == 2


def test_impossible_genomes_are_refused() -> None:
    genome = evomerge_average_genome(LAYOUT)
    for change, words in (
        ({"interpolation": "cubic"}, "'cubic' is not one of linear, slerp"),
        ({"groups": genome.groups[:2]}, "2 groups of coefficients"),
        ({"groups": (GroupGenes((0.0, 0.0)),) * 4}, "not all 0"),
    ):
        with pytest.raises(ForgeError, match=words):
            replace(genome, **change)
    with pytest.raises(ForgeError, match="made for 3 parents, 2 given"):
        express_genome(genome, BASE, PARENTS[:2])
    with pytest.raises(ForgeError, match="no parents"):
        Layout.of(BASE, [])
    with pytest.raises(ForgeError, match="no blocks named"):
        Layout.of({"w": torch.ones(1)}, [{"w": torch.ones(1)}])


# --- operators


def test_distance_is_a_normalized_measure() -> None:
    rng = Random(1)
    genomes = [random_genome(LAYOUT, rng) for _ in range(12)]
    for a, b in combinations(genomes, 2):
        assert 0.0 < genome_distance(a, b) <= 1.0
        assert genome_distance(a, b) == genome_distance(b, a)
    assert genome_distance(genomes[0], genomes[0]) == 0.0
    assert genome_diversity(genomes[:1] * 3) == 0.0
    assert genome_diversity(genomes) > genome_diversity([mutate(genomes[0], LAYOUT, rng, SHORT) for _ in range(12)])


def test_mutants_stay_in_range_and_every_kind_of_gene_moves() -> None:
    rng, genome = Random(2), evomerge_average_genome(LAYOUT)
    strong = changed(SHORT, gene_rate=1.0, mutation_sigma=1.0, category_rate=0.5)
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
        assert is_merge_finite(express_genome(mutant, BASE, PARENTS))
    assert {m.interpolation for m in mutants} == {"linear", "slerp"}
    assert {m.sparsifier for m in mutants} == {"dare", "ties", "none"}
    assert {m.recombination for m in mutants} == {"frankenmerge", "dfs", "none"}
    assert {j.donor for m in mutants for j in m.low} == {0, 1, 2, 3}
    assert any(m.low[0].block == 1 for m in mutants)
    assert len({m.seed for m in mutants}) > 25
    together = [len(set(m.groups)) == 1 for m in mutants]
    assert 20 < sum(together) < 80  # about half move all layer groups alike


def test_no_mutation_at_rate_zero() -> None:
    still = changed(SHORT, gene_rate=0.0, mutation_sigma=0.5, category_rate=0.0)
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
    assert sum(picks) / 1000 == pytest.approx(1.2, abs=0.15)  # mean of the least of two of 0..4; of one it is 2
