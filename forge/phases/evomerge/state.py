"""The state of an evolution: everything that a resumed run needs, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from pydantic import TypeAdapter

from forge.phases.evomerge.fitness import Fitness
from forge.phases.evomerge.genome import Genome

RandomState = tuple[int, tuple[int, ...], float | None]  # as `random.Random` gives it


@dataclass(frozen=True)
class Individual:
    """A genome that lives: its fitness is finite. ``generation`` is the one that first evaluated it."""

    genome: Genome
    fitness: Fitness
    generation: int


@dataclass
class Record:
    """Outcome of one evaluation: a finite fitness, or None and the reason why the model was discarded."""

    techniques: list[str]
    fitness: Fitness | None
    failure: str = ""
    generation: int = 0


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
    random: RandomState
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
        return cls(generation=-1, random=Random(seed).getstate())

    @property
    def cache_hits(self) -> int:
        """Scores that needed no evaluation; counted at the end of a generation."""
        return self.lookups - len(self.records)

    def rng(self) -> Random:
        """A generator that continues from the end of the last complete generation."""
        rng = Random()
        rng.setstate(self.random)
        return rng

    def keep_best(self, population: Sequence[Individual], size: int) -> None:
        """Enter a population into the archive of ``size`` distinct genomes; of equals the earlier wins."""
        best = {individual.genome.key(): individual for individual in (*self.archive, *population)}
        self.archive = sorted(best.values(), key=lambda individual: -individual.fitness.value)[:size]

    def to_dict(self) -> dict[str, object]:
        """As JSON-able values; see `from_dict`."""
        values: dict[str, object] = _JSON.dump_python(self, mode="json")
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> EvolutionState:
        """Inverse of `to_dict`."""
        return _JSON.validate_python(values)


_JSON = TypeAdapter(EvolutionState)
