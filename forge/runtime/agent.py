"""An agent: a model, its tokenizer and its tools, behind one method that answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from forge.data.personas import PERSONAS
from forge.errors import ForgeError
from forge.evals.answering import (
    MAX_NEW_TOKENS,
    RETRY_TEMPERATURE,
    Message,
    answer_all,
    answer_at_second_try,
    answer_in_plain_words,
    answer_of_generation,
    join_answers_to_parts,
    parts_that_matter,
    tool_refused_last_call,
)
from forge.interface.limits import COOLEST, HOTTEST, LARGEST_SEED
from forge.runtime.writing import AnswerText

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from forge.data.asked_forms import AskedForms
    from forge.model.calling import Calibration, CallRules
    from forge.model.constrain import CallGrammar
    from forge.model.engine import Generation
    from forge.tools import Toolbox
    from forge.tools.declared.reading import ToolFile
    from forge.tools.declared.running.toolbox import CallExecutor
    from forge.tools.declared.schema import DeclaredPersona, DeclaredTool
    from forge.tools.words import CallWords

ACKNOWLEDGED = "ok"  # result of a tool that has none to tell, as in training
Listener = Callable[[str, str], None]
# Left to the model; begun for every answer; banned; several that vote, where phase 3 left a thinker.
Thinking = Literal["auto", "on", "off", "vote"]
# Why an answer ended: by itself or at a stop string; for want of room; at a call that is left to the caller.
Finish = Literal["stop", "length", "call"]


def refuse_agent_text_not_utf8(text: str) -> None:
    """Raise ForgeError for text with halves of surrogate pairs, which bytes that are not UTF-8 become in Python."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ForgeError(f"not UTF-8: {text[error.start : error.end]!r} at character {error.start + 1}") from error


def _refuse_reply_input(messages: Sequence[Message], temperature: float, seed: int) -> None:
    if not messages or messages[-1]["role"] not in ("user", "result"):
        raise ForgeError("reply: the conversation must end with the user's turn, or a call's result")
    for message in messages:
        refuse_agent_text_not_utf8(message["content"])
    if temperature != 0 and not COOLEST <= temperature <= HOTTEST:  # NaN is none of them
        raise ForgeError(f"reply: temperature {temperature:g} is neither 0 nor from {COOLEST:g} to {HOTTEST:g}")
    if not 0 <= seed <= LARGEST_SEED:
        raise ForgeError(f"reply: seed {seed} is not from 0 to {LARGEST_SEED}")


@dataclass(frozen=True)
class Call:
    """One call of a tool. text: as the model wrote it. confidence: how likely it is right, 0 to 1. result: None where
    it was not run: it is left to the caller, nothing says what it runs, or the agent asks whether it is meant.
    """

    name: str
    arguments: dict[str, Any]
    text: str
    confidence: float
    result: str | None


@dataclass(frozen=True)
class Reply:
    """An answer. calls: in the order made, each really executed, but for those whose result is None.
    thought: what the model wrote for itself before the answer, empty where it did not think. tokens: of the answer,
    calls, results and thoughts included. steps: mean recurrence steps per token. asked: a call that was not made
    because it was too unsure; the text asks whether it is meant.
    """

    text: str
    calls: list[Call]
    thought: str
    tokens: int
    steps: float
    finish: Finish
    asked: Call | None = None


def readable_agent_reply(reply: Reply, question: str) -> Reply:
    """A reply as it is shown to a person: in place of gibberish it tells the last call's result, or that there is no
    answer. The reply itself is left as it is where its words may be of a language that no list knows, as the question's
    are: of an agent that learned from data of your own."""
    from forge.evals.gibberish import is_gibberish, text_goes_in_circles, words_of_answer

    if not reply.text.strip() or reply.asked is not None:
        return reply
    # Where there was no room, the last word may be half of one.
    text = " ".join(reply.text.split()[:-1]) if reply.finish == "length" else reply.text
    shown = (question, *(call.result or "" for call in reply.calls))
    known = {word for text in shown for word in words_of_answer(text)}
    unknown = bool(text) and not is_gibberish(question) and is_gibberish(text, known)
    junk = text_goes_in_circles(reply.text) or unknown
    found = reply.calls[-1].result if reply.calls else None
    return replace(reply, text=answer_in_plain_words("", found)) if junk and reply.text != found else reply


def _call_failed(result: str) -> bool:
    from forge.data.render import TOOL_ERROR

    return result.startswith(TOOL_ERROR)


@dataclass
class Agent:
    """A loaded agent. Use it as a context manager, or call `close`, so that its tools let go of their files.

    path: what it was loaded from. kind: "directory" or "file". metadata: what its maker wrote down about it.
    workspace: folder that the tools may see; None means the small one that ships with the package. declared, personas:
    tools and personas of the user's that it was trained on. tool_files: what says how calls of these are run; a call of
    a tool that is in none of them is the product.
    """

    model: Any
    tokenizer: PreTrainedTokenizerFast
    path: Path
    kind: str
    metadata: dict[str, Any] = field(default_factory=dict)
    workspace: Path | None = None
    declared: tuple[DeclaredTool, ...] = ()
    personas: tuple[DeclaredPersona, ...] = ()
    tool_files: tuple[ToolFile, ...] = ()
    _toolbox: CallExecutor | None = field(default=None, repr=False)
    _built_in: Toolbox | None = field(default=None, repr=False)
    # By the names of the tools; made in milliseconds, but a grammar is the same for every answer.
    _grammars: dict[tuple[str, ...], CallGrammar] = field(default_factory=dict, repr=False)

    @property
    def parameters(self) -> int:
        """Number of weights; tied ones count once."""
        return int(sum(parameter.numel() for parameter in self.model.parameters()))

    @property
    def toolbox(self) -> CallExecutor:
        """The agent's tools, opened at first use."""
        if self._toolbox is None:
            from forge.tools.declared.running.toolbox import DeclaredToolbox, JoinedToolbox

            own = DeclaredToolbox(self.tool_files) if self.tool_files else None
            self._toolbox = self.built_in if own is None else JoinedToolbox(own, self.built_in)
        return self._toolbox

    @property
    def built_in(self) -> Toolbox:
        """The tools that come with the project, on the agent's workspace, opened at first use."""
        if self._built_in is None:
            from forge.tools import Toolbox

            self._built_in = Toolbox(self.workspace)
        return self._built_in

    def _words_of_call(self, name: str, said: str) -> CallWords | None:
        return self.built_in.words_of_call(name, said)

    @cached_property
    def asked_forms(self) -> AskedForms:
        """How people ask about the agent's workspace."""
        from forge.data.asked_forms import forms_of_training_questions_about

        return forms_of_training_questions_about(self.built_in.about)

    @cached_property
    def unrun(self) -> frozenset[str]:
        """Names of the user's tools whose calls nothing here runs."""
        run = {tool.name for file in self.tool_files for tool in file.tools if tool.run is not None}
        return frozenset(tool.name for tool in self.declared if tool.name not in run)

    def execute(self, call: str) -> str:
        """Result of a call, "ok" of one that nothing runs; `error: ...` for every bad call."""
        return ACKNOWLEDGED if agent_tool_of_call(call) in self.unrun else self.toolbox.execute(call)

    @cached_property
    def tools(self) -> dict[str, DeclaredTool]:
        """The tools that the agent knows, by name."""
        from forge.tools.builtin import TOOLS

        return {tool.name: tool for tool in (*(tool.declared for tool in TOOLS), *self.declared)}

    @property
    def persona_names(self) -> tuple[str, ...]:
        """Built-in personas, and the user's."""
        return (*PERSONAS, *(persona.name for persona in self.personas))

    def refuse_unknown_persona(self, name: str | None) -> None:
        """Raise ForgeError for a persona that the agent does not have; None is none."""
        if name is not None and name not in self.persona_names:
            raise ForgeError(f"unknown persona {name!r}; known: {', '.join(self.persona_names)}")

    def _persona_turns(self, name: str | None) -> list[Message]:
        """What a conversation begins with: a handle of a built-in persona, the prompt of a user's."""
        if name is None:
            return []
        prompt = next((persona.prompt for persona in self.personas if persona.name == name), None)
        role, content = ("persona", name) if prompt is None else ("system", prompt)
        return [{"role": role, "content": content}]

    def count_prompt_tokens(self, messages: Sequence[Message], persona: str | None = None) -> int:
        """Tokens that the model reads before it answers this conversation."""
        from forge.data.render import render

        return len(render(self.tokenizer, [*self._persona_turns(persona), *messages], generation_prompt=True)[0])

    def reply(
        self,
        messages: Sequence[Message],
        *,
        tools: bool | Collection[str] = True,
        must_call: bool | str = False,
        run: bool = True,
        several: bool = False,
        ask_below: float = 0.0,
        thoughts: Thinking = "auto",
        persona: str | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        listen: Listener | None = None,
        ended: Callable[[], bool] | None = None,
    ) -> Reply:
        """Continue a conversation whose last turn is the user's, or the result of a call.

        A question that surely asks built-in tools for several things is answered part by part, unless the caller runs
        the calls or gives strings to stop at. A thought that does not end within `max_new_tokens` is dropped, and the
        answer written without one. Where a tool refused the last call, the answer is tried once more; if that comes to
        nothing either, it says what failed.

        Args:
            messages: {"role", "content"} each; roles are system, user, assistant, call (its text) and result.
            tools: False bans calls; else the model sees only turns that the last leans on. Names allow these alone.
            must_call: the answer begins with a call: of any tool that is allowed, or of the one named.
            run: False leaves calls to the caller: the answer ends with the first one, whose result is None.
            several: with it, an answer may leave more than one: after a call of a declared tool without `results`,
            which training took to answer "ok", the model goes on as if it had. So it does after a call that is to be
            run and that nothing says how to run; where its tool has `results`, the answer ends there.
            ask_below: a call that is less likely right than this is not run; the answer asks whether it is meant.
            thoughts: "auto" leaves it to the model whether it thinks, "on" begins the answer with a thought (a call may
            follow it), "off" bans thoughts, "vote" lets several vote, without tools.
            persona: one of `persona_names`. temperature: 0 is greedy.
            stop: the text ends before the first of these strings.
            listen: called with ("thought", text) when a thought ends, with ("call", text) before a tool runs, with
            ("result", text) after it, and with ("text", piece) as the answer is written; the pieces since the last call
            are the reply's text.
            ended: asked after every token; true ends the answer there.
        Raises ForgeError for an unknown persona, tool or role, for text that is not UTF-8, a temperature or seed out of
        bounds, when it is not the agent's turn, or when thoughts are to vote with tools or in a model without a
        thinker.
        """
        self.refuse_unknown_persona(persona)
        _refuse_reply_input(messages, temperature, seed)
        rules = self._rules_of_reply(tools, must_call, ask_below)
        writer = _ReplyWriter(
            self, [*self._persona_turns(persona), *messages], rules, run, several, stop, listen, ended
        )
        options = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
        made = writer.write(thoughts, **options)
        if thoughts != "off" and not (made.thought or made.calls or made.pending or made.text.strip()):
            made = writer.write("off", **options)  # the thought found no end, and half of one is no answer
        if run and tool_refused_last_call(made) and not self._may_have_acted(made):
            again = {**options, "temperature": max(temperature, RETRY_TEMPERATURE), "seed": seed + 1}
            made = answer_at_second_try(made, writer.write(thoughts, **again))
        return writer.reply(made, max_new_tokens)

    def _may_have_acted(self, made: Generation) -> bool:
        """Whether to write an answer anew could do something twice: it has called a tool of the user's."""
        own = {tool.name for tool in self.declared}
        return any(call.partition(" ")[0] in own for call, _ in made.calls)

    @cached_property
    def calibration(self) -> Calibration:
        """How sure its calls are. Raises ForgeError where the metadata say it in a form that is none."""
        from forge.model.calling import model_call_calibration

        return model_call_calibration(self.metadata, str(self.path))

    def call_rules(
        self, *, allowed: Collection[str] | None = None, due: bool = False, ask_below: float = 0.0
    ) -> CallRules:
        """Rules under which no call is malformed.

        Args:
            allowed: names of the tools that may be called, default all. due: the answer begins with a call.
            ask_below: chance of being right, 0 to 1, below which a call is asked about instead of made.
        Raises ForgeError for a tool that the agent does not have, for none at all, and for a tool of which no grammar
        can be made.
        """
        from forge.model.calling import CallRules
        from forge.model.constrain import CallGrammar

        unknown = [] if allowed is None else [name for name in allowed if name not in self.tools]
        if unknown:
            raise ForgeError(f"unknown tool {unknown[0]!r}; the agent knows {', '.join(self.tools)}")
        wanted = tuple(name for name in self.tools if allowed is None or name in allowed)
        if wanted not in self._grammars:
            tools = [self.tools[name] for name in wanted]
            self._grammars[wanted] = CallGrammar(self.tokenizer, tools, self._words_of_call, lambda: self.asked_forms)
        return CallRules(self._grammars[wanted], due, ask_below, self.calibration)

    def _rules_of_reply(
        self, tools: bool | Collection[str], must_call: bool | str, ask_below: float
    ) -> CallRules | None:
        """How the calls of a reply are decoded; None where there may be none."""
        wanted = (set(self.tools) if tools else set()) if isinstance(tools, bool) else set(tools)
        if isinstance(must_call, str):
            wanted &= {must_call}
        if must_call and not wanted:
            raise ForgeError("a call is wanted of a tool that is not allowed")
        return self.call_rules(allowed=wanted, due=bool(must_call), ask_below=ask_below) if wanted else None

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
        elif self._built_in is not None:
            self._built_in.close()
        self._toolbox = self._built_in = None

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def agent_tool_of_call(call: str) -> str:
    """The name of the tool that a call's text calls."""
    return call.strip().partition(" ")[0]


@dataclass
class _ReplyWriter:
    """Writes one reply, in as many attempts as it takes."""

    agent: Agent
    conversation: list[Message]
    rules: CallRules | None
    run: bool
    several: bool
    stop: Sequence[str]
    listen: Listener | None
    ended: Callable[[], bool] | None
    text: AnswerText | None = None
    parted: bool = False

    def write(self, thoughts: Thinking, **options: Any) -> Generation:
        """One attempt."""
        # What a stop string ends, and what a caller runs, is one answer.
        parts = parts_that_matter(self.conversation, self.rules, parted=self.run and not self.stop)
        self.parted = len(parts) > 1
        if self.listen is not None or self.stop or self.ended is not None:
            tell = None if self.listen is None else partial(self.listen, "text")
            self.text = AnswerText(self.agent.tokenizer, tell, self.stop, self.ended)
            self.text.muted = self.parted or _call_failed(self._given_result or "")
        made = join_answers_to_parts([self._write_part(part, thoughts, **options) for part in parts])
        if self.text is not None:
            self.text.finish()
        return made

    def _write_part(self, conversation: list[Message], thoughts: Thinking, **options: Any) -> Generation:
        return answer_all(
            self.agent.model,
            self.agent.tokenizer,
            [conversation],
            execute=None if self.rules is None else self._execute,
            thoughts="off" if thoughts == "vote" else thoughts,
            thinker=self.agent.thinker if thoughts == "vote" else None,
            hear=None if self.listen is None else partial(self.listen, "thought"),
            watch=None if self.text is None else self.text.watch,
            rules=self.rules,
            parted=False,
            **options,
        )[0]

    @property
    def _given_result(self) -> str | None:
        last = self.conversation[-1]
        return last["content"] if last["role"] == "result" else None

    def _execute(self, call: str) -> str | None:
        """The result of a call; None leaves it to the caller."""
        if not self.run:
            return self._assumed_result(call) if self.several else None
        if self.listen is not None:
            self.listen("call", call)
        if agent_tool_of_call(call) in self.agent.unrun:
            return self._assumed_result(call)
        result = self.agent.toolbox.execute(call)
        if self.listen is not None:
            self.listen("result", result)
        if self.text is not None:
            self.text.muted = self.parted or _call_failed(result)
        return result

    def _assumed_result(self, call: str) -> str | None:
        """What the caller's tool will answer, if that is known."""
        if agent_tool_of_call(call) not in [tool.name for tool in self.agent.declared if not tool.results]:
            return None
        if self.text is not None:
            self.text.muted = not self.run  # what the model says now is for later
        return ACKNOWLEDGED

    def _was_run(self, call: str) -> bool:
        return self.run and agent_tool_of_call(call) not in self.agent.unrun

    def reply(self, made: Generation, most: int) -> Reply:
        """The reply that an attempt comes to; what its listener was not told yet is told."""
        results: list[tuple[str, str | None]] = [
            (text, result if self._was_run(text) else None) for text, result in made.calls
        ]
        results += [(made.pending, None)] if made.pending else []
        calls = [
            self._read_call(text, confidence, result)
            for (text, result), confidence in zip(results, made.confidences, strict=True)
        ]
        asked = calls.pop() if made.unsure else None
        finish: Finish = "stop" if made.finished or len(made.ids) < most else "length"
        if (made.pending and not made.unsure) or (calls and not self.run):
            said, finish, asked = "", "call", None
        elif asked is not None:
            said = made.text
        elif self.text is not None and self.text.stopped:
            said = self.text.text
        else:
            said = answer_of_generation(made, self._given_result)
        if self.listen is not None and self.text is not None and said and said != self.text.told:
            self.listen("text", said)
        return Reply(said, calls, made.thought, len(made.ids), float(made.steps), finish, asked)

    def _read_call(self, text: str, confidence: float, result: str | None) -> Call:
        from forge.tools.calls import parse_tool_call

        return Call(*parse_tool_call(text, self.agent.tools), text, confidence, result)
