"""A declared tool: what is read, what is refused, and the text of its calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from forge.errors import ForgeError
from forge.tools.calls import parse_tool_call, refuse_call, tool_call_text
from forge.tools.declared.schema import DeclaredTool, Parameter

LIGHT = {
    "name": "set_light",
    "description": "Switch a light.",
    "parameters": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "enum": ["kitchen light", "hall light"]},
            "brightness": {"type": "integer", "minimum": 0, "maximum": 100},
            "warmth": {"type": "number", "minimum": -1.5},
            "on": {"type": "boolean"},
            "scenes": {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 3},
        },
        "required": ["name"],
    },
    "examples": ["set the {name} to {brightness} percent", {"say": "dim the {name}", "arguments": {"brightness": 30}}],
}
SEARCH = {
    "name": "find",
    "parameters": {"properties": {"query": {"type": "string", "maxLength": 20}}, "required": ["query"]},
}


def tool(**changes: Any) -> DeclaredTool:
    return DeclaredTool.model_validate({**LIGHT, **changes})


def with_parameter(**parameter: Any) -> DeclaredTool:
    return DeclaredTool.model_validate({"name": "f", "parameters": {"properties": {"p": parameter}}})


def test_a_tool_says_what_it_takes() -> None:
    light = tool()
    assert light.required == ("name",)
    assert list(light.arguments) == ["name", "brightness", "warmth", "on", "scenes"]
    assert light.plain is None
    assert light.examples[1].named == {"name", "brightness"}
    schema = light.json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["scenes"] == LIGHT["parameters"]["properties"]["scenes"]  # type: ignore[index]
    assert light.openai()["function"]["parameters"] == schema


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "set light"}, "name"),
        ({"examples": ["dim the {lamp}"]}, "there is no parameter 'lamp'"),
        ({"examples": ["dim the {name"]}, "say"),
        ({"examples": ["dim the {name!r}"]}, "a slot is a name in braces"),
        ({"examples": ["dim {name} and {name}"]}, "twice"),
        ({"examples": [{"say": "dim {name}", "arguments": {"name": "hall light"}}]}, "slot of the sentence already"),
        ({"values": {"lamp": ["a"]}}, "there is no parameter 'lamp'"),
        ({"run": {}}, "exactly one of"),
        ({"run": {"command": ["a"], "python": "m:f"}}, "exactly one of"),
        ({"run": {"python": "os.system"}}, "python"),
        ({"run": {"http": {"url": "file:///etc/passwd"}}}, "http://"),
        ({"run": {"mcp": {"command": ["a"], "url": "http://b"}}}, "either command or url"),
        ({"parameters": {"properties": {}, "required": ["name"]}}, "there is no parameter 'name'"),
    ],
)
def test_what_does_not_hold_together_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        tool(**changes)


@pytest.mark.parametrize(
    "parameter",
    [
        {"type": "object"},
        {"type": ["string", "null"]},
        {"type": "string", "minimum": 3},
        {"type": "string", "format": "date"},
        {"type": "string", "pattern": "("},
        {"type": "string", "enum": []},
        {"type": "string", "enum": ["a", 3]},
        {"type": "string", "enum": ["a", "a"]},
        {"type": "string", "enum": [" a"]},
        {"type": "integer", "enum": [1, 2.5]},
        {"type": "integer", "enum": [True]},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "number", "minimum": float("nan")},
        {"type": "array"},
        {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        {"type": "array", "items": {"type": "string"}, "minItems": 3, "maxItems": 2},
    ],
)
def test_a_schema_that_no_call_could_be_checked_by_is_refused(parameter: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        with_parameter(**parameter)


def test_a_tool_of_one_text_is_called_with_the_text() -> None:
    find = DeclaredTool.model_validate(SEARCH)
    assert find.plain == "query"
    assert tool_call_text(find, {"query": "a b  c"}) == "find a b  c"
    assert parse_tool_call("find a b  c", {"find": find}) == ("find", {"query": "a b  c"})
    with pytest.raises(ForgeError, match="needs the text 'query'"):
        tool_call_text(find, {})
    optional = DeclaredTool.model_validate({**SEARCH, "parameters": {"properties": {"query": {"type": "string"}}}})
    assert optional.plain is None
    assert tool_call_text(optional, {}) == "find {}"


def test_keys_are_in_the_order_of_the_schema_and_numbers_are_short() -> None:
    text = tool_call_text(tool(), {"on": True, "warmth": 2.0, "name": "hall light"})
    assert text == 'set_light {"name":"hall light","warmth":2,"on":true}'


ARGUMENTS = st.fixed_dictionaries(
    {"name": st.sampled_from(["kitchen light", "hall light"])},
    optional={
        "brightness": st.integers(0, 100),
        "warmth": st.floats(-1.5, 1e6),
        "on": st.booleans(),
        "scenes": st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=3),
    },
)


@given(ARGUMENTS)
def test_a_call_is_read_back_as_it_was_written(arguments: dict[str, Any]) -> None:
    light = tool()
    text = tool_call_text(light, arguments)
    name, read = parse_tool_call(text, {"set_light": light})
    assert (name, read) == ("set_light", arguments)
    assert refuse_call(light, read) is None
    assert tool_call_text(light, read) == text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "'name' is a required property"),
        ({"name": "lamp"}, "name: 'lamp' is not one of"),
        ({"name": "hall light", "brightness": 101}, "brightness: 101 is greater"),
        ({"name": "hall light", "brightness": "30"}, "brightness: '30' is not of type 'integer'"),
        ({"name": "hall light", "color": "red"}, "color"),
        ({"name": "hall light", "scenes": ["movie night"]}, "scenes: item 1: 'movie night' is too long"),
    ],
)
def test_a_call_outside_the_schema_is_refused_in_one_line(arguments: dict[str, Any], reason: str) -> None:
    said = refuse_call(tool(), arguments)
    assert said is not None
    assert reason in said
    assert "\n" not in said


@pytest.mark.parametrize("text", ["dim x", "", "set_light", "set_light [1]", 'set_light {"name":1', "set_light {} {}"])
def test_what_is_no_call_is_refused(text: str) -> None:
    with pytest.raises(ForgeError):
        parse_tool_call(text, {"set_light": tool()})


def test_a_parameter_is_itself_as_json_schema() -> None:
    written = {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "description": "Rooms."}
    assert Parameter.model_validate(written).json_schema() == written
