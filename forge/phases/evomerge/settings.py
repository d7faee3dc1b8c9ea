"""Settings of an evolution, checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass

from forge.errors import ForgeError

SEARCHES = ("ga", "cma")
_LEAST = {
    "generations": 0,
    "population": 2,
    "elites": 1,
    "tournament": 1,
    "archive": 1,
    "reseed": 0,
    "patience": 0,
}


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
        search: ``ga`` (genetic algorithm) or ``cma`` (CMA-ES on all genes as numbers).
        grouping: what has coefficients of its own, see `forge.phases.evomerge.genome.GROUPINGS`.
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
    search: str = "ga"
    grouping: str = "module"

    def __post_init__(self) -> None:
        self.check_rates("gene_rate", "mutation_sigma", "category_rate", "crossover_rate", "diversity_threshold")
        if self.search not in SEARCHES:
            raise ForgeError(f"evolution: search '{self.search}' is not one of {', '.join(SEARCHES)}")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ForgeError(f"evolution: {name} must be at least {least}, not {getattr(self, name)}")
        if self.elites >= self.population:
            raise ForgeError(f"evolution: {self.elites} elites leave no room in a population of {self.population}")
