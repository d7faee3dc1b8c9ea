"""The two ways to search: a genetic algorithm, and CMA-ES on the genes as numbers.

Both propose the genomes of a generation from what has been measured so far. CMA-ES (the `cma` library; arXiv
1604.00772) is what model merging is mostly searched with (arXiv 2403.13187, section 4.1). Its state is not saved but
replayed from the cache of fitness values, in milliseconds a generation, so a resumed run goes on as it would have.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Protocol

import numpy as np

from forge.errors import ForgeError
from forge.merge.layers import MODULES, Junction
from forge.phases.evomerge.genome import (
    RANGES,
    RECOMBINATIONS,
    SPARSIFIERS,
    Genome,
    GroupGenes,
    Layout,
    genome_with_paths,
)
from forge.phases.evomerge.operators import crossover, mutate, tournament, usable_gene_weights
from forge.phases.evomerge.params import Params
from forge.phases.evomerge.state import EvolutionState, Individual, Record

_FRESH_TRIES = 8  # mutations of a child that is already in the population
_LEAST_ASKED = 3  # individuals that CMA-ES needs to learn from a generation
_SCALARS = ("t", "density", "lam", "blend")


class Strategy(Protocol):
    """What is used of `cma.CMAEvolutionStrategy`."""

    def ask(self) -> Sequence[np.ndarray]:
        """New points."""

    def tell(self, points: Sequence[np.ndarray], costs: Sequence[float]) -> None:
        """What the points cost; lower is better."""

    def stop(self) -> Mapping[str, object]:
        """Why it has come to an end; empty as long as it has not."""


class Search(Protocol):
    """Proposes generations."""

    def propose(self, state: EvolutionState, rng: Random) -> list[Genome]:
        """The genomes of the generation after ``state.generation``; the elites are the first."""


def evolutionary_search(layout: Layout, params: Params, seed: int) -> Search:
    """The search that the parameters name."""
    return CmaSearch(layout, params, seed) if params.search == "cma" else GeneticSearch(layout, params)


class GeneticSearch:
    """Elites, and mutated children of tournament winners."""

    def __init__(self, layout: Layout, params: Params) -> None:
        self.layout, self.params = layout, params

    def propose(self, state: EvolutionState, rng: Random) -> list[Genome]:
        """All distinct, as long as mutation finds something new."""
        population, p = state.population, self.params
        genomes = [individual.genome for individual in population[: p.elites]]
        seen = {genome.key() for genome in genomes}
        while len(genomes) < p.population:
            child = tournament(population, p.tournament, rng).genome
            if rng.random() < p.crossover_rate:
                child = crossover(child, tournament(population, p.tournament, rng).genome, rng)
            for _ in range(_FRESH_TRIES):
                child = mutate(child, self.layout, rng, p)
                if child.key() not in seen:
                    break
            seen.add(child.key())
            genomes.append(child)
        return genomes


class CmaSearch:
    """Samples of a normal distribution that moves towards the fittest; it starts at the best of generation 0.

    Every gene is a number from 0 to 1. Techniques, donors and blocks are intervals of it, so their order is arbitrary:
    that is the price of one method for a mixed space. A sample that is discarded counts as the worst of its generation.
    When the samples become too alike, the distribution starts again, as wide as at first, around the best point.
    """

    def __init__(self, layout: Layout, params: Params, seed: int) -> None:
        self.asked = params.population - params.elites
        if self.asked < _LEAST_ASKED:
            raise ForgeError(f"evolution: CMA-ES needs {_LEAST_ASKED} individuals besides the elites, not {self.asked}")
        self.layout, self.params, self.seed = layout, params, seed
        self.generations: Iterator[list[Genome]] | None = None
        self.given = 0  # generations proposed since generation 0

    def propose(self, state: EvolutionState, rng: Random) -> list[Genome]:
        """Elites of the population and fresh samples; ``rng`` has no say."""
        if self.generations is None:
            assert state.origin is not None, "generation 0 comes first"
            self.generations = self._samples(state.origin, state.records)
        samples: list[Genome] = []
        while self.given <= state.generation:
            samples, self.given = next(self.generations), self.given + 1
        elites = [individual.genome for individual in state.population[: self.params.elites]]
        return [*elites, *samples]

    def _samples(self, origin: Individual, records: Mapping[str, Record]) -> Iterator[list[Genome]]:
        """Generations of samples; before it goes on, ``records`` must hold the fitness of the last one."""
        best, best_value = encode_evomerge_genome(origin.genome, self.layout), origin.fitness.value
        generator = np.random.default_rng(self.seed)
        strategy = self._strategy(best, generator)
        while True:
            points = [np.asarray(point) for point in strategy.ask()]
            genomes = [decode_evomerge_genome(point, self.layout, self.seed) for point in points]
            yield genomes
            values = [_recorded_fitness(records, genome.key()) for genome in genomes]
            known = [value for value in values if value > -math.inf]
            worst = min(known, default=0.0)
            strategy.tell(points, [-max(value, worst) for value in values])
            if known and max(known) > best_value:
                best, best_value = points[values.index(max(known))], max(known)
            if strategy.stop() or diversity_of(points) < self.params.diversity_threshold / 2:
                strategy = self._strategy(best, generator)

    def _strategy(self, start: np.ndarray, generator: np.random.Generator) -> Strategy:
        import cma

        options = {
            "popsize": self.asked,
            "bounds": [0.0, 1.0],
            "CMA_diagonal": True,  # tens of genes, a few hundred samples: there is no covariance to be learned
            "randn": lambda *shape: generator.standard_normal(shape),
            "seed": math.nan,  # leave numpy's global generator alone
            "verbose": -9,
            "verb_log": 0,
        }
        strategy: Strategy = cma.CMAEvolutionStrategy(start, self.params.cma_sigma, options)
        return strategy


def diversity_of(points: Sequence[np.ndarray]) -> float:
    """Mean standard deviation of the coordinates of some points."""
    return float(np.std(np.stack(points), axis=0).mean())


def _recorded_fitness(records: Mapping[str, Record], key: str) -> float:
    fitness = records[key].fitness
    return -math.inf if fitness is None else fitness.value


def encode_evomerge_genome(genome: Genome, layout: Layout) -> np.ndarray:
    """The genes as numbers from 0 to 1: techniques, coefficients of each group, junctions of each module."""
    stages = (genome.interpolation, genome.sparsifier, genome.recombination)
    numbers = [
        _gene_bin_center(options.index(stage), len(options))
        for stage, options in zip(stages, _stage_options(layout), strict=True)
    ]
    for genes in genome.groups:
        numbers += [weight / max(genes.weights) for weight in genes.weights]
        numbers += [_gene_to_unit(name, getattr(genes, name)) for name in _SCALARS]
    for module in MODULES:
        for junction, options in zip(getattr(genome, module), getattr(layout, module), strict=True):
            numbers.append(_gene_bin_center(junction.donor, layout.parents + 1))
            numbers.append(_gene_bin_center(options.index(junction.block), len(options)))
            numbers.append(_gene_to_unit("scale", junction.scale))
    return np.array(numbers)


def decode_evomerge_genome(numbers: np.ndarray, layout: Layout, seed: int) -> Genome:
    """The genome of a point; inverse of :func:`encode_evomerge_genome` up to rounding and the scale of weights."""
    given = iter(numbers.tolist())
    stages = [options[_gene_bin(next(given), len(options))] for options in _stage_options(layout)]
    groups = []
    for _ in layout.groups:
        weights = usable_gene_weights(round(next(given), 4) for _ in range(layout.parents))
        groups.append(GroupGenes(weights, **{name: _gene(name, next(given)) for name in _SCALARS}))
    paths = {}
    for module in MODULES:
        path = []
        for options in getattr(layout, module):
            donor, block = _gene_bin(next(given), layout.parents + 1), options[_gene_bin(next(given), len(options))]
            path.append(Junction(donor, block, _gene("scale", next(given))))
        paths[module] = tuple(path)
    genome = Genome(stages[0], stages[1], stages[2], layout.groups, tuple(groups), seed=seed)
    return genome_with_paths(genome, paths)


def _stage_options(layout: Layout) -> tuple[tuple[str, ...], ...]:
    return layout.interpolations, SPARSIFIERS, RECOMBINATIONS


def _gene_bin_center(place: int, count: int) -> float:
    return (place + 0.5) / count


def _gene_bin(number: float, count: int) -> int:
    return min(count - 1, max(0, int(number * count)))


def _gene_to_unit(gene: str, value: float) -> float:
    low, high = RANGES[gene]
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _gene(gene: str, number: float) -> float:
    low, high = RANGES[gene]
    return round(low + min(1.0, max(0.0, number)) * (high - low), 4)
