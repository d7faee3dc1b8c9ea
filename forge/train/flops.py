"""Floating-point operations of training, counted from the shape: what is useful of the work that a machine does."""

from __future__ import annotations

import numpy as np

from forge.model.config import TinyTitanConfig


def training_flops(config: TinyTitanConfig, lengths: np.ndarray, supervised: np.ndarray) -> float:
    """FLOPs of the matrix products of one forward and backward pass over rows, padding left out.

    6 for each parameter and each token that it multiplies, plus attention: 12 * heads * head_dim for each query and
    each key of its row (Chowdhery et al., arXiv 2204.02311, appendix B), plus the memory's products. Tokens of step 1
    go through every block; its last block beyond keys and values, later steps and the output layer are worked at the
    supervised tokens alone.

    Args:
        lengths: tokens of each row.
        supervised: tokens with a target of each row.
    """
    blocks = [*zip(config.low_heads, config.low_ffn, strict=True)]
    blocks += [*zip(config.high_heads, config.high_ffn, strict=True)]
    titan, d, e = config.architecture == "titan", config.hidden_size, config.head_dim
    steps = config.max_steps if titan else 1
    tokens, wanted = float(lengths.sum()), float(supervised.sum())
    all_pairs, wanted_pairs = float((lengths.astype(float) ** 2).sum()), float((lengths * supervised).sum())
    total: float = 6 * wanted * steps * (config.vocab_size * d + (d if titan and config.halting else 0))
    for place, (heads, width) in enumerate(blocks):
        keys_values, rest, attention = 2 * d * heads * e, 2 * d * (heads * e + width), 12 * heads * e
        last = place == len(blocks) - 1
        chosen = steps if last else steps - 1  # passes over the supervised tokens alone
        total += 6 * tokens * keys_values + chosen * (6 * wanted * rest + attention * wanted_pairs)
        total += 0 if last else 6 * tokens * rest + attention * all_pairs
    if titan and config.memory:
        heads, side = config.memory_heads, config.memory_head_dim
        chunk = float(np.minimum(lengths, config.memory_chunk) @ lengths) / tokens
        per_token: float = 4 * d * heads * side + 4 * d * heads  # projections and gates
        per_token += heads * (chunk * chunk + 2 * chunk * side + 5 * side * side)  # within a chunk; with the matrices
        total += 6 * tokens * per_token
    return total
