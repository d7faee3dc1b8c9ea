"""Starting the server, and ending it with what it is doing."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from forge.errors import ForgeError
from forge.serve.app import create_agent_api
from forge.serve.bounds import LOOPBACK
from forge.serve.service import AgentService

_GRACE_SECONDS = 10  # for answers that are being written when the server is told to end
_MOST_CONNECTIONS = 256


def listen_for_api(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        ForgeError: the host has no such address, or the port is in use or not for this user.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:  # gaierror, where the name is none, is one
        if error.errno == errno.EADDRINUSE:
            raise ForgeError(f"port {port} is in use; choose another one: agent-forge serve --port N") from error
        raise ForgeError(f"cannot listen on {host}, port {port} ({error.strerror})") from error


def serve_agent_api(
    service: AgentService, listening: socket.socket, *, host: str, key: str | None, ready: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM, then finish the answers that are being written.

    Args:
        host: as it was asked for; on a loopback address the server answers to its names only.
        ready: called with the address when requests are taken.
    """
    hosts = (*LOOPBACK, host) if host in LOOPBACK else None
    app = create_agent_api(service, hosts=hosts, key=key)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        http="h11",
        loop="asyncio",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    port = listening.getsockname()[1]
    with _ended_by_signals():
        ready(f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1")
        uvicorn.Server(config).run(sockets=[listening])
    service.worker.close()


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let the server's own handlers end it, and nothing else happen when it raises the signals again afterwards."""
    wanted = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: None) for number in wanted]
    try:
        yield
    finally:
        for number, handler in zip(wanted, before, strict=True):
            signal.signal(number, handler)
