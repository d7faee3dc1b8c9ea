"""Reading, checking and editing `params.yaml`.

YAML 1.2 throughout (ruamel): DVC writes `1e-05`, which YAML 1.1 parsers take for a string.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from forge.config import schema
from forge.errors import ForgeError
from forge.files import atomic_write_bytes

PARAMS_FILE = "params.yaml"


@dataclass(frozen=True)
class Params:
    """A checked `params.yaml`, seen at its active scale."""

    file: Any  # a schema.ParamsFile, whose fields are derived from the phases

    @property
    def scale(self) -> str:
        """Name of the active scale."""
        return str(self.file.scale)

    @property
    def seed(self) -> int:
        """The seed that all phases start from."""
        return int(self.file.seed)

    @property
    def contracts(self) -> Any:
        """Handoff thresholds of the active scale."""
        return self.file.scales[self.scale].contracts

    def block(self, name: str) -> Any:
        """Both halves of a block (a phase, `data`, `evaluation`) in one model.

        Raises:
            ForgeError: there is no such block.
        """
        if name not in schema.BLOCKS:
            raise ForgeError(f"no parameters of {name!r}; known: {', '.join(schema.BLOCKS)}")
        own = getattr(self.file, name).model_dump()
        scaled = getattr(self.file.scales[self.scale], name).model_dump()
        return schema.BLOCKS[name].model_validate({**own, **scaled})

    def select(self, keys: list[str]) -> dict[str, Any]:
        """The values under dotted keys, as DVC's `params:` would list them.

        Raises:
            ForgeError: a key is not in the file.
        """
        tree = self.file.model_dump()
        return {key: _look_up_params_key(tree, key) for key in keys}


def _look_up_params_key(tree: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(tree, dict) or part not in tree:
            raise ForgeError(f"{PARAMS_FILE}: {key}: no such key")
        tree = tree[part]
    return tree


def parse_params_yaml(text: str, name: str | Path) -> Any:
    """YAML 1.2 text as plain dicts, lists, numbers and strings; `name` is for the message.

    Raises:
        ForgeError: malformed; the message names file and line.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise ForgeError(f"{name}{where}: not valid YAML: {error.problem}") from error
    except YAMLError as error:
        raise ForgeError(f"{name}: not valid YAML: {error}") from error


def read_params_yaml(path: str | Path) -> Any:
    """Parse a YAML 1.2 file.

    Raises:
        ForgeError: missing or malformed; the message names file and line.
    """
    try:
        return parse_params_yaml(Path(path).read_text(encoding="utf-8"), path)
    except FileNotFoundError as error:
        raise ForgeError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise ForgeError(f"{path}: not valid YAML: {error}") from error


def load_params(path: str | Path = PARAMS_FILE) -> Params:
    """Read and check every block of `params.yaml`, the inactive scales too.

    Raises:
        ForgeError: one line that names the first offending key, and how many more there are.
    """
    return _check_params_tree(read_params_yaml(path), path)


def parse_params(text: str, name: str | Path = PARAMS_FILE) -> Params:
    """Check the text of a `params.yaml`; `name` is for the message.

    Raises:
        ForgeError: as `load_params` does.
    """
    return _check_params_tree(parse_params_yaml(text, name), name)


def _check_params_tree(tree: Any, path: str | Path) -> Params:
    if not isinstance(tree, dict):
        raise ForgeError(f"{path}: must be a mapping of parameters")
    try:
        parsed: Any = schema.ParamsFile.model_validate(tree)
    except ValidationError as error:
        raise ForgeError(_first_params_fault(Path(path).name, error)) from error
    if parsed.scale not in parsed.scales:
        known = ", ".join(parsed.scales)
        raise ForgeError(f"{Path(path).name}: scale: {parsed.scale!r} is not one of {known}")
    return Params(parsed)


def replace_params(path: str | Path, before: bytes, after: bytes) -> bool:
    """Put an edited text in a params file's place, in one rename, if it is valid and nobody else changed the file.

    Args:
        path: the params file.
        before: what it held when the editor got it.
        after: what the editor left.

    Returns:
        Whether the file was changed.

    Raises:
        ForgeError: the text is not valid, or the file does not hold `before` any more; the file is then as it was.
    """
    path = Path(path)
    try:
        parse_params(after.decode("utf-8"), path)
    except UnicodeDecodeError as error:
        raise ForgeError(f"{path}: not valid YAML: {error}") from error
    if path.read_bytes() != before:
        raise ForgeError(f"{path} was changed by somebody else meanwhile")
    if after != before:
        atomic_write_bytes(path, after)
    return after != before


def _first_params_fault(file: str, error: ValidationError) -> str:
    """`params.yaml: scales.tiny.cognate.hidden_size: must be ... (and 2 more)`."""
    faults = error.errors()
    first = faults[0]
    key = ""
    for part in first["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}"
    reason = {"extra_forbidden": "unknown key", "missing": "missing"}.get(first["type"])
    if reason is None:
        reason = first["msg"].removeprefix("Value error, ")
        reason = reason[0].lower() + reason[1:]
        if first["type"] != "value_error":
            reason += f", got {first['input']!r}"[:80]
    key = key.lstrip(".")
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    meaning = schema.explain_params_key(key)
    return f"{file}: {key}: {reason}{more}" + (f"; it is: {meaning[0].lower()}{meaning[1:]}" if meaning else "")


def _params_yaml_editor() -> Any:
    """A round-trip YAML editor that leaves untouched lines as they are."""
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import RoundTripRepresenter

    class Representer(RoundTripRepresenter):
        pass

    # Plain ruamel drops the word `null`, which would touch lines that nobody edited.
    Representer.add_representer(type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null"))
    editor = YAML()
    editor.Representer = Representer
    editor.preserve_quotes = True
    editor.width = 4096
    return editor


def _flow_list_for_params_yaml(value: Any) -> Any:
    """A list that is written in its line, as the lists of params.yaml are."""
    from ruamel.yaml.comments import CommentedSeq

    if not isinstance(value, list):
        return value
    listed = CommentedSeq(value)
    listed.fa.set_flow_style()
    return listed


def edited(text: str, changes: Mapping[str, Any]) -> str:
    """The text of a params file with other values for existing dotted keys; comments and layout stay. Not validated.

    Raises:
        ForgeError: not YAML, or there is no such key.
    """
    plain = parse_params_yaml(text, PARAMS_FILE)
    editor = _params_yaml_editor()
    tree = editor.load(text)
    for key, value in changes.items():
        _look_up_params_key(plain, key)
        *parents, last = key.split(".")
        node = tree
        for part in parents:
            node = node[part]
        node[last] = _flow_list_for_params_yaml(value)
    stream = StringIO()
    editor.dump(tree, stream)
    return stream.getvalue()


def set_param(path: str | Path, key: str, value: Any) -> None:
    """Change one existing value, keeping comments and layout, and write only if the result is valid.

    Args:
        path: the params file.
        key: dotted, e.g. `scale` or `scales.tiny.edge.steps`.
        value: a plain YAML value.

    Raises:
        ForgeError: unknown key, or the change makes the file invalid; the file is then as it was.
    """
    read_params_yaml(path)  # names the file if it is not there or not YAML
    before = Path(path).read_bytes()
    replace_params(path, before, edited(before.decode("utf-8"), {key: value}).encode("utf-8"))
