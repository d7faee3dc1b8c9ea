"""An agent: a model, its tokenizer and its tools, behind one method that answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from forge.data.personas import PERSONAS
from forge.errors import ForgeError
from forge.evals.answering import Message, answer_all, answer_in_plain_words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from forge.model.engine import Generation
    from forge.tools import Toolbox

# Longest answer to a person, in tokens: room for a result of 200 characters and its repetition in the answer, or for
# the longest thought of the training data twice.
MAX_NEW_TOKENS = 256
Listener = Callable[[str, str], None]
# Left to the model; begun for every answer; banned; several that vote, where phase 3 left a thinker.
Thinking = Literal["auto", "on", "off", "vote"]


def refuse_text_not_utf8(text: str) -> None:
    """Raise ForgeError for text with halves of surrogate pairs, which bytes that are not UTF-8 become in Python."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ForgeError(f"not UTF-8: {text[error.start : error.end]!r} at character {error.start + 1}") from error


@dataclass(frozen=True)
class Reply:
    """An answer. calls: (call, result) pairs in the order made, each really executed. thought: what the model wrote for
    itself before the answer, empty where it did not think. steps: mean recurrence steps a token.
    """

    text: str
    calls: list[tuple[str, str]]
    thought: str
    tokens: int
    steps: float


@dataclass
class Agent:
    """A loaded agent. Use it as a context manager, or call `close`, so that its tools let go of their files.

    path: what it was loaded from. kind: "directory" or "file". metadata: what its maker wrote down about it.
    workspace: folder that the tools may see; None means the small one that ships with the package.
    """

    model: Any
    tokenizer: PreTrainedTokenizerFast
    path: Path
    kind: str
    metadata: dict[str, Any] = field(default_factory=dict)
    workspace: Path | None = None
    _toolbox: Toolbox | None = field(default=None, repr=False)

    @property
    def parameters(self) -> int:
        """Number of weights; tied ones count once."""
        return int(sum(parameter.numel() for parameter in self.model.parameters()))

    @property
    def toolbox(self) -> Toolbox:
        """The agent's tools, opened at first use."""
        if self._toolbox is None:
            from forge.tools import Toolbox

            self._toolbox = Toolbox(self.workspace)
        return self._toolbox

    def reply(
        self,
        messages: Sequence[Message],
        *,
        tools: bool = True,
        thoughts: Thinking = "auto",
        persona: str | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        temperature: float = 0.0,
        seed: int = 0,
        listen: Listener | None = None,
    ) -> Reply:
        """Continue a conversation whose last turn is the user's.

        A thought that does not end within `max_new_tokens` is dropped, and the answer written without one.

        Args:
            tools: False bans tool calls. thoughts: "auto" leaves it to the model whether it thinks, "on" begins the
            answer with a thought (a call may follow it), "off" bans thoughts, "vote" lets several vote, without tools.
            persona: one of PERSONAS. temperature: 0 is greedy.
            listen: called with ("thought", text) when a thought ends, with ("call", text) before a tool runs and with
            ("result", text) after it.
        Raises ForgeError for an unknown persona, for text that is not UTF-8, when it is not the agent's turn, or when
        thoughts are to vote with tools or in a model without a thinker.
        """
        if persona is not None and persona not in PERSONAS:
            raise ForgeError(f"unknown persona {persona!r}; known: {', '.join(PERSONAS)}")
        if not messages or messages[-1]["role"] != "user":
            raise ForgeError("reply: the conversation must end with the user's turn")
        for message in messages:
            refuse_text_not_utf8(message["content"])
        opening: list[Message] = [{"role": "persona", "content": persona}] if persona is not None else []

        def answer(wanted: Thinking) -> Generation:
            return answer_all(
                self.model,
                self.tokenizer,
                [[*opening, *messages]],
                execute=self._executor(listen) if tools else None,
                max_new_tokens=max_new_tokens,
                temperature=temperature,
                seed=seed,
                thoughts="off" if wanted == "vote" else wanted,
                thinker=self.thinker if wanted == "vote" else None,
                hear=None if listen is None else partial(listen, "thought"),
            )[0]

        made = answer(thoughts)
        if thoughts != "off" and not (made.thought or made.calls or made.text.strip()):
            made = answer("off")  # the thought found no end, and half of one is no answer
        calls = [(call, result) for call, result in made.calls]
        said = answer_in_plain_words(made.text, calls)
        return Reply(said, calls, made.thought, len(made.ids), float(made.steps))

    def _executor(self, listen: Listener | None) -> Callable[[str], str]:
        def run(call: str) -> str:
            if listen is not None:
                listen("call", call)
            result = self.toolbox.execute(call)
            if listen is not None:
                listen("result", result)
            return result

        return run

    @cached_property
    def thinker(self) -> Any:
        """What lets several thoughts vote (forge.thinking). Raises ForgeError for a model that came without it."""
        from forge.thinking.thinker import THINKER_FILE, read_thinker_file

        found = read_thinker_file(self.path) if self.kind == "directory" else None
        if found is None:
            raise ForgeError(f"{self.path}: no thoughts vote in this model, it has no {THINKER_FILE}")
        return found

    def close(self) -> None:
        """Release the tools. Safe to call twice."""
        if self._toolbox is not None:
            self._toolbox.close()
            self._toolbox = None

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
