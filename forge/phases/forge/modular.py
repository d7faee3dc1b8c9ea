"""Grokfast against matched controls on modular addition, the task on which grokking was found (Power et al., arXiv
2201.02177; the filter: Lee et al., arXiv 2405.20233).

A small network learns a + b mod p from part of all pairs. It memorizes those soon and generalizes later; how many
steps later is what the filter is said to shorten. As in the paper's code the optimizer is Adam with coupled weight
decay; unlike there, the control has the same decay. Two more controls ask whether a higher rate or a strong decay
does as much.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from forge.train.optim import Grokfast

TARGET = 0.95  # validation accuracy
EVERY = 10  # steps between measurements


@dataclass(frozen=True)
class Arm:
    """One way to train: Adam with ``decay`` coupled into the gradient, or AdamW; ``lam`` 0 leaves the filter out."""

    name: str
    lr: float = 1e-3
    decay: float = 0.005
    decoupled: bool = False
    lam: float = 0.0


GROKFAST = Arm("Grokfast", lam=2.0)
CONTROLS = (
    Arm("the same without the filter"),
    Arm("without the filter, learning rate x 3", lr=3e-3),
    Arm("AdamW with decay 1, learning rate x 3", lr=3e-3, decay=1.0, decoupled=True),
)


@dataclass(frozen=True)
class ModularTask:
    """a + b mod ``prime``; ``share`` of the pairs is trained on, the rest is validation. ``width`` of the embeddings,
    ``hidden`` of the one hidden layer."""

    prime: int = 31
    share: float = 0.6
    width: int = 32
    hidden: int = 128
    alpha: float = 0.98


@dataclass(frozen=True)
class Reached:
    """``steps`` to the target, or the cap where it was not reached (``censored``)."""

    steps: int
    censored: bool


def steps_to_target(
    task: ModularTask, arm: Arm, *, cap: int, seed: int, stop: Callable[[], None] = lambda: None
) -> Reached:
    """Train from ``seed``'s start and split until validation accuracy is 95 %, full batches, at most ``cap`` steps.

    ``stop`` is called every few steps and may raise to end the measurement.
    """
    draw = torch.Generator().manual_seed(seed)
    a, b = (x.flatten() for x in torch.meshgrid(*[torch.arange(task.prime)] * 2, indexing="ij"))
    answers = (a + b) % task.prime
    order = torch.randperm(len(a), generator=draw)
    cut = round(task.share * len(a))
    train, val = order[:cut], order[cut:]
    weights = _initial_grokking_weights(task, draw)
    make = torch.optim.AdamW if arm.decoupled else torch.optim.Adam
    optimizer = make(weights.values(), lr=arm.lr, betas=(0.9, 0.98), weight_decay=arm.decay)
    grokfast = Grokfast(task.alpha, arm.lam) if arm.lam else None

    def logits(rows: Tensor) -> Tensor:
        pair = torch.cat((weights["embed"][a[rows]], weights["embed"][b[rows]]), dim=1)
        return F.linear(F.relu(F.linear(pair, weights["inner"], weights["bias"])), weights["outer"])

    for step in range(1, cap + 1):
        for group in optimizer.param_groups:
            group["lr"] = arm.lr * min(1.0, step / 10)
        torch.autograd.backward(F.cross_entropy(logits(train), answers[train]))
        if grokfast is not None:
            grokfast(weights)
        optimizer.step()
        optimizer.zero_grad()
        if step % EVERY == 0 or step == cap:
            stop()
            with torch.no_grad():
                accuracy = float((logits(val).argmax(1) == answers[val]).float().mean())
            if accuracy >= TARGET:
                return Reached(step, False)
    return Reached(cap, True)


def _initial_grokking_weights(task: ModularTask, draw: torch.Generator) -> dict[str, Tensor]:
    """Random weights that train: each entry's spread is the inverse root of what it sums over."""
    shapes = {
        "embed": (task.prime, task.width),
        "inner": (task.hidden, 2 * task.width),
        "outer": (task.prime, task.hidden),
    }
    made = {name: torch.randn(shape, generator=draw) * shape[1] ** -0.5 for name, shape in shapes.items()}
    made["inner"] *= 2**0.5
    made["bias"] = torch.zeros(task.hidden)
    return {name: tensor.requires_grad_() for name, tensor in made.items()}


@dataclass(frozen=True)
class Comparison:
    """Steps by arm, a run for each seed; the first control is the matched one."""

    cap: int
    runs: dict[str, list[Reached]]

    def steps(self, arm: Arm) -> list[float]:
        """Steps of each seed."""
        return [float(run.steps) for run in self.runs[arm.name]]

    def median(self, arm: Arm) -> float:
        """Median over seeds; runs that were cut off count as the cap."""
        return statistics.median(self.steps(arm))

    @property
    def speedup(self) -> float:
        """Median steps of the matched control over Grokfast's; above 1 the filter is faster. Where runs were cut off
        it is a bound, not a value (`censored`)."""
        return self.median(CONTROLS[0]) / self.median(GROKFAST)

    def censored(self, arm: Arm) -> int:
        """Runs that did not reach the target before the cap."""
        return sum(run.censored for run in self.runs[arm.name])


def compare_grokfast(
    *, cap: int, seeds: int, seed: int, alpha: float, stop: Callable[[], None] = lambda: None
) -> Comparison:
    """All arms from the same ``seeds`` starts; ``cap`` bounds the steps of each run."""
    task = ModularTask(alpha=alpha)
    runs = {
        arm.name: [steps_to_target(task, arm, cap=cap, seed=seed + i, stop=stop) for i in range(seeds)]
        for arm in (GROKFAST, *CONTROLS)
    }
    return Comparison(cap, runs)
