"""What coding cannot beat."""

from __future__ import annotations

import numpy as np
from scipy.stats import entropy


def entropy_bits(symbols: np.ndarray) -> float:
    """Empirical zeroth-order entropy of an integer array in bits per symbol."""
    return float(entropy(np.unique(symbols, return_counts=True)[1], base=2))
