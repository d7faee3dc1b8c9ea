"""What is missing or ambiguous in tools files, before anything is trained on them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forge.errors import ForgeError
from forge.interface.paths import TOOLS_FOLDER
from forge.tools.declared.reading import ToolFile, read_own_tool_files
from forge.tools.declared.schema import DeclaredTool, Example, Parameter

FEWEST_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One thing to correct. An error keeps the tool from being trained or called right; a warning costs quality.

    place: `FILE:LINE`.
    """

    level: Literal["error", "warning"]
    place: str
    tool: str
    message: str

    def line(self) -> str:
        """For a person."""
        return f"{self.place}: {self.level}: {self.tool}: {self.message}"


def read_sound_tools(path: str | Path, root: Path = Path()) -> list[ToolFile]:
    """The tools files of one agent: a file, or all `*.yaml` of a folder, in the order of their names; maybe none.

    Args:
        path: as a path from ``root``, the project. The folder that it is unless somebody says otherwise may be missing.

    Raises:
        ForgeError: nothing is there, a file cannot be read, or it has an error: one line `FILE:LINE: ...`.
    """
    place = root / path
    if not place.exists() and Path(path) != TOOLS_FOLDER:
        raise ForgeError(f"{path}: no such tools file, and no such folder")
    files = read_own_tool_files([place] if place.is_file() else sorted(place.glob("*.yaml")))
    errors = [finding for finding in check_tool_files(files) if finding.level == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ForgeError(f"{errors[0].place}: {errors[0].tool}: {errors[0].message}{more}")
    return files


def check_tool_files(files: Sequence[ToolFile]) -> list[Finding]:
    """Everything found in files that were read together, file by file, in the order of their lines."""
    found = [finding for file in files for number in range(len(file.tools)) for finding in _check_tool(file, number)]
    found += _examples_that_read_alike(files)
    order = {str(file.path): place for place, file in enumerate(files)}

    def key(finding: Finding) -> tuple[int, int]:
        path, _, line = finding.place.rpartition(":")
        return order[path], int(line)

    return sorted(found, key=key)


def _check_tool(file: ToolFile, number: int) -> Iterator[Finding]:
    tool = file.tools[number]

    def finding(level: Literal["error", "warning"], message: str, *keys: str | int) -> Finding:
        return Finding(level, file.place("tools", number, *keys), tool.name, message)

    if not tool.examples:
        yield finding("error", "has no examples, so nothing can be trained")
    elif len(tool.examples) < FEWEST_EXAMPLES:
        said = f"has {len(tool.examples)} examples; {FEWEST_EXAMPLES} or more teach it to be told apart"
        yield finding("error", said, "examples")
    if not tool.description:
        yield finding("warning", "has no description, which clients of `serve` are shown")
    for name, parameter in tool.arguments.items():
        place = ("parameters", "properties", name)
        if tool.examples and not any(name in example.named for example in tool.examples):
            level: Literal["error", "warning"] = "error" if name in tool.required else "warning"
            yield finding(level, f"{name!r} is in no example, so no call will have it", *place)
        item = parameter.items or parameter
        if item.free and item.pattern is not None and not isinstance(tool.values.get(name), tuple):
            yield finding("error", f"{name!r} has a pattern: list what it may be, under values", *place)
        elif item.free and name not in tool.values:
            yield finding("warning", f"{name!r} is free text: values say what kind, else words are drawn", *place)
        for short, long in _values_that_begin_another(item):
            yield finding("warning", f"{name!r}: {short!r} begins {long!r}: which is meant shows only later", *place)
    whole = [example for example in tool.examples if set(tool.required) <= example.named]
    if tool.examples and not whole:
        yield finding("error", "no example names every required argument, so there is nothing to call", "examples")
    yield from _check_synonyms(file, number, tool)


def _values_that_begin_another(parameter: Parameter) -> Iterator[tuple[str, str]]:
    words = sorted(value for value in parameter.enum or () if isinstance(value, str))
    for short in words:
        for long in words:
            if long != short and long.lower().startswith(short.lower()):
                yield short, long


def _check_synonyms(file: ToolFile, number: int, tool: DeclaredTool) -> Iterator[Finding]:
    known: list[object] = []
    for name, parameter in tool.arguments.items():
        item = parameter.items or parameter
        listed = tool.values.get(name)
        known += [*(item.enum or ()), *(listed if isinstance(listed, tuple) else ())]
        known += [True, False] if item.type == "boolean" else []
    owner: dict[str, object] = {str(value).lower(): value for value in known if not isinstance(value, bool)}
    for value, words in tool.synonyms.items():
        place = file.place("tools", number, "synonyms", _yaml_key(value))
        if not any(type(value) is type(other) and value == other for other in known):
            yield Finding("error", place, tool.name, f"synonyms: no parameter has the value {value!r}")
        for word in words:
            if owner.setdefault(word.lower(), value) != value:
                said = f"synonyms: {word!r} stands for {value!r} and for {owner[word.lower()]!r}"
                yield Finding("error", place, tool.name, said)


def _yaml_key(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _examples_that_read_alike(files: Sequence[ToolFile]) -> Iterator[Finding]:
    """Two examples of two tools, or of one with other arguments, that differ in their slots only."""
    seen: dict[tuple[str, ...], tuple[str, DeclaredTool, Example]] = {}
    for file in files:
        for number, tool in enumerate(file.tools):
            for index, example in enumerate(tool.examples):
                here = file.place("tools", number, "examples", index)
                read = tuple(re.findall(r"[\w']+|\{\}", re.sub(r"\{.*?\}", "{}", example.say.lower())))
                first = seen.setdefault(read, (here, tool, example))
                place, other, earlier = first
                if earlier is example:
                    continue
                if other is not tool and not _told_apart_by_values(tool, example, other, earlier):
                    yield Finding("error", here, tool.name, f"{example.say!r} reads like {place} of {other.name}")
                elif other is tool and earlier.named == example.named and earlier.arguments != example.arguments:
                    yield Finding("error", here, tool.name, f"{example.say!r} has other arguments at {place}")
                elif other is tool and earlier == example:
                    yield Finding("warning", here, tool.name, f"{example.say!r} stands at {place} already")


def _told_apart_by_values(tool: DeclaredTool, example: Example, other: DeclaredTool, earlier: Example) -> bool:
    """Whether some slot takes other words in the two tools, so that the values tell which tool is meant."""
    for one, two in zip(example.slots, earlier.slots, strict=True):
        mine, its = _words_of_values(tool, one), _words_of_values(other, two)
        if mine and its and not mine & its:
            return True
    return False


def _words_of_values(tool: DeclaredTool, name: str) -> frozenset[str]:
    parameter = tool.arguments[name]
    values = (parameter.items or parameter).enum or ()
    return frozenset(str(value).lower() for value in values)
