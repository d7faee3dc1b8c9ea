"""Chat completions, asked for by OpenAI's own client."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.support.scripted import script_engine
from tests.support.served_agent import serving

QUESTION: Any = [{"role": "user", "content": "What is 12 + 30?"}]


def _tool(name: str, parameter: str = "expression") -> Any:
    schema = {"type": "object", "properties": {parameter: {"type": "string"}}, "required": [parameter]}
    return {"type": "function", "function": {"name": name, "description": "It works.", "parameters": schema}}


def _ask(client: OpenAI, messages: Any = QUESTION, **options: Any) -> Any:
    return client.chat.completions.create(model="toy", messages=messages, **{"max_tokens": 24, **options})


def _streamed(client: OpenAI, **options: Any) -> list[Any]:
    return list(_ask(client, stream=True, stream_options={"include_usage": True}, **options))


def test_models_are_listed_and_shown(client: OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.owned_by) == ("toy", "agent-forge")
    assert client.models.retrieve("toy") == model
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt'"):
        client.models.retrieve("gpt")


@pytest.mark.parametrize("options", [{}, {"temperature": 1.2, "seed": 5}, {"stop": ["e", "a"]}])
def test_an_answer_is_the_agents_reply_whole_and_in_pieces(service: Any, client: OpenAI, options: Any) -> None:
    answer = _ask(client, **options)
    expected = service.agent.reply(QUESTION, tools=False, max_new_tokens=24, **options)
    assert answer.choices[0].message.content == expected.text
    assert answer.choices[0].finish_reason == expected.finish
    assert answer.usage.prompt_tokens == service.agent.count_prompt_tokens(QUESTION)
    assert answer.usage.completion_tokens == expected.tokens
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    *pieces, last, usage = _streamed(client, **options)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == expected.text
    assert (last.choices[0].finish_reason, usage.choices, usage.usage) == (expected.finish, [], answer.usage)


def test_a_call_is_the_clients_and_its_result_goes_on(client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    written = ("[call]", "calculator 12+30", "[result]", "forty-two", "[end]")
    script_engine(monkeypatch, *written)
    answer = _ask(client, tools=[_tool("calculator", "sum"), _tool("dice")])
    message = answer.choices[0].message
    assert (answer.choices[0].finish_reason, message.content) == ("tool_calls", None)
    (call,) = message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("calculator", {"sum": "12+30"})
    assert 0 <= call.confidence < 1
    result = {"role": "tool", "tool_call_id": call.id, "content": "42"}
    after = _ask(client, [*QUESTION, message, result], tools=[_tool("calculator", "sum")])
    assert (after.choices[0].message.content, after.choices[0].finish_reason) == ("forty-two", "stop")


def test_a_call_comes_as_a_piece_of_a_stream(client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    script_engine(monkeypatch, "[call]", "search the moon", "[result]")
    pieces = [piece.choices[0] for piece in _streamed(client, tools=[_tool("search", "query")])[:-1]]
    (call,) = [call for piece in pieces for call in piece.delta.tool_calls or ()]
    assert (call.index, call.function.name, call.function.arguments) == (0, "search", '{"query": "the moon"}')
    assert [piece.finish_reason for piece in pieces] == [None, None, "tool_calls"]


def test_calls_of_several_tools_at_once_are_taken_in_any_order(service: Any, client: OpenAI) -> None:
    sums = ("1+1", "2+2")
    calls = [
        {"id": f"c{i}", "type": "function", "function": {"name": "calculator", "arguments": json.dumps({"x": text})}}
        for i, text in enumerate(sums)
    ]
    results = [{"role": "tool", "tool_call_id": f"c{i}", "content": text} for i, text in ((1, "4"), (0, "2"))]
    answer = _ask(client, [*QUESTION, {"role": "assistant", "content": None, "tool_calls": calls}, *results])
    turns = [("call", "calculator 1+1"), ("result", "2"), ("call", "calculator 2+2"), ("result", "4")]
    ours = [*QUESTION, *({"role": role, "content": content} for role, content in turns)]
    assert answer.usage.prompt_tokens == service.agent.count_prompt_tokens(ours)
    assert answer.choices[0].message.content == service.agent.reply(ours, tools=False, max_new_tokens=24).text


def test_which_tool_is_called_can_be_chosen(client: OpenAI) -> None:
    tools = [_tool("calculator"), _tool("search"), _tool("dice")]
    options: Any = {"tools": tools, "temperature": 1.5, "max_tokens": 400}
    for seed in range(2):
        must = _ask(client, tool_choice="required", seed=seed, **options).choices[0].message.tool_calls
        assert must[0].function.name in ("calculator", "search")
        named = {"type": "function", "function": {"name": "search"}}
        assert _ask(client, tool_choice=named, seed=seed, **options).choices[0].message.tool_calls[0].function.name == (
            "search"
        )
        assert _ask(client, tool_choice="none", seed=seed, **options).choices[0].message.tool_calls is None


def test_tools_can_run_here(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(service.agent, run_tools=True) as running, OpenAI(base_url=running.address, api_key="-") as client:
        for ask in (lambda: _ask(client).choices[0].message, lambda: _streamed(client)[-2].choices[0].delta):
            script_engine(monkeypatch, "[call]", "calculator 12+30", "[result]", "It is 42", "[end]")
            (call,) = ask().executed_calls
            monkeypatch.undo()
            assert (call["name"], call["arguments"], call["result"]) == ("calculator", '{"expression": "12+30"}', "42")


def test_a_thought_is_told_apart(client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (False, True):
        script_engine(monkeypatch, "[think]", "1", "2", "[/think]", "42", "[end]")
        if stream:
            told = [piece.choices[0].delta for piece in _streamed(client)[:-1]]
            parts = [getattr(delta, "reasoning_content", None) or "" for delta in told], [x.content or "" for x in told]
            thought, text = map("".join, parts)
        else:
            message = _ask(client).choices[0].message
            thought, text = message.reasoning_content, message.content
        monkeypatch.undo()
        assert (thought, text) == ("12", "42")


@pytest.mark.parametrize(
    ("request_of", "param", "words"),
    [
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role", "input should be 'system'"),
        ({"messages": []}, "messages", "at least 1 item"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages", "the last one is to be the user's"),
        (
            {"messages": [*QUESTION, {"role": "tool", "tool_call_id": "a", "content": "4"}]},
            "messages",
            "without a call",
        ),
        ({"messages": [{"role": "user", "content": "12 " * 2000}]}, "messages", "a prompt may have 2,048"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content", ""),
        ({"n": 2}, "n", "not supported"),
        ({"top_p": 0.5}, "top_p", "not supported"),
        ({"logprobs": True}, "logprobs", "not supported"),
        ({"max_tokens": 10**6}, "max_tokens", "less than or equal to 4096"),
        ({"temperature": -1}, "temperature", "greater than or equal to 0"),
        ({"stop": ["a"] * 99}, "stop", ""),
        ({"tool_choice": "required"}, "tool_choice", "no other tool"),
        ({"tools": [_tool("dice")], "tool_choice": "required"}, "tool_choice", "the agent can call calculator, "),
        (
            {"tool_choice": {"type": "function", "function": {"name": "search"}}},
            "tool_choice",
            "'search' is not among the tools",
        ),
    ],
)
def test_what_cannot_be_answered_is_told_in_openais_form(
    client: OpenAI, request_of: dict[str, Any], param: str | None, words: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.post("/chat/completions", body={"model": "toy", "messages": QUESTION, **request_of}, cast_to=object)
    body: Any = refused.value.body
    assert set(body) == {"message", "type", "param", "code"}
    assert body["type"] == "invalid_request_error"
    assert str(body["param"]).startswith(str(param))
    assert words in body["message"]
    assert "\n" not in body["message"]
