"""Shape and switches of a TinyTitan. Every dimension is explicit: a pruned model reloads from its config.

A configuration may come from a stranger's file. Every key is known and every value bounded here, before anything is
made of it; bounds that `params.yaml` has as well are the same.
"""

from __future__ import annotations

import math
import os
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from transformers import PretrainedConfig

from forge.errors import ForgeError

WEIGHT_QUANT = ("none", "ternary", "frozen")
MAX_BLOCKS = 64

# Lowest and highest whole number of each size.
_SIZES: dict[str, tuple[int, int]] = {
    "vocab_size": (1, 65536),
    "hidden_size": (1, 8192),
    "head_dim": (2, 256),
    "max_steps": (1, 64),
    "window": (1, 2**20),
    "memory_heads": (1, 512),
    "memory_head_dim": (1, 256),
    "memory_chunk": (1, 4096),
    "memory_capacity": (1, 2**30),
}
_BLOCK_SIZES = {"heads": 512, "ffn": 65536}
_RATES: dict[str, tuple[float, float]] = {"halt_threshold": (0.0, 1.0), "rope_theta": (1.0, 1e9)}
_CHOICES: dict[str, tuple[Any, ...]] = {
    "architecture": ("titan", "plain"),
    "weight_quant": WEIGHT_QUANT,
    "act_bits": (0, 8),
    "embed_bits": (0, 2, 3, 4, 8),
    "token_shift": (False, True),
    "memory": (False, True),
    "halting": (False, True),
}
# What transformers adds of its own: values that do not change what this model computes, or make nothing.
_DTYPES = ("float32", "float64", "float16", "bfloat16")
_FOREIGN_CHOICES: dict[str, tuple[Any, ...]] = {
    "model_type": ("tinytitan",),
    "tie_word_embeddings": (True,),
    "is_encoder_decoder": (False,),
    "chunk_size_feed_forward": (0,),
    "problem_type": (None,),
    "return_dict": (None, False, True),
    "output_hidden_states": (None, False, True),
    "output_attentions": (None, False),
    "use_cache": (None, False, True),
    "attn_implementation": (None, "eager", "sdpa"),
    "experts_implementation": (None,),
}
_FOREIGN_TEXTS = ("_name_or_path", "name_or_path", "transformers_version")
_FOREIGN_TABLES = {"architectures": list, "auto_map": dict, "id2label": dict, "label2id": dict}
_MAX_TABLE = 64  # entries


class TinyTitanConfig(PretrainedConfig):
    """Configuration of :class:`forge.model.titan.TinyTitanForCausalLM`.

    ``low_*`` describes the fast module L, ``high_*`` the slow module H (HRM, arXiv 2506.21734, section 2);
    lists hold one entry per block. ``max_steps`` counts recurrence steps, ``window`` and ``memory_*`` are in
    tokens. With ``architecture="plain"`` the same blocks form an ordinary decoder stack: the baseline.
    ForgeError for a key that is neither one of these nor one that transformers writes, and for a value out of bounds.
    """

    model_type = "tinytitan"

    def __init__(
        self,
        vocab_size: int = 512,
        hidden_size: int = 64,
        head_dim: int = 16,
        low_heads: list[int] | None = None,
        high_heads: list[int] | None = None,
        low_ffn: list[int] | None = None,
        high_ffn: list[int] | None = None,
        max_steps: int = 2,
        window: int = 256,
        token_shift: bool = True,
        memory: bool = True,
        memory_heads: int = 2,
        memory_head_dim: int = 16,
        memory_chunk: int = 16,
        memory_capacity: int = 64,
        halting: bool = True,
        halt_threshold: float = 0.97,
        weight_quant: str = "none",
        act_bits: int = 0,
        embed_bits: int = 0,
        architecture: str = "titan",
        rope_theta: float = 10000.0,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.head_dim = head_dim
        self.low_heads = _block_list("low_heads", [4, 4] if low_heads is None else low_heads)
        self.high_heads = _block_list("high_heads", [4, 4] if high_heads is None else high_heads)
        self.low_ffn = _block_list("low_ffn", [128, 128] if low_ffn is None else low_ffn)
        self.high_ffn = _block_list("high_ffn", [128, 128] if high_ffn is None else high_ffn)
        self.max_steps = max_steps
        self.window = window
        self.token_shift = token_shift
        self.memory = memory
        self.memory_heads = memory_heads
        self.memory_head_dim = memory_head_dim
        self.memory_chunk = memory_chunk
        self.memory_capacity = memory_capacity
        self.halting = halting
        self.halt_threshold = halt_threshold
        self.weight_quant = weight_quant
        self.act_bits = act_bits
        self.embed_bits = embed_bits
        self.architecture = architecture
        self.rope_theta = rope_theta
        self._check()
        # transformers hands on the path that a caller gave it.
        kwargs = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in kwargs.items()}
        _check_foreign_keys(kwargs, vocab_size)
        kwargs.setdefault("tie_word_embeddings", True)
        try:
            super().__init__(**kwargs)
        except (StrictDataclassError, TypeError, ValueError, AttributeError) as error:
            raise ForgeError(f"configuration: {str(error).splitlines()[0]}") from error

    def _check(self) -> None:
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        for name, (low, high) in _SIZES.items():
            _check_size(name, getattr(self, name), low, high)
        for name, (least, most) in _RATES.items():
            value = getattr(self, name)
            if type(value) not in (int, float) or not (math.isfinite(value) and least <= value <= most):
                raise ForgeError(f"{name}: {_shown(value)} is not a number from {least:g} to {most:g}")
        if self.head_dim % 2:
            raise ForgeError(f"head_dim: {self.head_dim} must be even (rotary embedding)")
        for heads, ffn, name in (
            (self.low_heads, self.low_ffn, "low"),
            (self.high_heads, self.high_ffn, "high"),
        ):
            if len(heads) != len(ffn) or not heads:
                raise ForgeError(f"{name}_heads and {name}_ffn must have the same number of blocks, at least one")


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | float | bool | None) else str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _block_list(name: str, value: object) -> list[int]:
    if not isinstance(value, list | tuple) or len(value) > MAX_BLOCKS:
        raise ForgeError(f"{name}: not a list of at most {MAX_BLOCKS} numbers, one per block")
    for entry in value:
        _check_size(name, entry, 1, _BLOCK_SIZES[name.rpartition("_")[2]])
    return list(value)


def _check_size(name: str, value: object, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ForgeError(f"{name}: {_shown(value)} is not a whole number from {low} to {high}")


def _check_choice(name: str, value: object, choices: tuple[Any, ...]) -> None:
    # The type as well: 1 is equal to True, and 1.0 to 1.
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ForgeError(f"{name}: {_shown(value)} is not one of {', '.join(map(str, choices))}")


def _check_foreign_keys(given: dict[str, Any], vocab_size: int) -> None:
    """Refuse what neither this class nor transformers writes, and what would make transformers allocate."""
    for name, value in given.items():
        if name in _FOREIGN_CHOICES:
            _check_choice(name, value, _FOREIGN_CHOICES[name])
        elif name in ("dtype", "torch_dtype"):
            if value is not None and str(value).removeprefix("torch.") not in _DTYPES:
                raise ForgeError(f"{name}: {_shown(value)} is not one of {', '.join(_DTYPES)}")
        elif name in ("pad_token_id", "bos_token_id", "eos_token_id"):
            if value is not None:
                _check_size(name, value, 0, vocab_size - 1)
        elif name == "num_labels":
            _check_size(name, value, 1, _MAX_TABLE)
        elif name in _FOREIGN_TEXTS:
            if value is not None and not isinstance(value, str):
                raise ForgeError(f"{name}: {_shown(value)} is not a text")
        elif name in _FOREIGN_TABLES:
            kind = _FOREIGN_TABLES[name]
            if value is not None and (not isinstance(value, kind) or len(value) > _MAX_TABLE):
                raise ForgeError(f"{name}: not a {kind.__name__} of at most {_MAX_TABLE} entries")
            entries: list[Any] = list(value or [])
            if name == "architectures" and not all(isinstance(entry, str) for entry in entries):
                raise ForgeError(f"{name}: not a list of texts")
        else:
            raise ForgeError(f"{_shown(name)} is no key of the configuration of a TinyTitan")
