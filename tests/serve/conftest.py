"""One tiny agent, served once for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.support.scripted import tiny_agent
from tests.support.served_agent import serving


@pytest.fixture(scope="module")
def service() -> Iterator[Any]:
    with tiny_agent() as agent, serving(agent) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Any) -> Iterator[OpenAI]:
    with OpenAI(base_url=service.address, api_key="none", max_retries=0, timeout=60) as opened:
        yield opened
