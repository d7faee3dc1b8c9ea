"""What all requests share: the agent, the bounds, the worker."""

from __future__ import annotations

import time
from dataclasses import dataclass

from forge.runtime.agent import Agent
from forge.serve.bounds import PROMPT_TOKENS, WAITING
from forge.serve.faults import ApiError
from forge.serve.worker import AnswerWorker


@dataclass(frozen=True)
class ServiceBounds:
    """How much is done for a request. most_prompt: tokens of a prompt. most_waiting: requests that wait."""

    most_prompt: int = PROMPT_TOKENS
    most_waiting: int = WAITING


class AgentService:
    """An agent and how it answers.

    Args:
        run_tools: calls are executed here; otherwise they are the client's to run.
        ask_below: a call that is less likely right than this is not made: the agent asks whether it is meant.
    """

    def __init__(self, agent: Agent, bounds: ServiceBounds, *, run_tools: bool = False, ask_below: float = 0.0) -> None:
        self.agent, self.bounds, self.run_tools, self.ask_below = agent, bounds, run_tools, ask_below
        self.worker = AnswerWorker(bounds.most_waiting)
        self.name = agent.path.stem if agent.kind == "file" else agent.path.resolve().name
        self.made = int(agent.path.stat().st_mtime) if agent.path.exists() else 0

    def refuse_long_prompt(self, tokens: int, param: str) -> None:
        """Raise ApiError for a prompt of more tokens than are read."""
        if tokens > self.bounds.most_prompt:
            raise ApiError(
                f"{param}: {tokens:,} tokens; a prompt may have {self.bounds.most_prompt:,}",
                param=param,
                code="context_length_exceeded",
            )

    def describe(self) -> dict[str, object]:
        """The agent as `GET /v1/models` lists it."""
        return {"id": self.name, "object": "model", "created": self.made, "owned_by": "agent-forge"}


def request_head(kind: str, identity: str, model: str) -> dict[str, object]:
    """The first fields of an answer. kind: as `chat.completion`."""
    return {"id": identity, "object": kind, "created": int(time.time()), "model": model}


def token_usage(prompt: int, written: int) -> dict[str, int]:
    """Tokens read and written, as OpenAI's API counts them."""
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
