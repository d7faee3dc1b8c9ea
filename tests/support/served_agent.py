"""A tiny agent behind the API, on a port of its own, in this process: what a test patches, the server does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from forge.runtime.agent import Agent
from forge.serve.app import create_agent_api
from forge.serve.bounds import LOOPBACK
from forge.serve.launch import listen_for_api
from forge.serve.service import AgentService, ServiceBounds


@contextmanager
def serving(agent: Agent, *, key: str | None = None, bounds: ServiceBounds | None = None, **how: Any) -> Iterator[Any]:
    """The agent served: yields its service, with the `address` of the API added."""
    service: Any = AgentService(agent, bounds or ServiceBounds(), **how)
    with listen_for_api("127.0.0.1", 0) as listening:
        service.address = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        app = create_agent_api(service, hosts=LOOPBACK, key=key)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.01)
            yield service
        finally:
            server.should_exit = True
            thread.join()
            service.worker.close()
