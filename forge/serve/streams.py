"""Events of an answer on their way to a client: the last one alone, or all of them as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request

from forge.serve.faults import ApiError, api_error_of
from forge.serve.worker import Event

LAST_LINE = "data: [DONE]\n\n"
_CLIENT_GONE = 499  # nginx's status for it; nobody reads it


def event_line(data: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


async def last_of_events(request: Request, events: AsyncGenerator[Event]) -> Any:
    """What came of the work. Raises ApiError when the client has gone, which ends the work."""
    async with aclosing(events):
        async for event in events:
            if event.kind == "done":
                return event.value
            if await request.is_disconnected():
                break
    raise ApiError("the client has gone", _CLIENT_GONE)


async def stream_until_fault(pieces: AsyncGenerator[str], events: AsyncGenerator[Event]) -> AsyncIterator[str]:
    """The pieces of a stream; a fault in the middle of it is told as one more. The work ends with the stream."""
    async with aclosing(events), aclosing(pieces):
        try:
            async for piece in pieces:
                yield piece
        except Exception as fault:  # noqa: BLE001 - the status is sent already: the fault is told as OpenAI's API does
            yield event_line(api_error_of(fault).body())


async def chained_events(first: Event, rest: AsyncIterator[Event]) -> AsyncGenerator[Event]:
    """An event that was taken already, and those after it."""
    yield first
    async for event in rest:
        yield event
