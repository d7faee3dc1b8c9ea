"""Toy models whose best merge is known to lie between the parents, and how fit a merge of them is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from forge.config import load_params
from forge.errors import Interrupted
from forge.phases.evomerge.evolve import EvolutionResult, evolve
from forge.phases.evomerge.fitness import Fitness, Measured, combine_into_fitness
from forge.phases.evomerge.genome import Layout
from forge.phases.evomerge.params import Params
from forge.phases.evomerge.state import EvolutionState, Record

HIDDEN, WIDTH = 6, 9


def toy(seed: int, spread: float = 1.0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embed.weight": (11, HIDDEN),
        "low_init": (HIDDEN,),
        "halt.bias": (1,),
    }
    for prefix in ("low.0.", "low.1.", "high.0.", "high.1."):
        shapes |= {f"{prefix}attn.{part}.weight": (HIDDEN, HIDDEN) for part in "qkvo"}
        shapes |= {f"{prefix}ffn.up.weight": (WIDTH, HIDDEN), f"{prefix}ffn.down.weight": (HIDDEN, WIDTH)}
    return {name: spread * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


BASE = toy(0)
PARENTS = [{name: BASE[name] + delta for name, delta in toy(seed, 0.1).items()} for seed in (1, 2, 3)]
# What evolution looks for: mostly parent 1, some of parent 3, further from the base than their average.
TARGET = {n: BASE[n] + 0.9 * (PARENTS[0][n] - BASE[n]) + 0.4 * (PARENTS[2][n] - BASE[n]) for n in BASE}
LAYOUT = Layout.of(BASE, PARENTS)
REFERENCE = Measured(perplexity=3.0, accuracy=0.5, flops=1.0, bytes=1.0)


def changed(params: Params, **changes: Any) -> Params:
    """Other parameters of the search, checked as those of a run are."""
    return Params.model_validate({**params.model_dump(), **changes})


# A short search by the project's own parameters, in this process.
SHORT = changed(
    load_params(Path(__file__).resolve().parents[2] / "params.yaml").block("evomerge"),
    generations=4, population=8, search="ga", grouping="module", backend="serial",
)  # fmt: skip
WEIGHTS = SHORT.fitness


def evaluate(model: dict[str, Tensor]) -> Fitness:
    """Fitness that falls with the distance from the target; accuracy rises with how near it is."""
    error = sum(float((model[name] - TARGET[name]).square().sum()) for name in TARGET)
    size = sum(tensor.numel() for tensor in TARGET.values())
    measured = Measured(math.exp(100 * error / size), 1 / (1 + 50 * error / size), 1.0, 1.0)
    return combine_into_fitness(measured, REFERENCE, WEIGHTS)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def through_json(state: EvolutionState) -> EvolutionState:
    return EvolutionState.from_dict(json.loads(json.dumps(state.to_dict(), sort_keys=True, allow_nan=False)))


def outcome(result: EvolutionResult) -> tuple[object, ...]:
    return (
        result.champion, result.archive, result.history, result.success_rate, result.generation_zero,
        result.state.population, result.state.random,
    )  # fmt: skip


def interrupted_after(evaluations: int, params: Params) -> EvolutionState:
    """The state, as a checkpoint keeps it, of a run that was stopped after so many evaluations."""
    saved: list[EvolutionState] = []

    def interrupt(record: Record, state: EvolutionState) -> None:
        if len(state.records) == evaluations:
            saved.append(through_json(state))
            raise Interrupted(0, 1)

    with pytest.raises(Interrupted):
        evolve(BASE, PARENTS, evaluate, params, seed=5, on_evaluation=interrupt)
    return saved[0]
