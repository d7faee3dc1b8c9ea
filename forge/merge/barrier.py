"""Loss barrier between two models: whether the line between them in weight space stays low."""

from __future__ import annotations

import math
from collections.abc import Callable

from forge.errors import ForgeError
from forge.merge.methods import Model, StateDict, merge_linear


def loss_barrier(a: Model, b: Model, loss: Callable[[StateDict], float], points: int = 5) -> float:
    """Greatest rise of the loss above the straight line between its end points (linear mode connectivity,
    arXiv 1912.05671).

    barrier = max over lambda of L(lambda*a + (1-lambda)*b) - (lambda*L(a) + (1-lambda)*L(b)), lambda on an
    even grid of ``points`` values from 0 to 1 inclusive. The ends contribute 0, so the barrier is never
    negative; in the unit of ``loss`` (nats). Near zero: the models share a basin and can be averaged.
    ``loss`` is called ``points`` times. A loss that is not finite between the models is an infinite
    barrier.

    Raises:
        ForgeError: fewer than 3 points, models that do not match, or a loss of ``a`` or ``b`` that is not
            finite.
    """
    if points < 3:
        raise ForgeError(f"loss barrier: {points} points leave none between the models, at least 3 are needed")
    shares = [step / (points - 1) for step in range(points)]
    losses = [loss(merge_linear((a, b), (share, 1.0 - share))) for share in shares]
    at_b, at_a = losses[0], losses[-1]
    if not (math.isfinite(at_a) and math.isfinite(at_b)):
        raise ForgeError(f"loss barrier: the losses of the two models are {at_a} and {at_b}, not finite")
    if not all(math.isfinite(value) for value in losses):
        return math.inf
    return max(value - (share * at_a + (1.0 - share) * at_b) for share, value in zip(shares, losses, strict=True))
