"""Genetic operators: the first generation, random genomes, mutation, crossover, selection, diversity.

All chance comes from the `random.Random` passed in. Genes are rounded to four decimals: finer differences
do not change a model's fitness measurably, and the recipe stays readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, product
from random import Random
from typing import TypeVar

from forge.merge.layers import MODULES, Junction
from forge.phases.evomerge.genome import (
    RANGES,
    RECOMBINATIONS,
    SPARSIFIERS,
    Genome,
    GroupGenes,
    Layout,
    evomerge_average_genome,
    genome_distance,
    genome_with_paths,
    parent_genome,
)
from forge.phases.evomerge.params import Params

T = TypeVar("T")
_SCALARS = ("t", "density", "lam", "blend")
_SEEDS = 1 << 31
# Of random genomes: share of the junctions whose block is drawn, and the spread of scalings in units of their range.
_MOVED, _SCALE_SPREAD = 0.5, 0.15
_TRIES = 50  # draws until a path recombines; where there is one block a module, DFS never does


def generation_zero(layout: Layout, rng: Random, extrapolated: float) -> dict[str, Genome]:
    """The first individuals by name: the eight combinations, every parent, the uniform average, its task vector times
    ``extrapolated`` and, where Gram matrices are given, RegMean.

    The combinations are drawn from the whole search space, as `random_genome` draws: coefficients, donors, data-flow
    paths and scalings differ as widely as the search may move them. So generation 0 shows what merging does when nobody
    has chosen anything yet, with the parents and the average beside it.
    """
    individuals: dict[str, Genome] = {}
    for stages in product(("linear", "slerp"), ("dare", "ties"), ("frankenmerge", "dfs")):
        genome = random_genome(layout, rng, stages)
        individuals[genome.label] = genome
    for index in range(layout.parents):
        individuals[f"parent_{index + 1}"] = parent_genome(layout, index)
    individuals["uniform_average"] = evomerge_average_genome(layout)
    individuals["extrapolated_average"] = evomerge_average_genome(layout, t=extrapolated)
    if "regmean" in layout.interpolations:
        individuals["regmean"] = evomerge_average_genome(layout, "regmean")
    return individuals


def random_genome(layout: Layout, rng: Random, stages: tuple[str, str, str] | None = None) -> Genome:
    """A genome drawn from the whole search space: coefficients uniform in `RANGES`, donors and half of the blocks
    uniform, scalings around 1; techniques too unless given. Where it can, its third stage recombines something.
    """
    if stages is None:
        stages = (rng.choice(layout.interpolations), rng.choice(SPARSIFIERS), rng.choice(RECOMBINATIONS))
    groups = tuple(
        GroupGenes(
            weights=usable_gene_weights(_uniform_gene("weight", rng) for _ in range(layout.parents)),
            **{name: _uniform_gene(name, rng) for name in _SCALARS},
        )
        for _ in layout.groups
    )
    genome = Genome(*stages, layout.groups, groups, seed=rng.randrange(_SEEDS))
    for _ in range(_TRIES):
        genome = genome_with_paths(genome, {module: _random_path(module, layout, rng) for module in MODULES})
        if _genome_recombines(genome):
            break
    return genome


def _random_path(module: str, layout: Layout, rng: Random) -> tuple[Junction, ...]:
    return tuple(
        Junction(
            rng.randint(0, layout.parents),
            rng.choice(options) if rng.random() < _MOVED else depth,
            _gaussian_gene("scale", 1.0, _SCALE_SPREAD, rng),
        )
        for depth, options in enumerate(getattr(layout, module))
    )


def _genome_recombines(genome: Genome) -> bool:
    """Whether the third stage really does what its name says: a block from elsewhere, for DFS at another depth too."""
    steps = [step for module in MODULES for step in enumerate(genome.effective_path(module))]
    if genome.recombination == "dfs":
        return any(junction.block != depth for depth, junction in steps)
    return genome.recombination == "none" or any(junction.donor != 0 for _, junction in steps)


def mutate(genome: Genome, layout: Layout, rng: Random, params: Params) -> Genome:
    """A changed copy: gaussian steps on coefficients and scales, fresh draws of techniques, donors, blocks
    and seed.

    Half of the time all layer groups take the same step, which keeps a merge consistent over depth. Each
    child has a step size of its own (1, 1/2 or 1/4 of `mutation_sigma`), so that the search can still close in
    late.
    """
    sigma = params.mutation_sigma * rng.choice((1.0, 0.5, 0.25))
    stages = [
        rng.choice(options) if rng.random() < params.category_rate else current
        for current, options in (
            (genome.interpolation, layout.interpolations),
            (genome.sparsifier, SPARSIFIERS),
            (genome.recombination, RECOMBINATIONS),
        )
    ]
    together, common = rng.random() < 0.5, rng.getrandbits(64)
    groups = tuple(
        _mutated_group(genes, Random(common) if together else rng, params.gene_rate, sigma) for genes in genome.groups
    )
    paths = {
        module: _mutated_path(getattr(genome, module), module, layout, rng, sigma, params.gene_rate)
        for module in MODULES
    }
    seed = rng.randrange(_SEEDS) if rng.random() < params.category_rate else genome.seed
    return genome_with_paths(Genome(stages[0], stages[1], stages[2], genome.names, groups, seed=seed), paths)


def crossover(a: Genome, b: Genome, rng: Random) -> Genome:
    """A child: techniques, junctions, seed from either genome; a group's coefficients from one or between."""

    def either(x: T, y: T) -> T:
        return x if rng.random() < 0.5 else y

    groups: list[GroupGenes] = []
    for left, right in zip(a.groups, b.groups, strict=True):
        if rng.random() < 0.5:
            groups.append(either(left, right))
            continue
        share = rng.random()
        weights = usable_gene_weights(
            _gene_between(x, y, share) for x, y in zip(left.shares, right.shares, strict=True)
        )
        scalars = {name: _gene_between(getattr(left, name), getattr(right, name), share) for name in _SCALARS}
        groups.append(GroupGenes(weights, **scalars))
    paths = {
        module: tuple(either(x, y) for x, y in zip(getattr(a, module), getattr(b, module), strict=True))
        for module in MODULES
    }
    child = Genome(
        either(a.interpolation, b.interpolation),
        either(a.sparsifier, b.sparsifier),
        either(a.recombination, b.recombination),
        a.names,
        tuple(groups),
        seed=either(a.seed, b.seed),
    )
    return genome_with_paths(child, paths)


def tournament(ranked: Sequence[T], size: int, rng: Random) -> T:
    """The best of ``size`` drawn with replacement from individuals sorted best first."""
    return ranked[min(rng.randrange(len(ranked)) for _ in range(size))]


def genome_diversity(genomes: Sequence[Genome]) -> float:
    """Mean `distance` over all pairs, 0 (all alike) to 1; 0 for a single genome."""
    pairs = [genome_distance(a, b) for a, b in combinations(genomes, 2)]
    return sum(pairs) / len(pairs) if pairs else 0.0


def _mutated_group(genes: GroupGenes, rng: Random, rate: float, sigma: float) -> GroupGenes:
    def step(gene: str, value: float) -> float:
        return _gaussian_gene(gene, value, sigma, rng) if rng.random() < rate else value

    weights = usable_gene_weights(step("weight", weight) for weight in genes.weights)
    return GroupGenes(weights, **{name: step(name, getattr(genes, name)) for name in _SCALARS})


def _mutated_path(
    path: Sequence[Junction], module: str, layout: Layout, rng: Random, sigma: float, rate: float
) -> tuple[Junction, ...]:
    """New donors, blocks and scales. Most draws lead home, to the merged model's own block."""
    result = []
    for depth, junction in enumerate(path):
        donor, block, scale = junction.donor, junction.block, junction.scale
        if rng.random() < rate / 2:
            donor = rng.choice((0, rng.randint(1, layout.parents)))
        if rng.random() < rate / 4:
            block = rng.choice((depth, rng.choice(getattr(layout, module)[depth])))
        if rng.random() < rate:
            scale = _gaussian_gene("scale", scale, sigma, rng)
        result.append(Junction(donor, block, scale))
    return tuple(result)


def _uniform_gene(gene: str, rng: Random) -> float:
    return round(rng.uniform(*RANGES[gene]), 4)


def _gaussian_gene(gene: str, value: float, sigma: float, rng: Random) -> float:
    low, high = RANGES[gene]
    return round(min(high, max(low, rng.gauss(value, sigma * (high - low)))), 4)


def _gene_between(x: float, y: float, share: float) -> float:
    return round(share * x + (1.0 - share) * y, 4)


def usable_gene_weights(weights: Iterable[float]) -> tuple[float, ...]:
    """Weights as a tuple; equal ones where all have become zero."""
    values = tuple(weights)
    return values if sum(values) > 0.0 else (1.0,) * len(values)
