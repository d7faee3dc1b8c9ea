"""What a stranger's model may say of its own tools and personas: each of these ends in one line of ForgeError."""

from __future__ import annotations

from typing import Any

_TEXT = {"properties": {"x": {"type": "string"}}, "required": ["x"]}


def _tools(*tools: Any) -> dict[str, Any]:
    return {"declared_tools": list(tools)}


def _parameter(**schema: Any) -> dict[str, Any]:
    return _tools({"name": "bell", "parameters": {"properties": {"x": schema}}})


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


# Metadata, and words that their refusal has.
HOSTILE_DECLARATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "no list": ({"declared_tools": "bell"}, "declared_tools"),
    "a table": ({"declared_tools": {"name": "bell"}}, "declared_tools"),
    "no tools in it": (_tools(7, None), "declared_tools.0"),
    "an empty tool": (_tools({}), "declared_tools.0.name"),
    "a name that is none": (_tools({"name": "rm -rf /"}), "declared_tools.0.name"),
    "a name that steers a terminal": (_tools({"name": "\x1b[2J"}), "declared_tools.0.name"),
    "a description of two lines": (_tools({"name": "bell", "description": "a\nb"}), "declared_tools.0.description"),
    "half a character": (_tools({"name": "bell", "description": "\ud800"}), "declared_tools.0.description"),
    "another key": (_tools({"name": "bell", "loud": True}), "declared_tools.0.loud"),
    "a command": (_tools({"name": "bell", "run": {"command": ["touch", "made"]}}), "says what its calls run"),
    "Python": (_tools({"name": "bell", "run": {"python": "os:system"}}), "says what its calls run"),
    "a run that is none": (_tools({"name": "bell", "run": "touch made"}), "declared_tools.0.run"),
    "twice": (_tools({"name": "bell"}, {"name": "bell"}), "bell is built in, or declared twice"),
    "a built-in tool": (_tools({"name": "calculator", "parameters": _TEXT}), "calculator is built in"),
    "too many": (_tools(*({"name": f"t{i}"} for i in range(300))), "declared_tools"),
    "too large": (
        _tools(*({"name": f"t{i}", "results": ["x" * 400] * 20} for i in range(100))),
        "more than 524,288 characters",
    ),
    "too deep": ({"declared_tools": _nested(400)}, "declared_tools"),
    "a type that is none": (_parameter(type="object"), "type"),
    "a pattern that is none": (_parameter(type="string", pattern="("), "not a regular expression"),
    "bounds beyond numbers": (_parameter(type="integer", maximum=10**300), "maximum"),
    "an array of arrays": (_parameter(type="array", items={"type": "array"}), "items"),
    "what is required is not there": (
        _tools({"name": "bell", "parameters": {"required": ["x"]}}),
        "there is no parameter",
    ),
    "a result with an unknown slot": (_tools({"name": "bell", "results": ["{x}"]}), "there is no parameter"),
    "a result that reaches into an object": (_tools({"name": "bell", "results": ["{x.y}"]}), "a slot is a name"),
    "a built-in persona": (
        {"declared_personas": [{"name": "teacher", "prompt": "p", "examples": [{"say": "a", "answer": "b"}]}]},
        "teacher is built in",
    ),
    "a persona without a prompt": ({"declared_personas": [{"name": "pirate"}]}, "declared_personas.0.prompt"),
}
