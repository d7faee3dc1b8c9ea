"""What a training run is watched for: precision, skipped steps, the machine; Grokfast's race; points that survive."""

from __future__ import annotations

import math
import time
import types
from pathlib import Path
from typing import Any

import pynvml
import pytest
import torch

from forge.evals.timing import reading_ms, speedup
from forge.phases.forge import monitor as module
from forge.phases.forge.grokking import Point, detect_grokking, grokking_metrics
from forge.phases.forge.modular import CONTROLS, GROKFAST, Arm, ModularTask, compare_grokfast, steps_to_target
from forge.phases.forge.monitor import LoopMonitor, gpu_use, grokfast_metrics, perplexity, weight_norm
from forge.train import Grokfast, TrainSettings, gather_batch, language_loss, train
from forge.train.points import PointFile
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
    assert gpu_use() == (0.0, 0.0)


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
    assert gpu_use() == (60.0, 3.0)
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
    assert perplexity(2.0) == pytest.approx(math.exp(2.0))
    assert math.isfinite(perplexity(1e6))


def test_models_read_in_turns() -> None:
    small, large = tiny_model(), tiny_model(vocab_size=60, low_ffn=[20000, 24])
    times = reading_ms([small, large], tokens=64, turns=3)
    assert times[0] < times[1]
    assert speedup(large, small) > 1


def test_points_survive_and_repeated_steps_replace_them(tmp_path: Path) -> None:
    file = PointFile(tmp_path / "p.json")
    for step in (2, 4, 6):
        file.add(step, x=step / 2)
    again = PointFile(tmp_path / "p.json")
    assert again.points == file.points == [{"step": s, "x": s / 2} for s in (2, 4, 6)]
    again.add(4, x=9.0)
    assert PointFile(tmp_path / "p.json").points == [{"step": 2, "x": 1.0}, {"step": 4, "x": 9.0}]


# ---- grokking ------------------------------------------------------------------------------------------------


def test_grokking_figures_by_hand() -> None:
    points = [Point(0, 0.5, 0.1), Point(100, 1.0, 0.2), Point(200, 1.0, 0.25), Point(400, 1.0, 0.85)]
    found = grokking_metrics(points, detect_grokking(points))
    assert {f"grokking/{name}" for name in found} == declared("forge", "grokking")
    assert (found["detected"], found["step"], found["memorized_step"], found["converged"]) == (True, 400, 100, False)
    assert found["accuracy_derivative"] == pytest.approx(100 * 0.65 / 300)
    assert found["improvement"] == pytest.approx(0.75)
    assert found["train_val_gap"] == pytest.approx(0.15)
    assert found["gap_window_mean"] == pytest.approx((0.8 + 0.75 + 0.15) / 3)
    assert found["max_val_jump"] == pytest.approx(0.6)
    flat = [Point(step, 0.9, 0.9) for step in (10, 20, 30)]
    found = grokking_metrics(flat, detect_grokking(flat))
    assert (found["converged"], found["step"], found["accuracy_derivative"]) == (True, -1, 0.0)
    assert grokking_metrics(flat[:1], detect_grokking(flat[:1]))["improvement"] == 0.0


# ---- modular addition ----------------------------------------------------------------------------------------

EASY = ModularTask(share=0.8)  # little is left to generalize to


def test_a_run_ends_at_the_target_or_at_the_cap() -> None:
    arm = Arm("quick", lr=3e-3)
    reached = steps_to_target(EASY, arm, cap=600, seed=2)
    assert not reached.censored
    assert 10 <= reached.steps < 600
    again, cut = (steps_to_target(EASY, arm, cap=cap, seed=2) for cap in (reached.steps, reached.steps // 2))
    assert again == reached
    assert (cut.steps, cut.censored) == (reached.steps // 2, True)
    filtered = steps_to_target(EASY, Arm("filtered", lr=3e-3, lam=20.0), cap=reached.steps, seed=2)
    assert filtered != reached  # the filter does something


def test_arms_differ_in_what_their_names_say() -> None:
    matched = CONTROLS[0]
    assert (matched.lr, matched.decay, matched.decoupled, matched.lam) == (GROKFAST.lr, GROKFAST.decay, False, 0.0)
    assert CONTROLS[1].lr == pytest.approx(3 * GROKFAST.lr)
    assert CONTROLS[2].decoupled
    assert len({arm.name for arm in (GROKFAST, *CONTROLS)}) == 4


def test_the_comparison_starts_every_arm_alike_and_can_be_stopped() -> None:
    calls: list[int] = []
    found = compare_grokfast(cap=20, seeds=2, seed=5, alpha=0.98, stop=lambda: calls.append(1))
    assert {name: [run.steps for run in runs] for name, runs in found.runs.items()} == {
        arm.name: [20, 20] for arm in (GROKFAST, *CONTROLS)
    }
    assert found.speedup == 1.0  # all cut off: a bound, and counted as such
    assert found.censored(GROKFAST) == 2
    assert len(calls) == 4 * 2 * 2

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_grokfast(cap=20, seeds=2, seed=5, alpha=0.98, stop=stop)
