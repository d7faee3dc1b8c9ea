"""A chat request as our conversation: roles, calls as the model writes them, and which tools it may call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forge.data.layouts import DialogueTurn, alternate_calls_and_results
from forge.errors import ForgeError
from forge.evals.answering import Message
from forge.files import parse_json
from forge.serve.faults import ApiError
from forge.serve.requests import ChatMessage, ChatRequest, OfferedTool, ToolCall
from forge.tools.calls import tool_call_text
from forge.tools.declared.schema import DeclaredTool
from forge.tools.toolbox import shorten_tool_result


@dataclass(frozen=True)
class ToolChoice:
    """Which tools an answer may call, and whether it must: any (true), or the one named.

    parameters: what the client calls the one text that a tool takes, by the tool's name.
    """

    names: tuple[str, ...] = ()
    must: bool | str = False
    parameters: Mapping[str, str] = field(default_factory=dict)

    def arguments_for_client(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of a call by the client's names."""
        renamed = self.parameters.get(name)
        if renamed is None:
            return dict(arguments)
        (value,) = arguments.values()
        return {renamed: value}


def choose_tools_of_request(request: ChatRequest, known: Mapping[str, DeclaredTool], *, run_here: bool) -> ToolChoice:
    """The tools that a request offers and the agent knows; where tools run here, one that names none offers all.

    Others are passed over: a client may offer more than one agent was trained to call.

    Raises:
        ApiError: a call is wanted of a tool that is not offered, or of none that the agent knows.
    """
    offered = {tool.function.name: tool for tool in request.tools or ()}
    names = tuple(name for name in known if name in offered or (run_here and request.tools is None))
    choice = request.tool_choice or "auto"
    parameters = {name: _client_parameter(offered[name]) for name in names if name in offered and known[name].plain}
    given = {name: parameter for name, parameter in parameters.items() if parameter is not None}
    if choice == "none":
        return ToolChoice()
    if choice == "auto":
        return ToolChoice(names, False, given)
    wanted = None if isinstance(choice, str) else choice.function.name
    if wanted is not None and wanted not in offered and wanted not in names:
        raise ApiError(f"tool_choice: {wanted!r} is not among the tools", param="tool_choice")
    if not names or (wanted is not None and wanted not in names):
        raise ApiError(f"tool_choice: the agent can call {', '.join(known)} and no other tool", param="tool_choice")
    return ToolChoice(names, wanted or True, given)


def _client_parameter(tool: OfferedTool) -> str | None:
    """What a client calls the argument of a tool that takes one text; None where that is not clear."""
    schema = tool.function.parameters or {}
    properties, required = schema.get("properties"), schema.get("required")
    names = list(properties) if isinstance(properties, dict) else []
    if len(names) > 1 and isinstance(required, list) and len(required) == 1:
        names = required
    return names[0] if len(names) == 1 and isinstance(names[0], str) else None


def conversation_of_chat(messages: Sequence[ChatMessage], known: Mapping[str, DeclaredTool]) -> list[Message]:
    """The messages as our turns: each call followed by its result, which is cut as those of tools that run here are.

    Raises:
        ApiError: names the message: a call of a tool that the agent does not know, or with arguments that it does not
            take; results that do not fit the calls; an end where it is not the agent's turn.
    """
    turns: list[DialogueTurn] = []
    for number, message in enumerate(messages):
        turns += _turns_of_message(message, f"messages[{number}]", known)
    try:
        ordered = list(alternate_calls_and_results(turns, "messages"))
    except ForgeError as error:
        raise ApiError(str(error), param="messages") from error
    if not ordered or ordered[-1].role not in ("user", "result"):
        raise ApiError("messages: the last one is to be the user's, or a tool's", param="messages")
    return [{"role": turn.role, "content": turn.content} for turn in ordered]


def _turns_of_message(message: ChatMessage, where: str, known: Mapping[str, DeclaredTool]) -> list[DialogueTurn]:
    """One message as turns: none where there is nothing in it; text beside calls is passed over."""
    if message.role == "tool":
        # What says nothing has worked, as far as anybody knows.
        return [DialogueTurn("result", shorten_tool_result(message.text.strip() or "ok"), message.tool_call_id)]
    if message.role == "assistant" and message.tool_calls:
        return [
            DialogueTurn("call", _text_of_client_call(call, f"{where}.tool_calls[{i}]", known), call.id)
            for i, call in enumerate(message.tool_calls)
        ]
    if message.role == "user":
        return [DialogueTurn("user", message.text)]
    role = "assistant" if message.role == "assistant" else "system"
    return [DialogueTurn(role, message.text)] if message.text.strip() else []


def _text_of_client_call(call: ToolCall, where: str, known: Mapping[str, DeclaredTool]) -> str:
    name = call.function.name
    if name not in known:
        raise ApiError(f"{where}: the agent knows no tool {name!r}; it knows {', '.join(known)}", param=where)
    try:
        arguments = parse_json(call.function.arguments, "arguments")
        if not isinstance(arguments, dict):
            raise ForgeError("arguments: not an object")
        if known[name].plain and len(arguments) == 1:  # whatever the client calls it
            (value,) = arguments.values()
            arguments = {str(known[name].plain): value}
        return tool_call_text(known[name], arguments)
    except ForgeError as error:
        raise ApiError(f"{where}: {error}", param=where) from error
