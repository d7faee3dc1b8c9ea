"""The estimate of a run's memory against what autograd really keeps, and the refusal of what cannot fit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from forge.errors import ForgeError
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.train import Batch, TrainSettings, language_loss, memory, train_on_planned_batches
from forge.train.fit import max_supervised_batch_tokens, plan_curriculum_batches
from forge.train.memory import (
    OPTIMIZER_STATE,
    available_training_bytes,
    check_training_memory,
    estimate_training_bytes,
    floats_saved_for_backward,
    training_memory_below_limits,
)
from forge.train.optim import HybridOptimizer
from tests.support.stub_run import StubRun, random_set
from tests.support.tiny_models import tiny_model

torch.set_num_threads(1)
SHAPE: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "low_heads": [4, 2],
    "high_heads": [4],
    "low_ffn": [128, 64],
    "high_ffn": [128],
    "memory_heads": 3,
    "memory_head_dim": 10,
    "memory_chunk": 16,
}


def kept_by_autograd(config: TinyTitanConfig, rows: int, time: int, supervised: int) -> int:
    """Bytes of distinct storages that a forward pass saves for the backward one, parameters and what has the
    vocabulary's width left out."""
    model = TinyTitanForCausalLM(config).train()
    known = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known and config.vocab_size not in tensor.shape[-1:]:
            kept[storage.data_ptr()] = storage
        return tensor

    ids = torch.randint(0, config.vocab_size, (rows, time))
    select = torch.arange(time - supervised - 1, time - 1).expand(rows, supervised)
    valid = torch.ones(rows, supervised, dtype=torch.bool)
    batch = Batch(ids, select, ids[:, -supervised:], valid, np.arange(rows))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        language_loss()(model, batch)
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"max_steps": 1},
        {"max_steps": 3},
        {"max_steps": 2, "memory": False},
        {"max_steps": 2, "act_bits": 8},
        {"architecture": "plain", "memory": False, "halting": False},
        {"window": 16},
    ],
    ids=str,
)
def test_the_count_follows_what_autograd_keeps(changes: dict[str, Any]) -> None:
    config = TinyTitanConfig(**{**SHAPE, **changes})
    for rows, time, supervised in ((7, 32, 8), (8, 128, 16), (4, 160, 16)):
        counted = 4 * floats_saved_for_backward(config, rows * time, rows * supervised, time)
        assert counted == pytest.approx(kept_by_autograd(config, rows, time, supervised), rel=0.15)


def test_the_optimizers_state_is_counted() -> None:
    config = TinyTitanConfig(**SHAPE)
    model = TinyTitanForCausalLM(config)
    optimizer = HybridOptimizer(model, 0.0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(0.01, 0.01)
    held = sum(tensor.numel() for name, tensor in optimizer.state().items() if not name.endswith(".step"))
    core, rest, _ = memory._count_optimizer_group_weights(config)
    assert core + rest == model.num_parameters()
    on_core, on_rest = OPTIMIZER_STATE["hybrid"]
    assert held == on_core * core + on_rest * rest


def test_more_of_anything_takes_more() -> None:
    config = TinyTitanConfig(**SHAPE)
    base = estimate_training_bytes(config, 1024)
    assert estimate_training_bytes(config, 2048) > base
    assert estimate_training_bytes(config, 1024, supervised_tokens=1024) > base
    assert estimate_training_bytes(config, 1024, teacher=True) > base
    assert estimate_training_bytes(config, 1024, optimizer="hybrid+grokfast") > base
    assert estimate_training_bytes(TinyTitanConfig(**{**SHAPE, "vocab_size": 4096}), 1024) > base
    with pytest.raises(ForgeError, match="'sgd' is not one of hybrid"):
        estimate_training_bytes(config, 1024, optimizer="sgd")


def test_what_cannot_fit_is_refused_with_a_size_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TinyTitanConfig(**SHAPE)
    assert check_training_memory(config, 1024) == estimate_training_bytes(config, 1024)
    room = estimate_training_bytes(config, 4096, supervised_tokens=4096)
    monkeypatch.setattr(memory, "available_training_bytes", lambda device: room + memory.RESERVE)
    with pytest.raises(ForgeError, match=r"batches of 20000 tokens .* set batch_tokens to (\d+)") as refused:
        check_training_memory(config, 20000, supervised_tokens=20000)
    suggested = int(str(refused.value).split("batch_tokens to ")[1].split()[0])
    assert check_training_memory(config, suggested, supervised_tokens=suggested) <= room
    monkeypatch.setattr(memory, "available_training_bytes", lambda device: memory.RESERVE)
    with pytest.raises(ForgeError, match="take a smaller scale"):
        check_training_memory(config, 1024)


def test_the_control_groups_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, root = tmp_path / "cgroup", tmp_path / "fs"
    assert training_memory_below_limits(root, own) == []

    def group(path: str, limit: str, used: int, cache: int, names: tuple[str, str]) -> None:
        folder = root / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / names[0]).write_text(f"{limit}\n")
        (folder / names[1]).write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\n")

    new, old = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")
    own.write_text("0::/a/b\n")
    group("a", "1000", 900, 50, new)
    group("a/b", "max", 10, 0, new)
    assert training_memory_below_limits(root, own) == [150]
    own.write_text("7:cpu,cpuacct:/x\n4:memory:/not/mounted/here\n")
    group("memory", "500", 100, 0, old)
    assert training_memory_below_limits(root, own) == [400]
    monkeypatch.setattr(memory, "training_memory_below_limits", lambda: [400])
    assert available_training_bytes() == 400
    monkeypatch.setattr(memory, "training_memory_below_limits", list)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=300))
    assert available_training_bytes("cpu") == 300


def test_counting_disturbs_nothing() -> None:
    config = TinyTitanConfig(**SHAPE)
    before, noise = config.to_dict(), torch.get_rng_state()
    estimate_training_bytes(config, 64)
    assert config.to_dict() == before
    assert torch.equal(torch.get_rng_state(), noise)


def test_a_phase_is_refused_before_its_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fullest batch of the plan decides."""
    data, run = random_set(), StubRun(tmp_path)
    model = tiny_model(low_heads=[2], low_ffn=[24], high_heads=[2], high_ffn=[24])
    plan = plan_curriculum_batches(data, {"text": 1.0}, 4, 60, run.seed, ((1.0, 1.0),))
    assert max_supervised_batch_tokens(data, plan) == max(
        sum(int(data.row(int(i))[1].sum()) for i in index) for index in plan
    )
    monkeypatch.setattr(memory, "available_training_bytes", lambda device: 0)
    with pytest.raises(ForgeError, match="needs about"):
        train_on_planned_batches(run, model, data, {"text": 1.0}, language_loss(), TrainSettings(4), 60)
    assert run.logged == []
