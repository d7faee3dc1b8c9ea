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
_Z95 = 1.959963984540054  # 97.5 % quantile of the standard normal


class Interval(NamedTuple):
    """A point estimate and its 95 % interval, in the unit of the data."""

    diff: float
    low: float
    high: float


def _vector(values: Sequence[float], name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ForgeError(f"bootstrap: {name} needs a non-empty list of numbers, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ForgeError(f"bootstrap: {name} holds a value that is not finite")
    return array


def _bootstrap_means(values: NDArray[np.float64], n_boot: int, seed: int) -> NDArray[np.float64]:
    """Means of `n_boot` resamples of `values` (n,), drawn with replacement. Returns (n_boot,)."""
    rng = np.random.default_rng(seed)
    rows = max(1, _INDEX_BUDGET // values.size)
    means = np.empty(n_boot)
    for start in range(0, n_boot, rows):
        stop = min(start + rows, n_boot)
        picks = rng.integers(0, values.size, size=(stop - start, values.size))
        means[start:stop] = values[picks].mean(axis=1)
    return means


def paired_bootstrap(a: Sequence[float], b: Sequence[float], *, n_boot: int = 2000, seed: int = 0) -> Interval:
    """Interval of mean(a - b) over pairs: a[i] and b[i] must come from the same test item.

    Args:
        a, b: per-item scores, equal length n >= 1, any unit.
        n_boot: number of resamples. seed: of the resampling; same inputs give the same interval.
    Raises ForgeError when lengths differ, a list is empty or a value is not finite.
    """
    left, right = _vector(a, "a"), _vector(b, "b")
    if left.size != right.size:
        raise ForgeError(f"bootstrap: pairs need equal lengths, got {left.size} and {right.size}")
    gaps = left - right
    low, high = np.percentile(_bootstrap_means(gaps, n_boot, seed), [2.5, 97.5])
    return Interval(float(gaps.mean()), float(low), float(high))


def _wilson(share: float, n: int) -> Interval:
    center = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    half = _Z95 / (1 + _Z95**2 / n) * np.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n))
    # min/max: rounding must not push the bound past the estimate at 0 of n and n of n
    return Interval(share, float(min(share, max(0.0, center - half))), float(max(share, min(1.0, center + half))))


def mean_interval(x: Sequence[float], *, n_boot: int = 2000, seed: int = 0) -> Interval:
    """Mean of x (n,) with its 95 % interval: Wilson's for values that are all 0 or 1, else the percentile
    bootstrap.
    """
    values = _vector(x, "x")
    mean = float(values.mean())
    if np.isin(values, (0.0, 1.0)).all():
        return _wilson(mean, values.size)
    low, high = np.percentile(_bootstrap_means(values, n_boot, seed), [2.5, 97.5])
    return Interval(mean, float(low), float(high))
