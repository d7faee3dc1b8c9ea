"""Faults injected into training: memory that runs out, losses that explode, checkpoints of what was decided."""

from __future__ import annotations

import errno
import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forge.errors import ForgeError, Interrupted
from forge.model import TinyTitanForCausalLM
from forge.train import (
    Batch,
    Trainer,
    TrainResult,
    TrainSettings,
    checkpoint,
    language_loss,
    load_checkpoint,
    save_checkpoint,
    train,
)
from forge.train.checkpoint import training_checkpoint_folders
from forge.train.faults import RECENT, WARM_UP, Diverged, TrainingLimits, is_out_of_memory
from tests.support.tiny_models import tiny_model
from tests.train.test_train import SMALL, _batch, _same, _stop_at, _without_time

pytestmark = pytest.mark.long

torch.set_num_threads(1)
Loss = Callable[[TinyTitanForCausalLM, Batch], tuple[torch.Tensor, dict[str, float]]]
SETTINGS = TrainSettings(12, checkpoint_every=4, grokfast_lambda=0.5, weight_decay=0.01)


def run(loss: Loss, folder: Path | None, seed: int = 0, **options: Any) -> tuple[TinyTitanForCausalLM, TrainResult]:
    model = tiny_model(seed=seed, **SMALL)
    return model, train(model, lambda step: _batch(step), loss, SETTINGS, checkpoint_dir=folder, **options)


def noisy(model: TinyTitanForCausalLM, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
    """A loss that draws random numbers before it may fail."""
    total, metrics = language_loss()(model, batch)
    return total * (0.9 + 0.2 * torch.rand(())), metrics


def short_of_memory(rows: int, after: int, error: BaseException) -> Loss:
    """Fails, half-way through a step, on batches of more than ``rows`` rows once ``after`` calls have gone well."""
    calls = [0]

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        total, metrics = noisy(model, batch)
        calls[0] += 1
        if len(batch.ids) > rows and calls[0] > after:
            total.backward()  # gradients of the attempt must not stay
            raise error
        return total, metrics

    return loss


SHORTAGES = [
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes."),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 64 bytes."),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
]


# ---- memory ------------------------------------------------------------------------------------------------


def test_real_allocators_are_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    with pytest.raises(MemoryError) as numpys:
        np.empty(1 << 60, dtype=np.uint8)
    assert is_out_of_memory(numpys.value)
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize("shortage", SHORTAGES, ids=lambda error: type(error).__name__)
def test_the_micro_batch_halves_and_the_effective_batch_stays(
    shortage: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    torch.manual_seed(0)
    logged: list[dict[str, Any]] = []
    _, result = run(short_of_memory(1, 5, shortage), None, log=lambda **row: logged.append(row))
    assert result.micro_batches == 4
    assert [r.getMessage() for r in caplog.records] == [
        f"out of memory at step 5: going on in {n} micro-batches a step, the effective batch stays the same"
        for n in (2, 4)
    ]
    assert [row["micro_batches"] for row in logged if "micro_batches" in row] == [4]
    _, whole = run(language_loss(), None)
    assert result.tokens == whole.tokens
    assert math.isclose(result.final_loss, whole.final_loss, rel_tol=0.05)


def test_gradients_are_those_of_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the attempt that was cut short is left, nothing is lost or counted twice."""

    def cut_short(model: TinyTitanForCausalLM, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        total, metrics = language_loss()(model, batch)
        if len(batch.ids) > 2:
            total.backward()
            raise SHORTAGES[0]
        return total, metrics

    found: list[dict[str, torch.Tensor]] = []
    for loss in (language_loss(), cut_short):
        trainer = Trainer(tiny_model(dtype=torch.float64, **SMALL), loss, TrainSettings(1, clip=1e9))
        gradients: dict[str, torch.Tensor] = {}

        def keep(*rates: float, trainer: Trainer = trainer, into: dict[str, torch.Tensor] = gradients) -> None:
            into |= {name: p.grad.clone() for name, p in trainer.parameters.items() if p.grad is not None}

        monkeypatch.setattr(trainer.optimizer, "step", keep)
        trainer.update(0, _batch())
        found.append(gradients)
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-8, rtol=1e-5)


def test_a_run_that_ran_short_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    straight, expected = run(short_of_memory(2, 5, SHORTAGES[0]), tmp_path / "straight")
    torch.manual_seed(0)
    folder = tmp_path / "resumed"
    with pytest.raises(Interrupted):
        run(short_of_memory(2, 5, SHORTAGES[0]), folder, stop=_stop_at(7))
    resumed, result = run(noisy, folder, seed=9)  # memory is plenty now, and the decision stands
    assert result.resumed_from == 7
    assert result.micro_batches == 2
    assert _same(resumed, straight)
    assert _without_time(result, resumed_from=0) == _without_time(expected)


def test_the_decision_is_saved_at_once(tmp_path: Path) -> None:
    def killed(step: int, metrics: dict[str, float]) -> None:
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(short_of_memory(2, 5, SHORTAGES[0]), tmp_path, on_step=killed)
    saved = load_checkpoint(tmp_path)
    assert saved is not None
    assert (saved[1]["step"], saved[1]["care"]["micro_batches"]) == (6, 2)


LIMITED = """
import resource
import numpy as np, torch
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.train import Batch, TrainSettings, language_loss, train
from forge.train.memory import estimate_training_bytes

torch.set_num_threads(1)
model = TinyTitanForCausalLM(TinyTitanConfig(vocab_size=2048))
def batch(rows):
    ids, select = torch.randint(14, 2048, (rows, 64)), torch.arange(47, 63).expand(rows, 16)
    return Batch(ids, select, ids[:, -16:], torch.ones(rows, 16, dtype=torch.bool), np.arange(rows))
train(model, lambda step: batch(4), language_loss(), TrainSettings(1))
large = batch(128)
used = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmData"))
need = estimate_training_bytes(model.config, large.ids.numel(), supervised_tokens=large.count)
resource.setrlimit(resource.RLIMIT_DATA, (used + need // 3,) * 2)
print(train(model, lambda step: large, language_loss(), TrainSettings(1)).micro_batches)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on data is Linux's")
def test_an_allocator_that_really_refuses() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert int(done.stdout) in (2, 4, 8, 16)
    assert "out of memory at step 0: going on in 2 micro-batches a step" in done.stderr


def test_a_single_row_that_does_not_fit_ends_the_run() -> None:
    with pytest.raises(ForgeError, match=r"out of memory at step 2 with one row at a time .* take a smaller scale"):
        run(short_of_memory(0, 2, SHORTAGES[0]), None)


def test_other_faults_are_not_taken_for_it() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"):
        run(short_of_memory(0, 2, RuntimeError("shapes differ")), None)


# ---- divergence --------------------------------------------------------------------------------------------


class Diverging:
    """NaN at the given calls; counts calls and rows of what the run saw."""

    def __init__(self, *at: int, value: float = math.nan) -> None:
        self.at, self.value, self.calls = set(at), value, 0

    def __call__(self, model: TinyTitanForCausalLM, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        total, metrics = noisy(model, batch)
        self.calls += 1
        if self.calls - 1 in self.at:
            return total * self.value, metrics | {"loss": metrics["loss"] * self.value}
        return total, metrics


def test_divergence_returns_to_the_newest_checkpoint_at_half_the_rate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logged: list[dict[str, Any]] = []
    _, result = run(Diverging(10), tmp_path, log=lambda **row: logged.append(row))
    assert result.returns == 1
    told = "training diverged at step 10: the loss is nan; back to step 8 at 0.5 of the learning rate"
    assert caplog.messages == [told]
    assert {"step": 8, "returns": 1, "rate_factor": 0.5} in logged
    saved = load_checkpoint(tmp_path)
    assert saved is not None
    assert (saved[1]["step"], saved[1]["care"]["rate"]) == (12, 0.5)


def test_without_a_checkpoint_it_returns_to_the_start() -> None:
    """The second attempt is a run of its own at half the rate, random numbers included."""
    torch.manual_seed(3)
    again, result = run(Diverging(3), None)
    torch.manual_seed(3)
    halved = tiny_model(**SMALL)
    settings = TrainSettings(
        12, muon_lr=0.01, adam_lr=0.002, checkpoint_every=4, grokfast_lambda=0.5, weight_decay=0.01
    )
    train(halved, lambda step: _batch(step), noisy, settings)
    assert result.returns == 1
    assert _same(again, halved)


@pytest.mark.parametrize(("updates", "step"), [(11, 9), (13, 11)])
def test_a_run_that_went_back_resumes_to_the_same_bytes(tmp_path: Path, updates: int, step: int) -> None:
    torch.manual_seed(0)
    straight, expected = run(Diverging(10), tmp_path / "straight")
    torch.manual_seed(0)
    with pytest.raises(Interrupted) as caught:
        run(Diverging(10), tmp_path / "resumed", stop=_stop_at(updates))
    assert caught.value.step == step
    resumed, result = run(noisy, tmp_path / "resumed", seed=5)
    assert _same(resumed, straight)
    assert _without_time(result, resumed_from=0) == _without_time(expected)


def test_a_kill_right_after_the_return_changes_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    straight, _ = run(Diverging(10), tmp_path / "straight")

    def killed(**row: Any) -> None:
        if "returns" in row:
            raise KeyboardInterrupt

    torch.manual_seed(0)
    with pytest.raises(KeyboardInterrupt):
        run(Diverging(10), tmp_path / "killed", log=killed)
    assert [folder.name for folder in training_checkpoint_folders(tmp_path / "killed")] == [
        "step-00000004",
        "step-00000008-1",
    ]
    resumed, result = run(noisy, tmp_path / "killed", seed=5)
    assert (result.resumed_from, result.returns) == (8, 1)
    assert _same(resumed, straight)


def test_a_checkpoint_that_leads_there_twice_gives_way_to_the_older(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, result = run(Diverging(10, 12), tmp_path)
    assert result.returns == 2
    assert [message.split("; ")[1] for message in caplog.messages] == [
        "back to step 8 at 0.5 of the learning rate",
        "back to step 4 at 0.25 of the learning rate",
    ]


def test_the_third_time_ends_the_run_with_the_step(tmp_path: Path) -> None:
    message = r"training diverged at step 9 \(the loss is nan\), even after 2 returns .* lower the learning rate"
    with pytest.raises(ForgeError, match=message):
        run(Diverging(10, 12, 18), tmp_path)


def test_a_gradient_that_is_not_finite_counts_too(caplog: pytest.LogCaptureFixture) -> None:
    calls = [0]

    def loss(model: TinyTitanForCausalLM, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        total, metrics = language_loss()(model, batch)
        calls[0] += 1
        return total * (math.inf if calls[0] == 4 else 1.0), metrics

    model, result = run(loss, None)
    assert result.returns == 1
    assert "the norm of the gradient is nan" in caplog.text or "the norm of the gradient is inf" in caplog.text
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())


def test_explosion_is_told_from_hard_batches() -> None:
    care = TrainingLimits()
    for step in range(200):  # every tenth batch is ten times as hard
        care.judge(step, 3.0 if step % 10 == 0 else 0.3, 0.57)
    with pytest.raises(Diverged, match=f"the mean loss of the last {RECENT} steps is .*, 0.57 before"):
        for step in range(200, 220):
            care.judge(step, 6.0, 0.57)
    fresh = TrainingLimits()
    for step in range(WARM_UP):
        fresh.judge(step, 50.0, 2.0)
    assert fresh.judged == WARM_UP


# ---- disk --------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_older_checkpoints_and_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"a": torch.ones(2)}, {"x": step})

    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_manifest", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, 3, {"a": torch.ones(2)}, {"x": 3})
    assert [folder.name for folder in training_checkpoint_folders(tmp_path)] == ["step-00000001", "step-00000002"]
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded[1] == {"x": 2}


def test_a_newer_version_of_a_step_replaces_the_older(tmp_path: Path) -> None:
    for step, version in ((4, 0), (8, 0), (8, 1)):
        save_checkpoint(tmp_path, step, {"a": torch.ones(2)}, {"v": version}, version=version)
    assert [folder.name for folder in training_checkpoint_folders(tmp_path)] == ["step-00000004", "step-00000008-1"]
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    assert loaded[1] == {"v": 1}
    checkpoint.drop_newest_training_checkpoint(tmp_path)
    assert [folder.name for folder in training_checkpoint_folders(tmp_path)] == ["step-00000004"]


def test_warnings_name_the_step_for_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        run(Diverging(10), None)
    assert caplog.records[0].step == 10  # type: ignore[attr-defined]
