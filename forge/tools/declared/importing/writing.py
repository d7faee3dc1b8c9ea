"""A tools file for people: what each tool is, the drafted sentences, and what to do with them."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from forge.errors import ForgeError, printable
from forge.tools.declared.importing.drafting import ToolsDraft
from forge.tools.declared.schema import DeclaredTool

_HEADER = """\
Drafted from {source}.

The sentences under examples are guesses from names and descriptions. Put in the words that people really use: five
wordings a tool at least, and every parameter in some of them. A slot such as {{name}} is filled from enum, bounds and
values. For free text, values lists some ({{city: [Paris, Rome]}}) or names a generator: words, name, number, date,
duration, sentence. Then:

    agent-forge tools check {name}
"""
_EXAMPLES = "drafted: add your own"
# Within braces readers of YAML differ on what needs no quotation marks: `lights:set_light` is such a text.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_. %/-]*")
_WIDEST_FLOW = 100  # characters of a mapping on one line


def tools_file_text(draft: ToolsDraft, source: str, name: str, hosts: tuple[str, ...] = ()) -> str:
    """YAML of a tools file, with comments; `forge.tools.declared.reading` reads the same tools from it.

    Args:
        draft: the tools.
        source: what they were drafted from, for the comment at the top.
        name: of the file.
        hosts: besides this machine, those that its tools may ask.
    """
    tree = CommentedMap(tools=CommentedSeq(_tool_node(tool) for tool in draft.tools))
    if hosts:
        tree["hosts"] = CommentedSeq(hosts)
    comment = _HEADER.format(source=printable(" ".join(source.split())), name=name)
    for number in range(1, len(tree["tools"])):
        tree["tools"].yaml_set_comment_before_after_key(number, before="\n")
    writer = YAML()
    writer.width = 1 << 16  # a sentence stays on its line
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    writer.dump(tree, stream)
    return "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines()) + stream.getvalue()


def _tool_node(tool: DeclaredTool) -> CommentedMap:
    plain = tool.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    plain["parameters"] = {"type": "object", "properties": {}} | plain.get("parameters", {})
    parameters = CommentedMap(type="object")
    parameters["properties"] = CommentedMap(
        {key: _short_node(value) for key, value in plain["parameters"]["properties"].items()}
    )
    if tool.required:
        parameters["required"] = _flow(CommentedSeq(tool.required))
    node = CommentedMap(name=tool.name)
    if tool.description:
        node["description"] = tool.description
    node["parameters"] = parameters
    if "values" in plain:
        node["values"] = CommentedMap({key: _short_node(value) for key, value in plain["values"].items()})
    node["examples"] = CommentedSeq(example.say for example in tool.examples)
    node.yaml_set_comment_before_after_key("examples", before=_EXAMPLES, indent=4)
    if "run" in plain:
        node["run"] = _short_node(plain["run"])
    return node


def _short_node(value: Any) -> Any:
    """A value as YAML writes it: on one line where it is short."""
    node: Any
    if isinstance(value, dict):
        node = CommentedMap({key: _short_node(inner) for key, inner in value.items()})
    elif isinstance(value, list):
        node = CommentedSeq(_short_node(inner) for inner in value)
    elif isinstance(value, str) and not _PLAIN.fullmatch(value):
        return DoubleQuotedScalarString(value)
    else:
        return value
    return _flow(node) if len(str(value)) <= _WIDEST_FLOW or isinstance(node, CommentedSeq) else node


def _flow(node: Any) -> Any:
    node.fa.set_flow_style()
    return node


def refuse_to_overwrite_tools_file(path: Path, *, force: bool) -> None:
    """Refuse to write over a file that somebody may have extended.

    Raises:
        ForgeError: there is such a file, and `force` does not say that it may be replaced; or a folder.
    """
    if path.is_dir():
        raise ForgeError(f"{path}: is a folder; name a file in it")
    if path.exists() and not force:
        raise ForgeError(f"{path}: exists already; --force replaces it")
