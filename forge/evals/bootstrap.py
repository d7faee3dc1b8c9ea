"""Intervals: a paired bootstrap for differences, a score interval for proportions.

Percentile bootstrap after Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
Proportions use the score interval of Wilson (1927), because the bootstrap of "20 of 20 right" is the single
point 1.0 and says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forge.errors import ForgeError

# Resampled indices held in memory at once: 4M int64 are 32 MB.
_INDEX_BUDGET = 4_000_000


class Interval(NamedTuple):
    """A point estimate and its 95 % interval, in the unit of the data."""

    diff: float
    low: float
    high: float


def _bootstrap_vector(values: Sequence[float], name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ForgeError(f"bootstrap: {name} needs a non-empty list of numbers, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ForgeError(f"bootstrap: {name} holds a value that is not finite")
    return array


def _percentile_bootstrap(values: NDArray[np.float64], n_boot: int, seed: int) -> Interval:
    """The mean of `values` (n,) and the interval of `n_boot` resampled means."""
    from scipy import stats  # takes half a second to import

    mean = float(values.mean())
    if values.size == 1:  # every resample is the value itself
        return Interval(mean, mean, mean)
    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=n_boot,
        batch=max(1, _INDEX_BUDGET // values.size),
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high))


def paired_bootstrap(a: Sequence[float], b: Sequence[float], *, n_boot: int = 2000, seed: int = 0) -> Interval:
    """Interval of mean(a - b) over pairs: a[i] and b[i] must come from the same test item.

    Args:
        a, b: per-item scores, equal length n >= 1, any unit.
        n_boot: number of resamples. seed: of the resampling; same inputs give the same interval.
    Raises ForgeError when lengths differ, a list is empty or a value is not finite.
    """
    left, right = _bootstrap_vector(a, "a"), _bootstrap_vector(b, "b")
    if left.size != right.size:
        raise ForgeError(f"bootstrap: pairs need equal lengths, got {left.size} and {right.size}")
    return _percentile_bootstrap(left - right, n_boot, seed)


def _wilson(right: int, n: int) -> Interval:
    from scipy import stats

    found = stats.binomtest(right, n).proportion_ci(method="wilson")
    share = right / n
    # min/max: rounding must not push the bound past the estimate at 0 of n and n of n
    return Interval(share, min(share, float(found.low)), max(share, float(found.high)))


def mean_interval(x: Sequence[float], *, n_boot: int = 2000, seed: int = 0) -> Interval:
    """Mean of x (n,) with its 95 % interval: Wilson's for values that are all 0 or 1, else the percentile
    bootstrap.
    """
    values = _bootstrap_vector(x, "x")
    if np.isin(values, (0.0, 1.0)).all():
        return _wilson(int(values.sum()), values.size)
    return _percentile_bootstrap(values, n_boot, seed)
