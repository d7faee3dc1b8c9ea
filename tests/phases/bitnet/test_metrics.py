"""Phase 4's metrics are what they say: the packed file on disk, quality by likelihood, the targets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from forge.evals.likelihood import likelihood
from forge.model import TinyTitanForCausalLM, save_model
from forge.model.packed import PACKED, load_packed, pack_model
from forge.phases.bitnet.distillation import ternary_model
from forge.phases.bitnet.metrics import Ternary, bitnet_packed_metrics, bitnet_quality_metrics, reaches_bitnet_targets
from tests.support.declared import declared
from tests.support.stub_run import measured, random_set
from tests.support.tiny_models import tiny_model, tokens


def made_ternary(folder: Path, embed_bits: int = 8, seed: int = 0) -> Ternary:
    """A model, its ternary copy and the packed file of such a copy of the model of ``seed``."""
    teacher = tiny_model()
    save_model(teacher, folder)
    pack_model(ternary_model(tiny_model(seed=seed), 8, embed_bits), folder / PACKED)
    return Ternary(teacher, ternary_model(teacher, 8, embed_bits), folder, folder / PACKED)


@pytest.mark.parametrize("embed_bits", [8, 4])
def test_the_packed_file_is_the_model(tmp_path: Path, embed_bits: int) -> None:
    made, ids = made_ternary(tmp_path, embed_bits), tokens(3, 11)
    before = {name: weight.clone() for name, weight in made.student.state_dict().items()}
    found, size = bitnet_packed_metrics(made, ids), made.packed.stat().st_size
    assert found["packed_logit_delta"] == 0.0
    assert all(torch.equal(weight, before[name]) for name, weight in made.student.state_dict().items())
    loaded = load_packed(made.packed, tiny_model(seed=9, act_bits=8))
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, made.student.eval()(ids).logits)
    core = [linear.effective_weight().detach() for linear in made.student.core_linears().values()]
    zeros, total = sum(int((w == 0).sum()) for w in core), sum(w.numel() for w in core)
    assert found["compression/sparsity_ratio"] == pytest.approx(zeros / total, abs=1e-6)
    assert found["compression/layers_compressed"] == len(core)
    assert found["compression/layers_compressed"] + found["compression/layers_preserved"] == len(before)
    assert found["compression/compressed_size_mb"] == size / 2**20
    original = (tmp_path / "model.safetensors").stat().st_size
    assert found["compression/original_size_mb"] == original / 2**20
    assert found["compression/compression_ratio"] == original / size
    assert total / 5 < size < 4 * total


def test_the_packed_model_is_weighed_and_timed(tmp_path: Path) -> None:
    made = made_ternary(tmp_path)
    found = bitnet_packed_metrics(made, tokens(2, 8))
    assert declared("bitnet", "performance", "compression") <= set(found)
    assert found["performance/calibration_time_seconds"] > 0
    assert found["performance/inference_speedup"] > 0
    full = sum(w.numel() * 4 for w in made.teacher.state_dict().values())
    packed = sum(w.numel() * w.element_size() for w in load_file(made.packed).values())
    assert found["performance/memory_reduction"] == full / packed
    assert packed < made.packed.stat().st_size


def test_a_changed_file_shows_in_the_logits(tmp_path: Path) -> None:
    assert bitnet_packed_metrics(made_ternary(tmp_path, seed=2), tokens(2, 8))["packed_logit_delta"] > 0.01


def test_quality_by_hand() -> None:
    test, models = random_set(), (tiny_model(), tiny_model(seed=1), tiny_model(seed=2))
    most, none = [1.0] * 19 + [0.0], [0.0] * 20
    good, bad = measured(most, most, most), measured(none, none, none)
    index = test.where("direct", "tooled", "tool", "worked")

    def perplexity(model: TinyTitanForCausalLM) -> float:
        return likelihood(model, test, index).perplexity

    full, rounded, trained = map(perplexity, models)
    found = bitnet_quality_metrics(test, models, (good, good))
    assert set(found) == declared("bitnet", "quality")
    assert (found["quality/pre_accuracy"], found["quality/accuracy_retention"]) == (0.95, 1.0)
    assert found["quality/pre_compression_perplexity"] == full
    assert found["quality/post_compression_perplexity"] == rounded
    assert found["quality/post_finetuning_perplexity"] == trained
    assert found["quality/perplexity_degradation_percent"] == pytest.approx(100 * (trained / full - 1))
    found = bitnet_quality_metrics(test, (models[0], models[0], models[2]), (good, bad))
    assert found["quality/accuracy_retention"] == 0.0
    assert found["quality/perplexity_recovery_percent"] == 100.0  # rounding had lost nothing


def test_the_phase_succeeds_only_if_every_target_is_met() -> None:
    good = {
        "compression/compression_ratio": 9.0,
        "quality/accuracy_retention": 0.95,
        "quality/perplexity_degradation_percent": 5.0,
        "quality/perplexity_recovery_percent": 70.0,
    }
    assert reaches_bitnet_targets(good)
    for name, bad in zip(good, (8.0, 0.9, 10.0, 60.0), strict=True):
        assert not reaches_bitnet_targets(good | {name: bad})
