"""Device and precision: chosen by the environment, exercised as far as a machine without a GPU can."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from forge.errors import ForgeError
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.train import Trainer, TrainSettings, language_loss, train
from forge.train.device import (
    VARIABLE,
    AmpState,
    MixedPrecision,
    keep_freed_memory_for_training,
    training_device,
    training_model_on_device,
)
from tests.support.tiny_models import tiny_model, tokens
from tests.train.test_train import SMALL, _batch

torch.set_num_threads(1)


def _gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(
    ("wanted", "gpus", "expected"),
    [
        (None, 0, "cpu"),
        ("auto", 0, "cpu"),
        ("", 2, "cuda:1"),
        ("AUTO", 2, "cuda:1"),
        ("cpu", 2, "cpu"),
        ("cuda", 1, "cuda"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_the_environment_chooses_the_device(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, gpus: int, expected: str
) -> None:
    _gpus(monkeypatch, gpus)
    monkeypatch.delenv(VARIABLE, raising=False)
    if wanted is not None:
        monkeypatch.setenv(VARIABLE, wanted)
    assert training_device(local_rank=1) == torch.device(expected)


@pytest.mark.parametrize(
    ("wanted", "line"), [("gpu!", "not a device"), ("mps", "neither cpu nor cuda"), ("cuda:3", "has 1 GPUs")]
)
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, wanted: str, line: str) -> None:
    _gpus(monkeypatch, 1)
    monkeypatch.setenv(VARIABLE, wanted)
    with pytest.raises(ForgeError, match=line):
        training_device()


def test_a_model_comes_back() -> None:
    model = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="inside"), training_model_on_device(model, torch.device("cpu")):
        assert next(model.parameters()).device.type == "cpu"
        raise ValueError("inside")
    assert next(model.parameters()).device.type == "cpu"


def test_batches_go_through_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, pinned = _batch(), []
    assert batch.to(torch.device("cpu")) is batch
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self.shape) or self)
    there = batch.to(torch.device("meta"))
    assert {t.device.type for t in (there.ids, there.select, there.targets, there.valid)} == {"meta"}
    assert len(pinned) == 4
    assert there.index is batch.index


def test_every_tensor_is_made_on_the_models_device() -> None:
    """The meta device computes shapes alone, and no operator mixes it with the CPU's tensors. Without the memory,
    which asks a length for its value."""
    shape = {**SMALL, "vocab_size": 40, "hidden_size": 16, "head_dim": 8, "window": 6, "memory": False}
    there = torch.device("meta")
    with there:
        model = TinyTitanForCausalLM(TinyTitanConfig(**shape))
    ids = torch.zeros(2, 9, dtype=torch.long, device=there)
    select = torch.zeros(2, 3, dtype=torch.long, device=there)
    trace = model.recurrence_step(model.prefill(ids, model.embedding_weight(), select=select))
    halt = model.halt_logits(trace.high)
    (trace.high.sum() + halt.sum()).backward()
    assert trace.high.shape == (2, 3, 16)
    assert all(p.grad is not None and p.grad.device == there for p in model.parameters())
    with pytest.raises(RuntimeError, match="device"):
        model.recurrence_step(replace(trace, bias=torch.zeros(2, 1, 3, 9)))


# ---- mixed precision ---------------------------------------------------------------------------------------


def _train(amp: Callable[[], MixedPrecision | None], steps: int = 2) -> tuple[Trainer, list[float]]:
    model = tiny_model(**SMALL).train()
    trainer = Trainer(model, language_loss(), TrainSettings(10), amp())
    return trainer, [trainer.update(step, _batch(step))["loss"] for step in range(steps)]


def test_on_a_cpu_it_is_off_and_changes_nothing() -> None:
    off = MixedPrecision.on(torch.device("cpu"))
    assert off.state == AmpState(enabled=False, dtype_bits=32, loss_scale=1.0, skipped_steps=0)
    (plain, losses), (other, same) = _train(lambda: None), _train(lambda: off)
    assert losses == same
    assert all(torch.equal(a, b) for a, b in zip(plain.model.parameters(), other.model.parameters(), strict=True))
    assert train(tiny_model(**SMALL), _batch, language_loss(), TrainSettings(1)).amp == AmpState()


@pytest.mark.parametrize(("bf16", "bits"), [(True, 16), (False, 16)])
def test_a_gpu_gets_the_narrow_type_that_it_has(monkeypatch: pytest.MonkeyPatch, bf16: bool, bits: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    amp = MixedPrecision.on(torch.device("cuda"))
    assert amp.dtype == (torch.bfloat16 if bf16 else torch.float16)
    assert amp.scaler.is_enabled() is not bf16  # the range of bfloat16 is that of float32


def test_two_steps_in_bfloat16_follow_float32() -> None:
    narrow, losses = _train(lambda: MixedPrecision("cpu", torch.bfloat16))
    wide, expected = _train(lambda: None)
    assert losses == pytest.approx(expected, rel=0.05)
    assert losses != expected
    assert narrow.amp.state == AmpState(True, 16, 1.0, 0)
    assert {p.dtype for p in narrow.model.parameters()} == {torch.float32}
    with torch.no_grad():
        pairs = [*zip(narrow.model.parameters(), wide.model.parameters(), strict=True)]
        assert 0 < sum(float((a - b).norm()) for a, b in pairs) < 0.05 * sum(float(b.norm()) for _, b in pairs)


def test_gradients_that_overflow_cost_a_step_and_halve_the_scale() -> None:
    trainer, losses = _train(lambda: MixedPrecision("cpu", torch.float16, loss_scale=2.0**40), steps=1)
    fresh = tiny_model(**SMALL)
    assert np.isfinite(losses).all()
    assert all(torch.equal(a, b) for a, b in zip(trainer.model.parameters(), fresh.parameters(), strict=True))
    assert all(p.grad is None for p in trainer.model.parameters())
    assert trainer.amp.state == AmpState(True, 16, 2.0**39, 1)
    for step in range(1, 40):
        trainer.update(step % 10, _batch(step))
    state = trainer.amp.state
    assert 2.0**5 < state.loss_scale < 2.0**39
    assert state.skipped_steps == 40 - np.log2(state.loss_scale)
    assert not all(torch.equal(a, b) for a, b in zip(trainer.model.parameters(), fresh.parameters(), strict=True))
    resumed = MixedPrecision("cpu", torch.float16)
    resumed.load(trainer.amp.to_dict())
    assert resumed.state == state


# ---- the allocator -----------------------------------------------------------------------------------------


def test_freed_memory_is_kept_where_the_c_library_can() -> None:
    assert keep_freed_memory_for_training() is (platform.libc_ver()[0] == "glibc")
    x = tokens(2, 3).float()
    assert torch.equal(x @ x.T, x @ x.T)
