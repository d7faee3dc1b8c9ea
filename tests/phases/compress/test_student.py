"""The shape of a student: counted before it is trained, as large as the budget allows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from forge.agentfile.model import save_agent_file
from forge.data.views import dataset_without_prompts
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.phases.compress.student import (
    StudentShape,
    choose_compression_student_shape,
    compression_budget,
    count_compression_student_bytes,
    count_compression_table_bytes,
    distill_compression_student,
)
from tests.support.stub_run import StubRun, conversations, smoke_params
from tests.support.tiny_models import tiny_model, tiny_tokenizer


def params(**changes: Any) -> Any:
    return SimpleNamespace(**smoke_params("compress", **changes))


TEACHER = TinyTitanConfig(
    vocab_size=4096,
    hidden_size=512,
    head_dim=64,
    low_heads=[8, 8],
    high_heads=[8, 8],
    low_ffn=[4608, 4608],
    high_ffn=[4608, 4608],
    memory_heads=4,
    memory_head_dim=32,
    weight_quant="ternary",
    act_bits=8,
)


def chosen(budget: int, **changes: Any) -> StudentShape:
    shape = choose_compression_student_shape(TEACHER, params(**{"vocab_size": 1400, **changes}), budget)
    assert shape is not None
    return shape


@pytest.mark.parametrize("budget", [24_000, 40_000, 100_000, 356_515, 2_000_000])
def test_a_budget_is_filled_and_not_passed(budget: int) -> None:
    shape = chosen(budget)
    assert 0.95 * budget <= shape.bytes <= budget
    assert shape.bytes == count_compression_student_bytes(shape.config, params())
    assert shape.config.weight_quant == "ternary"
    assert shape.config.act_bits == TEACHER.act_bits


def test_a_larger_budget_never_holds_less() -> None:
    shapes = [chosen(budget) for budget in range(30_000, 600_000, 30_000)]
    sizes = [TinyTitanForCausalLM(shape.config).num_parameters() for shape in shapes]
    assert sizes == sorted(sizes)
    assert all(
        count_compression_table_bytes(s.config, params()) <= params().student_table_share * s.bytes * 1.05
        for s in shapes
    )


def test_what_fits_as_it_is_needs_no_student() -> None:
    whole = count_compression_student_bytes(TinyTitanConfig(**{**TEACHER.to_dict(), "vocab_size": 1400}), params())
    assert choose_compression_student_shape(TEACHER, params(vocab_size=1400), whole) is None
    assert choose_compression_student_shape(TEACHER, params(vocab_size=1400), whole - 1) is not None


def test_a_student_is_taught_or_learns_alone(tmp_path: Path) -> None:
    """Without a teacher the same rows give other weights, and any teacher gives the same."""
    run = StubRun(tmp_path, **smoke_params("compress", student_steps=2, student_lr=0.02))
    data = dataset_without_prompts(tiny_tokenizer(), conversations())
    shape = StudentShape(len(tiny_tokenizer()), tiny_model(vocab_size=len(tiny_tokenizer())).config, 0)

    def trained(seed: int, taught: bool) -> torch.Tensor:
        teacher = tiny_model(seed, vocab_size=len(tiny_tokenizer()))
        run.checkpoint_dir = tmp_path / f"{seed}-{taught}"
        made = distill_compression_student(run, teacher, data, replace(shape, taught=taught))
        assert not made.training
        return made.embed.weight

    assert torch.equal(trained(0, False), trained(1, False))
    assert not torch.equal(trained(0, True), trained(1, True))
    assert not torch.equal(trained(0, True), trained(0, False))


def test_a_budget_that_holds_nothing_gets_the_smallest_shape() -> None:
    shape = chosen(10)
    assert (shape.config.hidden_size, shape.config.low_ffn) == (32, [128, 128])


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_file_has_the_bytes_that_were_counted(tmp_path: Path, bits: int) -> None:
    """Untrained weights are as hard to code as any."""
    tokenizer = tiny_tokenizer()
    p = params(vocab_size=len(tokenizer), embed_bits=bits)
    shape = choose_compression_student_shape(TEACHER, p, 90_000)
    assert shape is not None
    torch.manual_seed(0)
    model = TinyTitanForCausalLM(TinyTitanConfig(**{**shape.config.to_dict(), "vocab_size": len(tokenizer)}))
    size = sum(save_agent_file(tmp_path / "x", model, tokenizer, embed_bits=bits).values())
    counted = count_compression_student_bytes(model.config, p)
    assert 0.9 * counted <= size <= counted


def test_a_budget_in_mib_is_stronger_than_a_ratio() -> None:
    assert compression_budget(params(), 10**6) is None
    assert compression_budget(params(times_smaller=280.0), 100_000_000) == 357_142
    assert compression_budget(params(times_smaller=280.0, budget_mb=0.34), 100_000_000) == 356_515
