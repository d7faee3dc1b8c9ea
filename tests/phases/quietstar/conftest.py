"""A tokenizer, rows and a small model that thinks about them."""

from __future__ import annotations

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from forge.data.dataset import EncodedSet
from forge.data.tasks import draw_problems
from forge.data.tokenizer import train_tokenizer
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.phases.quietstar.problems import Problem, quietstar_problems
from tests.support.toy_thoughts import FAMILIES, encoded


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    items = [item for name in FAMILIES for item in draw_problems(name, 0, 40, "train")]
    return train_tokenizer([item.prompt + item.answer for item in items], 320, [])


@pytest.fixture(scope="session")
def data(tokenizer: PreTrainedTokenizerFast) -> EncodedSet:
    return encoded(tokenizer, "train", 20)


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> TinyTitanForCausalLM:
    torch.manual_seed(0)
    config = TinyTitanConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        head_dim=16,
        low_heads=[2],
        high_heads=[2],
        low_ffn=[32],
        high_ffn=[32],
        memory_head_dim=8,
        memory_chunk=16,
    )
    return TinyTitanForCausalLM(config).eval()


@pytest.fixture(autouse=True)
def two_families(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forge.phases.quietstar.problems.suite_tasks", lambda: list(FAMILIES))


@pytest.fixture
def problems(tokenizer: PreTrainedTokenizerFast, two_families: None) -> list[Problem]:
    return quietstar_problems(tokenizer, 3, 7, "test")
