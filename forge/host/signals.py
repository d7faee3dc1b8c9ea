"""Stopping on request: a signal asks, the loop saves at the edge of a step and leaves."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn, TypeVar

from forge.errors import Interrupted

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 20.0
REMINDER_SECONDS = 1.0  # between alarms once the grace is over
ORPHAN_GRACE_SECONDS = 2.0  # with nobody left to take the result, only saving what there is makes sense


class StopRequest:
    """Set by the first SIGINT or SIGTERM; later ones change nothing (a group signal often arrives twice), unless they
    say that the parent is dead.

    Code that polls `requested` leaves in its own time. Work that has nothing to save (scoring, say) does not
    poll: after `grace` seconds it is left by an `Interrupted` raised in the main thread, unless `settle` was called.
    """

    def __init__(self, grace: float = GRACE_SECONDS) -> None:
        self.requested = False
        self.step = 0
        self.total = 0
        self._grace = grace
        self._parent = os.getppid()
        self._settled = False
        self._expired = False

    @property
    def orphaned(self) -> bool:
        """Whether the process that started this one is dead."""
        return os.getppid() != self._parent

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Handler of SIGINT and SIGTERM."""
        grace = min(self._grace, ORPHAN_GRACE_SECONDS) if self.orphaned else self._grace
        if not self.requested or grace < signal.getitimer(signal.ITIMER_REAL)[0]:
            self.requested = True
            signal.setitimer(signal.ITIMER_REAL, grace, REMINDER_SECONDS)

    def on_alarm(self, number: int, frame: FrameType | None) -> None:
        """Handler of SIGALRM: the grace is over. It comes again, in case a library swallows what is raised here."""
        if not self._settled:
            self._expired = True
            raise Interrupted(self.step, self.total)

    def cause(self, error: BaseException) -> BaseException:
        """What ended the work that raised ``error``: the end of the grace once that has come, since compiled code may
        make an error of its own of it.
        """
        return Interrupted(self.step, self.total) if self._expired else error

    def settle(self) -> None:
        """From here on nothing is interrupted: what follows is short, and must not stay half done."""
        self._settled = True


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask Linux to send `number` to this process when its parent dies; elsewhere, do nothing.

    Without it, a stage whose `dvc` was killed goes on as an orphan and writes beside its successor.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def end_at_once(ending: SystemExit) -> NoReturn:
    """End this process, for which nobody waits any more, without what Python does at an end of its own: giving back
    every object takes seconds where there are many.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # whoever read it is dead, too
            stream.flush()
    os._exit(ending.code if isinstance(ending.code, int) else 1)


def exit_on_parent_death_signal() -> None:
    """For the first line of a process that DVC starts, because the imports that follow take seconds.

    Raises:
        SystemExit: DVC is dead already. It would share this process's session; who adopts orphans does not, but for a
            first process of a container that leads the only session there is.
    """
    die_with_parent()
    if os.getsid(os.getppid()) != os.getsid(0):
        raise SystemExit(130)


def hearing_signals(work: Callable[[], T]) -> T:
    """The result of a long call of compiled code (that lets other threads of Python run meanwhile).

    Python handles a signal when the main thread comes back from such a call, which may take longer than a stage may
    live on without DVC. So the call is made in a thread of its own, which ends with the process if a handler raises.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    results: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised below, where the work was asked for
            errors.append(error)

    thread = threading.Thread(target=call, name="compiled", daemon=True)
    thread.start()
    thread.join()
    for error in errors:
        raise error
    return results[0]


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
    die_with_parent()
    if request.orphaned:  # it died before the kernel knew that we care
        request.on_signal(signal.SIGTERM, None)
    try:
        yield request
    finally:
        die_with_parent(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in previous.items():
            signal.signal(number, handler)
