"""Asking a stage to stop: what is still interrupted, how long it may take, and what happens when nobody is left to
ask.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forge.pipeline.signals import LED_BY_DVC, stop_on_signals

ROOT = Path(__file__).resolve().parent.parent


def test_nothing_is_interrupted_once_it_has_settled() -> None:
    with stop_on_signals(grace=0.01) as stop:
        stop.settle()
        os.kill(os.getpid(), signal.SIGTERM)
        deadline = time.monotonic() + 5
        while signal.getitimer(signal.ITIMER_REAL)[0] and time.monotonic() < deadline:
            time.sleep(0.01)
        assert stop.requested


def test_an_orphan_gets_little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    with stop_on_signals(grace=100.0) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 90
        assert not stop.orphaned
        monkeypatch.setattr(os, "getppid", lambda: 1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 3.0


@pytest.mark.parametrize(("levels", "led", "code"), [(1, True, 0), (2, False, 0), (2, True, 130)])
def test_a_stage_that_comes_after_dvcs_death_leaves_at_once(levels: int, led: bool, code: int) -> None:
    """Two levels below the leader of the session: as if DVC, which led it, had died and another had taken over."""
    command = f"{sys.executable} -c 'import stages'; exit $?"
    for _ in range(levels - 1):
        command = f"sh -c {shlex.quote(command)}; exit $?"
    done = subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "PYTHONPATH": str(ROOT), "DVC_STAGE": "trunk"} | ({LED_BY_DVC: "1"} if led else {}),
        start_new_session=True,
        check=False,
    )
    assert done.returncode == code
