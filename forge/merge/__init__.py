"""Merging of models that share a trunk: six techniques on plain state dicts, and evolution over their
combinations.

`forge.merge.methods` (linear, SLERP, TIES, DARE) and `forge.merge.layers` (FrankenMerge, data-flow space)
work on any state dicts of equal shapes; `forge.merge.genome` composes them into a recipe;
`forge.merge.evolve` searches for the best recipe.
"""

from forge.merge.barrier import loss_barrier
from forge.merge.evolve import EvolutionResult, evolve
from forge.merge.fitness import Fitness, Measured, best_parent, combine
from forge.merge.genome import (
    TECHNIQUES,
    Genome,
    GroupGenes,
    Layout,
    distance,
    express,
    parent_genome,
    uniform_average,
)
from forge.merge.layers import Junction, dataflow, frankenmerge, input_scale_gains
from forge.merge.methods import all_finite, check_mergeable, dare, linear, slerp, slerp_deltas, ties
from forge.merge.settings import EvolveSettings
from forge.merge.state import EvolutionState, Individual, Record

__all__ = [
    "TECHNIQUES",
    "EvolutionResult",
    "EvolutionState",
    "EvolveSettings",
    "Fitness",
    "Genome",
    "GroupGenes",
    "Individual",
    "Junction",
    "Layout",
    "Measured",
    "Record",
    "all_finite",
    "best_parent",
    "check_mergeable",
    "combine",
    "dare",
    "dataflow",
    "distance",
    "evolve",
    "express",
    "frankenmerge",
    "input_scale_gains",
    "linear",
    "loss_barrier",
    "parent_genome",
    "slerp",
    "slerp_deltas",
    "ties",
    "uniform_average",
]
