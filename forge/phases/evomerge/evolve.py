"""Evolution of merges: generations of genomes, scored, kept, varied; resumable after every single evaluation.

Generation 0 holds the eight combinations of techniques, the parents, the uniform average, its extrapolation and
RegMean, so the champion is never worse than any of them on what it is selected by. Each later generation keeps the
elites and fills up with what the search (`forge.phases.evomerge.search`) proposes. A model is built and scored once a
genome (`EvolutionState.records` is the cache). All chance comes from one generator whose state is part of
`EvolutionState`: a run that is stopped and resumed ends exactly like one that is not.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random

from forge.errors import ForgeError
from forge.merge.methods import Model, StateDict, is_merge_finite
from forge.merge.regmean import Grams
from forge.phases.evomerge.fitness import Fitness
from forge.phases.evomerge.genome import TECHNIQUES, Genome, Layout, express_genome
from forge.phases.evomerge.operators import generation_zero, genome_diversity, mutate, random_genome, tournament
from forge.phases.evomerge.parallel import Map, evomerge_population_map
from forge.phases.evomerge.params import Params
from forge.phases.evomerge.search import Search, evolutionary_search
from forge.phases.evomerge.state import EvolutionState, Individual, Record

Evaluate = Callable[[StateDict], Fitness]

_CONVERGENCE_WINDOW = 5
_REPLACEMENTS = 3  # rounds in which discarded individuals are replaced before the population is left smaller


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
        generation_zero: fitness by name of the eight combinations, ``parent_1``..., ``uniform_average``,
            ``extrapolated_average``, ``regmean``; None if discarded.
        state: final state.
    """

    champion: Individual
    archive: list[Individual]
    history: list[dict[str, float]]
    success_rate: dict[str, float]
    generation_zero: dict[str, float | None]
    state: EvolutionState

    @property
    def first_values(self) -> list[float]:
        """Fitness of those of generation 0 that live."""
        return [value for value in self.generation_zero.values() if value is not None]


OnGeneration = Callable[[dict[str, float], EvolutionState], None]
OnEvaluation = Callable[[Record, EvolutionState], None]


def evolve(
    base: Model,
    parents: Sequence[Model],
    evaluate: Evaluate,
    params: Params,
    seed: int,
    on_generation: OnGeneration | None = None,
    on_evaluation: OnEvaluation | None = None,
    state: EvolutionState | None = None,
    workers: int | None = None,
    grams: Sequence[Grams] = (),
) -> EvolutionResult:
    """Search for the best merge of ``parents``.

    Args:
        base: the trunk of all parents.
        parents: state dicts with the base's names and shapes.
        evaluate: scores a state dict on validation data; must be deterministic. What it is given it may keep.
        params: those of the phase that are about the search; `backend`, see `evomerge_population_map`, changes nothing
            but the time.
        seed: of all chance. When resuming, the genetic search has no use for it; CMA-ES needs the same one.
        on_generation: called after every generation with its history row and the state, for logging and
            saving. It may raise (for instance `Interrupted`) to stop the run.
        on_evaluation: called after every new evaluation with its record and the state; saving the state there
            resumes in mid-generation. It may raise as well.
        state: where to resume; must come from a run with the same arguments.
        workers: how many at once; default: as many as there are cores.
        grams: of the parents' layers (`forge.merge.regmean`); without them there is no RegMean.

    Raises:
        ForgeError: models do not match, or no model of generation 0 has a finite fitness.
    """
    layout = Layout.of(base, parents, params.grouping, grams)
    state = EvolutionState.start(seed) if state is None else state
    with evomerge_population_map(Judge(base, parents, grams, evaluate), params.backend, workers) as score:
        run = _Run(layout, params, evolutionary_search(layout, params, seed), score, on_evaluation)
        while state.generation < params.generations and not run.stalled(state):
            run.advance(state)
            if on_generation is not None:
                on_generation(state.history[-1], state)
    return run.result(state)


@dataclass(frozen=True)
class Judge:
    """Builds and evaluates the model of a genome. If it is not finite or not alive, that is recorded as a failure."""

    base: Model
    parents: Sequence[Model]
    grams: Sequence[Grams]
    evaluate: Evaluate

    def __call__(self, genome: Genome) -> Record:
        techniques = list(genome.techniques)
        model = express_genome(genome, self.base, self.parents, self.grams)
        if not is_merge_finite(model):
            return Record(techniques, None, "the merged weights are not finite")
        fitness = self.evaluate(model)
        if not fitness.finite:
            return Record(techniques, None, fitness.fault or "the fitness is not finite")
        return Record(techniques, fitness)


@dataclass
class _Run:
    """The fixed part of a run and the steps of a generation."""

    layout: Layout
    params: Params
    search: Search
    judged: Map[Genome, Record]
    on_evaluation: OnEvaluation | None
    lookups: int = 0  # scores asked for in the generation in progress

    def advance(self, state: EvolutionState) -> None:
        """One generation. Until its end only `records` of the state changes, so a stop inside replays."""
        rng, generation = state.rng(), state.generation + 1
        names: dict[str, str] = state.names
        if generation == 0:
            first = generation_zero(self.layout, rng, self.params.extrapolated)
            names = {name: genome.key() for name, genome in first.items()}
            genomes = list(first.values())
        else:
            genomes = self.search.propose(state, rng)
        self.lookups = 0
        population = self.alive(genomes, state, generation, rng)
        if not population:
            raise ForgeError("evolution: no model of generation 0 has a finite fitness")
        spread = genome_diversity([individual.genome for individual in population])
        reseeded = 0
        if generation > 0 and spread < self.params.diversity_threshold:
            reseeded = min(self.params.reseed, max(0, len(population) - self.params.elites))
            fresh = [random_genome(self.layout, rng) for _ in range(reseeded)]
            kept = population[: len(population) - reseeded]
            population = _rank_by_fitness(kept + self.alive(fresh, state, generation, rng, kept))
            spread = genome_diversity([individual.genome for individual in population])
        state.names, state.generation, state.population = names, generation, population
        state.lookups, state.reseeded = state.lookups + self.lookups, state.reseeded + reseeded
        state.keep_best(population, self.params.archive)
        state.origin = state.origin or population[0]
        state.random = rng.getstate()
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
            population = _rank_by_fitness([*population, *scored])
            pool = _rank_by_fitness([*population, *company])
            missing = len(genomes) - len(scored)
            if not missing or not pool:
                break
            genomes = [
                mutate(tournament(pool, self.params.tournament, rng).genome, self.layout, rng, self.params)
                for _ in range(missing)
            ]
        return population

    def score(self, genomes: Sequence[Genome], state: EvolutionState, generation: int) -> list[Individual]:
        """The living among ``genomes``; what is not in the cache is built and evaluated."""
        self.lookups += len(genomes)
        unknown = {genome.key(): genome for genome in genomes if genome.key() not in state.records}
        for key, record in zip(unknown, self.judged(unknown.values()), strict=True):
            record.generation = generation
            state.records[key] = record
            if self.on_evaluation is not None:
                self.on_evaluation(record, state)
        found = [(genome, state.records[genome.key()]) for genome in genomes]
        return [Individual(genome, r.fitness, r.generation) for genome, r in found if r.fitness is not None]

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
        wait = self.params.patience
        if wait == 0 or len(state.history) <= wait:
            return False
        return state.history[-1]["best_fitness"] <= state.history[-1 - wait]["best_fitness"]

    def result(self, state: EvolutionState) -> EvolutionResult:
        scores = {key: record.fitness.value if record.fitness else None for key, record in state.records.items()}
        return EvolutionResult(
            champion=state.archive[0],
            archive=list(state.archive),
            history=list(state.history),
            success_rate=evolution_success_rates(state.records.values(), state.history[0]["avg_fitness"]),
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


def evolution_success_rates(records: Iterable[Record], bar: float) -> dict[str, float]:
    """For each technique tried: the share of its evaluated genomes with a finite fitness above ``bar``."""
    tried, won = dict.fromkeys(TECHNIQUES, 0), dict.fromkeys(TECHNIQUES, 0)
    for record in records:
        for technique in record.techniques:
            tried[technique] += 1
            won[technique] += record.fitness is not None and record.fitness.value > bar
    return {technique: won[technique] / count for technique, count in tried.items() if count}


def _rank_by_fitness(individuals: Iterable[Individual]) -> list[Individual]:
    """Best first; among equals the earlier one, so that the order never depends on chance."""
    return sorted(individuals, key=lambda individual: -individual.fitness.value)
