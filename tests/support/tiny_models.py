"""Tiny models whose every part is active, and a tokenizer, for the tests of model, data and train."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from forge.data.tokenizer import save_tokenizer, train_tokenizer
from forge.model import TinyTitanConfig, TinyTitanForCausalLM, save_model

PHRASES = ("Give only the result.", "Tell me please what is ")
# A window shorter than the sequences, chunks that do not divide them, two blocks a module.
SHAPE: dict[str, Any] = {
    "vocab_size": 48,
    "hidden_size": 24,
    "head_dim": 8,
    "low_heads": [2, 3],
    "high_heads": [3, 1],
    "low_ffn": [40, 24],
    "high_ffn": [24, 40],
    "max_steps": 3,
    "halt_threshold": 0.5,
    "window": 256,
    "memory_heads": 2,
    "memory_head_dim": 6,
    "memory_chunk": 5,
    "memory_capacity": 12,
}


def tiny_model(seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any) -> TinyTitanForCausalLM:
    """A model of SHAPE with ``changes``, in evaluation mode. Fresh models barely use their blocks (outputs
    start near zero), so every parameter is drawn anew, large enough that an error anywhere shows in the
    logits."""
    model = TinyTitanForCausalLM(TinyTitanConfig(**{**SHAPE, **changes})).to(dtype).eval()
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            fan_in = parameter.shape[-1] if parameter.dim() > 1 else 4
            noise = torch.randn(parameter.shape, generator=random, dtype=torch.float64) * fan_in**-0.5
            parameter.copy_(noise)
    return model


def tokens(rows: int, length: int, seed: int = 1, vocab: int = 48, lowest: int = 14) -> torch.Tensor:
    """Random ids (rows, length), role tokens left out."""
    return torch.randint(lowest, vocab, (rows, length), generator=torch.Generator().manual_seed(seed))


@lru_cache(maxsize=1)
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of 320 tokens with two phrases."""
    texts = [
        "What is 12 + 30? Give only the result.",
        "the cat sat on the mat",
        "calculator 3*4",
        "hello world",
    ]
    return train_tokenizer(texts * 20, 320, PHRASES)


def publish_tiny_model(folder: Path) -> Path:
    """A model directory as a stage publishes it, tokenizer included; the window is shorter than what is read."""
    save_model(tiny_model(vocab_size=len(tiny_tokenizer()), window=12), folder)
    save_tokenizer(tiny_tokenizer(), folder)
    return folder
