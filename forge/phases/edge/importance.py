"""What each attention head, feed-forward unit and memory head is worth: the first-order Taylor estimate.

Removing a weight w changes the loss by about |w * dL/dw|; a structure's worth is the sum over its weights
(Molchanov et al. 2019, arXiv 1906.10771, equation 8; as the "element-wise, first order" rule of LLM-Pruner,
arXiv 2305.11627, section 3.2). Weights are the *latent* ones: a trit says nothing about how near to another
trit it is, its latent weight does, and the straight-through estimator brings the gradient to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor

from forge.errors import ForgeError
from forge.model.blocks import Attention, Block, CoreLinear
from forge.model.memory import NeuralMemory
from forge.model.titan import TinyTitanForCausalLM

B = TypeVar("B")


@dataclass(frozen=True)
class Importance:
    """Mean |w * gradient| per batch, summed over each structure, by block name (``low.0``, ``high.1``, ...).

    heads: (heads of the block,). units: (feed-forward width of the block,). memory: (memory heads,), or None
    in a model without memory. batches: how many were averaged.
    """

    heads: dict[str, Tensor]
    units: dict[str, Tensor]
    memory: Tensor | None
    batches: int


def edge_pruning_blocks(model: TinyTitanForCausalLM) -> dict[str, Block]:
    """The blocks of both modules by name, low ones first."""
    stacks = (("low", model.low), ("high", model.high))
    return {f"{name}.{i}": cast(Block, block) for name, stack in stacks for i, block in enumerate(stack)}


def taylor_importance(
    model: TinyTitanForCausalLM,
    batches: Iterable[B],
    loss_fn: Callable[[TinyTitanForCausalLM, B], tuple[Tensor, object]],
) -> Importance:
    """Measure every structure of the core by the gradients of ``loss_fn`` over ``batches``.

    ``loss_fn(model, batch)`` returns a scalar loss first, as those of ``forge.train`` do. The model is left
    as it was: same weights, same mode, no gradients. Gradients are taken batch by batch before |.|, because
    the mean gradient of a trained model is near zero whatever a weight is worth. Raises ForgeError without a
    batch, when a loss is not finite, or when the model carries an unmerged low-rank delta.
    """
    linears = model.core_linears()
    refuse_edge_lora_deltas(model)
    worth = {name: torch.zeros_like(linear.weight) for name, linear in linears.items()}
    parameters = [linear.weight for linear in linears.values()]
    flags = [p.requires_grad for p in parameters]
    was_training, count = model.training, 0
    model.eval()
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        with torch.enable_grad():
            for batch in batches:
                loss = loss_fn(model, batch)[0]
                if not bool(torch.isfinite(loss)):
                    raise ForgeError(f"importance: the loss of batch {count} is {float(loss)}")
                gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
                for name, parameter, gradient in zip(worth, parameters, gradients, strict=True):
                    worth[name] += (parameter.detach() * gradient).abs_()
                count += 1
    finally:
        model.train(was_training)
        for parameter, flag in zip(parameters, flags, strict=True):
            parameter.requires_grad_(flag)
    if not count:
        raise ForgeError("importance: no batch to take gradients of")
    return _edge_importance_by_structure(model, {name: total / count for name, total in worth.items()}, count)


def refuse_edge_lora_deltas(model: TinyTitanForCausalLM) -> None:
    """ForgeError when a projection still has a low-rank delta: its rows would not be cut along."""
    for name, linear in model.core_linears().items():
        if linear.delta is not None:
            raise ForgeError(f"{name} carries a low-rank delta; merge it into the weight first")


def _edge_importance_by_structure(model: TinyTitanForCausalLM, worth: dict[str, Tensor], count: int) -> Importance:
    names: dict[CoreLinear, str] = {linear: name for name, linear in model.core_linears().items()}
    heads, units = {}, {}
    for name, block in edge_pruning_blocks(model).items():
        heads[name] = _edge_head_importance(block.attn, names, worth)
        units[name] = worth[names[block.ffn.up]].sum(1) + worth[names[block.ffn.down]].sum(0)
    memory = _edge_head_importance(model.memory, names, worth) if hasattr(model, "memory") else None
    return Importance(heads, units, memory, count)


def _edge_head_importance(
    layer: Attention | NeuralMemory, names: dict[CoreLinear, str], worth: dict[str, Tensor]
) -> Tensor:
    """Rows of q, k, v and columns of o, summed per head: (heads,)."""
    rows = sum((worth[names[part]].sum(1) for part in (layer.q, layer.k, layer.v)), worth[names[layer.o]].sum(0))
    return rows.view(layer.heads, layer.head_dim).sum(1)
