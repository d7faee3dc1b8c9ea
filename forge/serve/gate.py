"""The gate in front of the API: which host is meant, which page asks, whose key it is, how much is sent.

A page of any site can have a browser send requests to this machine. What it cannot do is name this server as the host
after its own name was made to resolve here, leave out where it comes from, or send JSON without being asked first.
"""

from __future__ import annotations

import hmac

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forge.serve.bounds import LARGEST_BODY
from forge.serve.faults import ApiError

_OPEN_PATHS = ("/health",)  # to be asked without a key


class RequestGate:
    """ASGI middleware: a request goes on when nothing speaks against it, else its fault is answered.

    Args:
        hosts: names, without a port, under which the server may be addressed; None allows any.
        key: what requests must bear; None asks for none.
    """

    def __init__(self, app: ASGIApp, *, hosts: tuple[str, ...] | None, key: str | None) -> None:
        self.app, self.hosts = app, hosts
        self.key = None if key is None else key.encode("utf-8")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            self._check(scope)
        except ApiError as refusal:
            await refusal.response()(scope, receive, send)
            return
        await self.app(scope, _bounded_body(receive), send)

    def _check(self, scope: Scope) -> None:
        """Raise ApiError for a request that is refused before its body is read."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        host = headers.get(b"host", b"").decode("latin-1")
        if self.hosts is not None and _name_of_host(host) not in self.hosts:
            raise ApiError(f"this server is not called {host[:100]!r}", 403)
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1") != f"{scope['scheme']}://{host}":
            raise ApiError("this server takes nothing from a page of another site", 403)
        if self.key is not None and scope["path"] not in _OPEN_PATHS:
            given = headers.get(b"authorization", b"").removeprefix(b"Bearer ").strip()
            if not hmac.compare_digest(given, self.key):
                raise ApiError("the API key is missing or wrong", 401, code="invalid_api_key")
        if scope["method"] in ("GET", "HEAD"):
            return
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            raise ApiError("the body is to be of type application/json", 415)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 18 or int(length) > LARGEST_BODY:
            raise _too_large()


def _name_of_host(host: str) -> str:
    """A Host header without its port and brackets."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower()


def _too_large() -> ApiError:
    return ApiError(f"the body is longer than {LARGEST_BODY:,} bytes", 413)


def _bounded_body(receive: Receive) -> Receive:
    """`receive` that refuses what goes beyond the largest body, for requests that do not say how long theirs is."""
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > LARGEST_BODY:
            raise _too_large()
        return message

    return bounded
