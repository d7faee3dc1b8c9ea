"""Stopping on request: a signal asks, the loop saves at the edge of a step and leaves."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from forge.errors import Interrupted

_PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 20.0


class StopRequest:
    """Set by the first SIGINT or SIGTERM; later ones change nothing (a group signal often arrives twice).

    Code that polls `requested` leaves in its own time. Work that has nothing to save (scoring, say) does not
    poll: after `grace` seconds it is left by an `Interrupted` raised in the main thread.
    """

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self.requested = False
        self.step = 0
        self.total = 0
        self._grace = grace

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Handler of SIGINT and SIGTERM."""
        if not self.requested:
            self.requested = True
            signal.setitimer(signal.ITIMER_REAL, self._grace)

    def on_alarm(self, number: int, frame: FrameType | None) -> None:
        """Handler of SIGALRM: the grace is over."""
        raise Interrupted(self.step, self.total)


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask Linux to send `number` to this process when its parent dies; elsewhere, do nothing.

    Without it, a stage whose `dvc` was killed goes on as an orphan and writes beside its successor.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


@contextmanager
def stop_on_signals(grace: float = GRACE_SECONDS) -> Iterator[StopRequest]:
    """Turn SIGINT, SIGTERM and the parent's death into a `StopRequest` for the length of the block.

    Outside the main thread (where Python allows no handlers) the request is never set.
    """
    request = StopRequest(grace)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    wanted = {
        signal.SIGINT: request.on_signal,
        signal.SIGTERM: request.on_signal,
        signal.SIGALRM: request.on_alarm,
    }
    previous = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    parent = os.getppid()
    die_with_parent()
    if os.getppid() != parent:  # it died before the kernel knew that we care
        request.on_signal(signal.SIGTERM, None)
    try:
        yield request
    finally:
        die_with_parent(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in previous.items():
            signal.signal(number, handler)
