"""RegMean: the merge of linear layers that is nearest, in outputs, to all models at once (arXiv 2212.09849).

An average treats every direction of a layer's input alike, though each model was trained on inputs that lie in some
directions far more than in others. RegMean solves a least squares problem instead: the merged layer should give on each
model's inputs what that model's layer gives. It needs data, a few batches of it, for the second moments of the inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forge.data.dataset import EncodedSet
from forge.errors import ForgeError
from forge.merge.methods import Model, StateDict, check_mergeable, merge_linear
from forge.model.titan import TinyTitanForCausalLM
from forge.train.batches import gather_batch

OFF_DIAGONAL = 0.9  # alpha of the paper's section 3.3
_RIDGE = 1e-4  # of the mean of the diagonal: units that never fired have no moments, there the average holds
_ROWS = 64
# Inputs that are solved for at once. More of them, the units of a wide feed-forward network, are solved for in equal
# blocks, as if no two blocks had anything in common: what a solution costs grows with the cube of the inputs.
MOST_INPUTS = 768

Grams = Mapping[str, Tensor]


@torch.no_grad()
def layer_input_grams(model: TinyTitanForCausalLM, data: EncodedSet) -> dict[str, Tensor]:
    """Second moments x x^T / n (blocks, in, in), float64, of the inputs of every core layer, by the name of its weight;
    one block where a layer has at most `MOST_INPUTS`.

    Inputs are those of all tokens of ``data``; where the model works on supervised tokens alone (its last block, the
    second recurrence step), those of these.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    inside = torch.empty(0)

    def add(name: str, x: Tensor) -> None:
        flat = (x[inside] if x.dim() == 3 else x).double()  # side by side where only some places are looked at
        blocks = flat.unflatten(-1, (regmean_input_blocks(flat.shape[-1]), -1)).transpose(0, 1)
        moments = blocks.transpose(1, 2) @ blocks
        sums[name] = sums[name].add_(moments) if name in sums else moments
        counts[name] = counts.get(name, 0) + len(flat)

    def hook(name: str) -> Any:
        def before(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            add(f"{name}.weight", given[0])

        return before

    table, order = model.eval().embedding_weight(), np.argsort(data.lengths, kind="stable")
    with ExitStack() as hooks:
        for name, linear in model.core_linears().items():
            hooks.callback(linear.register_forward_pre_hook(hook(name)).remove)
        for start in range(0, len(order), _ROWS):
            index = order[start : start + _ROWS]
            batch = gather_batch(data, index)
            inside = torch.arange(batch.ids.shape[1]) < torch.from_numpy(data.lengths[index])[:, None]
            trace = model.prefill(batch.ids, table, select=batch.select, valid=batch.valid)
            if model.steps > 1:
                model.recurrence_step(trace)
    return {name: total / counts[name] for name, total in sums.items()}


def regmean_input_blocks(inputs: int) -> int:
    """The fewest equal blocks of at most `MOST_INPUTS` each; of a prime number beyond that each input by itself."""
    return next(blocks for blocks in range(1, inputs + 1) if inputs % blocks == 0 and inputs // blocks <= MOST_INPUTS)


def regmean(
    models: Sequence[Model],
    grams: Sequence[Grams],
    weights: Sequence[float],
    off_diagonal: float = OFF_DIAGONAL,
) -> StateDict:
    """RegMean, arXiv 2212.09849, section 3: W = (sum_i w_i G_i)^-1 sum_i w_i G_i W_i for weights as (in, out).

    Args:
        models: state dicts of equal names and shapes.
        grams: one per model, (blocks, in, in) by tensor name; see `layer_input_grams`. Without one: the average.
        weights: one per model, at least 0 and not all 0; they multiply its Gram matrices (the paper has equal ones).
        off_diagonal: factor on the entries off the diagonals; 0 weighs each input by itself, 1 is plain least squares.

    Raises:
        ForgeError: models do not match, numbers of models, Gram matrices and weights differ, or a negative weight.
    """
    check_mergeable(models)
    if not len(models) == len(grams) == len(weights):
        raise ForgeError(f"merge: {len(models)} models, {len(grams)} sets of Gram matrices, {len(weights)} weights")
    if min(weights) < 0.0:
        raise ForgeError("merge: RegMean needs weights of at least zero")
    merged = merge_linear(models, weights)
    used = [(model, gram, w) for model, gram, w in zip(models, grams, weights, strict=True) if w > 0.0]
    if len(used) == 1:
        return merged
    for name in merged.keys() & used[0][1].keys():
        kept = [(_shrunk(gram[name], off_diagonal) * w, _by_block(model[name], gram[name])) for model, gram, w in used]
        moments = torch.stack([gram for gram, _ in kept]).sum(0)
        outputs = torch.stack([gram @ weight for gram, weight in kept]).sum(0)
        solved = torch.linalg.solve(moments, outputs).flatten(0, 1)
        merged[name] = solved.T.to(merged[name].dtype).contiguous()
    return merged


def _by_block(weight: Tensor, gram: Tensor) -> Tensor:
    """(out, blocks * in) -> (blocks, in, out)."""
    return weight.detach().double().T.unflatten(0, gram.shape[:2])


def _shrunk(gram: Tensor, off_diagonal: float) -> Tensor:
    gram = gram.double()
    diagonal = torch.diag_embed(gram.diagonal(dim1=1, dim2=2))
    ridge = _RIDGE * float(gram.diagonal(dim1=1, dim2=2).mean())
    return off_diagonal * gram + (1.0 - off_diagonal) * diagonal + ridge * torch.eye(gram.shape[-1], dtype=gram.dtype)
