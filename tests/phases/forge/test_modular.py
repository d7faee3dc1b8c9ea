"""Grokfast and its controls on modular addition: arms that differ as named, runs that end at the target or the cap."""

from __future__ import annotations

import pytest

from forge.phases.forge.modular import (
    ARMS,
    CONTROLS,
    GROKFAST,
    PUBLISHED,
    Arm,
    ModularTask,
    compare_grokfast,
    forge_steps_to_target,
)

EASY = ModularTask(prime=23, share=0.9)  # little is left to generalize to


def test_a_run_ends_at_the_target_or_at_the_cap() -> None:
    arm = Arm("quick", lr=1e-2)
    (reached,) = forge_steps_to_target(EASY, arm, cap=200, seeds=[2])
    assert not reached.censored
    assert 10 <= reached.steps < 600
    (again,), (cut,) = (
        forge_steps_to_target(EASY, arm, cap=cap, seeds=[2]) for cap in (reached.steps, reached.steps // 2)
    )
    assert again == reached
    assert (cut.steps, cut.censored) == (reached.steps // 2, True)
    (filtered,) = forge_steps_to_target(EASY, Arm("filtered", lr=1e-2, lam=20.0), cap=reached.steps, seeds=[2])
    assert filtered != reached  # the filter does something


def test_runs_in_one_batch_do_not_touch_each_other() -> None:
    arm = Arm("quick", lr=1e-2, lam=0.5)
    alone = [forge_steps_to_target(EASY, arm, cap=200, seeds=[seed])[0] for seed in (2, 3)]
    assert alone[0].steps != alone[1].steps
    # Products of a batch round otherwise than those of one run.
    for one, run in zip(alone, forge_steps_to_target(EASY, arm, cap=200, seeds=[2, 3]), strict=True):
        assert abs(one.steps - run.steps) <= 20
        assert not run.censored


def test_arms_differ_in_what_their_names_say() -> None:
    matched = CONTROLS[0]
    assert (matched.lr, matched.decay, matched.decoupled, matched.lam) == (GROKFAST.lr, GROKFAST.decay, False, 0.0)
    assert CONTROLS[1].lr == pytest.approx(3 * GROKFAST.lr)
    assert CONTROLS[2].decoupled
    assert (PUBLISHED.lr, PUBLISHED.decay, PUBLISHED.decoupled, PUBLISHED.lam) == (GROKFAST.lr, 0.0, False, 0.0)
    assert len({arm.name for arm in ARMS}) == 5


def test_the_comparison_starts_every_arm_alike_and_can_be_stopped() -> None:
    calls: list[int] = []
    found = compare_grokfast(cap=20, seeds=2, seed=5, alpha=0.98, stop=lambda: calls.append(1))
    assert {name: [run.steps for run in runs] for name, runs in found.runs.items()} == {
        arm.name: [20, 20] for arm in ARMS
    }
    assert found.speedup == found.published_speedup == 1.0  # all cut off: a bound, and counted as such
    assert found.censored(GROKFAST) == 2
    assert len(calls) == 5 * 2  # every ten steps of each arm

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_grokfast(cap=20, seeds=2, seed=5, alpha=0.98, stop=stop)
