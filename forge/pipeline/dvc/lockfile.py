"""DVC's own files, read directly: `dvc.yaml`, `dvc.lock`, hashes, cache objects.

Importing DVC takes a third of a second and opening its repository more; what stands in these files can be had in
a few hundredths, and while a stage runs.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from forge.errors import ForgeError
from forge.files import read_json
from forge.interface.paths import CODE, MODELS

LOCK = "dvc.lock"
FIX_HINT = "agent-forge doctor --fix"
WRITING_SECONDS = 0.5  # DVC writes its lock file in place, and half of it can be read meanwhile
_SKIPPED = {"__pycache__", ".git", ".dvc"}
_BLOCK = 1 << 20
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


def parse_yaml_as_dvc(text: str, name: str) -> dict[str, Any]:
    """A YAML mapping. Raises ForgeError, with the name given, when it is broken or something else."""
    from forge.interface.yaml12 import parse_yaml  # its library takes a tenth of a second; the registry needs none

    return _require_yaml_mapping(parse_yaml(text, name), name)


def read_yaml_as_dvc(path: Path) -> dict[str, Any]:
    """A YAML mapping. Raises ForgeError that names the file when it is missing, broken or something else."""
    from forge.interface.yaml12 import read_yaml

    if not path.exists():
        raise ForgeError(f"{path}: no such file; run this command in the project's folder")
    return _require_yaml_mapping(read_yaml(path), str(path))


def _require_yaml_mapping(found: Any, name: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ForgeError(f"{name}: expected a mapping at the top")
    return found


def dvc_md5_of_file(path: Path) -> str:
    """Hex MD5 of a file's bytes: DVC's name for it."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def md5_path(path: Path, known: dict[Path, str]) -> str:
    """DVC's hash of a file or folder: a folder is the MD5 of the JSON list of its files' hashes. `known`
    remembers.
    """
    if path not in known:
        known[path] = dvc_md5_of_file(path) if path.is_file() else _md5_folder(path, known)
    return known[path]


def _md5_folder(path: Path, known: dict[Path, str]) -> str:
    files = [
        p
        for p in path.rglob("*")
        if p.is_file() and not _SKIPPED & set(p.relative_to(path).parts) and p.suffix != ".pyc"
    ]
    listing = sorted(
        ({"md5": md5_path(p, known), "relpath": p.relative_to(path).as_posix()} for p in files),
        key=lambda row: row["relpath"],
    )
    text = json.dumps(listing, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def dvc_artifact_paths(document: dict[str, Any], file: str = "dvc.yaml") -> dict[str, str]:
    """Path by name of the models among the `artifacts:` of a parsed dvc.yaml: those that lie in models/.

    Raises:
        ForgeError: names the entry of `file` that is not as DVC wants it.
    """
    entries = document.get("artifacts") or {}
    if not isinstance(entries, dict):
        raise ForgeError(f"{file}: artifacts: must be a mapping of names")
    found: dict[str, str] = {}
    for name, entry in entries.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
            raise ForgeError(f"{file}: artifacts.{name}: needs a path")
        path = PurePosixPath(entry["path"])
        if MODELS in map(Path, path.parents) and ".." not in path.parts:
            found[str(name)] = path.as_posix()
    return found


def dvc_paths_overlap(first: str, second: str) -> bool:
    """One path is the other, or lies inside it."""
    return first == second or first.startswith(f"{second}/") or second.startswith(f"{first}/")


# ---- dvc.lock ----------------------------------------------------------------------------------------------


def lock_fault(text: str) -> str | None:
    """What is wrong with the text of a `dvc.lock`; None where it is as DVC writes it."""
    try:
        _dvc_lock_stages(text)
    except ForgeError as error:
        return str(error)
    return None


def _dvc_lock_stages(text: str) -> dict[str, Any]:
    """The stages of a `dvc.lock`. Raises ForgeError that says how the text is not as DVC writes it."""
    from forge.interface.yaml12 import LARGEST_LOCK, parse_yaml

    if text and not text.endswith("\n"):
        raise ForgeError("cut off in its last line")
    found = parse_yaml(text, "its text", LARGEST_LOCK, aliases=True)
    if not isinstance(found, dict) or found.get("schema") != "2.0":
        raise ForgeError("empty or cut off" if not found else "its schema is not 2.0")
    stages = found.get("stages", {})
    if not isinstance(stages, dict):
        raise ForgeError("cut off: no table of stages")
    for name, stage in stages.items():
        if not _is_whole_dvc_lock_stage(stage):
            raise ForgeError(f"cut off in stage {name}")
    return stages


def _is_whole_dvc_lock_stage(stage: Any) -> bool:
    """Whether a stage of a `dvc.lock` has all that DVC writes of one."""
    if not isinstance(stage, dict) or not isinstance(stage.get("cmd"), str | list):
        return False
    if "outs" not in stage or not all(_are_dvc_lock_entries_sound(stage.get(group, [])) for group in ("deps", "outs")):
        return False
    params = stage.get("params", {})
    return isinstance(params, dict) and all(isinstance(values, dict) for values in params.values())


def _are_dvc_lock_entries_sound(entries: Any) -> bool:
    """Whether the `deps` or `outs` of a stage are whole: a path each, nothing empty, a whole hash where one is
    announced."""
    return isinstance(entries, list) and all(
        isinstance(entry, dict)
        and "path" in entry
        and None not in entry.values()
        and all(isinstance(entry[name], int) for name in ("size", "nfiles") if name in entry)
        and (entry.get("hash") != "md5" or _MD5.fullmatch(str(entry.get("md5"))))
        for entry in entries
    )


def require_sound_lock(root: Path) -> None:
    """Refuse to go on with a damaged `dvc.lock`; there may be none.

    Raises:
        ForgeError: it is damaged; the line names the fix.
    """
    if (root / LOCK).is_file():
        Lock.read(root)


@dataclass(frozen=True)
class Out:
    """One output in dvc.lock. md5: DVC's hash, ending in `.dir` for a folder. size: bytes."""

    path: str
    md5: str
    size: int
    stage: str


@dataclass(frozen=True)
class Lock:
    """A parsed dvc.lock: what every stage read, with which parameters, and what it wrote."""

    stages: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, name: str = LOCK) -> Lock:
        """Raises ForgeError when the text is not a whole dvc.lock, for instance half of one."""
        try:
            return cls(_dvc_lock_stages(text))
        except ForgeError as error:
            raise ForgeError(f"{name} is damaged, {error}") from error

    @classmethod
    def read(cls, root: Path) -> Lock:
        """The workspace's dvc.lock. Raises ForgeError, with the fix, when it is missing or damaged."""
        path = root / LOCK
        if not path.is_file():
            raise ForgeError(f"{path}: no such file; nothing has run here yet (agent-forge run)")
        deadline = time.monotonic() + WRITING_SECONDS
        while True:
            try:
                return cls.parse(path.read_text(encoding="utf-8", errors="replace"))
            except ForgeError as error:
                if time.monotonic() > deadline:
                    raise ForgeError(f"{error}; fix it with: {FIX_HINT}") from error
            time.sleep(0.05)

    def outs(self) -> dict[str, Out]:
        """Every output by its path."""
        return {
            entry["path"]: Out(entry["path"], entry.get("md5", ""), int(entry.get("size", 0)), stage)
            for stage, body in self.stages.items()
            for entry in body.get("outs", [])
        }

    def inputs(self, stage: str) -> dict[str, str]:
        """DVC's hashes of a stage's inputs, by path."""
        return {entry["path"]: entry.get("md5", "") for entry in self.stages[stage].get("deps", [])}

    def params(self, stage: str) -> dict[str, Any]:
        """The values of a stage's parameters, by dotted key; those of other files than params.yaml with its name."""
        found: dict[str, Any] = {}
        for file, values in self.stages[stage].get("params", {}).items():
            prefix = "" if file == "params.yaml" else f"{file}:"
            found.update({f"{prefix}{key}": value for key, value in values.items()})
        return found

    def parents(self, stage: str) -> list[str]:
        """Folders made by other stages that a stage read, whole or in part; what stands for its code is none."""
        read = self.inputs(stage)
        folders = [out.path for out in self.outs().values() if out.md5.endswith(".dir") and out.path != CODE.as_posix()]
        return [folder for folder in folders if any(dvc_paths_overlap(path, folder) for path in read)]

    def ancestors(self, path: str) -> list[str]:
        """Every folder that went into an output, the nearest first; the output itself is left out.

        Raises:
            ForgeError: no stage made such an output.
        """
        outs = self.outs()
        if path not in outs:
            raise ForgeError(f"{LOCK} names no output {path}")
        found: list[str] = []
        waiting = [path]
        while waiting:
            for parent in self.parents(outs[waiting.pop(0)].stage):
                if parent not in found and parent != path:
                    found.append(parent)
                    waiting.append(parent)
        return found


# ---- cache -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cache:
    """DVC's cache: every file under its MD5, a folder as the JSON list of its files (`.dir`)."""

    root: Path

    @classmethod
    def of(cls, root: Path) -> Cache:
        """The cache of a project, wherever its configuration puts it.

        Raises:
            ForgeError: the folder is no DVC project.
        """
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            with Repo(str(root)) as repo:
                return cls(Path(repo.cache.local.path))
        except DvcException as error:
            raise ForgeError(f"{root}: {error}") from error

    def object(self, md5: str) -> Path:
        """Where an object is, if it is there."""
        return self.root / md5[:2] / md5[2:]

    def objects(self) -> Iterator[Path]:
        """Every file in the cache, what DVC left half-written too."""
        yield from sorted(p for p in self.root.glob("*/*") if p.is_file())

    def listing(self, md5: str) -> dict[str, str] | None:
        """MD5 by relative path of the files of a folder's `.dir` object; None if that is not in the cache.

        Raises:
            ForgeError: the object is damaged.
        """
        path = self.object(md5)
        if not path.is_file():
            return None
        if not is_dvc_cache_object_intact(path):
            raise ForgeError(f"{path}: damaged cache object; delete it, then: dvc fetch, or dvc repro")
        try:
            found = {str(row["relpath"]): str(row["md5"]) for row in json.loads(path.read_text(encoding="utf-8"))}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ForgeError(f"{path}: not a list of files as DVC writes it") from error
        for name, own in found.items():  # a remote's word may come from anybody
            if _MD5.fullmatch(own) is None or not _stays_inside(name):
                raise ForgeError(f"{path}: lists {name!r} ({own!r}), which is no file of a folder")
        return found

    def fetch(self, root: Path, md5: str) -> str:
        """Have a folder in the cache, from the remote where it is not there yet; what is missing after that, if any.

        Raises:
            ForgeError: an object is damaged.
        """
        missing = self.missing(md5)
        if not missing:
            return ""
        from dvc.exceptions import DvcException
        from dvc.repo import Repo
        from dvc_data.hashfile.hash_info import HashInfo

        reason = ""
        try:
            with Repo(str(root)) as repo:
                for _ in ("the list of its files", "the files"):
                    listing = self.listing(md5)
                    names = [md5] if listing is None else listing.values()
                    repo.cloud.pull([HashInfo("md5", name) for name in names if not self.object(name).is_file()])
        except (DvcException, OSError) as error:
            reason = f" ({' '.join(str(error).split())})"
        missing = self.missing(md5)
        return f"{missing[0]}{reason}" if missing else ""

    def copy(self, md5: str, target: Path) -> None:
        """Write a folder of the cache to a new directory, with bytes of its own.

        Raises:
            ForgeError: it is not in the cache whole, or is no folder.
        """
        listing = self.listing(md5)
        if listing is None or not md5.endswith(".dir"):
            raise ForgeError(f"{md5} is no folder of the cache")
        for name, own in listing.items():
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.object(own), path)

    def missing(self, md5: str) -> list[str]:
        """What of a file or folder is not in the cache: relative paths, or the hash itself."""
        if not md5.endswith(".dir"):
            return [] if self.object(md5).is_file() else [md5]
        listing = self.listing(md5)
        if listing is None:
            return [md5]
        return [name for name, own in listing.items() if not self.object(own).is_file()]

    def file(self, md5: str, name: str) -> Path | None:
        """The object of a file in a cached folder; None if it is not there or damaged."""
        folder = self.object(md5)
        listing = (
            self.listing(md5)
            if md5.endswith(".dir") and folder.is_file() and is_dvc_cache_object_intact(folder)
            else None
        )
        path = self.object(listing[name]) if listing and name in listing else None
        return path if path is not None and path.is_file() and is_dvc_cache_object_intact(path) else None

    def read_json(self, md5: str, name: str) -> Any:
        """A JSON file of a cached folder; None if it is not there, damaged or no JSON."""
        path = self.file(md5, name)
        try:
            return None if path is None else read_json(path)
        except ForgeError:  # whoever filled a remote may have put anything under its right MD5
            return None

    def users(self, outs: Iterable[Out]) -> dict[str, list[str]]:
        """Which outputs, and which files of folders among them, have each object's bytes: paths by MD5.

        A folder whose listing is absent or damaged stands there alone.
        """
        found: dict[str, list[str]] = {}
        for out in outs:
            found.setdefault(out.md5, []).append(out.path)
            path = self.object(out.md5)
            if out.md5.endswith(".dir") and path.is_file() and is_dvc_cache_object_intact(path):
                for name, md5 in (self.listing(out.md5) or {}).items():
                    found.setdefault(md5, []).append(f"{out.path}/{name}")
        return found


def is_dvc_cache_draft(path: Path) -> bool:
    """Whether a file of the cache is a draft that DVC, or a fix, has not yet given its name."""
    return path.name.endswith(".tmp") or path.name.startswith(".")


def is_dvc_cache_object_intact(path: Path) -> bool:
    """Whether a cache object still has the MD5 that it is named by."""
    return dvc_md5_of_file(path) == path.parent.name + path.name.removesuffix(".dir")


def _stays_inside(name: str) -> bool:
    """Whether a relative path names something below the folder that it is relative to."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name
