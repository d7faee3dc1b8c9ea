"""The state of an evolution: everything that a resumed run needs, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from forge.phases.evomerge.fitness import Fitness
from forge.phases.evomerge.genome import Genome


@dataclass(frozen=True)
class Individual:
    """A genome that lives: its fitness is finite. ``generation`` is the one that first evaluated it."""

    genome: Genome
    fitness: Fitness
    generation: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; see `from_dict`."""
        return {
            "genome": self.genome.to_dict(),
            "fitness": self.fitness.to_dict(),
            "generation": self.generation,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Individual:
        """Inverse of `to_dict`."""
        return cls(Genome.from_dict(data["genome"]), Fitness.from_dict(data["fitness"]), data["generation"])


@dataclass
class Record:
    """Outcome of one evaluation: a finite fitness, or None and the reason why the model was discarded."""

    techniques: list[str]
    fitness: Fitness | None
    failure: str = ""
    generation: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; see `from_dict`."""
        fitness = None if self.fitness is None else self.fitness.to_dict()
        return {**vars(self), "fitness": fitness}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        """Inverse of `to_dict`."""
        return cls(**{**data, "fitness": None if data["fitness"] is None else Fitness.from_dict(data["fitness"])})


@dataclass
class EvolutionState:
    """Progress of a run.

    Attributes:
        generation: the last complete one; -1 before generation 0.
        random: state of the generator of all chance at the end of that generation.
        population: its living individuals, best first.
        archive: the best distinct individuals ever, best first.
        records: every evaluation by genome key, those of a generation in progress included: the cache.
        names: genome keys of generation 0 by name.
        origin: the best of generation 0.
        history: one row a generation.
        lookups: scores asked for, from the cache or not.
        reseeded: individuals replaced for lack of diversity.
    """

    generation: int
    random: list[Any]
    population: list[Individual] = field(default_factory=list)
    archive: list[Individual] = field(default_factory=list)
    records: dict[str, Record] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    origin: Individual | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    lookups: int = 0
    reseeded: int = 0

    @classmethod
    def start(cls, seed: int) -> EvolutionState:
        """State before generation 0."""
        state = cls(generation=-1, random=[])
        state.set_rng(Random(seed))
        return state

    @property
    def cache_hits(self) -> int:
        """Scores that needed no evaluation; counted at the end of a generation."""
        return self.lookups - len(self.records)

    def rng(self) -> Random:
        """A generator that continues from the end of the last complete generation."""
        version, internal, gauss_next = self.random
        rng = Random()
        rng.setstate((version, tuple(internal), gauss_next))
        return rng

    def set_rng(self, rng: Random) -> None:
        """Remember where ``rng`` stands."""
        version, internal, gauss_next = rng.getstate()
        self.random = [version, list(internal), gauss_next]

    def keep_best(self, population: Sequence[Individual], size: int) -> None:
        """Enter a population into the archive of ``size`` distinct genomes; of equals the earlier wins."""
        best = {individual.genome.key(): individual for individual in (*self.archive, *population)}
        self.archive = sorted(best.values(), key=lambda individual: -individual.fitness.value)[:size]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; see `from_dict`."""
        return {
            **vars(self),
            "population": [individual.to_dict() for individual in self.population],
            "archive": [individual.to_dict() for individual in self.archive],
            "records": {key: record.to_dict() for key, record in self.records.items()},
            "history": [dict(row) for row in self.history],
            "origin": None if self.origin is None else self.origin.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> EvolutionState:
        """Inverse of `to_dict`."""
        return cls(
            **{
                **data,
                "population": [Individual.from_dict(entry) for entry in data["population"]],
                "archive": [Individual.from_dict(entry) for entry in data["archive"]],
                "records": {key: Record.from_dict(entry) for key, entry in data["records"].items()},
                "origin": None if data["origin"] is None else Individual.from_dict(data["origin"]),
            }
        )
