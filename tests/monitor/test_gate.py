"""The gate in front of the dashboard: who is let through, and what every answer carries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from forge.monitor.gate import DashboardGate, dashboard_origin, dashboard_page_policy
from tests.attacks.origins import HOST, HOSTS, METHODS, ORIGIN, ORIGINS, PATHS, TOKEN


class Asked:
    """A request through the gate: `status` and `headers` of the answer, and whether the pages behind it saw it."""

    def __init__(self, kind: str, *, method: str = "GET", path: str = f"/{TOKEN}/", headers: Any = None) -> None:
        self.sent: list[Any] = []
        self.reached = False
        given = [("host", HOST), ("origin", ORIGIN)] if headers is None else headers
        scope = {
            "type": kind,
            "method": method,
            "path": path,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given],
        }
        gate = DashboardGate(self.pages, origin=ORIGIN, token=TOKEN)
        asyncio.run(gate(scope, self.receive, self.send))

    async def receive(self) -> Any:
        return {"type": "websocket.connect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def pages(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached = True
        headers = [(b"Access-Control-Allow-Origin", b"*"), (b"x-frame-options", b"ALLOWALL"), (b"etag", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def refused(self) -> bool:
        answers = [message.get("status", message.get("code")) for message in self.sent]
        return not self.reached and answers[0] in (403, 1008)


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_only_this_origin_with_this_token_gets_through(kind: str) -> None:
    assert Asked(kind).reached
    assert Asked(kind, path=f"/{TOKEN}").reached
    assert Asked(kind, path=f"/{TOKEN}/_stcore/stream").reached
    for host in HOSTS:
        assert Asked(kind, headers=[("host", host), ("origin", ORIGIN)]).refused, host
    for origin in ORIGINS:
        assert Asked(kind, headers=[("host", HOST), ("origin", origin)]).refused, origin
    for path in PATHS:
        assert Asked(kind, path=path).refused, path
    both = [("host", HOST), ("host", "evil.example"), ("origin", ORIGIN)]
    for headers in ([], [("origin", ORIGIN)], both, [("host", HOST), ("origin", ORIGIN), ("origin", "null")]):
        assert Asked(kind, headers=headers).refused, headers


def test_a_page_is_read_and_a_connection_names_its_page() -> None:
    assert Asked("http", headers=[("host", HOST)]).reached  # a browser names no origin when it opens an address
    assert Asked("websocket", headers=[("host", HOST)]).refused
    for method in METHODS:
        assert Asked("http", method=method).refused, method
    assert Asked("http", method="HEAD", path="/").sent[1]["body"] == b""


def test_every_answer_forbids_frames_and_shares_nothing() -> None:
    for asked in (Asked("http"), Asked("http", path="/")):
        found = asked.headers
        assert "frame-ancestors 'none'" in found["content-security-policy"]
        assert found["x-frame-options"] == "DENY"
        assert found["referrer-policy"] == "no-referrer"
        assert not [name for name in found if name.lower().startswith("access-control-")]
    assert Asked("http").headers["etag"] == "1"
    assert b"agent-forge monitor printed" in Asked("http", path="/").sent[1]["body"]


def test_the_policy_names_no_other_place() -> None:
    policy = dict(rule.split(" ", 1) for rule in dashboard_page_policy(ORIGIN).split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self' ws://127.0.0.1:8501"
    for name, sources in policy.items():
        assert set(sources.split()) <= {
            "'self'", "'none'", "'unsafe-inline'", "'wasm-unsafe-eval'", "data:", "blob:", "ws://127.0.0.1:8501",
        }, name  # fmt: skip
    assert "'unsafe-inline'" not in policy["script-src"]
    assert dashboard_origin("127.0.0.1", 80) == "http://127.0.0.1"
