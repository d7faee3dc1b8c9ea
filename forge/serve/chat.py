"""`POST /v1/chat/completions`."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from forge.errors import ForgeError
from forge.runtime.agent import Call, Reply
from forge.serve.conversation import ToolChoice, choose_tools_of_request, conversation_of_chat
from forge.serve.faults import ApiError
from forge.serve.requests import ChatRequest
from forge.serve.service import AgentService, request_head, token_usage
from forge.serve.streams import LAST_LINE, chained_events, event_line, last_of_events, stream_until_fault
from forge.serve.worker import Event, Tell

_FINISH = {"stop": "stop", "length": "length", "call": "tool_calls"}


class ChatAnswer:
    """One answer to a chat request, whole or in pieces.

    Raises:
        ApiError: when it is made, for a request that cannot be answered.
    """

    def __init__(self, service: AgentService, asked: ChatRequest) -> None:
        asked.refuse_unsupported_fields("logprobs", "top_logprobs", "function_call", "audio")
        self.service, self.asked = service, asked
        known = service.agent.tools
        self.choice: ToolChoice = choose_tools_of_request(asked, known, run_here=service.run_tools)
        try:
            service.agent.refuse_unknown_persona(asked.persona)
        except ForgeError as error:
            raise ApiError(f"persona: {error}", param="persona") from error
        self.messages = conversation_of_chat(asked.messages, known)
        self.identity = f"chatcmpl-{secrets.token_hex(12)}"

    def write(self, tell: Tell, ended: Callable[[], bool]) -> tuple[Reply, int]:
        """The reply and the tokens of its prompt; what happens on the way is told."""
        agent, asked = self.service.agent, self.asked
        size = agent.count_prompt_tokens(self.messages, asked.persona)
        self.service.refuse_long_prompt(size, "messages")
        reply = agent.reply(
            self.messages,
            tools=self.choice.names,
            must_call=self.choice.must,
            run=self.service.run_tools,
            several=asked.parallel_tool_calls,
            ask_below=self.service.ask_below,
            thoughts=asked.thoughts,
            persona=asked.persona,
            max_new_tokens=asked.most_tokens,
            temperature=asked.heat,
            seed=asked.start,
            stop=asked.stops,
            listen=tell,
            ended=ended,
        )
        return reply, size

    def whole(self, reply: Reply, size: int) -> dict[str, Any]:
        """The answer as one object."""
        message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
        if reply.finish == "call":
            message |= {"content": None, "tool_calls": self._client_calls(reply)}
        if reply.thought:
            message["reasoning_content"] = reply.thought
        if self._executed(reply):
            message["executed_calls"] = self._executed(reply)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[reply.finish]}
        head = request_head("chat.completion", self.identity, self.service.name)
        return {**head, "choices": [choice], "usage": token_usage(size, reply.tokens)}

    async def pieces(self, events: AsyncIterator[Event]) -> AsyncGenerator[str]:
        """The answer as server-sent events."""
        head = request_head("chat.completion.chunk", self.identity, self.service.name)

        def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return event_line({**head, "choices": [choice]})

        yield chunk({"role": "assistant", "content": ""})
        async for event in events:
            if event.kind == "text":
                yield chunk({"content": event.value})
            elif event.kind == "thought":
                yield chunk({"reasoning_content": event.value})
            elif event.kind == "done":
                reply, size = event.value
                if reply.finish == "call":
                    calls = [{"index": i, **call} for i, call in enumerate(self._client_calls(reply))]
                    yield chunk({"tool_calls": calls})
                executed = self._executed(reply)
                yield chunk({"executed_calls": executed} if executed else {}, _FINISH[reply.finish])
                if self.asked.stream_options is not None and self.asked.stream_options.include_usage:
                    yield event_line({**head, "choices": [], "usage": token_usage(size, reply.tokens)})
        yield LAST_LINE

    def _client_calls(self, reply: Reply) -> list[dict[str, Any]]:
        """The calls that are the client's to run."""
        return [
            {
                "id": f"call_{secrets.token_hex(12)}",
                "type": "function",
                "function": {"name": call.name, "arguments": self._arguments(call)},
                "confidence": round(call.confidence, 4),
            }
            for call in reply.calls
            if call.result is None
        ]

    def _executed(self, reply: Reply) -> list[dict[str, Any]]:
        """The calls that were run here, and what they gave: null where nothing says what a call runs."""
        return [
            {
                "name": call.name,
                "arguments": self._arguments(call),
                "confidence": round(call.confidence, 4),
                "result": call.result,
            }
            for call in reply.calls
            if call.result is not None or reply.finish != "call"
        ]

    def _arguments(self, call: Call) -> str:
        return json.dumps(self.choice.arguments_for_client(call.name, call.arguments), ensure_ascii=False)


async def answer_chat(service: AgentService, request: Request, asked: ChatRequest) -> Response:
    """Answer a chat request, at once or as a stream."""
    answer = ChatAnswer(service, asked)
    events = service.worker.events(answer.write)
    if asked.stream:
        first = await anext(events)  # until then a fault is told by the status
        pieces = answer.pieces(chained_events(first, events))
        return StreamingResponse(stream_until_fault(pieces, events), media_type="text/event-stream")
    reply, size = await last_of_events(request, events)
    return JSONResponse(answer.whole(reply, size))
