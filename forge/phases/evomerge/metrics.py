"""What phase 2 measures: its evolution by generation, and how much of what went in the champion keeps."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from forge.evals.measure import mean
from forge.phases.evomerge.merging import Merged

SERIES = (
    "best_fitness",
    "avg_fitness",
    "min_fitness",
    "max_fitness",
    "std_fitness",
    "diversity_score",
    "convergence_indicator",
)
STEPS_PER_RMS = 16  # precision at which changes are stored, against the parents' root mean square


def evolution_metrics(merged: Merged) -> dict[str, float | str]:
    """The outcome against generation 0, what each technique and pair of parents is worth, and every generation."""
    result, start = merged.result, mean(merged.result.first_values)
    final = result.champion.fitness.value
    return {
        **{f"generation_zero/{key}": value for key, value in result.generation_zero.items() if value is not None},
        **{f"merge_technique/{key}/success_rate": value for key, value in result.success_rate.items()},
        **{f"barrier/{key}": value for key, value in merged.barriers.items()},
        **{f"generation_{int(row['generation'])}/{name}": row[name] for row in result.history for name in SERIES},
        "phase/final_fitness": final,
        "phase/initial_fitness": start,
        "phase/fitness_improvement": final - start,
        "phase/fitness_improvement_percent": 100 * (final - start) / start,
        "phase/best_merge_technique": result.champion.genome.label,
        "max_barrier": max(merged.barriers.values()),
    }


def evomerge_delta_compression(
    base: Mapping[str, Tensor], parents: Sequence[Mapping[str, Tensor]], champion: Mapping[str, Tensor]
) -> float:
    """How many times fewer bytes the champion's change of the base takes than the parents' together.

    All have the same shapes, so their files tell nothing. What they changed is rounded to one step for all, a 16th of
    the parents' root mean square, and deflated: merging that lets changes cancel or drops them saves bytes.
    """
    squares = sum(float((parent[name] - base[name]).square().sum()) for parent in parents for name in base)
    entries = len(parents) * sum(weight.numel() for weight in base.values())
    step = max(1e-12, math.sqrt(squares / entries) / STEPS_PER_RMS)
    return sum(evomerge_delta_bytes(base, parent, step) for parent in parents) / evomerge_delta_bytes(
        base, champion, step
    )


def evomerge_delta_bytes(base: Mapping[str, Tensor], model: Mapping[str, Tensor], step: float) -> int:
    """Deflated bytes (fastest setting) of ``model - base`` in whole multiples of ``step``, a byte each."""
    packer, size = zlib.compressobj(level=1), 0
    for name, weight in base.items():
        multiples = ((model[name] - weight).float() / step).round().clamp(-127, 127)
        size += len(packer.compress(multiples.numpy().astype(np.int8).tobytes()))
    return size + len(packer.flush())
