"""Structured pruning: whole heads and feed-forward units leave the matrices, so fewer bytes and fewer operations
remain."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from forge.errors import ForgeError
from forge.model.config import TinyTitanConfig
from forge.model.titan import TinyTitanForCausalLM
from forge.phases.edge.importance import Importance, refuse_edge_lora_deltas

_RATES = 4  # rows of the memory's gate per head: surprise, momentum, forgetting, output


@dataclass(frozen=True)
class PruningPlan:
    """What stays: indices, ascending, by block name (``low.0``); memory_heads is None in a model without
    memory.

    core_before and core_after count the weights of the core (every projection; not embedding, gates and
    vectors).
    """

    heads: dict[str, list[int]]
    units: dict[str, list[int]]
    memory_heads: list[int] | None
    core_before: int
    core_after: int

    @property
    def removed_share(self) -> float:
        """Share of the core's parameters that goes."""
        return 1 - self.core_after / self.core_before

    def sizes(self) -> dict[str, list[int] | int]:
        """The configuration fields of the pruned model."""
        out: dict[str, list[int] | int] = {}
        for module in ("low", "high"):
            names = [name for name in self.heads if name.startswith(f"{module}.")]
            out[f"{module}_heads"] = [len(self.heads[name]) for name in names]
            out[f"{module}_ffn"] = [len(self.units[name]) for name in names]
        if self.memory_heads is not None:
            out["memory_heads"] = len(self.memory_heads)
        return out


@dataclass(frozen=True)
class _Piece:
    """Structures that leave together: a head, or the feed-forward units that round a width down."""

    worth: float  # per parameter, relative to its group
    kind: str
    group: str
    members: tuple[int, ...]
    cost: int


def edge_core_parameters(config: TinyTitanConfig) -> int:
    """Weights of all projections that a configuration asks for."""
    c = config
    heads, widths = sum(c.low_heads) + sum(c.high_heads), sum(c.low_ffn) + sum(c.high_ffn)
    memory = c.memory_heads * c.memory_head_dim if c.memory and c.architecture == "titan" else 0
    return c.hidden_size * (4 * heads * c.head_dim + 2 * widths + 4 * memory)


def plan_pruning(importance: Importance, config: TinyTitanConfig, ratio: float, unit_multiple: int) -> PruningPlan:
    """Choose what goes, the least important per parameter first, until ``ratio`` of the core's parameters is
    gone.

    All structures of the model compete in one list. Worth is relative to the geometric mean of its layer's
    average and of its kind's average over all layers: a layer that matters less as a whole loses more, but
    halfway only, since raw Taylor sums differ between layers by orders of magnitude and would empty one.
    Every block keeps a head and ``unit_multiple`` units, the memory keeps a head. The number removed misses
    ``ratio`` by at most half of a group of units where floors allow. ForgeError when they do not, or
    ``ratio`` is outside (0, 1).
    """
    if not 0 < ratio < 1:
        raise ForgeError(f"prune: ratio {ratio} must lie between 0 and 1")
    pieces = _edge_pruning_pieces(importance, config, unit_multiple)
    core = edge_core_parameters(config)
    target = round(ratio * core)
    slack = config.hidden_size * unit_multiple  # half of what a group of units weighs
    gone: set[tuple[str, str, int]] = set()
    removed = 0
    for piece in sorted(pieces, key=lambda p: (p.worth, p.kind, p.group, p.members)):
        if removed + piece.cost <= target + slack:
            gone.update((piece.kind, piece.group, index) for index in piece.members)
            removed += piece.cost
    if removed < target - slack:
        raise ForgeError(f"prune: only {removed} of {target} core weights can go; lower prune_ratio")

    def kept(kind: str, worths: dict[str, Tensor]) -> dict[str, list[int]]:
        return {g: [i for i in range(len(w)) if (kind, g, i) not in gone] for g, w in worths.items()}

    memory = None if importance.memory is None else kept("memory", {"memory": importance.memory})["memory"]
    return PruningPlan(kept("head", importance.heads), kept("unit", importance.units), memory, core, core - removed)


def _edge_pruning_pieces(importance: Importance, config: TinyTitanConfig, unit_multiple: int) -> list[_Piece]:
    """Everything that may go. What the floors protect, the best of each layer, is not in the list."""
    d, pieces = config.hidden_size, []
    memory = {} if importance.memory is None else {"memory": importance.memory}
    kinds = (
        ("head", importance.heads, 4 * d * config.head_dim),
        ("memory", memory, 4 * d * config.memory_head_dim),
        ("unit", importance.units, 2 * d),
    )
    for kind, worths, cost in kinds:
        if not worths:
            continue
        overall = torch.cat(list(worths.values())).double().mean()
        for group, worth in worths.items():
            relative = (worth.double() / (overall * worth.double().mean()).sqrt().clamp(min=1e-30)).tolist()
            order = sorted(range(len(relative)), key=lambda i: (relative[i], i))
            for members in _edge_pruning_groups(order, unit_multiple if kind == "unit" else 1):
                mean = sum(relative[i] for i in members) / len(members)
                pieces.append(_Piece(mean, kind, group, tuple(members), cost * len(members)))
    return pieces


def _edge_pruning_groups(order: list[int], size: int) -> list[list[int]]:
    """Indices, worst first, in groups of ``size``, the last ``size`` left out; a remainder is a smaller first
    group."""
    ragged, stop = len(order) % size, len(order) - size
    groups = [order[:ragged]] if ragged and stop > 0 else []
    return groups + [order[i : i + size] for i in range(ragged, stop, size)]


def prune_heads_and_units(model: TinyTitanForCausalLM, plan: PruningPlan) -> TinyTitanForCausalLM:
    """A new model with the plan's structures only, its sizes in its configuration; ``model`` is left alone.

    Computes what ``model`` does with the removed structures' weights at zero (exactly up to rounding while
    weights are not quantized; a ternary scale is a mean over the tensor and moves with it). For this the
    columns that read the kept heads and units grow by sqrt(before / after): they read through an RMSNorm,
    which divides by the root of the *mean* square, and that mean is now taken over fewer. Everything else is
    copied. ForgeError when the plan is not for this model.
    """
    refuse_edge_lora_deltas(model)
    config = copy.deepcopy(model.config)
    if plan.heads.keys() != _edge_block_sizes(config).keys():
        raise ForgeError("prune: the plan is for a model with other blocks")
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    for name, (heads, width) in _edge_block_sizes(config).items():
        _prune_block(state, name, plan, heads * config.head_dim, width, config.head_dim)
    if plan.memory_heads is not None:
        _prune_memory(state, plan.memory_heads, config.memory_heads, config.memory_head_dim)
    for field, value in plan.sizes().items():
        setattr(config, field, value)
    if (left := edge_core_parameters(config)) != plan.core_after:
        raise ForgeError(f"prune: the plan keeps {plan.core_after} core weights, of this model {left}")
    pruned = type(model)(config)
    pruned.load_state_dict(state)
    return pruned.train(model.training)


def _edge_block_sizes(config: TinyTitanConfig) -> dict[str, tuple[int, int]]:
    """(heads, feed-forward width) by block name."""
    modules = (("low", config.low_heads, config.low_ffn), ("high", config.high_heads, config.high_ffn))
    return {f"{m}.{i}": pair for m, h, f in modules for i, pair in enumerate(zip(h, f, strict=True))}


def _edge_head_rows(heads: list[int], head_dim: int) -> Tensor:
    """Rows that belong to heads."""
    return (torch.tensor(heads)[:, None] * head_dim + torch.arange(head_dim)).flatten()


def _prune_block(
    state: dict[str, Tensor], name: str, plan: PruningPlan, channels: int, width: int, head_dim: int
) -> None:
    rows, units = _edge_head_rows(plan.heads[name], head_dim), torch.tensor(plan.units[name])
    if int(rows.max()) >= channels or int(units.max()) >= width:
        raise ForgeError(f"prune: the plan names heads or units that {name} does not have")
    for part in "qkv":
        state[f"{name}.attn.{part}.weight"] = state[f"{name}.attn.{part}.weight"][rows]
    state[f"{name}.ffn.up.weight"] = state[f"{name}.ffn.up.weight"][units]
    for key, kept, before in (
        (f"{name}.attn.o.weight", rows, channels),
        (f"{name}.ffn.down.weight", units, width),
    ):
        state[key] = state[key][:, kept] * (before / len(kept)) ** 0.5


def _prune_memory(state: dict[str, Tensor], kept: list[int], heads: int, head_dim: int) -> None:
    """Memory heads are normalized one by one, so nothing has to grow. The gate's rows are ordered rate by
    rate."""
    rows = _edge_head_rows(kept, head_dim)
    for part in "qkv":
        state[f"memory.{part}.weight"] = state[f"memory.{part}.weight"][rows]
    state["memory.o.weight"] = state["memory.o.weight"][:, rows]
    state["memory.key_shift"] = state["memory.key_shift"][rows]
    gates = (torch.arange(_RATES)[:, None] * heads + torch.tensor(kept)).flatten()
    for part in ("weight", "bias"):
        state[f"memory.gate.{part}"] = state[f"memory.gate.{part}"][gates]
