"""Evolution of merges: generations of genomes, scored, kept, varied; resumable after every single evaluation.

Generation 0 holds the eight combinations of techniques, the parents and the uniform average, so the
champion is never worse than any of them. Each later generation keeps the elites and fills up with mutated
children of tournament winners. A model is built and scored once a genome (`EvolutionState.records` is the
cache). All chance comes from one generator whose state is part of `EvolutionState`: a run that is stopped
and resumed ends exactly like one that is not.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from forge.errors import ForgeError
from forge.merge.fitness import Fitness
from forge.merge.genome import TECHNIQUES, Genome, Layout, express
from forge.merge.methods import Model, StateDict, all_finite
from forge.merge.operators import (
    MutationSettings,
    crossover,
    diversity,
    generation_zero,
    mutate,
    random_genome,
    tournament,
)
from forge.merge.state import EvolutionState, Individual, Record

Evaluate = Callable[[StateDict], Fitness]
Mapper = Callable[[Callable[[Genome], Record], Iterable[Genome]], Iterable[Record]]

_LEAST = {
    "generations": 0,
    "population": 2,
    "elites": 1,
    "tournament": 1,
    "archive": 1,
    "reseed": 0,
    "patience": 0,
}
_CONVERGENCE_WINDOW = 5
_REPLACEMENTS = 3  # rounds in which discarded individuals are replaced before the population is left smaller
_FRESH_TRIES = 8  # mutations of a child that is already in the population


@dataclass(frozen=True)
class EvolveSettings(MutationSettings):
    """Settings of a run; mutation's are inherited.

    Attributes:
        generations: how many after generation 0.
        population: individuals a generation (generation 0 has its own number).
        elites: best individuals that stay as they are.
        tournament: size of the tournament that picks a child's parents.
        crossover_rate: chance that a child has two parents.
        diversity_threshold: below this mean distance of genomes the worst are replaced by random genomes.
        reseed: how many are then replaced at most; elites never are.
        archive: size of the archive of the best genomes ever seen.
        patience: stop after so many generations without a better champion; 0 never stops early.
    """

    generations: int = 50
    population: int = 8
    elites: int = 2
    tournament: int = 3
    crossover_rate: float = 0.6
    diversity_threshold: float = 0.05
    reseed: int = 2
    archive: int = 5
    patience: int = 0

    def __post_init__(self) -> None:
        self.check_rates(
            "gene_rate", "mutation_sigma", "category_rate", "crossover_rate", "diversity_threshold"
        )
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ForgeError(f"evolution: {name} must be at least {least}, not {getattr(self, name)}")
        if self.elites >= self.population:
            raise ForgeError(
                f"evolution: {self.elites} elites leave no room in a population of {self.population}"
            )


@dataclass(frozen=True)
class EvolutionResult:
    """Outcome of a run.

    Attributes:
        champion: best individual ever seen.
        archive: the best distinct individuals, best first.
        history: one row a generation; keys as in the metrics: ``generation``, ``best_fitness`` (so far),
            ``avg_fitness``, ``min_fitness``, ``max_fitness``, ``std_fitness`` (population),
            ``diversity_score``, ``convergence_indicator``, ``evaluations``, ``cache_hits``, ``failures``,
            ``reseeded`` (the last four since the start).
        success_rate: for each technique the share of evaluated genomes using it whose fitness is finite and
            above the mean of generation 0.
        generation_zero: fitness by name of the eight combinations, ``parent_1``..., ``uniform_average``;
            None if discarded.
        state: final state.
    """

    champion: Individual
    archive: list[Individual]
    history: list[dict[str, float]]
    success_rate: dict[str, float]
    generation_zero: dict[str, float | None]
    state: EvolutionState


OnGeneration = Callable[[dict[str, float], EvolutionState], None]


def evolve(
    base: Model,
    parents: Sequence[Model],
    evaluate: Evaluate,
    settings: EvolveSettings | None = None,
    seed: int = 0,
    on_generation: OnGeneration | None = None,
    on_evaluation: Callable[[EvolutionState], None] | None = None,
    state: EvolutionState | None = None,
    mapper: Mapper = map,
) -> EvolutionResult:
    """Search for the best merge of ``parents``.

    Args:
        base: the trunk of all parents.
        parents: state dicts with the base's names and shapes.
        evaluate: scores a state dict on validation data; must be deterministic. What it is given it may keep.
        settings: see `EvolveSettings`.
        seed: of all chance; unused when resuming.
        on_generation: called after every generation with its history row and the state, for logging and
            saving. It may raise (for instance `Interrupted`) to stop the run.
        on_evaluation: called after every new evaluation with the state; saving it there resumes in
            mid-generation.
        state: where to resume; must come from a run with the same arguments.
        mapper: applies the scoring function to genomes in order; ``map`` of an executor evaluates in
            parallel.

    Raises:
        ForgeError: models do not match, or no model of generation 0 has a finite fitness.
    """
    run = _Run(base, parents, evaluate, settings or EvolveSettings(), mapper, on_evaluation)
    state = EvolutionState.start(seed) if state is None else state
    while state.generation < run.settings.generations and not run.stalled(state):
        run.advance(state)
        if on_generation is not None:
            on_generation(state.history[-1], state)
    return run.result(state)


@dataclass
class _Run:
    """The fixed part of a run and the steps of a generation."""

    base: Model
    parents: Sequence[Model]
    evaluate: Evaluate
    settings: EvolveSettings
    mapper: Mapper
    on_evaluation: Callable[[EvolutionState], None] | None
    layout: Layout = field(init=False)
    lookups: int = 0  # scores asked for in the generation in progress

    def __post_init__(self) -> None:
        self.layout = Layout.of(self.base, self.parents)

    def advance(self, state: EvolutionState) -> None:
        """One generation. Until its end only `records` of the state changes, so a stop inside replays."""
        rng, generation = state.rng(), state.generation + 1
        names: dict[str, str] = state.names
        if generation == 0:
            first = generation_zero(self.layout, rng)
            names = {name: genome.key() for name, genome in first.items()}
            genomes = list(first.values())
        else:
            genomes = self.offspring(state.population, rng)
        self.lookups = 0
        population = self.alive(genomes, state, generation, rng)
        if not population:
            raise ForgeError("evolution: no model of generation 0 has a finite fitness")
        spread = diversity([individual.genome for individual in population])
        reseeded = 0
        if generation > 0 and spread < self.settings.diversity_threshold:
            reseeded = min(self.settings.reseed, max(0, len(population) - self.settings.elites))
            fresh = [random_genome(self.layout, rng) for _ in range(reseeded)]
            kept = population[: len(population) - reseeded]
            population = _ranked(kept + self.alive(fresh, state, generation, rng, kept))
            spread = diversity([individual.genome for individual in population])
        state.names, state.generation, state.population = names, generation, population
        state.lookups, state.reseeded = state.lookups + self.lookups, state.reseeded + reseeded
        state.keep_best(population, self.settings.archive)
        state.set_rng(rng)
        state.history.append(self.row(state, spread))

    def alive(
        self,
        genomes: list[Genome],
        state: EvolutionState,
        generation: int,
        rng: Random,
        company: Sequence[Individual] = (),
    ) -> list[Individual]:
        """Score genomes, best first; each discarded one is replaced by a mutant of a living one.

        Those in ``company`` count as living. Empty only in generation 0: later the elites live.
        """
        population: list[Individual] = []
        for _ in range(1 + _REPLACEMENTS):
            scored = self.score(genomes, state, generation)
            population = _ranked([*population, *scored])
            pool = _ranked([*population, *company])
            missing = len(genomes) - len(scored)
            if not missing or not pool:
                break
            genomes = [
                mutate(
                    tournament(pool, self.settings.tournament, rng).genome, self.layout, rng, self.settings
                )
                for _ in range(missing)
            ]
        return population

    def score(self, genomes: Sequence[Genome], state: EvolutionState, generation: int) -> list[Individual]:
        """The living among ``genomes``; what is not in the cache is built and evaluated."""
        self.lookups += len(genomes)
        unknown = {genome.key(): genome for genome in genomes if genome.key() not in state.records}
        for key, record in zip(unknown, self.mapper(self.judge, unknown.values()), strict=True):
            record.generation = generation
            state.records[key] = record
            if self.on_evaluation is not None:
                self.on_evaluation(state)
        found = [(genome, state.records[genome.key()]) for genome in genomes]
        return [Individual(genome, r.fitness, r.generation) for genome, r in found if r.fitness is not None]

    def judge(self, genome: Genome) -> Record:
        """Build and evaluate one model. If it or its fitness is not finite, that is recorded as a failure."""
        techniques = list(genome.techniques)
        model = express(genome, self.base, self.parents)
        if not all_finite(model):
            return Record(techniques, None, "the merged weights are not finite")
        fitness = self.evaluate(model)
        if not fitness.finite:
            return Record(techniques, None, "the fitness is not finite")
        return Record(techniques, fitness)

    def offspring(self, population: list[Individual], rng: Random) -> list[Genome]:
        """Elites and mutated children, all distinct as long as mutation finds something new."""
        genomes = [individual.genome for individual in population[: self.settings.elites]]
        seen = {genome.key() for genome in genomes}
        while len(genomes) < self.settings.population:
            child = tournament(population, self.settings.tournament, rng).genome
            if rng.random() < self.settings.crossover_rate:
                child = crossover(child, tournament(population, self.settings.tournament, rng).genome, rng)
            for _ in range(_FRESH_TRIES):
                child = mutate(child, self.layout, rng, self.settings)
                if child.key() not in seen:
                    break
            seen.add(child.key())
            genomes.append(child)
        return genomes

    def row(self, state: EvolutionState, spread: float) -> dict[str, float]:
        """History row of the generation that has just been committed."""
        values = [individual.fitness.value for individual in state.population]
        best, average = state.archive[0].fitness.value, statistics.fmean(values)
        return {
            "generation": state.generation,
            "best_fitness": best,
            "avg_fitness": average,
            "min_fitness": min(values),
            "max_fitness": max(values),
            "std_fitness": statistics.pstdev(values),
            "diversity_score": spread,
            "convergence_indicator": convergence(state.history, best, average),
            "evaluations": len(state.records),
            "cache_hits": state.cache_hits,
            "failures": sum(record.fitness is None for record in state.records.values()),
            "reseeded": state.reseeded,
        }

    def stalled(self, state: EvolutionState) -> bool:
        """Whether ``patience`` generations have passed without a better champion."""
        wait = self.settings.patience
        if wait == 0 or len(state.history) <= wait:
            return False
        return state.history[-1]["best_fitness"] <= state.history[-1 - wait]["best_fitness"]

    def result(self, state: EvolutionState) -> EvolutionResult:
        scores = {
            key: record.fitness.value if record.fitness else None for key, record in state.records.items()
        }
        return EvolutionResult(
            champion=state.archive[0],
            archive=list(state.archive),
            history=list(state.history),
            success_rate=success_rates(state.records.values(), state.history[0]["avg_fitness"]),
            generation_zero={name: scores[key] for name, key in state.names.items()},
            state=state,
        )


def convergence(history: Sequence[dict[str, float]], best: float, average: float) -> float:
    """How far the search has come to rest, 0 to 1.

    1 - (gain of the best fitness in the last 5 generations) / (gain since the mean of generation 0). 1:
    nothing better was found lately; 0: all the gain is recent, as in the first generations by definition.

    Args:
        history: rows of the earlier generations.
        best: best fitness so far.
        average: mean of this generation (the origin if it is generation 0).
    """
    origin = history[0]["avg_fitness"] if history else average
    before = history[-_CONVERGENCE_WINDOW]["best_fitness"] if len(history) >= _CONVERGENCE_WINDOW else origin
    gain = best - origin
    return 1.0 - (best - before) / gain if gain > 0.0 else 1.0


def success_rates(records: Iterable[Record], bar: float) -> dict[str, float]:
    """For each technique tried: the share of its evaluated genomes with a finite fitness above ``bar``."""
    tried, won = dict.fromkeys(TECHNIQUES, 0), dict.fromkeys(TECHNIQUES, 0)
    for record in records:
        for technique in record.techniques:
            tried[technique] += 1
            won[technique] += record.fitness is not None and record.fitness.value > bar
    return {technique: won[technique] / count for technique, count in tried.items() if count}


def _ranked(individuals: Iterable[Individual]) -> list[Individual]:
    """Best first; among equals the earlier one, so that the order never depends on chance."""
    return sorted(individuals, key=lambda individual: -individual.fitness.value)
