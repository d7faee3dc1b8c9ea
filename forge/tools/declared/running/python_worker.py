"""The process of `run_python.PythonWorker`: requests and answers are lines of JSON.

It runs as a script and imports nothing of ours, so that all names of modules but those of the standard library, of
pydantic and of docstring_parser are the user's.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import traceback
import typing
import warnings
from typing import Any

from pydantic import TypeAdapter, validate_call
from pydantic.errors import PydanticUserError

_LONGEST_RESULT = 4000  # characters; the toolbox cuts it to a line
_PLAIN = (bool, int, float, str)


def tell_python_fault(error: BaseException, folder: str) -> str:
    """`lights.py:3: NameError: ...`: what went wrong, and the last place of the user's where it did."""
    said = " ".join(traceback.format_exception_only(error)[-1].split())[:200]
    if isinstance(error, SyntaxError) and error.filename:
        name, line = error.filename, error.lineno
        said = f"{type(error).__name__}: {error.msg}"
    else:
        within = [place for place in traceback.extract_tb(error.__traceback__) if place.filename.startswith(folder)]
        places = [place for place in within if place.filename != __file__ and "site-packages" not in place.filename]
        if not places:
            return said
        name, line = places[-1].filename, places[-1].lineno
    return f"{os.path.relpath(name, folder) if name.startswith(folder) else name}:{line}: {said}"


def call_python_function(place: str, arguments: dict[str, Any]) -> str:
    """The result of `module:function` as text: text as it is, `ok` for None, anything else as JSON.

    Arguments are made what the type hints say (a date, a member of an enum) where pydantic can do that.
    """
    module, _, name = place.partition(":")
    function = getattr(importlib.import_module(module), name, None)
    if not callable(function):
        raise LookupError(f"{module} has no function {name}")
    try:
        checked = validate_call(function)
    except (PydanticUserError, TypeError, NameError):  # hints that pydantic cannot read say nothing
        checked = function
    result = checked(**arguments)
    if inspect.isawaitable(result):
        result = asyncio.run(_await_python_result(result))
    if result is None:
        return "ok"
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)


async def _await_python_result(result: Any) -> Any:
    return await result


def describe_python_tools(name: str, path: str | None) -> list[dict[str, Any]]:
    """The public functions of a module, in their order; see `run_python.PythonWorker.describe`."""
    module = importlib.import_module(name)
    found = getattr(module, "__file__", None)
    if path is not None and (found is None or os.path.realpath(found) != path):
        raise ImportError(f"{name} is the name of another module here ({found or 'built in'}); rename the file")
    public = getattr(module, "__all__", None)
    names = list(vars(module)) if public is None else list(public)
    functions = [(key, getattr(module, key, None)) for key in names if not key.startswith("_")]
    return [
        _describe_python_function(key, function)
        for key, function in functions
        if inspect.isfunction(function) and (public is not None or function.__module__ == name)
    ]


def _describe_python_function(name: str, function: Any) -> dict[str, Any]:
    from docstring_parser import parse

    said = parse(inspect.getdoc(function) or "")
    spoken_of = {parameter.arg_name: parameter.description for parameter in said.params}
    notes: list[str] = [] if said.short_description else ["it has no docstring"]
    schema: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
    try:
        hints = typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        hints = {}
        notes.append(f"its type hints cannot be read ({error})")
    for key, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            notes.append(f"{parameter} is left out")
            continue
        entry = _describe_python_parameter(parameter, hints.get(key, inspect.Parameter.empty))
        if spoken_of.get(key):
            entry.setdefault("description", spoken_of[key])
        schema["properties"][key] = entry
        if parameter.default is parameter.empty:
            schema["required"].append(key)
    text = said.short_description or name.replace("_", " ")
    return {"name": name, "description": text, "schema": schema, "notes": notes}


def _describe_python_parameter(parameter: inspect.Parameter, hint: Any) -> dict[str, Any]:
    """JSON Schema of a parameter; of a type that has none, the type's name, which whoever reads it refuses."""
    if parameter.kind is parameter.POSITIONAL_ONLY:
        return {"type": "positional-only"}
    if hint is parameter.empty:
        default = type(parameter.default)
        return TypeAdapter(default).json_schema() if default in _PLAIN else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dict(TypeAdapter(hint).json_schema())
    except (PydanticUserError, TypeError, NameError):
        return {"type": getattr(hint, "__name__", str(hint))}


def answer_python_request(request: dict[str, Any], folder: str) -> dict[str, Any]:
    """`{"result": ...}` or `{"error": ...}`; whatever the user's code raises is an error."""
    try:
        if "describe" in request:
            return {"result": describe_python_tools(request["describe"], request["path"])}
        return {"result": call_python_function(request["call"], request["arguments"])[:_LONGEST_RESULT]}
    except (Exception, SystemExit) as error:  # noqa: BLE001 whatever the function raises is its result
        return {"error": tell_python_fault(error, folder)}


def main(folder: str) -> None:
    """Answer requests until the end of file."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):  # what a function reads and prints has nothing to do with requests and answers
        os.dup2(null, descriptor)
    sys.path.insert(0, folder)
    del sys.argv[1:]
    for line in requests:
        answers.write(json.dumps(answer_python_request(json.loads(line), folder)).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
