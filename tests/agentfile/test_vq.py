"""Vector quantization: nearest code vectors, k-means like scikit-learn's, exact decoding, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch.func import functional_call

from forge.agentfile import vq
from forge.agentfile.vq import VQState, agent_file_codebook_kmeans, assign_agent_file_codes, decode_vq
from forge.errors import ForgeError
from tests.support.entropy import entropy_bits

pytestmark = pytest.mark.long


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _weights() -> dict[str, torch.Tensor]:
    shapes = {
        "low.0.attn.q.weight": (32, 24),
        "low.0.ffn.up.weight": (40, 24),
        "low.0.ffn.down.weight": (24, 40),
        "memory.q.weight": (10, 21),
    }
    return {name: _random(*shape, seed=i) * 0.05 * (i + 1) for i, (name, shape) in enumerate(shapes.items())}


def _role(name: str) -> str:
    return "ffn" if "ffn" in name else "rest"


def test_assign_finds_the_nearest_vector_in_every_metric() -> None:
    x, codebook, h = _random(70, 4), _random(16, 4, seed=1), _random(70, 4, seed=2).square()
    square = (x[:, None] - codebook) ** 2
    assert torch.equal(assign_agent_file_codes(x, codebook), square.sum(2).argmin(1))
    assert torch.equal(assign_agent_file_codes(x, codebook, h), (square * h[:, None]).sum(2).argmin(1))
    penalty = _random(16, seed=3).abs()
    assert torch.equal(
        assign_agent_file_codes(x, codebook, h, penalty), ((square * h[:, None]).sum(2) + penalty).argmin(1)
    )


def test_assign_in_chunks_is_assign(monkeypatch: pytest.MonkeyPatch) -> None:
    x, codebook = _random(70, 4), _random(16, 4, seed=1)
    whole = assign_agent_file_codes(x, codebook)
    monkeypatch.setattr(vq, "_CHUNK", 7)
    assert torch.equal(assign_agent_file_codes(x, codebook), whole)


def test_kmeans_is_as_good_as_scikit_learns() -> None:
    x = _random(1500, 4) * _random(1500, 1, seed=1).abs()
    weight = _random(1500, seed=2).square()
    ours = agent_file_codebook_kmeans(x, weight, 24)
    oracle = KMeans(24, n_init=1, max_iter=12, random_state=0).fit(x.numpy(), sample_weight=weight.numpy())

    def loss(codebook: torch.Tensor) -> float:
        return float((weight * (x - codebook[assign_agent_file_codes(x, codebook)]).square().sum(1)).sum())

    assert loss(ours) < 1.1 * loss(torch.from_numpy(oracle.cluster_centers_).float())
    assert torch.equal(ours, agent_file_codebook_kmeans(x, weight, 24))


def test_kmeans_follows_the_weights_and_revives_empty_vectors() -> None:
    x = torch.cat([torch.zeros(500, 2), torch.ones(4, 2) * torch.tensor([[1.0], [2], [3], [4]])])
    found = agent_file_codebook_kmeans(x, torch.ones(504), 5)
    assert {round(float(row[0])) for row in found} == {0, 1, 2, 3, 4}
    few = agent_file_codebook_kmeans(x[-3:], torch.ones(3), 8)
    assert few.shape == (8, 2)
    assert torch.isfinite(few).all()
    heavy = agent_file_codebook_kmeans(
        torch.tensor([[0.0], [1.0]]).repeat(50, 1), torch.tensor([3.0, 1.0]).repeat(50), 1
    )
    assert float(heavy) == pytest.approx(0.25)


def test_large_inputs_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vq, "_KMEANS_SAMPLE", 200)
    x = _random(2000, 2)
    codebook = agent_file_codebook_kmeans(x, torch.ones(2000), 16)
    assert (x - codebook[assign_agent_file_codes(x, codebook)]).square().mean() < 0.25 * x.square().mean()


@pytest.mark.parametrize("row_scales", [True, False])
@pytest.mark.parametrize(("k", "v", "bits"), [(16, 4, 8), (32, 8, 6), (7, 5, 8)])
def test_frozen_state_decodes_to_exactly_the_trained_weights(row_scales: bool, k: int, v: int, bits: int) -> None:
    state = VQState.from_state_dict(_weights(), k=k, v=v, role=_role, row_scales=row_scales, codebook_bits=bits)
    with torch.no_grad():
        for codebook in state.codebooks.values():
            codebook.add_(0.01 * _random(*codebook.shape))
    frozen = state.freeze()
    decoded = decode_vq(frozen)
    for name, w in state.weights().items():
        assert w.shape == _weights()[name].shape
        assert torch.equal(decoded[name], w)
    assert set(frozen.codebooks) == {"ffn", "rest"}
    assert all(np.abs(book.codes).max() <= 2 ** (bits - 1) - 1 for book in frozen.codebooks.values())
    assert vq.agent_file_vq_bits_per_weight(frozen) > np.log2(k) / v


def test_quality_rises_with_the_rate_and_row_scales_follow_unequal_rows() -> None:
    w = {"low.0.ffn.up.weight": _random(64, 64) * torch.logspace(-2, 0, 64)[:, None]}

    def error(**settings: int | bool) -> float:
        got = VQState.from_state_dict(w, **settings).weights()["low.0.ffn.up.weight"].detach()
        rows = (got - w["low.0.ffn.up.weight"]).square().mean(1) / w["low.0.ffn.up.weight"].square().mean(1)
        return float(rows.mean())

    assert error(k=256, v=4) < error(k=16, v=4) < error(k=16, v=8) < 0.9
    assert error(k=64, v=8) < 0.7 * error(k=64, v=8, row_scales=False)


def test_gradients_reach_latents_unchanged_and_codebooks_summed() -> None:
    w = {"a.weight": _random(6, 8)}
    state = VQState.from_state_dict(w, k=4, v=4)
    weight = _random(6, 8, seed=9)
    (state.weights()["a.weight"] * weight).sum().backward()
    assert torch.equal(state.latents[0].grad, weight)
    scale = torch.from_numpy(vq.agent_file_scale_from_levels(state.layouts[0].levels)).unsqueeze(1)
    expected = torch.zeros(4, 4).index_add_(0, state.index("shared"), (weight * scale).reshape(-1, 4))
    assert torch.allclose(state.codebooks["shared"].grad, expected, atol=1e-5)


def _train(pull: float, latent_rate: float) -> list[float]:
    """Relative output error of a vector-quantized linear layer before and after 200 steps of distillation."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(256, 32, generator=g) @ torch.randn(32, 32, generator=g).mul(torch.linspace(0.02, 1, 32) ** 2)
    model = torch.nn.Linear(32, 32, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.randn(32, 32, generator=g) * 0.1)
    target = model(x).detach()
    state = VQState.from_state_dict({"weight": model.weight}, k=32, v=8)
    optimizer = torch.optim.Adam(
        [
            {"params": state.latents.parameters(), "lr": latent_rate},
            {"params": state.codebooks.parameters(), "lr": 1e-2},
        ]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 200)
    losses = []
    for step in range(201):
        optimizer.zero_grad()
        loss = (functional_call(model, state.weights(), (x,)) - target).square().mean() / target.square().mean()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if latent_rate and step % 4 == 3:
            state.reassign(pull=pull)
    return [losses[0], losses[-1]]


def test_training_with_pulled_latents_beats_training_the_codebook_alone() -> None:
    start, alone = _train(0.0, 0.0)
    adrift = _train(0.0, 8e-3)[1]
    pulled = _train(0.1, 8e-3)[1]
    assert alone < 0.7 * start
    assert pulled < 0.8 * alone
    assert pulled < 0.85 * adrift


def test_importance_protects_the_columns_that_matter() -> None:
    w = _weights()
    columns = torch.ones(24)
    columns[:4] = 100.0
    importance = {"low.0.attn.q.weight": columns}
    name = "low.0.attn.q.weight"

    def error(state: VQState) -> float:
        return float((state.weights()[name].detach() - w[name])[:, :4].square().mean())

    careful = VQState.from_state_dict({name: w[name]}, k=16, v=8, importance=importance)
    plain = VQState.from_state_dict({name: w[name]}, k=16, v=8)
    assert error(careful) < 0.8 * error(plain)
    mixed = VQState.from_state_dict(w, k=16, v=8, importance=importance)
    assert torch.isfinite(mixed.weights()["memory.q.weight"]).all()


def test_reassign_settles_and_a_rate_makes_indices_cheaper() -> None:
    state = VQState.from_state_dict(_weights(), k=32, v=4)
    assert state.reassign() == 0.0
    with torch.no_grad():
        state.codebooks["shared"].mul_(0.5)
    assert 0.0 < state.reassign() <= 1.0
    before = entropy_bits(state.index("shared").numpy())
    for _ in range(4):
        state.reassign(rate=0.5)
    assert entropy_bits(state.index("shared").numpy()) < before - 0.3


def test_state_dict_resumes_and_the_seed_decides() -> None:
    first = VQState.from_state_dict(_weights(), k=16, v=4, role=_role)
    with torch.no_grad():
        first.latents[0].add_(0.3 * _random(32, 24, seed=5))
    first.reassign()
    again = VQState.from_state_dict(_weights(), k=16, v=4, role=_role)
    again.load_state_dict(first.state_dict())
    for name, w in first.weights().items():
        assert torch.equal(again.weights()[name], w)
    other = VQState.from_state_dict(_weights(), k=16, v=4, role=_role, seed=1)
    assert not torch.equal(other.codebooks["ffn"], first.codebooks["ffn"])


def test_scales_are_powers_of_the_eighth_root_of_two() -> None:
    levels = np.array([-128, -9, -8, 0, 1, 127], dtype=np.int8)
    assert np.allclose(vq.agent_file_scale_from_levels(levels), 2.0 ** (levels / 8.0), rtol=1e-6)
    zero = VQState.from_state_dict({"a.weight": torch.zeros(4, 8)}, k=4, v=4)
    assert torch.equal(zero.weights()["a.weight"].detach(), torch.zeros(4, 8))


@pytest.mark.parametrize(
    ("weights", "settings", "message"),
    [
        ({}, {}, "no weights"),
        ({"a": torch.zeros(3)}, {}, "not a matrix"),
        ({"a": torch.full((2, 8), float("nan"))}, {}, "finite"),
        ({"a": torch.ones(2, 8)}, {"k": 1}, "k must be"),
        ({"a": torch.ones(2, 8)}, {"v": 0}, "v must be"),
        ({"a": torch.ones(2, 8)}, {"codebook_bits": 9}, "codebook_bits"),
        ({"a": torch.ones(2, 8)}, {"role": lambda name: "x.y"}, "dot"),
    ],
)
def test_impossible_requests_are_refused(weights: dict, settings: dict, message: str) -> None:
    with pytest.raises(ForgeError, match=message):
        VQState.from_state_dict(weights, **settings)
