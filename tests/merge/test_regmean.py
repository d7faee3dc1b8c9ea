"""RegMean: least squares on layers' inputs, and the moments of these inputs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from forge.errors import ForgeError
from forge.merge import regmean as module
from forge.merge.methods import merge_linear
from forge.merge.regmean import layer_input_grams, regmean
from tests.support.stub_run import random_set
from tests.support.tiny_models import tiny_model


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


INPUTS = [normal(200, 6, seed=seed) @ normal(6, 6, seed=9 + seed) for seed in (1, 2)]
MODELS = [{"w": normal(4, 6, seed=seed).float(), "v": normal(3, seed=seed).float()} for seed in (3, 4)]
GRAMS = [{"w": (x.T @ x / len(x))[None]} for x in INPUTS]


def misfit(weight: Tensor) -> float:
    """Squared difference from every model's outputs on that model's inputs, (200, 4) each."""
    outputs = zip(INPUTS, MODELS, strict=True)
    return sum(float((x @ (weight.double() - model["w"].double()).T).square().sum()) for x, model in outputs)


def test_it_is_the_least_squares_solution() -> None:
    merged = regmean(MODELS, GRAMS, [1.0, 1.0], off_diagonal=1.0)
    targets = torch.cat([x @ model["w"].double().T for x, model in zip(INPUTS, MODELS, strict=True)])
    expected = torch.linalg.lstsq(torch.cat(INPUTS), targets).solution.T
    torch.testing.assert_close(merged["w"].double(), expected, rtol=0.02, atol=0.02)
    average = merge_linear(MODELS, [1.0, 1.0])
    assert misfit(merged["w"]) < 0.9 * misfit(average["w"])
    assert misfit(regmean(MODELS, GRAMS, [1.0, 1.0])["w"]) < misfit(average["w"])
    assert torch.equal(merged["v"], average["v"])  # without moments: the average
    assert merged["w"].dtype == torch.float32


def test_inputs_without_a_direction_give_the_average() -> None:
    even = [{"w": torch.eye(6, dtype=torch.float64)[None]}] * 2
    average = merge_linear(MODELS, [0.25, 0.75])
    torch.testing.assert_close(regmean(MODELS, even, [0.25, 0.75])["w"], average["w"])
    silent = [{"w": torch.diag(torch.tensor([1.0, 1, 1, 1, 1, 0], dtype=torch.float64))[None]}] * 2
    torch.testing.assert_close(regmean(MODELS, silent, [0.25, 0.75])["w"], average["w"])


def test_one_model_alone_comes_back_bit_for_bit() -> None:
    merged = regmean(MODELS, GRAMS, [0.0, 2.0])
    assert all(torch.equal(merged[name], MODELS[1][name]) for name in MODELS[1])


@pytest.mark.parametrize(
    ("weights", "words"), [([1.0], "2 models, 2 sets of Gram matrices, 1 weights"), ([2.0, -1.0], "at least zero")]
)
def test_impossible_weights_are_refused(weights: list[float], words: str) -> None:
    with pytest.raises(ForgeError, match=words):
        regmean(MODELS, GRAMS, weights)


def test_moments_are_those_of_all_tokens_and_of_no_padding() -> None:
    model, rows = tiny_model(max_steps=1), random_set(6)
    grams = layer_input_grams(model, rows)
    assert set(grams) == {f"{name}.weight" for name in model.core_linears()}
    each = [layer_input_grams(model, rows.subset(torch.tensor([i]).numpy())) for i in range(6)]
    for name in ("low.0.attn.q.weight", "low.0.ffn.down.weight", "memory.o.weight"):
        parts = [gram[name] * float(length) for gram, length in zip(each, rows.lengths, strict=True)]
        torch.testing.assert_close(grams[name], torch.stack(parts).sum(0) / rows.lengths.sum(), rtol=1e-4, atol=1e-5)
    (gram,) = grams["low.0.attn.q.weight"]
    assert gram.diagonal().mean() == pytest.approx(1.0, abs=1e-3)  # the input is normalized
    assert torch.linalg.eigvalsh(gram).min() > -1e-9


def test_many_inputs_are_solved_for_in_equal_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_INPUTS", 4)
    assert [module.regmean_input_blocks(n) for n in (1, 4, 6, 7, 8, 4608)] == [1, 1, 2, 7, 2, 1152]
    parts = [{"w": torch.stack([gram["w"][0][:3, :3], gram["w"][0][3:, 3:]])} for gram in GRAMS]
    merged = regmean(MODELS, parts, [1.0, 3.0])["w"]
    for place in (slice(0, 3), slice(3, 6)):  # each as if it were the whole layer
        alone = [{"w": model["w"][:, place]} for model in MODELS]
        moments = [{"w": gram["w"][:, place, place]} for gram in GRAMS]
        expected = regmean(alone, moments, [1.0, 3.0])["w"]
        torch.testing.assert_close(merged[:, place], expected, rtol=1e-3, atol=1e-3)  # the ridge is of all blocks
    rows, model = random_set(3), tiny_model()
    blocks = layer_input_grams(model, rows)
    monkeypatch.undo()
    for name, (whole,) in layer_input_grams(model, rows).items():
        size = blocks[name].shape[1]
        assert size <= 4
        for place, block in enumerate(blocks[name]):
            part = slice(place * size, (place + 1) * size)
            torch.testing.assert_close(block, whole[part, part])


def test_the_second_step_is_seen_too() -> None:
    rows = random_set(4)
    once, twice = (layer_input_grams(tiny_model(max_steps=steps), rows) for steps in (1, 2))
    assert not torch.allclose(once["low.0.attn.q.weight"], twice["low.0.attn.q.weight"])
    assert torch.equal(once["low.0.attn.k.weight"], twice["low.0.attn.k.weight"])  # keys are made once
