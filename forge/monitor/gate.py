"""The gate in front of the dashboard: one origin, decided before anything is asked, and a token in the address.

Streamlit itself lets in a page of any port of `localhost`, compares an origin with the machine's public address, which
it asks a host on the internet for, and can be framed. Nothing that it would decide on such grounds reaches it.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_HTTP_PORT = 80  # browsers leave it out of an origin


def dashboard_origin(address: str, port: int) -> str:
    """The only origin that is let in, as a browser writes it."""
    return f"http://{address}" if port == _HTTP_PORT else f"http://{address}:{port}"


def dashboard_page_policy(origin: str) -> str:
    """The Content-Security-Policy of the dashboard's pages: everything from here, nothing in a frame.

    Streamlit writes styles into the page, and draws graphs by WebAssembly.
    """
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            f"connect-src 'self' {origin.replace('http:', 'ws:', 1)}",
            "worker-src 'self' blob:",
            "manifest-src 'self'",
            "base-uri 'self'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


class DashboardGate:
    """ASGI middleware: a request goes on when it names this server, comes from no other page, and knows the token.

    Args:
        app: what is behind the gate.
        origin: see `dashboard_origin`.
        token: the first part of every path.
    """

    def __init__(self, app: Application, *, origin: str, token: str) -> None:
        self.app = app
        self.origin = origin.encode("ascii")
        self.host = self.origin.removeprefix(b"http://")
        self.token = token.encode("ascii")
        self.headers = (
            (b"content-security-policy", dashboard_page_policy(origin).encode("ascii")),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"referrer-policy", b"no-referrer"),  # the address holds the token
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with 403 and a line that says why."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        guarded = self._guarded(send)
        why = self.refusal(scope)
        if not why:
            await self.app(scope, receive, guarded)
        elif scope["type"] == "websocket":
            await receive()  # the handshake; closed before it is accepted, it ends with 403
            await send({"type": "websocket.close", "code": 1008, "reason": why})
        else:
            text = f"{why}\n".encode()
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
            await guarded({"type": "http.response.start", "status": 403, "headers": headers})
            await guarded({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else text})

    def refusal(self, scope: Scope) -> str:
        """Why a request is refused, in a sentence; empty when it is not."""
        origins = _header_values(scope["headers"], b"origin")
        if _header_values(scope["headers"], b"host") != [self.host]:
            return f"The dashboard answers at {self.origin.decode()} only."
        if origins not in ([], [self.origin]) or (scope["type"] == "websocket" and not origins):
            return "The dashboard takes nothing from another page."
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            return "The dashboard is read; what it writes goes through its connection."
        given = scope["path"].removeprefix("/").partition("/")[0].encode("utf-8", "replace")
        if not hmac.compare_digest(given, self.token):
            return "Open the address that agent-forge monitor printed, with its token."
        return ""

    def _guarded(self, send: Send) -> Send:
        own = {name for name, _ in self.headers}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [
                    (name, value)
                    for name, value in message.get("headers", [])
                    if name.lower() not in own and not name.lower().startswith(b"access-control-")
                ]
                message = {**message, "headers": [*kept, *self.headers]}
            await send(message)

        return guarded


def _header_values(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name.lower() == wanted]
