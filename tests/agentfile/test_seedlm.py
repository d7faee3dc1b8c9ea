"""SeedLM codec: the register runs through every state, the search finds the optimum, decoding is exact."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from forge.agentfile import seedlm
from forge.agentfile.codecs import code_seed
from forge.agentfile.container import AgentParts, decode_agent, encode_agent, read_agent, write_agent
from forge.agentfile.entropy import entropy_bits
from forge.agentfile.seedlm import basis, register_states, seed_decode, seed_encode
from forge.agentfile.vocabulary import tokenizer_from_bytes, tokenizer_to_bytes
from forge.data.tokenizer import train_tokenizer
from forge.model.quantizers import rowwise

W = torch.randn(16, 33, generator=torch.Generator().manual_seed(0)) * 0.05


def _error(w: torch.Tensor, value: torch.Tensor) -> float:
    return float((w - value).square().sum() / w.square().sum())


def test_the_register_has_its_full_period() -> None:
    states = register_states()
    assert len(np.unique(states)) == 65535
    assert 0 not in states
    u = basis(np.array([1, 77, 65535]))
    assert u.shape == (3, 8, 3)
    assert np.abs(basis(np.arange(1, 65536))).max() <= 1.0
    # Row-major filling: the next seed's matrix is this one's, one entry on.
    following = register_states()[1]
    assert np.array_equal(basis(np.array([following])).reshape(-1)[:-1], basis(np.array([1])).reshape(-1)[1:])


def test_error_is_the_papers_at_four_bits_and_row_codes_beat_it() -> None:
    w = torch.randn(16, 128, generator=torch.Generator().manual_seed(1)) * 0.05
    codes = seed_encode(w)
    assert codes.nbytes * 8 / w.numel() == 4.0
    assert 0.010 < _error(w, seed_decode(codes, (16, 128))) < 0.018
    rows, scale = rowwise(w, 4)
    assert entropy_bits(rows.numpy()) + 16 / 128 < 4.0
    assert _error(w, rows * scale) < _error(w, seed_decode(codes, (16, 128)))


def test_search_is_exhaustive_over_seeds() -> None:
    """Brute force over every seed with the same rounding finds nothing better for a block."""
    block = W.reshape(-1)[:8]
    u = torch.from_numpy(basis(np.arange(1, 65536)))
    t = torch.linalg.pinv(u) @ block.double()
    exponent = torch.floor(torch.log2(7.0 / t.abs().amax(1))).clamp(0, 15)
    q = (t * torch.exp2(exponent)[:, None]).round().clamp(-8, 7) * torch.exp2(-exponent)[:, None]
    oracle = ((u @ q[:, :, None])[:, :, 0] - block).square().sum(1).min()
    got = (seed_decode(seed_encode(block), (8,)) - block).square().sum()
    assert float(got) <= float(oracle) * 1.001


def test_any_shape_and_size_and_extreme_values() -> None:
    codes = seed_encode(W[:3, :5])
    assert codes.shape == (2,)
    assert seed_decode(codes, (3, 5)).shape == (3, 5)
    extremes = torch.tensor([0.0] * 8 + [1e-9] * 8 + [100.0] * 8)
    value = seed_decode(seed_encode(extremes), (24,))
    assert torch.isfinite(value).all()
    assert torch.allclose(value[:16], torch.zeros(16), atol=1e-4)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = seed_decode(seed_encode(W[:2]), (2, 33))
    monkeypatch.setattr(seedlm, "_SEED_CHUNK", 5000)
    monkeypatch.setattr(seedlm, "_BLOCK_CHUNK", 3)
    again = seed_decode(seed_encode(W[:2]), (2, 33))
    assert abs(_error(W[:2], again) - _error(W[:2], whole)) < 1e-6


def test_an_agent_may_hold_it(tmp_path: Path) -> None:
    tokenizer = tokenizer_to_bytes(train_tokenizer(["a b c"], 280, []))
    coded = code_seed(W)
    write_agent(tmp_path / "a", AgentParts({}, tokenizer, {"embed.weight": coded, "x": code_seed(W[0])}))
    state = decode_agent(read_agent(tmp_path / "a"))[1]
    again = encode_agent({}, {"x": W[0]}, tokenizer_from_bytes(tokenizer), [], seedlm=["x"])
    assert torch.equal(decode_agent(again)[1]["x"], state["x"])
    assert torch.equal(state["embed.weight"], seed_decode(coded.codes, (16, 33)))
    assert state["x"].shape == (33,)
