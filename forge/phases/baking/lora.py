"""Low-rank adapters on the latent weights (LoRA, arXiv 2106.09685), merged afterwards or at part strength."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from forge.model import TinyTitanForCausalLM


class LowRank(nn.Module):
    """delta = B A with A (r,in) random and B (out,r) zero: the adapted model starts as the base model."""

    def __init__(self, out_features: int, in_features: int, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(rank, in_features, generator=generator) * rank**-0.5)
        self.b = nn.Parameter(torch.zeros(out_features, rank))

    def forward(self) -> Tensor:
        return self.b @ self.a


def add_lora(model: TinyTitanForCausalLM, rank: int, seed: int) -> None:
    """Freeze the model and put an adapter on every core projection. A ternary model quantizes weight + delta
    together, so merging changes nothing."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for linear in model.core_linears().values():
        linear.delta = LowRank(linear.out_features, linear.in_features, rank, generator)


@torch.no_grad()
def merge_lora(model: TinyTitanForCausalLM, strength: float = 1.0) -> None:
    """Add ``strength`` times every delta to its weight and drop the adapters; 0.5 is a half-baked model."""
    for linear in model.core_linears().values():
        if isinstance(linear.delta, LowRank):
            linear.weight.add_(linear.delta(), alpha=strength)
            linear.delta = None
    for parameter in model.parameters():
        parameter.requires_grad_(True)
