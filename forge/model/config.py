"""Shape and switches of a TinyTitan. Every dimension is explicit: a pruned model reloads from its config."""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig

from forge.errors import ForgeError

WEIGHT_QUANT = ("none", "ternary", "frozen")


class TinyTitanConfig(PretrainedConfig):
    """Configuration of :class:`forge.model.titan.TinyTitanForCausalLM`.

    ``low_*`` describes the fast module L, ``high_*`` the slow module H (HRM, arXiv 2506.21734, section 2);
    lists hold one entry per block. ``max_steps`` counts recurrence steps, ``window`` and ``memory_*`` are in
    tokens. With ``architecture="plain"`` the same blocks form an ordinary decoder stack: the baseline.
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
        self.low_heads = [4, 4] if low_heads is None else list(low_heads)
        self.high_heads = [4, 4] if high_heads is None else list(high_heads)
        self.low_ffn = [128, 128] if low_ffn is None else list(low_ffn)
        self.high_ffn = [128, 128] if high_ffn is None else list(high_ffn)
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
        kwargs.setdefault("tie_word_embeddings", True)
        super().__init__(**kwargs)
        self._check()

    def _check(self) -> None:
        if self.architecture not in ("titan", "plain"):
            raise ForgeError(f"architecture: '{self.architecture}' is neither 'titan' nor 'plain'")
        if self.weight_quant not in WEIGHT_QUANT:
            raise ForgeError(f"weight_quant: '{self.weight_quant}' is not one of {', '.join(WEIGHT_QUANT)}")
        if self.head_dim % 2:
            raise ForgeError(f"head_dim: {self.head_dim} must be even (rotary embedding)")
        for heads, ffn, name in (
            (self.low_heads, self.low_ffn, "low"),
            (self.high_heads, self.high_ffn, "high"),
        ):
            if len(heads) != len(ffn) or not heads:
                raise ForgeError(f"{name}_heads and {name}_ffn must have the same number of blocks, at least one")
        if self.max_steps < 1:
            raise ForgeError(f"max_steps: {self.max_steps} must be at least 1")
