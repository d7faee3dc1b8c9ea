"""Ternary weights: the copy, distillation, the claims, and the phase as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from forge.evals.measure import solved
from forge.model import TinyTitanForCausalLM, load_model
from forge.model.packed import PACKED, load_packed
from forge.model.quantizers import fake_ternary
from forge.phases.bitnet.claims import bitnet_claims
from forge.phases.bitnet.distillation import distill_bitnet_student, ternary_model
from forge.phases.bitnet.run import run as run_bitnet
from tests.support.declared import declared
from tests.support.stub_run import StubRun, measured, random_set, smoke_params
from tests.support.tiny_models import tiny_model, tokens

pytestmark = pytest.mark.long


def state(model: TinyTitanForCausalLM) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def same(model: TinyTitanForCausalLM, weights: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_a_ternary_copy_leaves_the_model_alone() -> None:
    model, ids = tiny_model(), tokens(2, 9)
    before, weights = model(ids).logits, state(model)
    copy = ternary_model(model, 8, 4)
    assert torch.equal(model(ids).logits, before)
    assert (model.config.weight_quant, model.config.act_bits, model.config.embed_bits) == ("none", 0, 0)
    assert same(copy, weights)
    assert not torch.equal(copy(ids).logits, before)
    name, linear = next(iter(copy.core_linears().items()))
    assert torch.equal(linear.effective_weight(), fake_ternary(weights[f"{name}.weight"]))
    assert all(block.act_bits == 8 for block in copy.low)


def test_distilling_trains_the_student_alone(tmp_path: Path) -> None:
    teacher, data = tiny_model(), random_set()
    student = ternary_model(teacher, 8, 8)
    weights = state(teacher)
    run = StubRun(tmp_path, **smoke_params("bitnet", lr=0.01, checkpoint_every=3, batch_tokens=120))
    result = distill_bitnet_student(run, student, teacher, data)
    assert same(teacher, weights)
    assert not any(torch.equal(v, weights[n]) for n, v in state(student).items() if n.endswith("attn.q.weight"))
    assert (run.checkpoint_dir / "train").is_dir()
    assert 0 <= result.padding < 1
    assert "train/kl" in run.logged[-1][1]


def test_retention_claims(tmp_path: Path) -> None:
    most, none = [1.0] * 19 + [0.0], [0.0] * 20
    good, bad = measured(most, most, most), measured(none, none, none)
    thoughtless = measured(most, most, most, thoughts=none)
    run = StubRun(tmp_path)
    assert [claim.passed for claim in bitnet_claims(run, good, none, good)] == [True, True]
    assert [claim.passed for claim in bitnet_claims(run, good, none, bad)] == [False, False]
    assert [claim.passed for claim in bitnet_claims(run, good, none, thoughtless)] == [False, True]


def test_the_phase_publishes_latents_and_the_packed_file(tmp_path: Path) -> None:
    run, teacher = StubRun(tmp_path, **smoke_params("bitnet")), tiny_model(vocab_size=320, max_steps=1)
    weights = state(teacher)
    run.prepare("quietstar", teacher)
    run_bitnet(run)
    assert same(teacher, weights)
    student, ids = load_model(run.out_dir), tokens(2, 8)
    assert not same(student, weights)
    assert (student.config.weight_quant, student.config.act_bits, student.config.embed_bits) == ("ternary", 8, 4)
    with torch.no_grad():
        assert torch.equal(load_packed(run.out_dir / PACKED, student)(ids).logits, student(ids).logits)
    ((facts, files),) = run.published
    assert set(facts) == {"packed_bytes", "compression_ratio", "accuracy_retention"}
    assert not files
    assert facts["packed_bytes"] == (run.out_dir / PACKED).stat().st_size
    assert declared("bitnet") <= set(run.metrics) | {name for _, point in run.logged for name in point}
    ((scores, folder, _),) = run.rows_of_ledger
    assert (scores.questions, scores.tools) == (None, None)
    after = scores.suite
    assert folder == run.out_dir
    assert run.headline["suite/accuracy_no_tools"] == after.no_tools.mean_accuracy
    assert run.metrics["quality/post_accuracy"] == sum(solved(after)) / len(solved(after))
    assert len(run.claims) == 2
