"""Grokfast against matched controls on modular addition, the task on which grokking was found (Power et al., arXiv
2201.02177; the filter: Lee et al., arXiv 2405.20233).

A small network learns a + b mod p from part of all pairs. It memorizes those soon and generalizes later; how many
steps later is what the filter is said to shorten. As in the paper's code the optimizer is Adam with coupled weight
decay; unlike there, the matched control has the same decay. Two more controls ask whether a higher rate or a strong
decay does as much. The paper's own control, which has neither the filter nor decay, runs beside them.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
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


# The published comparison, https://github.com/ironjr/grokfast: only the run with the filter has decay, so that its
# factor (39,890 steps against 910 for products mod 97) is that of both.
PUBLISHED = Arm("neither filter nor weight decay, as published", decay=0.0)
ARMS = (GROKFAST, *CONTROLS, PUBLISHED)


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


def forge_steps_to_target(
    task: ModularTask, arm: Arm, *, cap: int, seeds: Sequence[int], stop: Callable[[], None] = lambda: None
) -> list[Reached]:
    """Train from each seed's start and split until validation accuracy is 95 %, full batches, at most ``cap`` steps.

    The runs are one batched model: each weight has one more dimension, and Adam and the filter work entry by entry.
    ``stop`` is called every few steps and may raise to end the measurement.
    """
    weights, train, val = _grokking_runs(task, seeds)
    answers = _modular_sums(task)
    make = torch.optim.AdamW if arm.decoupled else torch.optim.Adam
    optimizer = make(weights.values(), lr=arm.lr, betas=(0.9, 0.98), weight_decay=arm.decay, fused=True)
    grokfast = Grokfast(task.alpha, arm.lam) if arm.lam else None
    reached: dict[int, int] = {}  # steps by run
    for step in range(1, cap + 1):
        for group in optimizer.param_groups:
            group["lr"] = arm.lr * min(1.0, step / 10)
        logits = _grokking_logits(task, weights, train).flatten(0, 1)
        # The sum over runs of their means: no run's gradient depends on another.
        loss = F.cross_entropy(logits, answers[train].flatten(), reduction="sum") / train.shape[1]
        torch.autograd.backward(loss)
        if grokfast is not None:
            grokfast(weights)
        optimizer.step()
        optimizer.zero_grad()
        if step % EVERY == 0 or step == cap:
            stop()
            with torch.no_grad():
                accuracy = (_grokking_logits(task, weights, val).argmax(2) == answers[val]).float().mean(1)
            reached |= {run: step for run in range(len(seeds)) if accuracy[run] >= TARGET and run not in reached}
            if len(reached) == len(seeds):
                break
    return [Reached(reached.get(run, cap), run not in reached) for run in range(len(seeds))]


def _modular_sums(task: ModularTask) -> Tensor:
    """The answers of all pairs, (prime²)."""
    numbers = torch.arange(task.prime)
    return ((numbers[:, None] + numbers) % task.prime).flatten()


def _grokking_runs(task: ModularTask, seeds: Sequence[int]) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Stacked first weights of all runs, which train, and the pairs that each run trains on and is asked, (runs, n)
    each; a pair is the number a * prime + b."""
    starts, orders = [], []
    for seed in seeds:
        draw = torch.Generator().manual_seed(seed)
        orders.append(torch.randperm(task.prime**2, generator=draw))
        starts.append(_initial_grokking_weights(task, draw))
    weights = {name: torch.stack([start[name] for start in starts]).requires_grad_() for name in starts[0]}
    cut, pairs = round(task.share * task.prime**2), torch.stack(orders)
    return weights, pairs[:, :cut], pairs[:, cut:]


def _initial_grokking_weights(task: ModularTask, draw: torch.Generator) -> dict[str, Tensor]:
    """Random weights of one run: each entry's spread is the inverse root of what it sums over."""
    shapes = {
        "embed": (task.prime, task.width),
        "inner": (task.hidden, 2 * task.width),
        "outer": (task.prime, task.hidden),
    }
    made = {name: torch.randn(shape, generator=draw) * shape[1] ** -0.5 for name, shape in shapes.items()}
    made["inner"] *= 2**0.5
    return {**made, "bias": torch.zeros(task.hidden)}


def _grokking_logits(task: ModularTask, weights: dict[str, Tensor], pairs: Tensor) -> Tensor:
    """Logits of each run's pairs, (runs, n, prime). Each number goes through its half of the hidden layer once; what
    comes out is looked up by pair."""
    left, right = weights["inner"][:, :, : task.width], weights["inner"][:, :, task.width :]
    first = weights["embed"] @ left.mT + weights["bias"][:, None]
    second = weights["embed"] @ right.mT
    here = task.prime * torch.arange(len(pairs))[:, None]
    hidden = F.embedding(here + pairs // task.prime, first.flatten(0, 1))
    hidden = (hidden + F.embedding(here + pairs % task.prime, second.flatten(0, 1))).relu_()
    return hidden @ weights["outer"].mT


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

    @property
    def published_speedup(self) -> float:
        """The same against the paper's own control; the filter's and the decay's together."""
        return self.median(PUBLISHED) / self.median(GROKFAST)

    def censored(self, arm: Arm) -> int:
        """Runs that did not reach the target before the cap."""
        return sum(run.censored for run in self.runs[arm.name])


def compare_grokfast(
    *, cap: int, seeds: int, seed: int, alpha: float, stop: Callable[[], None] = lambda: None
) -> Comparison:
    """All arms from the same ``seeds`` starts; ``cap`` bounds the steps of each run."""
    task, starts = ModularTask(alpha=alpha), range(seed, seed + seeds)
    return Comparison(
        cap, {arm.name: forge_steps_to_target(task, arm, cap=cap, seeds=starts, stop=stop) for arm in ARMS}
    )
