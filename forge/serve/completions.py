"""`POST /v1/completions`: raw text goes on, and is scored, as lm-evaluation-harness asks for it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from forge.data.render import ID
from forge.runtime.writing import AnswerText
from forge.serve.requests import COMPLETION_TOKENS, CompletionRequest
from forge.serve.service import AgentService, request_head, token_usage
from forge.serve.streams import LAST_LINE, chained_events, event_line, last_of_events, stream_until_fault
from forge.serve.tokens import encode_request_prompt, refuse_unknown_request_ids
from forge.serve.worker import Event, Tell

# After these the text is over: what follows a call's end is the tool's to say.
_LAST = (ID["end"], ID["result"])


class TextCompletion:
    """The completions of one request, a choice for each prompt.

    Raises:
        ApiError: when it is made, for a request that cannot be answered.
    """

    def __init__(self, service: AgentService, asked: CompletionRequest) -> None:
        asked.refuse_unsupported_fields()
        self.service, self.asked = service, asked
        self.most = COMPLETION_TOKENS if asked.max_tokens is None else asked.max_tokens
        self.head = request_head("text_completion", f"cmpl-{secrets.token_hex(12)}", service.name)

    def write(self, tell: Tell, ended: Callable[[], bool]) -> dict[str, Any]:
        """The whole answer; each choice is told when it is made."""
        prompts = [self._ids(prompt) for prompt in self.asked.prompts]
        read = written = 0
        choices = []
        for index, prompt in enumerate(prompts):
            choice, made = self._choice(index, prompt, ended)
            tell("choice", choice)
            choices.append(choice)
            read, written = read + len(prompt), written + made
        return {**self.head, "choices": choices, "usage": token_usage(read, written)}

    def _ids(self, prompt: str | Sequence[int]) -> list[int]:
        ids = encode_request_prompt(self.service, prompt) if isinstance(prompt, str) else list(prompt)
        refuse_unknown_request_ids(self.service, ids, "prompt")
        self.service.refuse_long_prompt(len(ids), "prompt")
        return ids or [ID["end"]]  # which is what texts begin with in training

    def _choice(self, index: int, prompt: list[int], ended: Callable[[], bool]) -> tuple[dict[str, Any], int]:
        """A choice, and how many tokens were written for it."""
        tokenizer, asked = self.service.agent.tokenizer, self.asked
        made, text, finish = self._go_on(prompt, ended) if self.most else ([], "", "length")
        logprobs = None
        if asked.logprobs is not None:
            from forge.serve.scoring import completion_logprobs, serve_text_scores

            ids = [*prompt, *made]
            scores = serve_text_scores(self.service.agent.model, ids, asked.logprobs)
            logprobs = completion_logprobs(tokenizer, ids, scores, 0 if asked.echo else len(prompt), asked.logprobs)
        before = str(tokenizer.decode(prompt, skip_special_tokens=False)) if asked.echo else ""
        return {"index": index, "text": before + text, "logprobs": logprobs, "finish_reason": finish}, len(made)

    def _go_on(self, prompt: list[int], ended: Callable[[], bool]) -> tuple[list[int], str, str]:
        """Ids, their text without role tokens up to a stop string, and why it ended."""
        from forge.model.engine import decode_titan_output_ids, generate

        tokenizer, stops = self.service.agent.tokenizer, self.asked.stops
        writing = AnswerText(tokenizer, None, stops, ended)
        made = generate(
            self.service.agent.model,
            [prompt],
            max_new_tokens=self.most,
            tokenizer=tokenizer,
            temperature=self.asked.heat,
            seed=self.asked.start,
            watch=lambda answer: writing.watch(answer) or list(answer[-1:]) == [ID["result"]],
        )[0]
        last = next((place + 1 for place, number in enumerate(made.ids) if number in _LAST), None)
        ids = made.ids[:last]
        text = decode_titan_output_ids(tokenizer, ids)
        places = [place for stop in stops if (place := text.find(stop)) >= 0]
        stopped = last is not None or bool(places)
        return ids, text[: min(places)] if places else text, "stop" if stopped else "length"

    async def pieces(self, events: AsyncIterator[Event]) -> AsyncGenerator[str]:
        """The answer as server-sent events: one for each choice, when it is made."""
        async for event in events:
            if event.kind == "choice":
                yield event_line({**self.head, "choices": [event.value]})
            elif event.kind == "done" and self.asked.stream_options and self.asked.stream_options.include_usage:
                yield event_line({**self.head, "choices": [], "usage": event.value["usage"]})
        yield LAST_LINE


async def answer_completion(service: AgentService, request: Request, asked: CompletionRequest) -> Response:
    """Answer a request for completions, at once or as a stream."""
    completion = TextCompletion(service, asked)
    events = service.worker.events(completion.write)
    if not asked.stream:
        return JSONResponse(await last_of_events(request, events))
    first = await anext(events)  # until then a fault is told by the status
    pieces = completion.pieces(chained_events(first, events))
    return StreamingResponse(stream_until_fault(pieces, events), media_type="text/event-stream")
