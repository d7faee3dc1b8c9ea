"""Merging in the space of layers: FrankenMerge and data-flow space (DFS) on the blocks ``low.{i}.*`` and
``high.{i}.*``.

Neither changes a weight's training: they choose which trained block runs where. A block may only sit where
a block of equal shapes sat before and the depth of each module is fixed, so the result has the shapes and
parameter count of its inputs. The two modules are separate stacks with separate roles, therefore a block
never moves from one to the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from forge.errors import ForgeError
from forge.merge.methods import Model, StateDict

MODULES = ("low", "high")
# The two matrices through which a block writes to its residual stream.
OUTPUT_MATRICES = ("attn.o.weight", "ffn.down.weight")
_BLOCK = re.compile(rf"({'|'.join(MODULES)})\.(\d+)\.(.+)")


@dataclass(frozen=True)
class Junction:
    """What runs at one depth of a module.

    Attributes:
        donor: index of the model that gives the block.
        block: index of the block inside the donor's module.
        scale: factor on the block's input (see `merge_input_scale_gains`); 1 leaves it alone.
    """

    donor: int
    block: int
    scale: float = 1.0


def count_merge_blocks(model: Model, module: str) -> int:
    """Number of blocks of a module; raises `ForgeError` if they are not numbered 0, 1, 2, ..."""
    found = {int(match[2]) for name in model if (match := _BLOCK.fullmatch(name)) and match[1] == module}
    if found != set(range(len(found))):
        raise ForgeError(f"merge: the blocks of '{module}' are numbered {sorted(found)}")
    return len(found)


def interchangeable_merge_blocks(model: Model, module: str) -> tuple[tuple[int, ...], ...]:
    """For each depth of a module the indices of the blocks that have the names and shapes needed there."""
    shapes = [
        tuple(sorted((name, tuple(tensor.shape)) for name, tensor in _block_to_merge(model, module, index).items()))
        for index in range(count_merge_blocks(model, module))
    ]
    return tuple(tuple(i for i, shape in enumerate(shapes) if shape == wanted) for wanted in shapes)


def frankenmerge(models: Sequence[Model], picks: Mapping[str, Sequence[int]], rest: int = 0) -> StateDict:
    """Stack blocks of several models: layer re-indexing, as mergekit's ``slices`` with ``passthrough``.

    Args:
        models: state dicts of equal names and shapes.
        picks: for each module the index of the model that gives the block at each depth; the block keeps
            its depth.
        rest: index of the model that gives all tensors outside the blocks.

    Raises:
        ForgeError: a pick is out of range or their number is not the module's depth.
    """
    paths = {module: [Junction(donor, depth) for depth, donor in enumerate(donors)] for module, donors in picks.items()}
    return merge_by_dataflow(models, paths, rest)


def merge_by_dataflow(models: Sequence[Model], paths: Mapping[str, Sequence[Junction]], rest: int = 0) -> StateDict:
    """DFS: run trained blocks in any order, with a scaling at every junction (arXiv 2403.13187, section 3.2).

    The scalings are folded into weights (`merge_input_scale_gains`), so the result is an ordinary model.

    Args:
        models: state dicts of equal names and shapes.
        paths: for each module one junction a depth; a module that is not named keeps the blocks of ``rest``.
        rest: index of the model that gives all tensors outside the blocks.

    Raises:
        ForgeError: an index out of range, a path that is not as long as the module is deep, a block whose
            shapes do not fit the depth, or a scale that is not positive.
    """
    result = {name: tensor.detach().clone() for name, tensor in _model_to_merge(models, rest, "model").items()}
    for module, path in paths.items():
        if module not in MODULES:
            raise ForgeError(f"merge: '{module}' is not a module ({', '.join(MODULES)})")
        depth = count_merge_blocks(result, module)
        if len(path) != depth:
            raise ForgeError(f"merge: the path of '{module}' has {len(path)} blocks, the module has {depth}")
        gains = merge_input_scale_gains([junction.scale for junction in path])
        for position, (junction, gain) in enumerate(zip(path, gains, strict=True)):
            donor = _model_to_merge(models, junction.donor, "model")
            _place_merged_block(result, f"{module}.{position}.", _block_to_merge(donor, module, junction.block), gain)
    return result


def merge_input_scale_gains(scales: Sequence[float]) -> list[float]:
    """Gains on the blocks' outputs that equal the given scalings of the blocks' inputs.

    Multiplying the residual stream by w before a block has no effect inside it, because every projection
    reads the stream through a parameter-free RMSNorm; what changes is how much the block's own contribution
    weighs against the stream. So a stack with input scalings w_0, w_1, ... computes, up to the overall
    factor prod(w) of its output, what the stack computes whose block p adds its contribution times
    1 / (w_0 * ... * w_p). A contribution leaves through ``attn.o.weight`` and ``ffn.down.weight`` alone and
    is linear in them, so scaling these two is exact. The overall factor is dropped: TinyTitan
    normalizes the output of each module. (What a memory adds beside the attention is not scaled.)

    Raises:
        ForgeError: a scale that is not positive: zero would erase the stream, a sign would only flip it.
    """
    gains, product = [], 1.0
    for scale in scales:
        if not scale > 0.0:
            raise ForgeError(f"merge: the scale {scale} of a junction is not positive")
        product *= scale
        gains.append(1.0 / product)
    return gains


def _place_merged_block(result: StateDict, prefix: str, block: Mapping[str, Tensor], gain: float) -> None:
    """Copy a block's tensors into ``result`` under ``prefix``, its output matrices times ``gain``."""
    wanted = {name.removeprefix(prefix): tensor.shape for name, tensor in result.items() if name.startswith(prefix)}
    if wanted != {name: tensor.shape for name, tensor in block.items()}:
        raise ForgeError(f"merge: a block of other shapes cannot take the place '{prefix.rstrip('.')}'")
    if gain != 1.0 and not block.keys() & set(OUTPUT_MATRICES):
        raise ForgeError(f"merge: '{prefix.rstrip('.')}' has no {' or '.join(OUTPUT_MATRICES)} to scale")
    for name, tensor in block.items():
        scaled = gain != 1.0 and name in OUTPUT_MATRICES
        result[prefix + name] = tensor.detach() * gain if scaled else tensor.detach().clone()


def _block_to_merge(model: Model, module: str, index: int) -> dict[str, Tensor]:
    """Tensors of one block by their names inside it; `ForgeError` if the module has no such block."""
    prefix = f"{module}.{index}."
    block = {name.removeprefix(prefix): tensor for name, tensor in model.items() if name.startswith(prefix)}
    if not block:
        raise ForgeError(f"merge: there is no block '{prefix.rstrip('.')}'")
    return block


def _model_to_merge(models: Sequence[Model], index: int, what: str) -> Model:
    if not 0 <= index < len(models):
        raise ForgeError(f"merge: {what} {index} asked for, {len(models)} given")
    return models[index]
