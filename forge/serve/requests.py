"""What may be asked: the fields of OpenAI's requests that are obeyed, and those that are refused.

A field that would change an answer and is not obeyed is refused, unless it asks for what is done anyway; other fields
are passed over, as clients send many that concern no answer (`user`, `store`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from forge.interface.limits import COOLEST, HOTTEST, LARGEST_SEED, MOST_ANSWER_TOKENS
from forge.runtime.agent import MAX_NEW_TOKENS
from forge.serve.faults import ApiError

MOST_MESSAGES = 1000
MOST_PROMPTS = 128
MOST_STOPS = 16
MOST_TOP_LOGPROBS = 20
COMPLETION_TOKENS = 16  # as OpenAI's, where a request says nothing
# What is done anyway, by fields that ask for something else otherwise.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "top_p": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "suffix": ("",),
    "response_format": ({"type": "text"},),
    "functions": ([],),
    "modalities": (["text"],),
}
_Stop = Annotated[str, Field(min_length=1, max_length=200)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False, frozen=True)


class StreamOptions(_Request):
    """How a stream is sent."""

    include_usage: bool = False


class Sampling(_Request):
    """What both kinds of completions take.

    Fields that are not declared are kept in `model_extra`.
    """

    model: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=HOTTEST)
    seed: int | None = None
    stop: _Stop | Annotated[list[_Stop], Field(max_length=MOST_STOPS)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings before which the text ends."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def heat(self) -> float:
        """The temperature: 0 where a request says nothing, and below the least that is computed."""
        return self.temperature if self.temperature is not None and self.temperature >= COOLEST else 0.0

    @property
    def start(self) -> int:
        """The seed of sampling; any integer has one."""
        return (self.seed or 0) % (LARGEST_SEED + 1)

    def refuse_unsupported_fields(self, *others: str) -> None:
        """Raise ApiError for a field that is not obeyed; `others`: fields of which any value but false is refused."""
        extra = self.model_extra or {}
        for name in (*_NEUTRAL, *others):
            value = extra.get(name)
            if value is not None and value is not False and value not in _NEUTRAL.get(name, ()):
                raise ApiError(f"{name}: this value is not supported", param=name, code="unsupported_value")


class TextPart(_Request):
    """A part of a message."""

    type: Literal["text"]
    text: str


class CalledFunction(_Request):
    """Name and arguments, as JSON, of a call."""

    name: str
    arguments: str


class ToolCall(_Request):
    """A call that the assistant made."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class ChatMessage(_Request):
    """A message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The content, its parts joined."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content or ())


class OfferedFunction(_Request):
    """A function that may be called."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OfferedTool(_Request):
    """A tool that may be called."""

    type: Literal["function"]
    function: OfferedFunction


class ChosenFunction(_Request):
    """The name of a function."""

    name: str


class ChosenTool(_Request):
    """The tool that must be called."""

    type: Literal["function"]
    function: ChosenFunction


class ChatRequest(Sampling):
    """A body of `POST /v1/chat/completions`. `thoughts` and `persona` are ours."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=MOST_MESSAGES)
    tools: list[OfferedTool] | None = Field(default=None, max_length=MOST_PROMPTS)
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    parallel_tool_calls: bool = True
    max_tokens: int | None = Field(default=None, ge=1, le=MOST_ANSWER_TOKENS)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=MOST_ANSWER_TOKENS)
    thoughts: Literal["auto", "on", "off"] = "auto"
    persona: str | None = None

    @property
    def most_tokens(self) -> int:
        """The longest answer, in tokens."""
        return self.max_completion_tokens or self.max_tokens or MAX_NEW_TOKENS


class CompletionRequest(Sampling):
    """A body of `POST /v1/completions`. A prompt is text, in which role tokens are read as such, or ids of tokens."""

    prompt: (
        str
        | list[int]
        | Annotated[list[str], Field(min_length=1, max_length=MOST_PROMPTS)]
        | Annotated[list[list[int]], Field(min_length=1, max_length=MOST_PROMPTS)]
    )
    max_tokens: int | None = Field(default=COMPLETION_TOKENS, ge=0, le=MOST_ANSWER_TOKENS)
    echo: bool = False
    logprobs: int | None = Field(default=None, ge=0, le=MOST_TOP_LOGPROBS)

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """Each prompt."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if all(isinstance(part, int) for part in self.prompt):
            return [cast(list[int], self.prompt)]
        return cast(list[str] | list[list[int]], self.prompt)
