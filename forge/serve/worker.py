"""One answer at a time: a thread that writes answers, and the requests that wait for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from forge.serve.faults import ApiError

Tell = Callable[[str, Any], None]
# Work for the thread: it is given how to tell events, and what to ask whether anybody still waits for the answer.
Work = Callable[[Tell, Callable[[], bool]], Any]


@dataclass(frozen=True)
class Event:
    """Something that happened while an answer was written; the last one is of kind `done` and holds what came of it."""

    kind: str
    value: Any


class AnswerWorker:
    """Runs work in the order in which it comes, in one thread, which also keeps the tools' processes.

    Args:
        most_waiting: requests that may wait besides the one that is answered.
    """

    def __init__(self, most_waiting: int) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="answers")
        self._most, self._taken = most_waiting + 1, 0

    @property
    def waiting(self) -> int:
        """Requests that wait besides the one that is answered; -1 where none is."""
        return self._taken - 1

    async def events(self, work: Work) -> AsyncGenerator[Event]:
        """What work tells, as it does, and `done`. Whoever closes the iterator ends the work at its next token.

        Raises:
            ApiError: too many wait already.
            Exception: what the work raised.
        """
        if self._taken >= self._most:
            raise ApiError(f"{self._taken} requests are waiting already; try again soon", 429, code="queue_full")
        self._taken += 1
        loop, told, gone = asyncio.get_running_loop(), asyncio.Queue[Event](), threading.Event()

        def tell(kind: str, value: Any) -> None:
            loop.call_soon_threadsafe(told.put_nowait, Event(kind, value))

        def run() -> None:
            if gone.is_set():  # nobody waits any more
                return
            try:
                tell("done", work(tell, gone.is_set))
            except Exception as error:  # noqa: BLE001 - raised below, in the request that it belongs to
                tell("fault", error)

        asked = loop.run_in_executor(self._pool, run)
        asked.add_done_callback(self._leave)
        try:
            while True:
                event = await told.get()
                if event.kind == "fault":
                    raise event.value
                yield event
                if event.kind == "done":
                    return
        finally:
            gone.set()

    def _leave(self, asked: asyncio.Future[None]) -> None:
        self._taken -= 1

    def close(self) -> None:
        """Start nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
