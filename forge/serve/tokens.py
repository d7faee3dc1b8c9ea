"""The tokenizer over HTTP, at the addresses of vLLM's server: with them lm-evaluation-harness counts tokens of an agent
whose one file is all that there is."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from forge.runtime.agent import refuse_agent_text_not_utf8
from forge.serve.faults import ApiError
from forge.serve.service import AgentService

_MOST_TOKENS = 1_000_000


class TokenizeRequest(BaseModel):
    """A body of `POST /tokenize`; role tokens in the text are read as such."""

    prompt: str


class DetokenizeRequest(BaseModel):
    """A body of `POST /detokenize`."""

    tokens: list[int] = Field(max_length=_MOST_TOKENS)


def describe_served_tokenizer(service: AgentService) -> dict[str, Any]:
    """What `GET /tokenizer_info` answers."""
    tokenizer = service.agent.tokenizer
    names = {"bos_token": None, "eos_token": tokenizer.eos_token, "pad_token": tokenizer.pad_token}
    return {**names, "chat_template": tokenizer.chat_template}


def encode_request_prompt(service: AgentService, text: str) -> list[int]:
    """Ids of a raw text. Raises ForgeError for text that is not UTF-8."""
    refuse_agent_text_not_utf8(text)
    ids: list[int] = service.agent.tokenizer.encode(text, add_special_tokens=False)
    return ids


def refuse_unknown_request_ids(service: AgentService, ids: list[int], param: str) -> None:
    """Raise ApiError for an id that no token has."""
    size = len(service.agent.tokenizer)
    if any(not 0 <= number < size for number in ids):
        raise ApiError(f"{param}: ids of tokens are from 0 to {size - 1}", param=param)
