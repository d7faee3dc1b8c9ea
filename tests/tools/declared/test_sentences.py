"""Drafted sentences: enough of them, all different, in whose slots every parameter stands somewhere."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.tools.declared.importing.sentences import draft_tool_sentences, split_name_words
from forge.tools.declared.schema import DeclaredTool

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,20}", fullmatch=True)


def parameters(*required: str, optional: tuple[str, ...] = (), listed: tuple[str, ...] = ()) -> dict[str, Any]:
    properties = {
        key: {"type": "string", "enum": ["x"]} if key in listed else {"type": "string"}
        for key in (*required, *optional)
    }
    return {"type": "object", "properties": properties, "required": list(required)}


@given(NAMES, st.text(max_size=60), st.lists(NAMES, max_size=8, unique=True), st.integers(0, 8))
@settings(max_examples=80, deadline=None)
def test_any_tool_gets_sentences(name: str, description: str, keys: list[str], split: int) -> None:
    schema = parameters(*keys[:split], optional=tuple(keys[split:]))
    drafts = draft_tool_sentences(name, description, schema)
    assert len(drafts) >= 5
    assert len(set(drafts)) == len(drafts)
    tool = DeclaredTool.model_validate({"name": name, "parameters": schema, "examples": drafts})
    assert all(set(tool.required) <= example.named for example in tool.examples)
    assert set().union(*(example.named for example in tool.examples)) == set(keys)


@pytest.mark.parametrize(
    ("name", "description", "schema", "expected"),
    [
        ("set_light", "", parameters("name", optional=("level",), listed=("name",)), "set the {name} to {level}"),
        ("lockDoor", "", parameters("door"), "lock the {door}"),
        ("get_time", "Get the time in a specific zone", parameters("zone"), "get the time in {zone}"),
        ("weather", "Returns the weather", parameters("city"), "show me the weather for {city}"),
        ("send_message", "", parameters("recipient", "text"), "send the message to {recipient} saying {text}"),
        ("create_ticket", "", parameters("title"), "create the ticket called {title}"),
        ("add", "Add two numbers", parameters("a", "b"), "add {a} and {b}"),
        ("hall_timer", "", parameters(), "start the hall timer"),
    ],
)  # fmt: skip
def test_they_are_imperative_and_read_well(name: str, description: str, schema: Any, expected: str) -> None:
    assert expected in draft_tool_sentences(name, description, schema)


def test_tools_with_free_names_keep_the_word_that_tells_them_apart() -> None:
    one = draft_tool_sentences("open_cover", "", parameters("name"))
    other = draft_tool_sentences("open_valve", "", parameters("name"))
    assert not set(one) & set(other)


def test_names_are_split_into_words() -> None:
    assert split_name_words("getHTTPStatus_code2") == ["get", "http", "status", "code", "2"]
    assert split_name_words("___") == ["___"]
