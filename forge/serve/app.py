"""The application: addresses, and how faults are answered."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from forge.errors import ForgeError
from forge.serve.chat import answer_chat
from forge.serve.completions import answer_completion
from forge.serve.faults import ApiError, answer_api_fault
from forge.serve.gate import RequestGate
from forge.serve.requests import ChatRequest, CompletionRequest
from forge.serve.service import AgentService
from forge.serve.tokens import (
    DetokenizeRequest,
    TokenizeRequest,
    describe_served_tokenizer,
    encode_request_prompt,
    refuse_unknown_request_ids,
)


def create_agent_api(service: AgentService, *, hosts: tuple[str, ...] | None, key: str | None) -> FastAPI:
    """The application that serves an agent. hosts, key: see `RequestGate`."""
    app = FastAPI(title="Agent Forge", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(RequestGate, hosts=hosts, key=key)
    for kind in (ForgeError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer_api_fault)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    async def list_models() -> dict[str, object]:
        return {"object": "list", "data": [service.describe()]}

    @app.get("/v1/models/{name:path}")
    async def show_model(name: str) -> dict[str, object]:
        if name != service.name:
            raise ApiError(f"there is no model {name[:100]!r}, only {service.name!r}", 404, code="model_not_found")
        return service.describe()

    @app.post("/v1/chat/completions", response_model=None)
    async def chat_completions(request: Request, asked: ChatRequest) -> Response:
        return await answer_chat(service, request, asked)

    @app.post("/v1/completions", response_model=None)
    async def completions(request: Request, asked: CompletionRequest) -> Response:
        return await answer_completion(service, request, asked)

    @app.get("/tokenizer_info")
    async def tokenizer_info() -> dict[str, Any]:
        return describe_served_tokenizer(service)

    @app.post("/tokenize")
    def tokenize(asked: TokenizeRequest) -> dict[str, Any]:
        ids = encode_request_prompt(service, asked.prompt)
        return {"tokens": ids, "count": len(ids)}

    @app.post("/detokenize")
    def detokenize(asked: DetokenizeRequest) -> dict[str, str]:
        refuse_unknown_request_ids(service, asked.tokens, "tokens")
        return {"prompt": str(service.agent.tokenizer.decode(asked.tokens))}

    return app
