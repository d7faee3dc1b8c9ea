"""Reading, checking and editing `params.yaml`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from forge.config import schema
from forge.errors import ForgeError
from forge.files import atomic_write_bytes, decode_utf8, open_regular_file
from forge.interface.yaml12 import parse_yaml, read_yaml

PARAMS_FILE = "params.yaml"


class ParamsChanged(ForgeError):
    """Somebody else has written the params file since its editor read it."""


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

    def at(self, scale: str) -> Params:
        """The same file seen at another scale. Raises ForgeError: there is no such scale."""
        return _see_params_at_scale(self.file, scale, PARAMS_FILE)

    def block(self, name: str) -> Any:
        """Both halves of a block (a phase, `data`, `evaluation`) in one model; of `own_tools` there is but one.

        Raises:
            ForgeError: there is no such block.
        """
        if name not in schema.BLOCKS:
            raise ForgeError(f"no parameters of {name!r}; known: {', '.join(schema.BLOCKS)}")
        halves = (getattr(place, name, None) for place in (self.file, self.file.scales[self.scale]))
        values = {key: value for half in halves if half is not None for key, value in half.model_dump().items()}
        return schema.BLOCKS[name].model_validate(values)

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


def load_params(path: str | Path = PARAMS_FILE) -> Params:
    """Read and check every block of `params.yaml`, the inactive scales too.

    Raises:
        ForgeError: one line that names the first offending key, and how many more there are.
    """
    return _check_params_tree(read_yaml(path), path)


def parse_params(text: str, name: str | Path = PARAMS_FILE) -> Params:
    """Check the text of a `params.yaml`; `name` is for the message.

    Raises:
        ForgeError: as `load_params` does.
    """
    return _check_params_tree(parse_yaml(text, name), name)


def _check_params_tree(tree: Any, path: str | Path) -> Params:
    if not isinstance(tree, dict):
        raise ForgeError(f"{path}: must be a mapping of parameters")
    try:
        parsed: Any = schema.ParamsFile.model_validate(tree)
    except ValidationError as error:
        raise ForgeError(_first_params_fault(Path(path).name, error)) from error
    return _see_params_at_scale(parsed, parsed.scale, Path(path).name)


def _see_params_at_scale(file: Any, scale: str, name: str) -> Params:
    if scale not in file.scales:
        raise ForgeError(f"{name}: scale: {scale!r} is not one of {', '.join(file.scales)}")
    return Params(file.model_copy(update={"scale": scale}))


@contextmanager
def _only_writer_of_params(path: Path) -> Iterator[None]:
    """Keep other editors of this program waiting. The folder is locked, which leaves no file behind."""
    descriptor = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_params_bytes(path: str | Path) -> bytes:
    """What a params file holds, for whoever edits it and gives it to `replace_params` as `before`.

    Raises:
        ForgeError: missing, or no regular file.
    """
    with open_regular_file(path) as stream:
        return stream.read()


def replace_params(path: str | Path, before: bytes, after: bytes) -> bool:
    """Put an edited text in a params file's place, in one rename, if it is valid and nobody else changed the file.

    The only function that writes a params file: of two that edit the same text, one is told that it came too late.

    Args:
        path: the params file.
        before: what it held when the editor got it.
        after: what the editor left.

    Returns:
        Whether the file was changed.

    Raises:
        ParamsChanged: the file does not hold `before` any more; it is left as it is.
        ForgeError: the text is not valid; the file is as it was.
    """
    path = Path(path)
    parse_params(decode_utf8(after, str(path)), path)
    with _only_writer_of_params(path):
        if read_params_bytes(path) != before:
            raise ParamsChanged(f"{path} was changed by somebody else meanwhile")
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
        ForgeError: not YAML, there is no such key, or the text cannot be edited without a change of other values.
    """
    wanted = parse_yaml(text, PARAMS_FILE)
    for key, value in changes.items():
        _look_up_params_key(wanted, key)
        _set_params_key(wanted, key, value)
    after = _edited_in_place(text, changes)
    # What is edited is read by other code of ruamel's than what runs: no value may differ between the two.
    if parse_yaml(after, PARAMS_FILE) != wanted:
        raise ForgeError(
            f"{PARAMS_FILE}: {', '.join(changes)}: cannot be set without a change of others; edit the text"
        )
    return after


def _edited_in_place(text: str, changes: Mapping[str, Any]) -> str:
    from ruamel.yaml.error import YAMLError

    editor, stream = _params_yaml_editor(), StringIO()
    try:
        tree = editor.load(text)
        for key, value in changes.items():
            _set_params_key(tree, key, _flow_list_for_params_yaml(value))
        editor.dump(tree, stream)
    except (YAMLError, ValueError, LookupError, AttributeError) as error:
        raise ForgeError(f"{PARAMS_FILE}: cannot be edited value by value ({error}); edit the text") from error
    return stream.getvalue()


def _set_params_key(tree: Any, key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for part in parents:
        tree = tree[part]
    tree[last] = value


def set_param(path: str | Path, key: str, value: Any) -> None:
    """Change one existing value, keeping comments and layout, and write only if the result is valid.

    Args:
        path: the params file.
        key: dotted, e.g. `scale` or `scales.tiny.edge.steps`.
        value: a plain YAML value.

    Raises:
        ForgeError: unknown key, or the change makes the file invalid; the file is then as it was.
    """
    before = read_params_bytes(path)
    text = decode_utf8(before, str(path))
    parse_yaml(text, path)  # names this file where `edited` names what it edits
    replace_params(path, before, edited(text, {key: value}).encode("utf-8"))
