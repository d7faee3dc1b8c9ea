"""Outputs that a training loss looks at: the tokens at stake, and a sample that stands for all others.

The output layer over the whole vocabulary is a third of a small model's arithmetic, and most of its tokens are nowhere
in a batch (sampled softmax: Jean et al., arXiv 1412.2007, section 3). Evaluation and decoding use all of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class SampledOutputs(NamedTuple):
    """tokens (k), ascending: those whose logits are computed. shift (k): added to their logits, so that the sampled
    ones stand for all that were not. targets (n): where each target is among ``tokens``."""

    tokens: Tensor
    shift: Tensor
    targets: Tensor


def sample_training_outputs(targets: Tensor, vocab_size: int, count: int, seed: int) -> SampledOutputs:
    """Every token among ``targets`` (n), and ``count`` others drawn uniformly without replacement; all of the
    vocabulary where that is not more.

    The sum over the vocabulary that cross-entropy divides by is then estimated without bias: a sampled token counts for
    ``others / count``.
    """
    present, places = np.unique(targets.cpu().numpy(), return_inverse=True)
    others = np.setdiff1d(np.arange(vocab_size), present, assume_unique=True)
    count = min(count, len(others))
    drawn = np.random.default_rng(seed).choice(others, count, replace=False)
    tokens = np.concatenate((present, drawn))
    shift = np.zeros(len(tokens), dtype=np.float32)
    if count:
        shift[len(present) :] = np.log(len(others) / count)
    order = np.argsort(tokens)
    rank = np.argsort(order)
    found = (tokens[order], shift[order], rank[places.reshape(-1)])
    return SampledOutputs(*(torch.from_numpy(np.ascontiguousarray(part)).to(targets.device) for part in found))
