"""The figures of an evolution by generation, and how much of what went in it keeps."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

from torch import Tensor

from forge.merge.evolve import EvolutionResult

SERIES = (
    "best_fitness",
    "avg_fitness",
    "min_fitness",
    "max_fitness",
    "std_fitness",
    "diversity_score",
    "convergence_indicator",
)


def generation_figures(result: EvolutionResult) -> dict[str, float]:
    """``generation_<g>/<name>`` of every generation that ran, and the gain of fitness over generation 0's mean."""
    figures = {f"generation_{int(row['generation'])}/{name}": row[name] for row in result.history for name in SERIES}
    start = [value for value in result.generation_zero.values() if value is not None]
    mean = sum(start) / len(start)
    gain = result.champion.fitness.value - mean
    return figures | {
        "phase/fitness_improvement": gain,
        "phase/fitness_improvement_percent": 100 * gain / mean,
    }


def delta_compression(
    base: Mapping[str, Tensor], parents: Sequence[Mapping[str, Tensor]], champion: Mapping[str, Tensor]
) -> float:
    """How many times fewer bytes the champion adds to the base than its parents together, each deflated.

    Parents and champion have the same shapes, so their files tell nothing; what they changed may be sparse or not.
    """
    return sum(deflated(base, parent) for parent in parents) / deflated(base, champion)


def deflated(base: Mapping[str, Tensor], model: Mapping[str, Tensor]) -> int:
    """Bytes of ``model - base`` in float32 after deflate at its fastest setting."""
    packer, size = zlib.compressobj(level=1), 0
    for name, weight in base.items():
        size += len(packer.compress((model[name] - weight).float().contiguous().numpy().tobytes()))
    return size + len(packer.flush())
