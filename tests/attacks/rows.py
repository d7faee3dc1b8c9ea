"""Rows of strangers: forms in which chat data is published, values that are not text, and a generator of more."""

from __future__ import annotations

import random
from typing import Any

ASK = {"role": "user", "content": "What is 3*4?"}
SAY = {"role": "assistant", "content": "12"}


def ours(*turns: tuple[str, str]) -> dict[str, Any]:
    """A row as the data stage keeps it."""
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def chat_call(arguments: Any, name: Any = "calculator", **more: Any) -> dict[str, Any]:
    """An entry of `tool_calls`."""
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


def calling(*calls: Any, content: Any = None) -> dict[str, Any]:
    """A message that calls tools."""
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


PRODUCT = ours(("user", "What is 3*4?"), ("call", "calculator 3*4"), ("result", "12"), ("assistant", "12"))
TWO = ours(
    ("user", "Both?"), ("call", "a 1"), ("result", "one"), ("call", "b 2"), ("result", "two"), ("assistant", "ok")
)
BOTH = {"role": "user", "content": "Both?"}
OK = {"role": "assistant", "content": "ok"}
TOOL = {"role": "tool", "content": "12"}

# name: (record, the row that it becomes)
READ: dict[str, tuple[Any, Any]] = {
    "chat api": ({"messages": [ASK, SAY]}, ours(("user", "What is 3*4?"), ("assistant", "12"))),
    "null columns": (
        {"text": None, "messages": [{**ASK, "tool_calls": None, "name": None}, {**SAY, "tool_calls": [], "weight": 1}]},
        ours(("user", "What is 3*4?"), ("assistant", "12")),
    ),
    "parts": (
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "What "}, {"type": "text", "text": "now?"}]},
                {"role": "assistant", "content": [{"type": "output_text", "text": "12"}]},
            ]
        },
        ours(("user", "What now?"), ("assistant", "12")),
    ),
    "developer": (
        {"messages": [{"role": "developer", "content": "Be brief."}, ASK, SAY]},
        ours(("system", "Be brief."), ("user", "What is 3*4?"), ("assistant", "12")),
    ),
    "empty system": (
        {"messages": [{"role": "system", "content": ""}, ASK, SAY]},
        ours(("user", "What is 3*4?"), ("assistant", "12")),
    ),
    "system column": (
        {"system": "Be brief.", "tools": "[]", "messages": [ASK, SAY]},
        ours(("system", "Be brief."), ("user", "What is 3*4?"), ("assistant", "12")),
    ),
    "call as text": (
        {"messages": [ASK, calling(chat_call('{"expression": "3*4"}', id="x")), {**TOOL, "tool_call_id": "x"}, SAY]},
        PRODUCT,
    ),
    "call as object": ({"messages": [ASK, calling(chat_call({"expression": "3*4", "sql": None})), TOOL, SAY]}, PRODUCT),
    "call without arguments' names": ({"messages": [ASK, calling(chat_call("3*4"), content=""), TOOL, SAY]}, PRODUCT),
    "function_call": (
        {
            "messages": [
                ASK,
                {
                    "role": "assistant",
                    "content": None,
                    "function_call": {"name": "calculator", "arguments": '{"e": "3*4"}'},
                },
                {"role": "function", "name": "calculator", "content": "12"},
                SAY,
            ]
        },
        PRODUCT,
    ),
    "several arguments": (
        {"messages": [ASK, calling(chat_call('{"a": 3, "b": [4, true], "c": "ä"}', "mul"))]},
        ours(("user", "What is 3*4?"), ("call", 'mul {"a": 3, "b": [4, true], "c": "ä"}')),
    ),
    "no argument": (
        {"messages": [ASK, calling(chat_call("{}", "now"))]},
        ours(("user", "What is 3*4?"), ("call", "now")),
    ),
    "two calls at once, by id": (
        {
            "messages": [
                BOTH,
                calling(chat_call("1", "a", id="x"), chat_call("2", "b", id="y")),
                {"role": "tool", "tool_call_id": "y", "content": "two"},
                {"role": "tool", "tool_call_id": "x", "content": "one"},
                OK,
            ]
        },
        TWO,
    ),
    "two calls at once, by order": (
        {
            "messages": [
                BOTH,
                calling(chat_call("1", "a"), chat_call("2", "b")),
                {"role": "tool", "content": "one"},
                {"role": "tool", "content": "two"},
                OK,
            ]
        },
        TWO,
    ),
    "ShareGPT": (
        {
            "id": 7,
            "conversations": [
                {"from": "human", "value": "What is 3*4?"},
                {"from": "function_call", "value": '{"name": "calculator", "arguments": {"e": "3*4"}}'},
                {"from": "observation", "value": "12"},
                {"from": "gpt", "value": "12"},
            ],
        },
        PRODUCT,
    ),
    "ShareGPT in a table with both": (
        {
            "conversations": [
                {"role": None, "from": "human", "value": "Hi"},
                {"role": None, "from": "gpt", "value": "Hello", "loss": True},
            ]
        },
        ours(("user", "Hi"), ("assistant", "Hello")),
    ),
    "conversations of a chat api": ({"conversations": [ASK, SAY]}, ours(("user", "What is 3*4?"), ("assistant", "12"))),
    "Alpaca": (
        {"instruction": "Add.", "input": "3, 4", "output": "7", "text": "Below is an instruction ..."},
        ours(("user", "Add.\n3, 4"), ("assistant", "7")),
    ),
    "Alpaca without input": (
        {"instruction": "Hi", "input": "", "output": "Hello"},
        ours(("user", "Hi"), ("assistant", "Hello")),
    ),
    "text": ({"text": "A passage.", "id": float("nan")}, {"text": "A passage."}),
}

# As transformers hands messages to a chat template: arguments are an object, a call may stand without `function`.
CALLS: list[dict[str, Any]] = [
    calling(chat_call({"expression": "3*4", "sql": None})),
    calling(chat_call({"a": 3, "b": [4, True], "c": "ä"}, "mul"), content=""),
    calling({"name": "now", "arguments": {}}),
    {"role": "assistant", "tool_calls": [chat_call("3*4 <|end|>")]},
    calling(chat_call({"n": 3})),
    calling(chat_call(None)),
]

# record, words of the refusal
REFUSED: list[tuple[Any, str]] = [
    (3, "not a number"),
    (None, "not null"),
    ({}, "needs 'text' or 'messages'"),
    ({"text": 3}, "as 'text', not a number"),
    ({"text": ["a"]}, "as 'text', not a list"),
    ({"text": b"a"}, "as 'text', not bytes"),
    ({"messages": "hello"}, "needs a list of turns"),
    ({"messages": []}, "which is empty"),
    ({"messages": [ASK, "12"]}, "message 2, not str"),
    ({"messages": [ASK, {"role": "assistant", "content": None}]}, "message 2, not null"),
    ({"messages": [ASK, {"role": "assistant", "content": None, "refusal": "No."}]}, "message 2, not null"),
    ({"messages": [ASK, {"role": "assistant", "content": 12}]}, "message 2, not a number"),
    ({"messages": [ASK, {"role": "assistant", "content": True}]}, "message 2, not true or false"),
    ({"messages": [ASK, {"role": "assistant", "content": {"text": "12"}}]}, "message 2, not an object"),
    ({"messages": [ASK, {"role": "assistant", "content": " "}]}, "message 2 is an answer without text"),
    ({"messages": [ASK, {"role": 1, "content": "12"}]}, "'role' of message 2, not a number"),
    ({"messages": [ASK, {"role": "narrator", "content": "12"}]}, "narrator: no such role"),
    ({"messages": [{"role": "persona", "content": "end"}, ASK, SAY]}, "persona: no such role or persona"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, SAY]}, "'image_url'"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 3}]}, SAY]}, "message 1, not a number"),
    ({"messages": [{"role": "user", "content": [3]}, SAY]}, "part of message 1, not a number"),
    ({"messages": [ASK, {**SAY, "weight": 0}]}, "weight other than 1"),
    ({"messages": [ASK, {**SAY, "train": False}]}, "train other than 1"),
    ({"messages": [ASK, {**SAY, "loss": False}]}, "loss other than 1"),
    ({"messages": [ASK, {"role": "call", "content": " "}, TOOL, SAY]}, "message 2 is a call without the name"),
    ({"messages": [ASK, {**SAY, "tool_calls": 0}]}, "needs a list as 'tool_calls' of message 2, not a number"),
    ({"messages": [ASK, {**SAY, "content": "é" * 9000}]}, "a dialogue of 18,014 bytes, at most 16,384"),
    ({"messages": [ASK, SAY] * 2000}, "at most 16,384"),
    ({"messages": [ASK]}, "no assistant turn"),
    ({"messages": [ASK, calling(chat_call("3*4"), content="Let me see."), TOOL, SAY]}, "text beside its calls"),
    ({"messages": [ASK, TOOL, SAY]}, "a result without a call"),
    ({"messages": [ASK, calling(chat_call("1"), chat_call("2")), TOOL, SAY]}, "2 calls in a row, but 1 results"),
    ({"messages": [ASK, calling(chat_call("1"), chat_call("2"))]}, "2 calls in a row, but 0 results"),
    ({"messages": [ASK, calling(chat_call("3*4")), SAY]}, "1 calls in a row, but 0 results"),
    ({"messages": [ASK, calling(chat_call("1", id="x")), {**TOOL, "tool_call_id": "z"}, SAY]}, "other ids"),
    ({"messages": [ASK, calling(chat_call("1", id="x"), chat_call("2", id="x")), {**TOOL, "tool_call_id": "x"},
                   {**TOOL, "tool_call_id": "x"}]}, "other ids"),
    ({"messages": [ASK, calling(chat_call("1", id=[1]))]}, "'id' of a call of message 2, not a list"),
    ({"messages": [ASK, calling(chat_call(3))]}, "arguments of a call of message 2, not a number"),
    ({"messages": [ASK, calling(chat_call([3]))]}, "arguments of a call of message 2, not a list"),
    ({"messages": [ASK, calling(chat_call('{"a": '))]}, "not JSON"),
    ({"messages": [ASK, calling(chat_call('{"a": "\\ud800"}'))]}, "half a surrogate pair"),
    ({"messages": [ASK, calling(chat_call('{"a": ' + "[" * 100_000))]}, "nested too deeply"),
    ({"messages": [ASK, calling(chat_call({"a": {1, 2}}))]}, "cannot be written as JSON"),
    ({"messages": [ASK, calling(chat_call({"a": float("nan")}))]}, "cannot be written as JSON"),
    ({"messages": [ASK, calling(chat_call({"a": [3, {"b": float("-inf")}]}))]}, "cannot be written as JSON"),
    ({"messages": [ASK, calling(chat_call('{"a": NaN}'))]}, "NaN is no number that JSON has"),
    ({"messages": [ASK, calling(chat_call('{"a": -Infinity}'))]}, "-Infinity is no number that JSON has"),
    ({"messages": [ASK, calling(chat_call('{"a": -1e999}'))]}, "a number that is too large"),
    ({"messages": [ASK, calling(chat_call("3", "two words"))]}, "no name of a tool"),
    ({"messages": [ASK, calling(chat_call("3", None))]}, "name of a call of message 2, not null"),
    ({"messages": [ASK, calling("calculator 3")]}, "in a call of message 2, not str"),
    ({"messages": [ASK, {**SAY, "tool_calls": "calculator"}]}, "needs a list as 'tool_calls'"),
    ({"messages": [{**ASK, "tool_calls": [chat_call("3")]}, SAY]}, "user makes calls"),
    ({"messages": [ASK, SAY], "system": 3}, "as 'system', not a number"),
    ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": 3}]}, "message 2, not a number"),
    ({"instruction": "Add.", "input": 3, "output": "7"}, "as 'input', not a number"),
    ({"instruction": "Add.", "output": None}, "as 'output', not null"),
    ({"instruction": "Add.", "output": ""}, "'output' is empty"),
    ({"instruction": "Add.", "output": "7", "history": [["a", "b"]]}, "'history' is not read"),
]  # fmt: skip

# bytes of a .jsonl file, words of the refusal
BROKEN_LINES: list[tuple[bytes, str]] = [
    (b'{"text": "\\ud83d"}', ":1: holds half a surrogate pair"),
    (b'{"\\uDC00": "a", "text": "b"}', ":1: holds half a surrogate pair"),
    (b'{"text": "ok"}\n' + b"[" * 100_000, ":2: not JSON (brackets nested too deeply)"),
    (b'{"text": "ok"}\n' + b'{"a":' * 100_000, ":2: not JSON (brackets nested too deeply)"),
    (b'{"text": "ok"}\n\n{"n": ' + b"9" * 5000 + b"}", ":3: not JSON (Exceeds the limit"),
    (b'{"text": "ok"}\n{"text": "caf\xe9"}', ":2: not UTF-8"),
    (b'{"text": "\xed\xa0\x80"}', ":1: not UTF-8"),
    (b"\xff\xfe{\x00", ":1: not UTF-8"),
    (b'{"text": "a", "text": "b"}', ":1: not JSON (a name stands twice"),
    (b'{"text": "a", "n": NaN}', ":1: not JSON (NaN is no number"),
    (b'{"text": "ok"}\n{"text": "b", "n": [1e400]}', ":2: not JSON (a number that is too large"),
    (b'{"text": "a"} {"text": "b"}', ":1: not JSON (more behind its end)"),
    (b'{"text": "a\nb"}', ":1: not JSON"),
    (b'{"text": "ok"}\n{"text": ', ":2: not JSON"),
    (b'{"text": "ok"}\x00\n', ":1: not JSON"),
]

_ROLES = ("system", "user", "assistant", "tool", "function", "call", "result", "human", "gpt", "persona", "x", None, 1)
_LEAVES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1.5,
    float("nan"),
    "",
    " ",
    "a b",
    "{",
    '{"a": 1}',
    "3*4",
    [],
    {},
    "\u2028",
    b"x",
)


def _value(rng: random.Random, depth: int) -> Any:
    if depth and rng.random() < 0.3:
        return [_value(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    if depth and rng.random() < 0.4:
        keys = ("type", "text", "name", "arguments", "function", "id")
        return {rng.choice(keys): _value(rng, depth - 1) for _ in range(rng.randint(0, 4))}
    return rng.choice(_LEAVES)


def _message(rng: random.Random) -> Any:
    if rng.random() < 0.02:
        return _value(rng, 2)
    named, key = rng.choice((("role", "content"), ("role", "content"), ("from", "value")))
    role = rng.choice(_ROLES if rng.random() < 0.2 else ("user", "assistant", "assistant", "tool", "call"))
    message = {named: role, key: _value(rng, 2) if rng.random() < 0.1 else rng.choice(("a", "b c"))}
    if role == "assistant" and rng.random() < 0.3:
        calls = [chat_call(rng.choice(("3", '{"a": 1}')), id=rng.choice(("x", "y"))) for _ in range(rng.randint(1, 2))]
        message |= {key: None, "tool_calls": _value(rng, 3) if rng.random() < 0.2 else calls}
    if rng.random() < 0.05:
        message[rng.choice(("function_call", "tool_calls", "tool_call_id", "weight"))] = _value(rng, 2)
    return message


def random_records(seed: int, count: int) -> list[Any]:
    """Records that look like chat data, many of them spoiled somewhere."""
    rng = random.Random(seed)
    records: list[Any] = []
    for _ in range(count):
        record: dict[str, Any] = {rng.choice(("text", "instruction", "output", "input")): _value(rng, 2)}
        if rng.random() < 0.8:
            messages = [_message(rng) for _ in range(rng.randint(1, 5))]
            record = {rng.choice(("messages", "conversations")): messages}
        if rng.random() < 0.1:
            record[rng.choice(("output", "input", "system", "text", "history"))] = _value(rng, 1)
        records.append(record if rng.random() < 0.97 else _value(rng, 2))
    return records
