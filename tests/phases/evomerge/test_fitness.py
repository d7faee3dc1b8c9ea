"""Fitness: weights, normalization to the best parent, clipping, and what cannot be ranked."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from pydantic import TypeAdapter, ValidationError

from forge.errors import ForgeError
from forge.phases.evomerge.fitness import Fitness, Measured, combine_into_fitness, fittest_parent
from forge.phases.evomerge.params import FitnessWeights

REFERENCE = Measured(perplexity=10.0, accuracy=0.49, flops=1e6, bytes=4e6)
WEIGHTS = FitnessWeights(perplexity=0.4, accuracy=0.3, speed=0.2, memory=0.1)


def fitness(**changes: float) -> float:
    return combine_into_fitness(replace(REFERENCE, **changes), REFERENCE, WEIGHTS).value


def test_the_reference_scores_one() -> None:
    assert fitness() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "gain"),
    [
        ({"perplexity": 8.0}, 0.4 * 0.25),
        ({"accuracy": 0.74}, 0.3 * 0.5),
        ({"flops": 0.8e6}, 0.2 * 0.25),
        ({"bytes": 3.2e6}, 0.1 * 0.25),
        ({"perplexity": 20.0}, 0.4 * -0.5),
    ],
)
def test_each_term_has_its_weight(changes, gain) -> None:
    assert fitness(**changes) == pytest.approx(1.0 + gain)


def test_no_term_buys_more_than_twice_its_share() -> None:
    assert fitness(flops=1.0) == pytest.approx(1.2)
    assert fitness(perplexity=1e30) == pytest.approx(0.6)
    helpless = Measured(10.0, 0.0, 1e6, 4e6)
    assert combine_into_fitness(replace(helpless, accuracy=1.0), helpless, WEIGHTS).value == pytest.approx(1.3)
    assert combine_into_fitness(helpless, helpless, WEIGHTS).value == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["perplexity", "accuracy", "flops", "bytes"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_not_ranked(name, value) -> None:
    assert not combine_into_fitness(replace(REFERENCE, **{name: value}), REFERENCE, WEIGHTS).finite


def test_costs_must_be_positive() -> None:
    with pytest.raises(ForgeError, match="flops of the model is 0"):
        fitness(flops=0)
    with pytest.raises(ForgeError, match="bytes of the reference"):
        combine_into_fitness(Measured(10.0, 0.5, 1.0, 1.0), Measured(10.0, 0.5, 1.0, -1.0), WEIGHTS)


def test_weights_are_the_callers_by_name() -> None:
    only_speed = FitnessWeights(perplexity=0.0, accuracy=0.0, speed=1.0, memory=0.0)
    assert combine_into_fitness(Measured(99.0, 0.0, 0.5e6, 9e9), REFERENCE, only_speed).value == pytest.approx(2.0)
    parents = [Measured(1.0, 0.9, 2.0, 1.0), Measured(9.0, 0.1, 1.0, 1.0)]
    assert (fittest_parent(parents, WEIGHTS), fittest_parent(parents, only_speed)) == (0, 1)
    with pytest.raises(ValidationError, match=r"perplexity\n.*required"):
        FitnessWeights.model_validate({"speed": 1.0})


def test_json_and_back() -> None:
    original, stored = combine_into_fitness(Measured(9.7, 0.51, 1.1e6, 4e6), REFERENCE, WEIGHTS), TypeAdapter(Fitness)
    assert stored.validate_json(stored.dump_json(original)) == original


def test_best_parent_weighs_all_quantities() -> None:
    parents = [
        Measured(10.0, 0.2, 1e6, 1e6),
        Measured(10.5, 0.4, 1e6, 1e6),
        Measured(math.nan, 0.9, 1.0, 1.0),
    ]
    assert fittest_parent(parents, WEIGHTS) == 1
    assert fittest_parent([parents[2], parents[0], parents[0]], WEIGHTS) == 1
    with pytest.raises(ForgeError, match="no parent"):
        fittest_parent(parents[2:], WEIGHTS)
