"""The one reader of `params.yaml`, `dvc.yaml` and `dvc.lock`: what is shown, checked and compared is what runs.

It is ruamel's safe loader set up as DVC sets it up (YAML 1.2: `010` is ten, `1:30`, `on` and `yes` are text, `1e-05` is
a number, a key that stands twice is an error), so a stage gets the very values that a command prints. What such a file
has no use for is refused before it is built: anchors, aliases and merge keys, of which a few lines can stand for more
values than memory holds; tags, dates and directives; deep nesting; numbers of very many digits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, DocumentStartEvent, ScalarEvent

from forge.errors import ForgeError
from forge.files import decode_utf8, open_regular_file

LARGEST_YAML = 128 << 10  # characters; params.yaml has 15,000
LARGEST_LOCK = 8 << 20  # dvc.lock lists every file that a stage depends on
_DEEPEST = 32  # params.yaml and dvc.lock nest half a dozen levels
_LONGEST_NUMBER = 64  # characters; Python itself gives up at 4,300 digits
_LONGEST_REASON = 200
_NUMERIC = dict.fromkeys(map(ord, "0123456789abcdefABCDEFoxinINF_+-."))  # what a number is written with
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Constructor(SafeConstructor):
    """Refuses, with its line, a value that the safe loader would make a date of or fail at."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if str(node.tag) == _TIMESTAMP:
            raise ConstructorError(None, None, f"a date, {node.value!r}: text is put in quotes", node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ValueError, IndexError) as error:  # `0o`, `-_`: what the rules of YAML call a number and is none
            raise ConstructorError(None, None, f"{node.value!r} is no number", node.start_mark) from error


def _yaml_as_dvc_loads_it() -> YAML:
    loader = YAML(typ="safe")
    loader.Constructor = _Constructor
    return loader


def parse_yaml(text: str, name: str | Path, limit: int = LARGEST_YAML, *, aliases: bool = False) -> Any:
    """YAML 1.2 text as plain dicts, lists, numbers, text, true, false and null.

    Args:
        text: one document.
        name: of the file, for the message.
        limit: characters that are read at most.
        aliases: let a value stand for another one, as DVC writes `dvc.lock` where a value was met twice; never for one
            that again holds such values.

    Raises:
        ForgeError: malformed, or more than such a file may hold; one line that names file and line.
    """
    if len(text) > limit:
        raise ForgeError(f"{name}: {len(text):,} characters of YAML, at most {limit:,} are read")
    try:
        _refuse_what_no_parameters_need(text, aliases)
        return _yaml_as_dvc_loads_it().load(text)
    except MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ForgeError(f"{name}{where}: not valid YAML: {str(error.problem)[:_LONGEST_REASON]}") from error
    except (YAMLError, UnicodeError) as error:
        raise ForgeError(f"{name}: not valid YAML: {str(error)[:_LONGEST_REASON]}") from error


def _refuse_what_no_parameters_need(text: str, aliases: bool) -> None:
    """Look through the events of a text, which are as many as it is long; raises MarkedYAMLError."""
    anchored: list[bool] = []  # of each open collection: whether it, or one around it, has a name
    for event in _yaml_as_dvc_loads_it().parse(text):
        fault = None
        named = isinstance(event, AliasEvent) or getattr(event, "anchor", None) is not None
        within = bool(anchored) and anchored[-1]
        if isinstance(event, CollectionStartEvent):
            anchored.append(named or within)
        elif isinstance(event, CollectionEndEvent):
            anchored.pop()
        if len(anchored) > _DEEPEST:
            fault = f"nested more than {_DEEPEST} levels deep"
        elif named and (within or not aliases):
            fault = "anchors and aliases (& and *) are not read; write the value out"
        elif getattr(event, "tag", None) is not None:
            fault = "tags (!) are not read"
        elif isinstance(event, DocumentStartEvent) and (event.version or event.tags):
            fault = "directives (%) are not read"
        elif isinstance(event, ScalarEvent) and not event.style:  # plain, without quotes
            if event.value == "<<":
                fault = "merge keys (<<) are not read; write the values out"
            elif _is_long_number(event.value):
                fault = f"a number of {len(event.value):,} characters, at most {_LONGEST_NUMBER} are read"
        if fault is not None:
            raise MarkedYAMLError(problem=fault, problem_mark=event.start_mark)


def _is_long_number(word: str) -> bool:
    return len(word) > _LONGEST_NUMBER and word[0] in "+-.0123456789" and not word.translate(_NUMERIC)


def read_yaml(path: str | Path, limit: int = LARGEST_YAML) -> Any:
    """Parse a file of YAML 1.2; see `parse_yaml`.

    Raises:
        ForgeError: missing, no regular file, not UTF-8, too long, or malformed; the message names the file.
    """
    with open_regular_file(path) as stream:
        data = stream.read(4 * limit + 1)  # a character of UTF-8 has at most four bytes
    return parse_yaml(decode_utf8(data, str(path)), path, limit)
