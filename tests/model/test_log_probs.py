"""Log-probabilities of given tokens against the softmax, from logits and from states."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from forge.model.log_probs import titan_log_probs_from_logits, titan_log_probs_from_states


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_probs_are_those_of_the_softmax(dtype: torch.dtype) -> None:
    logits, targets = torch.randn(3, 4, 10, dtype=dtype), torch.randint(0, 10, (3, 4))
    found = titan_log_probs_from_logits(logits, targets)
    assert found.dtype == dtype
    torch.testing.assert_close(found, F.log_softmax(logits, dim=-1).gather(-1, targets[..., None]).squeeze(-1))


def test_states_in_slices_equal_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    states, table = torch.randn(3, 4, 8), torch.randn(10, 8)
    targets = torch.randint(0, 10, (3, 4))
    wanted = F.log_softmax(states @ table.T, dim=-1).gather(-1, targets[..., None]).squeeze(-1)
    monkeypatch.setattr("forge.model.log_probs.LOGITS_AT_ONCE", 35)
    torch.testing.assert_close(titan_log_probs_from_states(states, table, targets), wanted)
