"""Reading of tools files: YAML 1.2 as everywhere in the project, and every fault with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, SequenceNode

from forge.errors import ForgeError
from forge.files import decode_utf8, read_regular_file
from forge.interface.yaml12 import parse_yaml
from forge.tools.declared.schema import DeclaredPersona, DeclaredTool

LARGEST_TOOLS_FILE = 512 << 10  # characters; a tool with twenty example sentences has two thousand
MOST_TOOLS = 256  # of an agent
MOST_PERSONAS = 64
_LONGEST_SHOWN = 80
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]_-]{1,253}$")]


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tools: tuple[DeclaredTool, ...] = Field(default=(), max_length=MOST_TOOLS)
    personas: tuple[DeclaredPersona, ...] = Field(default=(), max_length=MOST_PERSONAS)
    hosts: tuple[Host, ...] = ()


@dataclass(frozen=True)
class YamlLines:
    """Where things stand in a YAML text that has been read already."""

    text: str

    @cached_property
    def _root(self) -> Any:
        return YAML(typ="safe").compose(self.text)

    def line_of(self, place: Sequence[str | int]) -> int:
        """Line, from 1, of the value at a path of keys and indices; where it ends early, of the last thing that is
        there."""
        node, line = self._root, 1
        for part in place:
            if isinstance(node, MappingNode):
                found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
                if found is None:
                    continue  # a step that pydantic adds, such as the member of a union
                line, node = found[0].start_mark.line + 1, found[1]
            elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line


@dataclass(frozen=True)
class ToolFile:
    """What a tools file holds. hosts: besides this machine, those that `run: http` may ask. lines: for messages."""

    path: Path
    tools: tuple[DeclaredTool, ...]
    personas: tuple[DeclaredPersona, ...]
    hosts: tuple[str, ...]
    lines: YamlLines

    def place(self, *keys: str | int) -> str:
        """`FILE:LINE` of what stands at these keys, such as `("tools", 0, "examples", 2)`."""
        return f"{self.path}:{self.lines.line_of(keys)}"


def read_tools_file(path: str | Path) -> ToolFile:
    """Read and check one tools file.

    Raises:
        ForgeError: missing, not UTF-8 text, not YAML, or not what `forge.tools.declared.schema` describes; one line
            `FILE:LINE: ...`.
    """
    path = Path(path)
    data = read_regular_file(path, 4 * LARGEST_TOOLS_FILE + 1)
    text = decode_utf8(data, str(path))
    tree = parse_yaml(text, path, LARGEST_TOOLS_FILE)
    lines = YamlLines(text)
    if not isinstance(tree, dict):
        raise ForgeError(f"{path}:1: a tools file begins with tools: and a list of them")
    try:
        content = _Content.model_validate(tree)
    except ValidationError as error:
        raise ForgeError(_first_tools_file_fault(path, lines, tree, error)) from error
    file = ToolFile(path, content.tools, content.personas, content.hosts, lines)
    if not content.tools and not content.personas:
        raise ForgeError(f"{path}:1: holds no tools")
    _refuse_repeated_names([file])
    return file


def list_tools_files(path: str | Path) -> list[Path]:
    """The tools files that a path names: itself, or those (*.yaml) of a folder.

    Raises:
        ForgeError: a folder without any.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    found = sorted(path.glob("*.yaml"))
    if not found:
        raise ForgeError(f"{path}: no tools file (*.yaml) is in this folder")
    return found


def read_own_tool_files(paths: Sequence[str | Path]) -> list[ToolFile]:
    """Several tools files that are to be one agent's.

    Raises:
        ForgeError: as `read_tools_file`; a name that stands in two files, or is that of a built-in tool.
    """
    from forge.tools.toolbox import TOOL_NAMES

    files = [read_tools_file(path) for path in paths]
    _refuse_repeated_names(files)
    for file in files:
        for number, tool in enumerate(file.tools):
            if tool.name in TOOL_NAMES:
                raise ForgeError(
                    f"{file.place('tools', number, 'name')}: {tool.name} is a built-in tool; give yours another name"
                )
    return files


def _refuse_repeated_names(files: Sequence[ToolFile]) -> None:
    for kind in ("tools", "personas"):
        seen: dict[str, str] = {}
        for file in files:
            for number, declared in enumerate(getattr(file, kind)):
                here = file.place(kind, number, "name")
                # Names are told apart by more than capitals and marks: a model hears neither.
                told = declared.name.lower().replace("-", "_")
                if told in seen:
                    raise ForgeError(f"{here}: {declared.name} is declared already, in {seen[told]}")
                seen[told] = here


def _first_tools_file_fault(path: Path, lines: YamlLines, tree: Mapping[str, Any], error: ValidationError) -> str:
    """`home.yaml:7: set_light: parameters.properties.name.type: must be ... (and 2 more)`."""
    faults = error.errors()
    first = faults[0]
    place = [*first["loc"], *first.get("ctx", {}).get("at", ())]
    line = lines.line_of(place)
    reason = {"extra_forbidden": "unknown key", "missing": "missing"}.get(first["type"])
    if reason is None:
        reason = first["msg"].removeprefix("Value error, ")
        reason = reason[0].lower() + reason[1:]
        if first["type"] not in ("value_error", "declared_tool"):
            reason += f", got {first['input']!r}"[:_LONGEST_SHOWN]
    named = _name_of_declared(tree, place)
    key = ".".join(str(part) for part in (place[2:] if named else place) if _is_key_of_yaml(part))
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return ": ".join(part for part in (f"{path}:{line}", named, key, f"{reason}{more}") if part)


def _is_key_of_yaml(part: str | int) -> bool:
    """Whether a step of a place is one of the file's, and none that pydantic adds (`tuple[...]`, `function-after`)."""
    return isinstance(part, int) or not set("[(") & set(part)


def _name_of_declared(tree: Mapping[str, Any], place: Sequence[str | int]) -> str:
    """Of the tool or persona that a place lies in, where it has a name to speak of."""
    match place:
        case [str() as kind, int() as number, *_]:
            declared = tree[kind][number]
            name = declared.get("name") if isinstance(declared, dict) else None
            return name[:_LONGEST_SHOWN] if isinstance(name, str) else ""
    return ""
