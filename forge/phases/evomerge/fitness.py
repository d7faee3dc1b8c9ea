"""One number for selection: 0.4 perplexity, 0.3 accuracy, 0.2 speed, 0.1 memory, each against the best
parent.

Speed and memory enter as deterministic costs (FLOPs at the measured number of recurrence steps, bytes of
the file), never as times, so that the same model always has the same fitness. The best parent has fitness 1
by construction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from forge.errors import ForgeError

WEIGHTS: Mapping[str, float] = {"perplexity": 0.4, "accuracy": 0.3, "speed": 0.2, "memory": 0.1}
# Beyond this a ratio tells of the reference, not of the model: no term buys more than twice its share.
RATIO_CAP = 2.0
# One point of accuracy on both sides keeps the ratio sane where the best parent solves next to nothing.
ACCURACY_FLOOR = 0.01


@dataclass(frozen=True)
class Measured:
    """What was measured of one model on validation data.

    Attributes:
        perplexity: per token, at least 1; lower is better.
        accuracy: share of right answers, 0 to 1; higher is better.
        flops: per token at the measured number of steps; lower is better.
        bytes: size of the model; lower is better.
    """

    perplexity: float
    accuracy: float
    flops: float
    bytes: float


@dataclass(frozen=True)
class Fitness:
    """Fitness (higher is better), the measurements that it was made from, and why it may not count."""

    value: float
    measured: Measured
    fault: str = ""

    @property
    def finite(self) -> bool:
        """Whether the fitness can be ranked."""
        return not self.fault and math.isfinite(self.value)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; see `from_dict`. A fitness with a fault is not kept."""
        return {"value": self.value, "measured": asdict(self.measured)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fitness:
        """Inverse of `to_dict`."""
        return cls(value=data["value"], measured=Measured(**data["measured"]))


def combine(
    perplexity: float,
    accuracy: float,
    flops: float,
    bytes: float,
    reference: Measured,
    weights: Mapping[str, float] = WEIGHTS,
) -> Fitness:
    """Fitness of a measured model against the reference (the best parent, see `best_parent`).

    value = 0.4 * r(reference.perplexity / perplexity)
          + 0.3 * r((accuracy + 0.01) / (reference.accuracy + 0.01))
          + 0.2 * r(reference.flops / flops) + 0.1 * r(reference.bytes / bytes), with r clipping to [0, 2].

    A measurement that is not finite gives a fitness of NaN: such a model is to be discarded, not ranked.
    Other ``weights`` are given by the same four names.

    Raises:
        ForgeError: a cost of the reference or of the model is zero or negative, or weights of other names.
    """
    if weights.keys() != WEIGHTS.keys():
        raise ForgeError(f"fitness: weights are given for {', '.join(sorted(weights))}, not {', '.join(WEIGHTS)}")
    measured = Measured(perplexity=perplexity, accuracy=accuracy, flops=flops, bytes=bytes)
    _check_costs("reference", reference)
    if not all(math.isfinite(number) for number in asdict(measured).values()):
        return Fitness(math.nan, measured, "the fitness is not finite")
    _check_costs("model", measured)
    ratios = {
        "perplexity": reference.perplexity / perplexity,
        "accuracy": (accuracy + ACCURACY_FLOOR) / (reference.accuracy + ACCURACY_FLOOR),
        "speed": reference.flops / flops,
        "memory": reference.bytes / bytes,
    }
    # fsum: the sum of the weights is then exactly 1 on every Python
    value = math.fsum(weight * min(max(ratios[name], 0.0), RATIO_CAP) for name, weight in weights.items())
    return Fitness(value, measured)


def best_parent(parents: Sequence[Measured], weights: Mapping[str, float] = WEIGHTS) -> int:
    """Index of the parent that all fitness is measured against.

    That is the one that scores highest when each quantity is held against the best value among the parents;
    of equal ones the first.

    Raises:
        ForgeError: no parent has finite measurements.
    """
    alive = [parent for parent in parents if all(math.isfinite(number) for number in asdict(parent).values())]
    if not alive:
        raise ForgeError("evolution: no parent has finite measurements")
    ideal = Measured(
        perplexity=min(parent.perplexity for parent in alive),
        accuracy=max(parent.accuracy for parent in alive),
        flops=min(parent.flops for parent in alive),
        bytes=min(parent.bytes for parent in alive),
    )
    scores = [combine(**asdict(p), reference=ideal, weights=weights).value for p in parents]
    return max(range(len(parents)), key=lambda index: scores[index] if math.isfinite(scores[index]) else -math.inf)


def _check_costs(whose: str, measured: Measured) -> None:
    for name in ("perplexity", "flops", "bytes"):
        if not getattr(measured, name) > 0.0:
            raise ForgeError(f"fitness: {name} of the {whose} is {getattr(measured, name)}, it must be positive")
