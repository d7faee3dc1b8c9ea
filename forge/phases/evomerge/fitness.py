"""Fitness of a merge, the one number that selection goes by.

It weighs validation loss and accuracy, counted FLOPs and bytes, each against the best parent, whose fitness is 1. Loss
and accuracy are means over skills (`SKILLS`), so that a merge that trades one skill for another gains nothing.
Speed and memory enter as deterministic costs (FLOPs at the measured number of recurrence steps, bytes of the file),
never as times, so that the same model always has the same fitness. Selection never sees the test split.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from forge.data.dataset import EncodedSet
from forge.errors import ForgeError
from forge.evals.likelihood import Likelihood, likelihood
from forge.evals.measure import mean
from forge.merge.methods import StateDict
from forge.model import TinyTitanForCausalLM
from forge.phases.evomerge.parallel import evolution_on_one_thread
from forge.phases.evomerge.params import FitnessWeights

# Kinds of the rows that merges are judged on, by skill; all skills count the same.
SKILLS: Mapping[str, tuple[str, ...]] = {
    "thoughts": ("worked",),
    "tools": ("tooled", "tool"),
    "recall": ("recall",),
    "personas": ("persona",),
}
# Beyond this a ratio tells of the reference, not of the model: no term buys more than twice its share.
RATIO_CAP = 2.0
# One point of accuracy on both sides keeps the ratio sane where the best parent solves next to nothing.
ACCURACY_FLOOR = 0.01
LEAST_LOSS = 1e-4  # nats per token of a skill; what is known better is known


@dataclass(frozen=True)
class Measured:
    """What was measured of one model on validation data.

    Attributes:
        perplexity: exp of the loss per token, geometric mean over skills, at least 1; lower is better.
        accuracy: chance that an answer, sampled, is right to the letter, mean over skills, 0 to 1; higher is better.
        flops: per token at the measured number of steps; lower is better.
        bytes: size of the model; lower is better.
    """

    perplexity: float
    accuracy: float
    flops: float
    bytes: float

    @property
    def finite(self) -> bool:
        """Whether every quantity is a number."""
        return all(math.isfinite(number) for number in asdict(self).values())


@dataclass(frozen=True)
class Fitness:
    """Fitness (higher is better), the measurements that it was made from, and why it may not count."""

    value: float
    measured: Measured
    fault: str = ""

    @property
    def finite(self) -> bool:
        """Whether the fitness can be ranked."""
        return not self.fault and math.isfinite(self.value)


def combine_into_fitness(measured: Measured, reference: Measured, weights: FitnessWeights) -> Fitness:
    """Fitness of a measured model against the reference (the best parent, see `fittest_parent`).

    value = weights.perplexity * r(reference.perplexity / perplexity)
          + weights.accuracy * r((accuracy + 0.01) / (reference.accuracy + 0.01))
          + weights.speed * r(reference.flops / flops)
          + weights.memory * r(reference.bytes / bytes), with r clipping to [0, 2].

    A measurement that is not finite gives a fitness of NaN: such a model is to be discarded, not ranked.

    Raises:
        ForgeError: a cost of the reference or of the model is zero or negative.
    """
    _check_fitness_costs("reference", reference)
    if not measured.finite:
        return Fitness(math.nan, measured, "the fitness is not finite")
    _check_fitness_costs("model", measured)
    ratios = {
        "perplexity": reference.perplexity / measured.perplexity,
        "accuracy": (measured.accuracy + ACCURACY_FLOOR) / (reference.accuracy + ACCURACY_FLOOR),
        "speed": reference.flops / measured.flops,
        "memory": reference.bytes / measured.bytes,
    }
    # fsum: the sum of the weights is then exactly 1 on every Python
    return Fitness(
        math.fsum(weight * min(max(ratios[name], 0.0), RATIO_CAP) for name, weight in weights.model_dump().items()),
        measured,
    )


def fittest_parent(parents: Sequence[Measured], weights: FitnessWeights) -> int:
    """Index of the parent that all fitness is measured against.

    That is the one that scores highest when each quantity is held against the best value among the parents;
    of equal ones the first.

    Raises:
        ForgeError: no parent has finite measurements.
    """
    alive = [parent for parent in parents if parent.finite]
    if not alive:
        raise ForgeError("evolution: no parent has finite measurements")
    ideal = Measured(
        perplexity=min(parent.perplexity for parent in alive),
        accuracy=max(parent.accuracy for parent in alive),
        flops=min(parent.flops for parent in alive),
        bytes=min(parent.bytes for parent in alive),
    )
    scores = [combine_into_fitness(parent, ideal, weights).value for parent in parents]
    return max(range(len(parents)), key=lambda index: scores[index] if math.isfinite(scores[index]) else -math.inf)


def _check_fitness_costs(whose: str, measured: Measured) -> None:
    for name in ("perplexity", "flops", "bytes"):
        if not getattr(measured, name) > 0.0:
            raise ForgeError(f"fitness: {name} of the {whose} is {getattr(measured, name)}, it must be positive")


def fitness_batch(data: EncodedSet, samples: int, seed: int) -> EncodedSet:
    """The fixed examples that every merge is judged on: about ``samples``, as many of each skill.

    Raises:
        ForgeError: there is none of any skill.
    """
    rng, each = np.random.default_rng(seed), max(1, samples // len(SKILLS))
    pools = [data.where(*kinds) for kinds in SKILLS.values()]
    chosen = [rng.choice(pool, size=min(each, len(pool)), replace=False) for pool in pools]
    return data.subset(np.sort(np.concatenate(chosen)))


def measure_evomerge_individual(model: TinyTitanForCausalLM, weights: StateDict, batch: EncodedSet) -> Measured:
    """Load a merge into ``model`` and measure it. FLOPs are those of one supervised token at the steps that it
    takes."""
    model.load_state_dict(weights)
    scored = likelihood(model, batch)
    skills = measure_evomerge_skills(scored, batch)
    loss, accuracy = mean_evomerge_skill_loss(skills), mean([right for _, right in skills.values()])
    core = sum(linear.weight.numel() for linear in model.core_linears().values())
    mean_steps = float((scored.steps * scored.tokens).sum() / scored.tokens.sum())
    size = sum(w.numel() * w.element_size() for w in weights.values())
    return Measured(float(np.exp(loss)), accuracy, 2.0 * core * mean_steps, float(size))


def measure_evomerge_skills(scored: Likelihood, data: EncodedSet) -> dict[str, tuple[float, float]]:
    """Loss (nats per token), and chance that a sampled answer is right to the letter, by skill that ``data`` has.

    The chance, not the share of exact greedy answers: that moves by whole rows, and on the few rows that a search can
    afford it selects luck (a champion with four more rows of 64 right had the higher loss on the very same rows).
    """
    chances = evomerge_answer_chances(scored)
    places = {skill: data.where(*kinds) for skill, kinds in SKILLS.items()}
    return {
        skill: (float(scored.nll[index].sum() / scored.tokens[index].sum()), float(chances[index].mean()))
        for skill, index in places.items()
        if len(index)
    }


def evomerge_answer_chances(scored: Likelihood) -> np.ndarray:
    """Chance (n) that a sampled answer is right to the letter, by row."""
    chances: np.ndarray = np.exp(-scored.nll)
    return chances


def mean_evomerge_skill_loss(skills: Mapping[str, tuple[float, float]]) -> float:
    """Geometric mean of the losses of :func:`measure_evomerge_skills`: a hundredth less counts the same in every skill,
    however well it can be predicted at all."""
    return math.exp(mean([math.log(max(loss, LEAST_LOSS)) for loss, _ in skills.values()]))


@dataclass(frozen=True)
class FitnessFunction:
    """Measures a merge on one batch, against the best parent. It can be sent to worker processes."""

    model: TinyTitanForCausalLM
    batch: EncodedSet
    reference: Measured
    weights: FitnessWeights

    def __call__(self, state_dict: StateDict) -> Fitness:
        measured = measure_evomerge_individual(self.model, state_dict, self.batch)
        fitness = combine_into_fitness(measured, self.reference, self.weights)
        guessing = self.model.config.vocab_size
        if fitness.finite and measured.perplexity >= guessing > self.reference.perplexity:
            fault = f"the model is dead: perplexity {measured.perplexity:.0f}, guessing among all tokens has {guessing}"
            return replace(fitness, fault=fault)
        return fitness


def fitness_function(
    model: TinyTitanForCausalLM, batch: EncodedSet, parents: Sequence[StateDict], weights: FitnessWeights
) -> tuple[FitnessFunction, int]:
    """The fitness function, normalized to the best parent, and that parent's place."""
    with evolution_on_one_thread():
        measured = [measure_evomerge_individual(model, parent, batch) for parent in parents]
    best = fittest_parent(measured, weights)
    return FitnessFunction(model, batch, measured[best], weights), best


def fitness_batch_loss(model: TinyTitanForCausalLM, batch: EncodedSet) -> Callable[[StateDict], float]:
    """Loss of a state dict on a batch (nats per token, geometric mean over skills), for
    :func:`forge.merge.barrier.loss_barrier`."""

    def loss(state_dict: StateDict) -> float:
        return float(np.log(measure_evomerge_individual(model, state_dict, batch).perplexity))

    return loss
