"""Genetic operators: the first generation, random genomes, mutation, crossover, selection, diversity.

All chance comes from the `random.Random` passed in. Genes are rounded to four decimals: finer differences
do not change a model's fitness measurably, and the recipe stays readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from random import Random
from typing import TypeVar

from forge.errors import ForgeError
from forge.merge.genome import (
    GROUPS,
    INTERPOLATIONS,
    RANGES,
    RECOMBINATIONS,
    SPARSIFIERS,
    Genome,
    GroupGenes,
    Layout,
    distance,
    parent_genome,
    uniform_average,
    with_paths,
)
from forge.merge.layers import MODULES, Junction

T = TypeVar("T")
_SCALARS = ("t", "density", "lam", "blend")
_SEEDS = 1 << 31


@dataclass(frozen=True)
class MutationSettings:
    """Strength of mutation.

    Attributes:
        gene_rate: chance that a coefficient, or a junction of the path, changes.
        mutation_sigma: standard deviation of a change in units of the gene's range, before the
            child's own step size.
        category_rate: chance that a technique, or the seed, is drawn anew.
    """

    gene_rate: float = 0.3
    mutation_sigma: float = 0.15
    category_rate: float = 0.1

    def __post_init__(self) -> None:
        self.check_rates("gene_rate", "mutation_sigma", "category_rate")

    def check_rates(self, *names: str) -> None:
        """Raise `ForgeError` naming the first of these settings that does not lie between 0 and 1."""
        for name in names:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ForgeError(f"evolution: {name} must lie between 0 and 1, not {getattr(self, name)}")


def generation_zero(layout: Layout, rng: Random) -> dict[str, Genome]:
    """The first individuals by name: the eight combinations, every parent, the uniform average.

    The combinations share moderate coefficients (all parents alike, density 0.7, half of each stage), so
    they are compared on equal terms; they differ in technique, in the DARE seed, and in the one block that
    a parent gives. DFS scales every junction by a few percent besides.
    """
    individuals: dict[str, Genome] = {}
    groups = (GroupGenes((1.0,) * layout.parents),) * len(GROUPS)
    for interpolation, sparsifier, recombination in product(
        ("linear", "slerp"), ("dare", "ties"), ("frankenmerge", "dfs")
    ):
        paths = layout.identity()
        module, depth = rng.choice([(m, i) for m in MODULES for i in range(len(paths[m]))])
        donated = Junction(rng.randint(1, layout.parents), depth)
        paths[module] = (*paths[module][:depth], donated, *paths[module][depth + 1 :])
        if recombination == "dfs":
            paths = {
                m: tuple(replace(j, scale=_gauss("scale", 1.0, 0.05, rng)) for j in p)
                for m, p in paths.items()
            }
        genome = Genome(interpolation, sparsifier, recombination, groups, seed=rng.randrange(_SEEDS))
        genome = with_paths(genome, paths)
        individuals[genome.label] = genome
    for index in range(layout.parents):
        individuals[f"parent_{index + 1}"] = parent_genome(layout, index)
    return individuals | {"uniform_average": uniform_average(layout)}


def random_genome(layout: Layout, rng: Random) -> Genome:
    """A genome drawn from the whole space of techniques, with coefficients around the moderate ones."""
    groups = tuple(
        GroupGenes(
            weights=_usable(round(rng.random(), 4) for _ in range(layout.parents)),
            t=round(rng.uniform(0.8, 1.2), 4),
            density=round(rng.uniform(0.3, 1.0), 4),
            lam=round(rng.uniform(0.7, 1.4), 4),
            blend=round(rng.random(), 4),
        )
        for _ in GROUPS
    )
    paths = {
        module: _mutated_path(path, module, layout, rng, 0.1, 0.3)
        for module, path in layout.identity().items()
    }
    stages = [rng.choice(options) for options in (INTERPOLATIONS, SPARSIFIERS, RECOMBINATIONS)]
    return with_paths(Genome(stages[0], stages[1], stages[2], groups, seed=rng.randrange(_SEEDS)), paths)


def mutate(genome: Genome, layout: Layout, rng: Random, settings: MutationSettings) -> Genome:
    """A changed copy: gaussian steps on coefficients and scales, fresh draws of techniques, donors, blocks
    and seed.

    Half of the time all layer groups take the same step, which keeps a merge consistent over depth. Each
    child has a step size of its own (1, 1/2 or 1/4 of the setting), so that the search can still close in
    late.
    """
    sigma = settings.mutation_sigma * rng.choice((1.0, 0.5, 0.25))
    stages = [
        rng.choice(options) if rng.random() < settings.category_rate else current
        for current, options in (
            (genome.interpolation, INTERPOLATIONS),
            (genome.sparsifier, SPARSIFIERS),
            (genome.recombination, RECOMBINATIONS),
        )
    ]
    together, common = rng.random() < 0.5, rng.getrandbits(64)
    groups = tuple(
        _mutated_group(genes, Random(common) if together else rng, settings.gene_rate, sigma)
        for genes in genome.groups
    )
    paths = {
        module: _mutated_path(getattr(genome, module), module, layout, rng, sigma, settings.gene_rate)
        for module in MODULES
    }
    seed = rng.randrange(_SEEDS) if rng.random() < settings.category_rate else genome.seed
    return with_paths(Genome(stages[0], stages[1], stages[2], groups, seed=seed), paths)


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
        weights = _usable(_between(x, y, share) for x, y in zip(left.shares, right.shares, strict=True))
        scalars = {name: _between(getattr(left, name), getattr(right, name), share) for name in _SCALARS}
        groups.append(GroupGenes(weights, **scalars))
    paths = {
        module: tuple(either(x, y) for x, y in zip(getattr(a, module), getattr(b, module), strict=True))
        for module in MODULES
    }
    child = Genome(
        either(a.interpolation, b.interpolation),
        either(a.sparsifier, b.sparsifier),
        either(a.recombination, b.recombination),
        tuple(groups),
        seed=either(a.seed, b.seed),
    )
    return with_paths(child, paths)


def tournament(ranked: Sequence[T], size: int, rng: Random) -> T:
    """The best of ``size`` drawn with replacement from individuals sorted best first."""
    return ranked[min(rng.randrange(len(ranked)) for _ in range(size))]


def diversity(genomes: Sequence[Genome]) -> float:
    """Mean `distance` over all pairs, 0 (all alike) to 1; 0 for a single genome."""
    pairs = [distance(a, b) for a, b in combinations(genomes, 2)]
    return sum(pairs) / len(pairs) if pairs else 0.0


def _mutated_group(genes: GroupGenes, rng: Random, rate: float, sigma: float) -> GroupGenes:
    def step(gene: str, value: float) -> float:
        return _gauss(gene, value, sigma, rng) if rng.random() < rate else value

    weights = _usable(step("weight", weight) for weight in genes.weights)
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
            scale = _gauss("scale", scale, sigma, rng)
        result.append(Junction(donor, block, scale))
    return tuple(result)


def _gauss(gene: str, value: float, sigma: float, rng: Random) -> float:
    low, high = RANGES[gene]
    return round(min(high, max(low, rng.gauss(value, sigma * (high - low)))), 4)


def _between(x: float, y: float, share: float) -> float:
    return round(share * x + (1.0 - share) * y, 4)


def _usable(weights: Iterable[float]) -> tuple[float, ...]:
    """Weights as a tuple; equal ones where all have become zero."""
    values = tuple(weights)
    return values if sum(values) > 0.0 else (1.0,) * len(values)
