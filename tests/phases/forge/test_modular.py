"""Grokfast and its controls on modular addition: arms that differ as named, runs that end at the target or the cap."""

from __future__ import annotations

import pytest

from forge.phases.forge.modular import CONTROLS, GROKFAST, Arm, ModularTask, compare_grokfast, steps_to_target

EASY = ModularTask(share=0.8)  # little is left to generalize to


def test_a_run_ends_at_the_target_or_at_the_cap() -> None:
    arm = Arm("quick", lr=3e-3)
    reached = steps_to_target(EASY, arm, cap=600, seed=2)
    assert not reached.censored
    assert 10 <= reached.steps < 600
    again, cut = (steps_to_target(EASY, arm, cap=cap, seed=2) for cap in (reached.steps, reached.steps // 2))
    assert again == reached
    assert (cut.steps, cut.censored) == (reached.steps // 2, True)
    filtered = steps_to_target(EASY, Arm("filtered", lr=3e-3, lam=20.0), cap=reached.steps, seed=2)
    assert filtered != reached  # the filter does something


def test_arms_differ_in_what_their_names_say() -> None:
    matched = CONTROLS[0]
    assert (matched.lr, matched.decay, matched.decoupled, matched.lam) == (GROKFAST.lr, GROKFAST.decay, False, 0.0)
    assert CONTROLS[1].lr == pytest.approx(3 * GROKFAST.lr)
    assert CONTROLS[2].decoupled
    assert len({arm.name for arm in (GROKFAST, *CONTROLS)}) == 4


def test_the_comparison_starts_every_arm_alike_and_can_be_stopped() -> None:
    calls: list[int] = []
    found = compare_grokfast(cap=20, seeds=2, seed=5, alpha=0.98, stop=lambda: calls.append(1))
    assert {name: [run.steps for run in runs] for name, runs in found.runs.items()} == {
        arm.name: [20, 20] for arm in (GROKFAST, *CONTROLS)
    }
    assert found.speedup == 1.0  # all cut off: a bound, and counted as such
    assert found.censored(GROKFAST) == 2
    assert len(calls) == 4 * 2 * 2

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_grokfast(cap=20, seeds=2, seed=5, alpha=0.98, stop=stop)
