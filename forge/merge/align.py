"""Alignment of models without a common trunk: the same function with its parts in another order.

The feed-forward units of a block and its attention heads may be reordered without a change of what a TinyTitan
computes; the channels of the residual stream may not, because the embedding of the token before is added rolled by some
channels. Two models from different starts put the same parts in different places, which is one reason why their average
is no model. Weight matching (Git Re-Basin, arXiv 2209.04836, section 3.2) reorders one model so that its weights lie as
near as possible to the other's. Permutations alone rarely bring transformers into one basin (arXiv 2506.22712): measure
with `loss_barrier`, before and after.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from forge.errors import ForgeError
from forge.merge.methods import Model, StateDict, check_mergeable, copy_model_for_merge

_BLOCK = r"(?:low|high)\.\d+"
_ROUNDS = 20  # of matching; it ends earlier where nothing moves any more


@dataclass(frozen=True)
class Axis:
    """Parts that are reordered together: ``size`` entries each along one axis of a tensor."""

    name: str
    axis: int
    size: int

    def parts(self, model: Model) -> Tensor:
        """One row a part (parts, entries)."""
        moved = model[self.name].movedim(self.axis, 0)
        return moved.reshape(moved.shape[0] // self.size, -1)

    def reorder(self, model: StateDict, order: Tensor) -> None:
        """Put part ``order[i]`` in place i."""
        tensor = model[self.name]
        places = (order[:, None] * self.size + torch.arange(self.size)).flatten()
        model[self.name] = tensor.index_select(self.axis, places)


def symmetries(model: Model, head_dim: int) -> dict[str, list[Axis]]:
    """What may be reordered: heads and feed-forward units of every block, each with all tensors that it touches.

    Raises:
        ForgeError: not the state dict of a TinyTitan, or heads that ``head_dim`` does not divide.
    """
    if "low.0.attn.q.weight" not in model:
        raise ForgeError("align: only TinyTitans can be aligned; there is no tensor 'low.0.attn.q.weight'")
    found: dict[str, list[Axis]] = {}
    for prefix in sorted({match[0] for name in model if (match := re.match(_BLOCK, name))}):
        if model[f"{prefix}.attn.q.weight"].shape[0] % head_dim:
            raise ForgeError(f"align: heads of {head_dim} do not divide '{prefix}.attn.q.weight'")
        heads = [Axis(f"{prefix}.attn.{part}.weight", 0, head_dim) for part in "qkv"]
        found[f"{prefix}.heads"] = [*heads, Axis(f"{prefix}.attn.o.weight", 1, head_dim)]
        found[f"{prefix}.units"] = [Axis(f"{prefix}.ffn.up.weight", 0, 1), Axis(f"{prefix}.ffn.down.weight", 1, 1)]
    return found


def align(model: Model, reference: Model, head_dim: int) -> StateDict:
    """Reorder ``model`` so that its weights lie as near as possible to those of ``reference``.

    Coordinate descent: for one symmetry after the other the order that maximizes the sum of inner products is found
    (Hungarian method), until nothing moves. The result computes what ``model`` computes, up to the order of additions;
    a reordered copy of ``reference`` comes back as ``reference``, bit for bit, where the descent finds the optimum.

    Args:
        model: state dict of a TinyTitan.
        reference: another one of the same shapes.
        head_dim: entries of an attention head.

    Raises:
        ForgeError: models that do not match, or that are no TinyTitans.
    """
    from scipy.optimize import linear_sum_assignment

    check_mergeable((reference, model))
    aligned = copy_model_for_merge(model)
    groups = symmetries(aligned, head_dim)
    for _ in range(_ROUNDS):
        moved = False
        for axes in groups.values():
            likeness = sum(axis.parts(reference).double() @ axis.parts(aligned).double().T for axis in axes)
            assert isinstance(likeness, Tensor)
            order = torch.from_numpy(linear_sum_assignment(likeness.numpy(), maximize=True)[1])
            if not torch.equal(order, torch.arange(len(order))):
                moved = True
                reorder_aligned_axes(aligned, axes, order)
        if not moved:
            break
    return aligned


def reorder_aligned_axes(model: StateDict, axes: list[Axis], order: Tensor) -> None:
    """Apply one order to every tensor that a symmetry touches, in place of the dict's entries."""
    for axis in axes:
        axis.reorder(model, order)
