"""A conversation with an agent, turn by turn."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import cast, get_args

from forge.errors import ForgeError
from forge.evals.answering import Message
from forge.runtime.agent import ACKNOWLEDGED, MAX_NEW_TOKENS, Agent, Listener, Reply, Thinking, readable_agent_reply

MAX_HISTORY = 1000  # turns that the agent may be given
EXAMPLES = ("what is 17 * 23?", "what is the capital of Norway?", "how many lamps are in stock?")
COMMANDS = "/persona [NAME], /tools [on|off], /thoughts [on|off|auto], /history N, /help, /quit"
YES = ("yes", "y", "yes please", "yes, please", "yeah", "ok", "right")


@dataclass
class ChatSession:
    """State of a conversation: past turns, persona, whether tools are allowed and thoughts wanted.

    history: how many past turns the agent is given, without their thoughts; it sees what the question leans on.
    ask_below: a call whose chance of being right is lower is asked about instead of made. asked: the words that the
    agent is asking about, if it is.
    """

    agent: Agent
    persona: str | None = None
    tools: bool = True
    thoughts: Thinking = "auto"
    history: int = 1
    max_new_tokens: int = MAX_NEW_TOKENS
    ask_below: float = 0.0
    turns: list[list[Message]] = field(default_factory=list)
    asked: str = ""

    def __post_init__(self) -> None:
        self.agent.refuse_unknown_persona(self.persona)

    def ask(self, text: str, listen: Listener | None = None) -> Reply:
        """Answer the user's words and remember the turn. `listen` hears of thoughts and calls as they happen.

        Yes to a question whether a call is meant answers the words that were unclear once more, and acts.
        """
        meant = bool(self.asked) and text.strip().rstrip(".!").lower() in YES
        turns = self.turns[:-1] if meant else self.turns
        question: Message = {"role": "user", "content": self.asked if meant else text}
        shown = turns[-self.history :] if self.history > 0 else []
        messages = [message for turn in shown for message in turn]
        made = self.agent.reply(
            [*messages, question],
            tools=self.tools,
            thoughts=self.thoughts,
            persona=self.persona,
            max_new_tokens=self.max_new_tokens,
            listen=listen,
            ask_below=0.0 if meant else self.ask_below,
        )
        reply = readable_agent_reply(made, question["content"])
        self.asked = question["content"] if reply.asked else ""
        turn = [question]
        for call in reply.calls:
            turn += [{"role": "call", "content": call.text}, {"role": "result", "content": call.result or ACKNOWLEDGED}]
        self.turns = [*turns, [*turn, {"role": "assistant", "content": reply.text or ACKNOWLEDGED}]]
        return reply

    def command(self, line: str) -> str:
        """Obey a line that begins with a slash (other than /quit) and return what to tell the user.

        Raises ForgeError for a command or a value that does not exist; the session is then unchanged.
        """
        name, _, value = line[1:].strip().partition(" ")
        value = value.strip()
        if name == "persona":
            return self._set_persona(value)
        if name == "tools":
            return self._set_tools(value)
        if name == "thoughts":
            return self._set_thoughts(value)
        if name == "history":
            if not re.fullmatch("[0-9]{1,4}", value) or int(value) > MAX_HISTORY:
                raise ForgeError(f"/history takes a number of past turns, 0 to {MAX_HISTORY}")
            self.history = int(value)
            return f"the agent is given {self.history} past turns"
        if name == "help":
            return self._help()
        raise ForgeError(f"unknown command /{name}; try /help")

    def _help(self) -> str:
        from forge.data.talk import ABILITIES

        own = f" And what you declared: {', '.join(tool.name for tool in self.agent.declared)}."
        lines = [f"{ABILITIES}{own if self.agent.declared else ''} For example:", *(f"  {line}" for line in EXAMPLES)]
        return "\n".join([*lines, COMMANDS])

    def _set_tools(self, value: str) -> str:
        if value not in ("", "on", "off"):
            raise ForgeError("/tools takes on or off")
        self.tools = value == "on" if value else self.tools
        return f"tools are {'on' if self.tools else 'off'}: {', '.join(self.agent.tools)}"

    def _set_thoughts(self, value: str) -> str:
        known = get_args(Thinking)
        if value and value not in known:
            raise ForgeError(f"/thoughts takes {', '.join(known[:-1])} or {known[-1]}")
        if value == "vote":
            _ = self.agent.thinker  # a model that has none says so now
        self.thoughts = cast(Thinking, value or self.thoughts)
        return f"thoughts are {self.thoughts}"

    def _set_persona(self, value: str) -> str:
        if value in ("", "none"):
            self.persona = None
            return f"no persona; there are: {', '.join(self.agent.persona_names)}"
        self.agent.refuse_unknown_persona(value)
        self.persona = value
        return f"persona is {value}"
