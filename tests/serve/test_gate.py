"""Who is let in, how much is taken, and what happens when many ask or somebody leaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from forge.data.render import ID
from forge.model import engine
from forge.serve.bounds import LARGEST_BODY
from forge.serve.service import ServiceBounds
from tests.support.served_agent import serving

KEY = "a-key-of-sorts"
BODY = {"model": "toy", "prompt": "x", "max_tokens": 1}


@pytest.fixture
def web(service: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.address, timeout=60) as opened:
        yield opened


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:80"}, 403),
        ({"host": ""}, 403),
        ({"host": "LOCALHOST:1"}, 200),
        ({"host": "[::1]:8080"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_other_hosts_and_other_pages_are_refused(web: httpx.Client, headers: dict[str, str], status: int) -> None:
    for answer in (web.get("/models", headers=headers), web.post("/completions", json=BODY, headers=headers)):
        assert answer.status_code == status
        assert ("error" in answer.json()) == (status == 403)


def test_requests_that_are_none_are_told_so(web: httpx.Client) -> None:
    json_type = {"content-type": "application/json"}
    told = [
        (web.post("/completions", content=b"{", headers=json_type), 400, "the body is not JSON"),
        (web.post("/completions", content=b"[" * 100_000, headers=json_type), 400, "body"),
        (web.post("/completions", content=b"[]", headers=json_type), 400, "the body: "),
        (web.post("/completions", content=b"{}", headers={"content-type": "text/plain"}), 415, "application/json"),
        (web.post("/completions", content=b" " * (LARGEST_BODY + 1), headers=json_type), 413, "longer than"),
        (web.post("/completions", content=iter([b" " * LARGEST_BODY, b"  "]), headers=json_type), 413, "longer than"),
        (web.post("/completions", content=rb'{"prompt": "\ud800"}', headers=json_type), 400, "not UTF-8"),
        (web.get("/completions"), 405, "another method"),
        (web.get("/nothing"), 404, "nothing at this address"),
    ]
    for answer, status, words in told:
        assert answer.status_code == status
        assert words in answer.json()["error"]["message"]
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_a_key_is_asked_for(service: Any) -> None:
    with serving(service.agent, key=KEY) as guarded:
        for wrong in ("none", f"{KEY}x"):
            with pytest.raises(openai.AuthenticationError) as refused:
                OpenAI(base_url=guarded.address, api_key=wrong, max_retries=0).models.list()
            assert refused.value.code == "invalid_api_key"
        assert httpx.get(f"{guarded.address}/models").status_code == 401
        assert OpenAI(base_url=guarded.address, api_key=KEY).models.list().data[0].id == "toy"
        assert httpx.get(guarded.address.replace("/v1", "/health")).json() == {"status": "ok"}


def test_only_so_many_wait(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on, prefill = threading.Event(), threading.Event(), service.agent.model.prefill

    def held(*given: Any, **options: Any) -> Any:
        began.set()
        assert go_on.wait(60)
        return prefill(*given, **options)

    monkeypatch.setattr(service.agent.model, "prefill", held)
    answers: list[Any] = []
    with serving(service.agent, bounds=ServiceBounds(most_waiting=1)) as busy:
        client = OpenAI(base_url=busy.address, api_key="-", max_retries=0, timeout=60)
        asking = [threading.Thread(target=lambda: answers.append(client.completions.create(**BODY))) for _ in range(2)]
        try:
            asking[0].start()
            assert began.wait(60)
            asking[1].start()
            _wait_until(lambda: busy.worker.waiting == 1)
            with pytest.raises(openai.RateLimitError) as refused:
                client.completions.create(**BODY)
        finally:
            go_on.set()
            for thread in asking:
                thread.join()
    assert refused.value.code == "queue_full"
    assert refused.value.response.headers["retry-after"] == "1"
    assert len(answers) == 2


def _wait_until(state: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not state():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_answer_ends_when_nobody_waits_for_it(service: Any, client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    advance = engine._Decoder.advance

    def endless(self: Any, row: Any, token: int, steps: int) -> int:
        written.append(token)
        return advance(self, row, ID["pad"] + 50, steps)

    monkeypatch.setattr(engine._Decoder, "advance", endless)
    question: Any = [{"role": "user", "content": "x"}]
    with client.chat.completions.create(model="toy", messages=question, stream=True, max_tokens=4096) as stream:
        next(iter(stream))
    _wait_until(lambda: service.worker.waiting < 0)
    assert len(written) < 4096
