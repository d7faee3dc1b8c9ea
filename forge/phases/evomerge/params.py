"""Parameters of phase 2: evolution over merges."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from forge.interface.fields import Checkpointed, Count, Fraction, Positive, Strict, Weight, check_fields_sum_to_one


class FitnessWeights(Strict):
    """Weights of the fitness terms, each relative to the best parent; they add up to 1."""

    perplexity: Weight
    """Of perplexity on validation rows."""
    accuracy: Weight
    """Of the chance that an answer is right to the letter."""
    speed: Weight
    """Of operations for each token, counted and never timed."""
    memory: Weight
    """Of bytes, counted."""


class Base(Checkpointed):
    """Selection and search."""

    fitness: FitnessWeights
    """What makes a merge good."""
    search: Literal["ga", "cma"]
    """ga, a genetic algorithm, or cma, CMA-ES."""
    grouping: Literal["module", "block"]
    """What has coefficients of its own: each module, or each block."""
    elites: Annotated[int, Field(ge=1, le=256)]
    """Best individuals that go on unchanged."""
    tournament: Annotated[int, Field(ge=1, le=256)]
    """Individuals that are drawn to find a parent; the fittest of them is it."""
    crossover_rate: Fraction
    """Share of children that have two parents."""
    gene_rate: Fraction
    """Chance that a mutation changes a coefficient, or a block's scale."""
    mutation_sigma: Annotated[float, Field(gt=0.0, le=1.0)]
    """Standard deviation of such a change, in units of the gene's range, before the child's own step size."""
    category_rate: Fraction
    """Chance that a mutation draws a technique, or the seed, anew."""
    diversity_threshold: Fraction
    """Mean distance of genomes below which the worst are replaced by new ones."""
    reseed: Annotated[int, Field(ge=0, le=256)]
    """How many are replaced then."""
    archive: Annotated[int, Field(ge=1, le=10_000)]
    """Best genomes ever that are kept."""
    extrapolated: Annotated[float, Field(gt=0.0, le=4.0)]
    """How far, from the trunk over the branches' average and beyond, one individual of generation 0 goes; 1 is the
    average."""
    gram_batches: Positive
    """Batches of each branch's own reading behind RegMean."""
    finalist_samples: Positive
    """Times as many validation rows as a merge is judged by judge the last ones."""
    cma_sigma: Annotated[float, Field(gt=0.0, le=1.0)]
    """First step size of CMA-ES in units of a gene's range."""
    patience: Count
    """Generations without gain after which it stops; 0 never stops early."""
    backend: Literal["serial", "process", "ray"]
    """Where merges are evaluated: serial, process (one worker for each core) or ray (pip install 'agent-forge[ray]').
    The results are the same bytes, so a change makes nothing stale."""

    @field_validator("fitness")
    @classmethod
    def _sums(cls, value: FitnessWeights) -> FitnessWeights:
        check_fields_sum_to_one(value)
        return value


class Scale(Strict):
    """How long and on how much."""

    generations: Positive
    """Generations after the first population."""
    population: Annotated[int, Field(ge=4, le=256)]
    """Individuals of a generation; more than elites."""
    fitness_samples: Positive
    """Validation rows that a merge is judged by."""


class Params(Base, Scale):
    """Phase 2: evolution over merges."""


class Bounds(Strict):
    """Bounds of the handoff cognate -> evomerge."""

    parameter_tolerance: Fraction
    """Share by which the parameters may differ from the target."""
