"""What a training run is watched for: precision, skipped steps, the machine, the slow gradient."""

from __future__ import annotations

import math
import time
import types
from typing import Any

import pynvml
import pytest
import torch

from forge.phases.forge import monitor as module
from forge.phases.forge.monitor import (
    LoopMonitor,
    forge_loop_gpu_use,
    forge_loop_perplexity,
    grokfast_metrics,
    weight_norm,
)
from forge.train import Grokfast, TrainSettings, gather_batch, language_loss, train
from tests.support.declared import declared
from tests.support.stub_run import random_set
from tests.support.tiny_models import tiny_model

DATA = random_set(12)


def watched(steps: int = 3, accumulate: int = 1, loss: Any = None) -> tuple[LoopMonitor, int]:
    """A monitor after some real training steps, and the tokens that were read."""
    model, batch = tiny_model(), gather_batch(DATA, DATA.where("direct", "tool"))
    monitor = LoopMonitor(model)

    def on_step(step: int, metrics: dict[str, float]) -> None:
        monitor()
        time.sleep(0.02)  # what other watchers do
        monitor.resume()

    base = loss or language_loss()
    train(model, lambda step: batch, monitor.loss(base), TrainSettings(steps, accumulate=accumulate), on_step=on_step)
    return monitor, steps * batch.ids.numel()


def test_a_plain_loop_is_seen_as_it_is() -> None:
    monitor, tokens = watched()
    found = monitor.metrics()
    assert set(found) == declared("forge", "amp", "system")
    assert (found["amp/enabled"], found["amp/dtype_bits"], found["amp/skipped_steps"]) == (0.0, 32, 0)
    assert found["amp/loss_scale"] == pytest.approx(1.0)
    assert monitor.tokens == tokens
    assert monitor.tokens_per_second == pytest.approx(tokens / monitor.seconds)
    # The pauses between steps belong to nobody's step.
    wall = time.perf_counter() - monitor._began
    assert found["system/time_per_step_ms"] * 3 / 1000 < wall - 0.06
    assert 0 < found["system/ram_used_gb"] <= found["system/peak_memory_gb"] * 1.01
    assert found["system/cpu_percent"] > 0


def test_micro_batches_add_up_to_one_loss_scale() -> None:
    assert watched(accumulate=2)[0].metrics()["amp/loss_scale"] == pytest.approx(1.0)


def test_half_precision_is_seen() -> None:
    def half(model: Any, batch: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return language_loss()(model, batch)

    found = watched(loss=half)[0].metrics()
    assert (found["amp/enabled"], found["amp/dtype_bits"]) == (1.0, 16)


def test_a_scaled_loss_and_a_skipped_step_are_seen() -> None:
    model, batch = tiny_model(), gather_batch(DATA, DATA.where("direct"))
    monitor = LoopMonitor(model)
    loss, _ = monitor.loss(language_loss())(model, batch)
    (loss * 128.0).backward()
    monitor()  # nothing was updated
    assert (monitor.scale, monitor.skipped, monitor.steps) == (128.0, 1, 1)
    with torch.no_grad():
        for linear in model.core_linears().values():
            linear.weight.add_(1.0)
    monitor()
    assert (monitor.skipped, monitor.steps) == (1, 2)


def test_without_a_gpu_nothing_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    assert forge_loop_gpu_use() == (0.0, 0.0)


def test_gpus_are_asked_by_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    answers = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: closed.append(True),
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda i: i,
        "nvmlDeviceGetMemoryInfo": lambda i: types.SimpleNamespace(used=(i + 1) * module.GIB),
        "nvmlDeviceGetUtilizationRates": lambda i: types.SimpleNamespace(gpu=40 * (i + 1)),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)
    assert forge_loop_gpu_use() == (60.0, 3.0)
    assert closed == [True]


def test_grokfast_is_told_by_its_norms() -> None:
    weight = torch.zeros(4, requires_grad=True)
    grokfast, gradients = Grokfast(0.9, 2.0), [torch.tensor([1.0, 2.0, 0.0, 0.0]), torch.tensor([-1.0, 2.0, 0.5, 0.0])]
    for gradient in gradients:
        weight.grad = gradient.clone()
        metrics = grokfast({"w": weight})
    slow = 0.9 * gradients[0] + 0.1 * gradients[1]
    found = grokfast_metrics(metrics, 0.9, 2.0)
    assert set(found) == declared("forge", "grokfast")
    assert found["grokfast/amplification_ratio"] == pytest.approx(
        float((gradients[1] + 2 * slow).norm() / gradients[1].norm()), rel=1e-5
    )
    assert found["grokfast/slow_energy_fraction"] == pytest.approx(
        float(slow.square().sum() / gradients[1].square().sum()), rel=1e-5
    )
    assert weight.grad is not None
    assert found["grokfast/filtered_grad_norm"] == pytest.approx(float(weight.grad.norm()), rel=1e-5)


def test_weight_norm_and_perplexity() -> None:
    model = tiny_model()
    model.embed.weight.requires_grad_(False)
    squares = sum(float(p.detach().square().sum()) for n, p in model.named_parameters() if n != "embed.weight")
    assert weight_norm(model) == pytest.approx(math.sqrt(squares), rel=1e-5)
    assert forge_loop_perplexity(2.0) == pytest.approx(math.exp(2.0))
    assert math.isfinite(forge_loop_perplexity(1e6))
