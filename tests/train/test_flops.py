"""The count of FLOPs against those of the operators that really run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.train import collate, language_loss
from forge.train.flops import training_flops

torch.set_num_threads(1)
SHAPE: dict[str, Any] = {"vocab_size": 300, "hidden_size": 64, "head_dim": 16, "memory_chunk": 16}


@pytest.mark.parametrize(
    "changes",
    [{}, {"memory": False}, {"architecture": "plain"}, {"max_steps": 3, "high_heads": [2], "high_ffn": [96]}],
    ids=str,
)
@pytest.mark.parametrize(("length", "supervised"), [(24, 9), (40, 39), (160, 20)])
def test_the_count_is_what_runs(changes: dict[str, Any], length: int, supervised: int) -> None:
    """Rows of one length, so that nothing is padding; the third is too long for the attention that keeps weights."""
    config, rows = TinyTitanConfig(**{**SHAPE, **changes}), 3
    model = TinyTitanForCausalLM(config).train()
    ids = np.random.default_rng(0).integers(14, 300, (rows, length))
    batch = collate([(row, np.arange(length) >= length - supervised) for row in ids], np.arange(rows))
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        language_loss()(model, batch)[0].backward()
    counted = training_flops(config, np.full(rows, length), np.full(rows, supervised))
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_rows_add_up() -> None:
    config = TinyTitanConfig(**SHAPE, memory=False)
    lengths, wanted = np.array([10, 30]), np.array([3, 20])
    one_by_one = sum(training_flops(config, lengths[i : i + 1], wanted[i : i + 1]) for i in range(2))
    assert training_flops(config, lengths, wanted) == pytest.approx(one_by_one)
