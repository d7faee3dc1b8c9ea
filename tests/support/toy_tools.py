"""Declared tools for tests: some by hand, and a strategy that draws any. What they take is short, so that tests are."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from forge.tools.declared.schema import DeclaredTool

LIGHT = DeclaredTool.model_validate(
    {
        "name": "set_light",
        "parameters": {
            "properties": {
                "name": {"type": "string", "enum": ["kitchen light", "hall light", "Café"]},
                "brightness": {"type": "integer", "minimum": 0, "maximum": 100},
                "on": {"type": "boolean"},
            },
            "required": ["name"],
        },
    }
)
STATUS = DeclaredTool.model_validate({"name": "status"})
_TEXT = {"properties": {"query": {"type": "string"}}, "required": ["query"]}
LOOKUP = DeclaredTool.model_validate({"name": "lookup", "parameters": _TEXT})
HAND_MADE = (LIGHT, STATUS, LOOKUP)
PATTERNS = ("^[A-Z]{2}[0-9]{1,3}$", "a|b", "^x", r"^\d\D?$", r"y\.?$", r"^\w+/\w+$")


def _bounds(low: float, high: float, kind: type) -> st.SearchStrategy[dict[str, Any]]:
    number = st.integers(int(low), int(high)) if kind is int else st.floats(low, high, allow_nan=False).map(_short)
    pair = st.tuples(number, number).map(sorted)
    both = pair.map(lambda found: {"minimum": found[0], "maximum": found[1]})
    return both | number.map(lambda n: {"minimum": n}) | number.map(lambda n: {"maximum": n}) | st.just({})


def _short(value: float) -> float:
    return round(value, 3)


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
_STRINGS = st.one_of(
    st.lists(_WORDS, min_size=1, max_size=6, unique=True).map(lambda values: {"enum": values}),
    st.integers(1, 20).map(lambda n: {"maxLength": n}),
    st.sampled_from(PATTERNS).map(lambda pattern: {"pattern": pattern, "maxLength": 6}),
).map(lambda more: {"type": "string", **more})
_NUMBERS = st.one_of(
    _bounds(-1e4, 1e4, int).map(lambda more: {"type": "integer", **more}),
    _bounds(-1e4, 1e4, float).map(lambda more: {"type": "number", **more}),
    st.lists(st.integers(-50, 50), min_size=1, max_size=5, unique=True).map(lambda v: {"type": "integer", "enum": v}),
)
_SCALARS = _STRINGS | _NUMBERS | st.just({"type": "boolean"})
_COUNTS = st.tuples(st.integers(0, 2), st.integers(2, 4)).map(lambda n: {"minItems": n[0], "maxItems": n[1]})
_ARRAYS = st.tuples(_SCALARS, _COUNTS).map(lambda t: {"type": "array", "items": t[0], **t[1]})
_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,10}", fullmatch=True)


@st.composite
def declared_tool_sets(draw: st.DrawFn) -> tuple[DeclaredTool, ...]:
    """One to four tools of up to five parameters, any of them required."""
    tools = []
    for name in draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True)):
        properties = draw(st.dictionaries(_NAMES, _SCALARS | _ARRAYS, max_size=5))
        required = [key for key in properties if draw(st.booleans())]
        tools.append(
            DeclaredTool.model_validate({"name": name, "parameters": {"properties": properties, "required": required}})
        )
    return tuple(tools)
