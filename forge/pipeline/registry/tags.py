"""Git tags in GTO's form, read and made by Git itself.

`edge@v0.0.1` registers a version, `edge@v0.0.1!` takes it back, `edge@deprecated` retires all versions of a name;
`edge#prod#1` puts the version of the tagged commit in use for a stage, `edge#prod!#2` ends that. Only annotated tags of
commits count. Anybody may push a tag, so one that says something else, or numbers that nobody counts to, is passed over
instead of ending the reading of all others.

https://dvc.org/doc/gto
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from forge.errors import ForgeError
from forge.pipeline.dvc.git import git, has_repository

_NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9-/_]*[a-zA-Z0-9])?"
_NUMBER = r"(?:0|[1-9]\d{0,8})"
_VERSION = rf"v{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-[0-9a-zA-Z.-]+)?(?:\+[0-9a-zA-Z.-]+)?"
_TAG = re.compile(
    rf"(?P<name>{_NAME})(?:@(?P<version>{_VERSION})|@(?P<retired>deprecated)|#(?P<stage>{_NAME}))(?P<undone>!?)"
    r"(?:#(?P<count>\d+))?"
)
_FIELDS = ("refname:strip=2", "objecttype", "*objecttype", "*objectname", "taggerdate:unix", "contents")
_COUNTED = 10**9  # a number above it is nobody's count


@dataclass(frozen=True)
class Tag:
    """One annotated tag of a commit in GTO's form.

    version or stage: the one that it speaks of, else None; retired: of neither, but of the whole name. undone: it takes
    back what an earlier tag said. count: its number, 0 without one. made: seconds since 1970.
    """

    tag: str
    name: str
    version: str | None
    stage: str | None
    undone: bool
    count: int
    commit: str
    made: int
    message: str


@dataclass(frozen=True)
class Registered:
    """A version that is registered and not taken back. stages: where it is in use, in order."""

    tag: Tag
    stages: tuple[str, ...]


def read_model_tags(root: Path) -> list[Tag]:
    """Every tag in GTO's form, the oldest first; none outside a Git repository.

    Raises:
        ForgeError: Git cannot be asked.
    """
    if not has_repository(root):
        return []
    told = git(root, "for-each-ref", f"--format={''.join(f'%({field})%00' for field in _FIELDS)}", "refs/tags")
    parts = told.split("\0")
    rows = (parts[start : start + len(_FIELDS)] for start in range(0, len(parts) - 1, len(_FIELDS)))
    found = [_parse_model_tag(row[0].lstrip("\n"), *row[1:]) for row in rows]
    return sorted(filter(None, found), key=lambda tag: (tag.made, tag.count, tag.tag))


def _parse_model_tag(tag: str, kind: str, target: str, commit: str, made: str, message: str) -> Tag | None:
    match = _TAG.fullmatch(tag)
    if match is None or (kind, target) != ("tag", "commit"):
        return None
    number = match["count"] or "0"
    return Tag(
        tag=tag,
        name=match["name"],
        version=match["version"],
        stage=match["stage"],
        undone=match["undone"] == "!",
        count=int(number) if len(number) < len(str(_COUNTED)) else 0,
        commit=commit,
        made=int(made or 0),
        message=message,
    )


def registered_versions(tags: Iterable[Tag]) -> list[Registered]:
    """What is registered, and in use where, after all that the tags say, the oldest of which comes first."""
    versions: dict[tuple[str, str], Tag] = {}
    uses: dict[tuple[str, str, str], Tag] = {}
    last: dict[str, Tag] = {}
    for tag in tags:
        last[tag.name] = tag
        if tag.version is not None:
            if not tag.undone:
                versions.setdefault((tag.name, tag.version), tag)
            else:
                versions.pop((tag.name, tag.version), None)
        elif tag.stage is not None:
            use = (tag.name, tag.stage, tag.commit)
            uses.pop(use, None)  # what is said last stands last
            if not tag.undone:
                uses[use] = tag
    retired = {name for name, tag in last.items() if tag.version is None and tag.stage is None}
    found = [tag for tag in versions.values() if tag.name not in retired]
    commits = {(tag.name, tag.commit) for tag in found}
    in_use = {(name, stage): commit for name, stage, commit in uses if (name, commit) in commits}
    return [
        Registered(tag, tuple(sorted(s for (name, s), c in in_use.items() if (name, c) == (tag.name, tag.commit))))
        for tag in found
    ]


def next_model_tag_count(tags: Iterable[Tag], name: str) -> int:
    """The number of the next tag that puts a version of a name in use."""
    return max((tag.count for tag in tags if tag.name == name), default=0) + 1


def make_model_tag(root: Path, tag: str, commit: str, message: str) -> None:
    """Make an annotated tag.

    Raises:
        ForgeError: it is not in GTO's form, it exists already, or Git refuses it.
    """
    if _TAG.fullmatch(tag) is None:
        raise ForgeError(f"{tag!r} is no name of a model's tag: letters, digits, and - / _ between them")
    git(root, "tag", "--annotate", "--no-sign", "--cleanup=verbatim", "--file=-", tag, commit, text=message)
