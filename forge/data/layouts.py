"""Rows as others write them (plain text, chat API, ShareGPT, Alpaca) turned into ours; what is no text is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple, NoReturn

from forge.data.personas import PERSONAS
from forge.data.texts import chunk_prose
from forge.errors import ForgeError
from forge.files import parse_json

# Names of roles in chat APIs, ShareGPT and ours, and the role that each is here.
ROLE_OF = {
    **dict.fromkeys(("system", "developer"), "system"),
    "persona": "persona",
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model"), "assistant"),
    **dict.fromkeys(("call", "function_call", "tool_call"), "call"),
    **dict.fromkeys(("result", "tool", "function", "observation", "tool_response"), "result"),
}
OWN_FIELDS = ("messages", "conversations", "instruction", "input", "output", "history", "text", "system")
# Bytes of UTF-8. Every byte may be a token, and what training takes grows with the square of a row's tokens.
LONGEST_DIALOGUE = 16 << 10
_NOT_LEARNED = ("weight", "train", "loss")  # marks of other trainers for turns that are not to be learned
_TEXT_PARTS = ("text", "input_text", "output_text")


class DialogueTurn(NamedTuple):
    """One turn in our roles; of a call and its result the id that joins them, where the row has one."""

    role: str
    content: str
    call_id: str | None = None


def own_record_rows(record: Any, where: str) -> list[dict[str, Any]]:
    """The rows of one record of a user's data: a dialogue, or a text cut into passages.

    Args:
        record: an object with `messages` or `conversations` (a list of turns), with `instruction`, `input` and
            `output`, or with `text`. Of several the first in this order counts; other fields are not read.
        where: place of the record, for the message.

    Raises:
        ForgeError: names the place: no such form, a value that is not text, a role or part that is not known, calls
            and results that do not fit together, nothing to learn, or a dialogue that is too long.
    """
    if not isinstance(record, dict):
        _refuse(where, f"needs 'text' or 'messages' in an object, not {_kind_of_value(record)}")
    given = {name: value for name, value in record.items() if value is not None}
    for name in ("messages", "conversations"):
        if name in given:
            turns = _dialogue_turns(given[name], name, where)
            break
    else:
        if "instruction" in given:
            turns = _instruction_turns(given, where)
        elif "text" in given:
            return [{"text": chunk} for chunk in chunk_prose(_text(given["text"], "'text'", where))]
        else:
            _refuse(where, "needs 'text' or 'messages' (or 'conversations', or 'instruction' with 'output')")
    if system := _text(given.get("system", ""), "'system'", where):  # a column beside the turns
        turns.insert(0, DialogueTurn("system", system))
    turns = list(alternate_calls_and_results(turns, where))
    if not any(turn.role in ("assistant", "call") for turn in turns):
        _refuse(where, "no assistant turn, so there is nothing to learn")
    size = sum(len(turn.content.encode("utf-8")) + 1 for turn in turns)
    if size > LONGEST_DIALOGUE:
        _refuse(where, f"a dialogue of {size:,} bytes, at most {LONGEST_DIALOGUE:,} are learned as one; cut it")
    return [{"messages": [{"role": turn.role, "content": turn.content} for turn in turns]}]


def _refuse(where: str, reason: str) -> NoReturn:
    raise ForgeError(f"{where}: {reason}")


def _kind_of_value(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), type(value).__name__)


def _text(value: Any, what: str, where: str) -> str:
    if not isinstance(value, str):
        _refuse(where, f"needs text as {what}, not {_kind_of_value(value)}")
    return value


def _instruction_turns(given: dict[str, Any], where: str) -> list[DialogueTurn]:
    if given.get("history"):
        _refuse(where, "'history' is not read; write its turns as 'messages'")
    asked = _text(given["instruction"], "'instruction'", where)
    details = _text(given.get("input", ""), "'input'", where)
    answer = _text(given.get("output"), "'output'", where)
    if not answer.strip():
        _refuse(where, "'output' is empty, so there is nothing to learn")
    return [DialogueTurn("user", f"{asked}\n{details}" if details else asked), DialogueTurn("assistant", answer)]


def _dialogue_turns(messages: Any, name: str, where: str) -> list[DialogueTurn]:
    if not isinstance(messages, list):
        _refuse(where, f"needs a list of turns as '{name}', not {_kind_of_value(messages)}")
    if not messages:
        _refuse(where, f"needs turns in '{name}', which is empty")
    return [turn for number, message in enumerate(messages, 1) for turn in _message_turns(message, number, where)]


def _message_turns(message: Any, number: int, where: str) -> list[DialogueTurn]:
    """One message as turns: none where a system's is empty, several where it makes several calls."""
    what = f"message {number}"
    if not isinstance(message, dict):
        _refuse(where, f"needs an object as {what}, not {_kind_of_value(message)}")
    named, key = ("from", "value") if message.get("role") is None and "from" in message else ("role", "content")
    written = _text(message.get(named), f"'{named}' of {what}", where)
    role = ROLE_OF.get(written)
    for mark in _NOT_LEARNED:
        if message.get(mark) not in (None, 1):  # true is 1
            _refuse(where, f"{what} has a {mark} other than 1, which is not supported")
    calls = _calls_of_message(message, what, where)
    content = message.get(key)
    if calls and role == "assistant":
        if content is not None and _content_text(content, what, where).strip():
            _refuse(where, f"{what} holds text beside its calls; an answer is one or the other")
        return calls
    text = _content_text(content, what, where)
    if role is None or (role == "persona" and text not in PERSONAS):
        _refuse(where, f"{written}: no such role or persona")
    if calls:
        _refuse(where, f"{what}: {written} makes calls")
    if role == "assistant" and not text.strip():
        _refuse(where, f"{what} is an answer without text")
    if role == "call" and written != "call" and text.lstrip().startswith("{"):
        return [DialogueTurn("call", _call_text(parse_json(text, where), what, where))]
    if role == "call" and not text.strip():
        _refuse(where, f"{what} is a call without the name of a tool")
    if role == "system" and not text:
        return []
    call_id = message.get("tool_call_id") if role == "result" else None
    return [DialogueTurn(role, text, None if call_id is None else _text(call_id, f"'tool_call_id' of {what}", where))]


def _content_text(content: Any, what: str, where: str) -> str:
    """Text, or the texts of a list of parts; any other part (an image, a file) is refused by its type."""
    if not isinstance(content, list):
        return _text(content, f"content of {what}", where)
    texts = []
    for part in content:
        if isinstance(part, dict) and part.get("type", "text") in _TEXT_PARTS:
            part = part.get("text")
        elif isinstance(part, dict):
            _refuse(where, f"{what} holds a part of type {part.get('type')!r}; only text is read")
        texts.append(_text(part, f"a part of {what}", where))
    return "".join(texts)


def _calls_of_message(message: dict[str, Any], what: str, where: str) -> list[DialogueTurn]:
    """The calls beside a message's content: `tool_calls`, or the older `function_call`."""
    calls = [] if message.get("tool_calls") is None else message["tool_calls"]
    if not isinstance(calls, list):
        _refuse(where, f"needs a list as 'tool_calls' of {what}, not {_kind_of_value(calls)}")
    turns = []
    for call in calls:
        function = call.get("function") or call if isinstance(call, dict) else call
        call_id = call.get("id") if isinstance(call, dict) else None
        call_id = None if call_id is None else _text(call_id, f"'id' of a call of {what}", where)
        turns.append(DialogueTurn("call", _call_text(function, what, where), call_id))
    if message.get("function_call") is not None:
        turns.append(DialogueTurn("call", _call_text(message["function_call"], what, where)))
    return turns


def _call_text(function: Any, what: str, where: str) -> str:
    """A function's name and its arguments as our tools take them: the one argument as text, several as JSON."""
    if not isinstance(function, dict):
        _refuse(where, f"needs 'name' and 'arguments' in a call of {what}, not {_kind_of_value(function)}")
    name = _text(function.get("name"), f"name of a call of {what}", where)
    if len(name.split()) != 1:
        _refuse(where, f"{what} calls {name!r}, which is no name of a tool")
    arguments = function.get("arguments")
    if isinstance(arguments, str) and arguments.lstrip().startswith("{"):
        arguments = parse_json(arguments, where)
    if isinstance(arguments, dict):
        # Tables give every call the arguments of all tools, null where they are another's.
        given = {key: value for key, value in arguments.items() if value is not None}
        arguments = next(iter(given.values())) if len(given) == 1 else given
        if not isinstance(arguments, str):
            arguments = _json_text(arguments, what, where) if given else ""
    argument = "" if arguments is None else _text(arguments, f"arguments of a call of {what}", where)
    return f"{name} {argument}".rstrip()


def _json_text(value: Any, what: str, where: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:  # a date or NaN of a table; deep brackets
        raise ForgeError(f"{where}: arguments of a call of {what} cannot be written as JSON ({error})") from error


def alternate_calls_and_results(turns: list[DialogueTurn], where: str) -> Iterator[DialogueTurn]:
    """Calls made at once, whose results follow together, as call, result, call, result; a last call may stay open.

    Results go to their calls by id where there are ids, else in order.
    """
    groups = [list(group) for _, group in groupby(turns, key=lambda turn: turn.role)]
    for place, group in enumerate(groups):
        role = group[0].role
        if role == "call":
            results = groups[place + 1] if place + 1 < len(groups) and groups[place + 1][0].role == "result" else []
            last_stays_open = place + 1 == len(groups) and len(group) == 1
            if len(results) != len(group) and not last_stays_open:
                _refuse(where, f"{len(group)} calls in a row, but {len(results)} results behind them")
            ordered = _results_in_order_of_calls(group, results, where)
            for number, call in enumerate(group):
                yield call
                yield from ordered[number : number + 1]
        elif role == "result":
            if place == 0 or groups[place - 1][0].role != "call":
                _refuse(where, "a result without a call before it")
        else:
            yield from group


def _results_in_order_of_calls(
    calls: list[DialogueTurn], results: list[DialogueTurn], where: str
) -> list[DialogueTurn]:
    asked, answered = [call.call_id for call in calls], {result.call_id: result for result in results}
    if not results or None in asked or None in answered:
        return results
    if len(answered) < len(results) or set(asked) != set(answered):
        _refuse(where, "results carry other ids than their calls")
    return [answered[call_id] for call_id in asked]
