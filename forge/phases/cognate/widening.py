"""A trunk that begins with narrow feed-forward networks is widened once: Net2WiderNet (Chen et al., arXiv 1511.05641,
section 2.2.2). Most parameters of a large model are in these networks, and the first steps do not need them all."""

from __future__ import annotations

import torch
from torch import Tensor

from forge.model import TinyTitanForCausalLM
from forge.model.blocks import Block

SPREAD = 0.5  # of a copy's share of its unit's output, against an equal share: what is equal would stay equal


def widen_cognate_feed_forward(narrow: TinyTitanForCausalLM, wide: TinyTitanForCausalLM, seed: int) -> None:
    """Give ``wide`` the weights of ``narrow``; it computes the same then.

    Each unit of a feed-forward network becomes as many copies as the widths differ by. Their outputs add up to the
    unit's: the norm between the two projections divides by the width, so that it sees no difference.

    Args:
        wide: of the same shape, but for feed-forward widths that are whole multiples of those of ``narrow``.
    """
    generator = torch.Generator().manual_seed(seed)
    state = narrow.state_dict()
    for name, block in wide.named_modules():
        if isinstance(block, Block):
            up, down = f"{name}.ffn.up.weight", f"{name}.ffn.down.weight"
            copies = block.ffn.up.out_features // state[up].shape[0]
            state[up] = state[up].repeat_interleave(copies, 0)  # side by side: RegMean looks at neighbors together
            state[down] = _shared_out(state[down], copies, generator)
    wide.load_state_dict(state)


def _shared_out(down: Tensor, copies: int, generator: torch.Generator) -> Tensor:
    """(d, w) -> (d, w * copies): the columns of a unit's copies, side by side, add up to its own."""
    drawn = torch.randn(down.shape[1], copies, generator=generator)
    shares = (1.0 + SPREAD * (drawn - drawn.mean(1, keepdim=True))) / copies
    return (down[:, :, None] * shares).flatten(1)
