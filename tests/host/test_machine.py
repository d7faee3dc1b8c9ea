"""Telling a process from a later one with its number, whatever is done to the clock."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from forge.host.machine import process_started


def test_a_process_is_known_by_the_time_of_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = process_started(os.getpid())
    assert begun is not None
    monkeypatch.setattr(time, "time", lambda: 5.0)
    assert process_started(os.getpid()) == begun
    assert process_started(2**22 + 1) is None
    dead = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert dead.stdout is not None
    dead.stdout.read()
    deadline = time.monotonic() + 20
    while process_started(dead.pid) is not None:  # a zombie until it is waited for
        assert time.monotonic() < deadline
        time.sleep(0.01)
    dead.communicate()
