"""Schemas of others, reduced: what comes out can be declared, and allows nothing that the original refuses but what a
note says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from forge.tools.declared.importing.reducing import UnsupportedParameter, reduce_tool_schema, shorten_description
from forge.tools.declared.schema import ParameterObject


def reduce_one(schema: Any, *, required: bool = True, **options: Any) -> Any:
    tree = {"type": "object", "properties": {"p": schema}, "required": ["p"] if required else []}
    return reduce_tool_schema("tool", tree, **options)


def declared(schema: Any, **options: Any) -> Any:
    return reduce_one(schema, **options).parameters["properties"]["p"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "string", "title": "P", "default": "x"}, {"type": "string"}),
        ({"type": ["integer", "null"], "minimum": 1}, {"type": "integer", "minimum": 1}),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, {"type": "number"}),
        ({"anyOf": [{"type": "number"}, {"type": "integer"}]}, {"type": "number"}),
        ({"oneOf": [{"const": "on"}, {"const": "off"}]}, {"type": "string", "enum": ["on", "off"]}),
        ({"enum": [1, 2, None]}, {"type": "integer", "enum": [1, 2]}),
        ({"const": "x"}, {"type": "string", "enum": ["x"]}),
        ({"allOf": [{"type": "boolean"}], "description": " Is\n it? "}, {"type": "boolean", "description": "Is it?"}),
        (
            {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9.5},
            {"type": "integer", "minimum": 1, "maximum": 9},
        ),
        ({"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, {"type": "integer"}),
        ({"type": "string", "maxLength": 100_000}, {"type": "string", "maxLength": 400}),
        ({"type": "string", "format": "date"}, {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}),
        (
            {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
            {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}, "maxItems": 3},
        ),
    ],
)  # fmt: skip
def test_the_same_is_said_in_fewer_words(given: Any, expected: Any) -> None:
    reduced = reduce_one(given)
    assert reduced.parameters["properties"]["p"] == expected
    assert not reduced.notes
    ParameterObject.model_validate(reduced.parameters)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"type": "string", "minLength": 3}, "minLength"),
        ({"type": "integer", "multipleOf": 5}, "multipleOf"),
        ({"type": "number", "exclusiveMinimum": 0}, "exclusiveMinimum"),
        ({"type": "string", "format": "email"}, "format"),
        ({"type": "string", "pattern": "(?<n>["}, "pattern"),
        ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "uniqueItems"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 500}, "maxItems"),
        ({"description": "anything"}, "no type"),
        ({"type": "boolean", "enum": [True]}, "enum"),
    ],
)
def test_what_is_left_out_is_said(given: Any, word: str) -> None:
    reduced = reduce_one(given)
    assert len(reduced.notes) == 1
    assert reduced.notes[0].startswith("tool: p: ")
    assert word in reduced.notes[0]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"type": "object"}, "an object within the arguments"),
        ({"properties": {"x": {"type": "string"}}}, "an object within the arguments"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "a choice of types (string, integer)"),
        ({"type": ["string", "array"]}, "a choice of types"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}, "an array of arrays"),
        ({"type": "array", "items": {"type": "object"}}, "items: an object"),
        ({"type": "array", "prefixItems": [{"type": "string"}]}, "a type for each place"),
        ({"type": "null"}, "type 'null'"),
        ({"type": "whatever"}, "type 'whatever'"),
        ({"$ref": "#/$defs/loop", "$defs": {"loop": {"$ref": "#/$defs/loop"}}}, "back to itself"),
        ({"$ref": "https://example.com/schema.json"}, "out of the tool's schema"),
        ({"$ref": "#/$defs/absent"}, "nowhere"),
        ({"enum": []}, "enum"),
        ({"type": "string", "enum": ["a", 1]}, "enum"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "between 3 and 2"),
        ("text", "not a JSON Schema"),
        (False, "not a JSON Schema"),
    ],
)
def test_other_shapes_are_refused_or_left_out(given: Any, reason: str) -> None:
    with pytest.raises(UnsupportedParameter) as fault:
        reduce_one(given)
    assert str(fault.value).startswith("tool: p: ")
    assert reason in str(fault.value)
    optional = reduce_one(given, required=False)
    assert optional.parameters["properties"] == {}
    assert "left out" in optional.notes[0]


def test_null_makes_a_parameter_optional_where_it_is_the_only_way_to_say_so() -> None:
    nullable = {"type": ["string", "null"]}
    assert "required" not in reduce_one(nullable, null_is_optional=True).parameters
    assert reduce_one(nullable).parameters["required"] == ["p"]


def test_references_are_followed_and_examples_found() -> None:
    tree = {
        "$defs": {"Color": {"enum": ["red", "blue"], "type": "string", "description": "a color"}},
        "properties": {
            "color": {"$ref": "#/$defs/Color", "description": "of the lamp"},
            "zone": {"type": "string", "description": "A zone (e.g., 'Europe/London', 'Asia/Tokyo')"},
            "city": {"type": "string", "examples": ["Rome", "too long a name"], "maxLength": 5},
        },
    }
    reduced = reduce_tool_schema("tool", tree)
    assert reduced.parameters["properties"]["color"] == {
        "type": "string",
        "enum": ["red", "blue"],
        "description": "of the lamp",
    }
    assert reduced.values == {"zone": ["Europe/London", "Asia/Tokyo"], "city": ["Rome"]}


def test_the_first_of_too_many_parameters_are_kept() -> None:
    properties = {f"p{i}": {"type": "string"} for i in range(20)}
    reduced = reduce_tool_schema("tool", {"properties": properties, "required": ["p19"]})
    assert list(reduced.parameters["properties"]) == [*(f"p{i}" for i in range(15)), "p19"]
    assert len(reduced.notes) == 4


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=3)
)
SCALARS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries({"type": st.just("string")}, optional={"maxLength": st.integers(1, 9)}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])},
        optional={"minimum": st.integers(-5, 0), "exclusiveMaximum": st.integers(3, 9)},
    ),
    st.builds(lambda values: {"enum": values}, st.lists(st.integers(0, 9), min_size=1, unique=True)),
    st.just({"type": "boolean"}),
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.builds(lambda one: {"anyOf": [one, {"type": "null"}]}, inner),
        st.builds(lambda one: {"allOf": [one]}, inner),
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.builds(lambda one, two: {"oneOf": [one, two]}, inner, inner),
    ),
    max_leaves=4,
)


@given(NESTED, JSON)
@settings(max_examples=300, deadline=None)
def test_without_a_note_nothing_more_is_allowed(schema: Any, value: Any) -> None:
    """The oracle is jsonschema on the schema as it was given, but that oneOf is read as anyOf."""
    try:
        reduced = reduce_one(schema)
    except UnsupportedParameter:
        return
    assert set(reduced.parameters) == {"type", "properties", "required"}
    if not reduced.notes and Draft202012Validator(reduced.parameters).is_valid({"p": value}):
        assert Draft202012Validator(json.loads(json.dumps(schema).replace('"oneOf"', '"anyOf"'))).is_valid(value)


def test_descriptions_are_one_line() -> None:
    assert shorten_description(None) == ""
    assert shorten_description("One.\n line\n\nAnother paragraph.") == "One. line"
    long = shorten_description("word, " * 100)
    assert len(long) <= 200
    assert long.endswith("word...")
