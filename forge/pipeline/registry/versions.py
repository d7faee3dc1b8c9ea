"""Registered versions of models: annotated Git tags in GTO's form (`edge@v0.0.1`, `edge#prod#1`).

The tag's message is JSON and says what the model is without any other file: its metadata, the SHA-256 of its
manifest, its parents, its headline metrics and the hash of its parameters. Together with `dvc.lock` at the tagged
commit that is the whole record of where a model came from, and a clone of the repository holds it.

https://dvc.org/doc/gto
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from forge.errors import ForgeError
from forge.files import MANIFEST, canonical_json, fsync_directory, sha256_file, verify_manifest
from forge.pipeline.dvc.git import git, git_commit_of, git_file_at, require_git_identity, uncommitted
from forge.pipeline.dvc.lockfile import (
    LOCK,
    Cache,
    Lock,
    Out,
    dvc_artifact_paths,
    is_dvc_cache_object_intact,
    md5_path,
    parse_yaml_as_dvc,
)
from forge.pipeline.handoff.publish import METADATA, parse_published_metadata, read_published_metadata
from forge.pipeline.registry.models import (
    registry_artifact_names,
    registry_deployed_bytes,
    registry_headline_metrics,
    registry_results_dir,
    registry_scale,
)
from forge.pipeline.registry.tags import make_model_tag, next_model_tag_count, read_model_tags, registered_versions

Bump = Literal["major", "minor", "patch"]
# What decides a model beside its data; a tag that names a commit must name all of it.
DECISIVE = (LOCK, "dvc.yaml", "params.yaml", "stages", "forge")
_FACTS = {"path": str, "manifest_sha256": str, "dvc_md5": str, "metrics": dict, "model": dict}
_LARGEST = 2**63  # what the registry can hold


@dataclass(frozen=True)
class Version:
    """A registered version.

    tag: its name in Git. registered: seconds since 1970. stages: where it is in use now (`prod`). facts: the tag's
    message, empty if that is not ours.
    """

    tag: str
    artifact: str
    version: str
    commit: str
    registered: float
    stages: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def path(self, root: Path) -> str:
        """Where the model is in the tagged commit.

        Raises:
            ForgeError: dvc.yaml did not name the artifact then.
        """
        if "path" in self.facts:
            return str(self.facts["path"])
        file = f"{self.tag}:dvc.yaml"
        names = dvc_artifact_paths(parse_yaml_as_dvc(git_file_at(root, self.tag, "dvc.yaml"), file), file)
        if self.artifact not in names:
            raise ForgeError(f"{self.tag}: dvc.yaml of that commit names no artifact {self.artifact!r}")
        return names[self.artifact]

    def lock(self, root: Path) -> Lock:
        """dvc.lock of the tagged commit. Raises ForgeError when there was none, or it is damaged."""
        return Lock.parse(git_file_at(root, self.tag, LOCK), f"{self.tag}:{LOCK}")


def versions(root: Path) -> list[Version]:
    """Every version that is registered and not deprecated, the oldest first; none outside a Git repository.

    Raises:
        ForgeError: there is a repository, and Git cannot be asked.
    """
    found = [
        Version(
            tag=each.tag.tag,
            artifact=each.tag.name,
            version=str(each.tag.version),
            commit=each.tag.commit,
            registered=float(each.tag.made),
            stages=each.stages,
            facts=_parse_version_tag_message(each.tag.message),
        )
        for each in registered_versions(read_model_tags(root))
    ]
    return sorted(found, key=lambda v: (v.registered, v.artifact, _version_number(v.version)))


def _parse_version_tag_message(message: str) -> dict[str, Any]:
    """A tag's message as our facts; empty if someone else wrote it, or something that no file could hold."""
    try:
        facts = json.loads(message)
        json.dumps(facts, allow_nan=False, ensure_ascii=False).encode("utf-8")
        if not all(isinstance(facts[name], kind) for name, kind in _FACTS.items()):
            return {}
        if not isinstance(facts.get("scale"), str | None) or not isinstance(facts.get("bytes", 0), int | None):
            return {}
        metadata = parse_published_metadata(facts["model"], "the tag's message")
    except (ValueError, TypeError, KeyError, RecursionError, ForgeError):
        return {}
    return facts if max(metadata.parameters, facts.get("bytes") or 0) < _LARGEST else {}


def _version_number(version: str) -> tuple[int, ...]:
    """(1, 2, 3) of `v1.2.3-rc.1+build`."""
    return tuple(int(part) for part in re.split(r"[-+]", version.removeprefix("v"))[0].split("."))


def find_version(root: Path, ref: str) -> Version:
    """A version by its tag, by `NAME#STAGE`, or, for a bare name, the highest one.

    Raises:
        ForgeError: there is none; the message names those that there are.
    """
    known = versions(root)
    name, asked, stage = ref.partition("#")
    if "#" in stage:  # `edge#prod#1`: the tag itself says which
        commit = git_commit_of(root, f"refs/tags/{ref}")
        matching = [version for version in known if version.artifact == name and version.commit == commit]
    else:
        matching = [v for v in known if v.tag == ref or (v.artifact == name and (not asked or stage in v.stages))]
    if not matching:
        listed = ", ".join(version.tag for version in known) or "none"
        raise ForgeError(f"no registered version {ref!r}; registered: {listed}")
    return max(matching, key=lambda version: _version_number(version.version))


def register(root: Path, phase: str, *, bump: Bump = "patch", push: bool = False) -> Version:
    """Register the model that a phase has in the workspace as a new version.

    Args:
        root: the project.
        phase: a name under `artifacts:` in dvc.yaml, or the stage that makes it (`cognate@reasoning`).
        bump: which part of the version number goes up.
        push: send models and data to the DVC remote and the tag to `origin`.

    Raises:
        ForgeError: refused, with the reason; no tag is made then.
    """
    name, path = _registered_artifact(root, phase)
    head = git_commit_of(root, "HEAD")
    if head is None:
        raise ForgeError(f"{root.absolute()}: no Git repository with a commit, so nothing can be tagged")
    require_git_identity(root)
    if changed := uncommitted(root, *DECISIVE, registry_results_dir(path).as_posix()):
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise ForgeError(f"refused to register {name}: {changed[0]}{more} is not committed; commit first")
    earlier = [version for version in versions(root) if version.artifact == name]
    for version in earlier:
        if version.commit == head:
            raise ForgeError(f"refused to register {name}: this commit is {version.tag} already")
    lock, cache = Lock.read(root), Cache.of(root)
    out = lock.outs().get(path)
    if out is None:
        raise ForgeError(f"refused to register {name}: {LOCK} has no {path}; run it first: agent-forge run")
    try:
        _check_model_to_register(root, out, cache)
        _check_ancestors_to_register(lock, out, cache)
    except ForgeError as error:
        raise ForgeError(f"refused to register {name}: {error}") from error
    facts = _version_tag_facts(root, lock, out, cache)
    if push:
        _push_registered_objects(root)
    tag = f"{name}@{_next_registered_version(earlier, bump)}"
    try:
        make_model_tag(root, tag, head, canonical_json(facts))
    except ForgeError as error:
        raise ForgeError(f"refused to register {name}: {error}") from error
    if push:
        git(root, "push", "--quiet", "origin", f"refs/tags/{tag}")
    return find_version(root, tag)


def _registered_artifact(root: Path, phase: str) -> tuple[str, str]:
    """The artifact of a phase and its path. Raises ForgeError when dvc.yaml names none."""
    names = {name: path for path, name in registry_artifact_names(root).items()}
    wanted = phase.replace("@", "-").replace("_", "-")
    if wanted in names:
        return wanted, names[wanted]
    raise ForgeError(f"{phase!r} is not under artifacts in dvc.yaml; known: {', '.join(names) or 'none'}")


def _check_model_to_register(root: Path, out: Out, cache: Cache) -> None:
    """The workspace, the manifest, dvc.lock and the cache must speak of the same bytes."""
    directory = root / out.path
    if not directory.is_dir():
        raise ForgeError(f"{out.path} is not in the workspace (dvc checkout {out.path}, or dvc pull)")
    verify_manifest(directory)
    if md5_path(directory, {}) != out.md5:
        raise ForgeError(f"{out.path} is not what {LOCK} names (dvc checkout {out.path}, or agent-forge run)")
    if missing := cache.missing(out.md5):
        raise ForgeError(f"{out.path}: not in the DVC cache: {missing[0]} (dvc commit {out.stage})")
    listing = cache.listing(out.md5) or {}
    for relative, md5 in listing.items():
        if not is_dvc_cache_object_intact(cache.object(md5)):
            raise ForgeError(f"{out.path}/{relative}: damaged in the DVC cache (agent-forge models verify)")


def _check_ancestors_to_register(lock: Lock, out: Out, cache: Cache) -> None:
    """What the model was made from must be in the cache, or the version could never be fetched with its past."""
    outs = lock.outs()
    for path in lock.ancestors(out.path):
        if missing := cache.missing(outs[path].md5):
            raise ForgeError(f"{path}, of which it is made, is not in the DVC cache: {missing[0]} (dvc fetch {path})")


def _version_tag_facts(root: Path, lock: Lock, out: Out, cache: Cache) -> dict[str, Any]:
    """What the tag's message says."""
    metadata = read_published_metadata(root / out.path)
    return {
        "path": out.path,
        "manifest_sha256": sha256_file(root / out.path / MANIFEST),
        "dvc_md5": out.md5,
        "scale": registry_scale(root, out.path, metadata),
        "bytes": registry_deployed_bytes(metadata, root / out.path / MANIFEST),
        "parents": _version_tag_parents(root, lock, out, cache),
        "params_sha256": hashlib.sha256(canonical_json(lock.params(out.stage)).encode()).hexdigest(),
        "metrics": registry_headline_metrics(root, out.path),
        "model": metadata.model_dump(mode="json", exclude={"metrics"}),
    }


def _version_tag_parents(root: Path, lock: Lock, out: Out, cache: Cache) -> list[str]:
    """The models that it was made from: versions where registered, else model ids."""
    names, known = registry_artifact_names(root), versions(root)
    parents = []
    for path, md5 in lock.inputs(out.stage).items():
        if path not in names:
            continue
        tags = [v.tag for v in known if v.artifact == names[path] and v.facts.get("dvc_md5") == md5]
        metadata = cache.read_json(md5, METADATA)
        named = metadata.get("model_id") if isinstance(metadata, dict) else None
        parents.append(tags[-1] if tags else str(named or f"{path} ({md5})"))
    return parents


def _next_registered_version(earlier: list[Version], bump: Bump) -> str:
    major, minor, patch = max((_version_number(version.version)[:3] for version in earlier), default=(0, 0, 0))
    parts = {"major": (major + 1, 0, 0), "minor": (major, minor + 1, 0), "patch": (major, minor, patch + 1)}[bump]
    return "v" + ".".join(map(str, parts))


def _push_registered_objects(root: Path) -> None:
    """Send what dvc.lock names to the DVC remote, before any tag promises it."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    git(root, "remote", "get-url", "origin")
    try:
        with Repo(str(root)) as repo:
            repo.push()
    except DvcException as error:
        raise ForgeError(f"not registered: dvc push failed: {error}") from error


def promote(root: Path, name: str, version: str, stage: str) -> Version:
    """Put a registered version in use for a stage such as `prod`; the tag is `NAME#STAGE#N`.

    Raises:
        ForgeError: not registered, in use there already, or no valid name of a stage.
    """
    wanted = find_version(root, f"{name}@v{version.removeprefix('v')}")
    if stage in wanted.stages:
        raise ForgeError(f"{wanted.tag} is in stage {stage} already")
    tag = f"{name}#{stage}#{next_model_tag_count(read_model_tags(root), name)}"
    try:
        require_git_identity(root)
        make_model_tag(root, tag, wanted.commit, f"{wanted.tag} is in use as {stage}")
    except ForgeError as error:
        raise ForgeError(f"{wanted.tag} cannot go to stage {stage!r}: {error}") from error
    return find_version(root, wanted.tag)


def fetch_registered_model(root: Path, ref: str, target: Path) -> Version:
    """Put a registered model into a new directory, without touching the workspace.

    It comes from the DVC cache or, by way of that, from the remote; it is checked against its own manifest and against
    the one that was registered, and appears whole or not at all.

    Raises:
        ForgeError: not registered, not to be had, damaged, or the target exists.
    """
    version = find_version(root, ref)
    if os.path.lexists(target):
        raise ForgeError(f"{target}: exists already")
    path = version.path(root)
    out = version.lock(root).outs().get(path)
    if out is None:
        raise ForgeError(f"{version.tag}: {LOCK} of that commit has no {path}")
    cache = Cache.of(root)
    if missing := cache.fetch(root, out.md5):
        raise ForgeError(f"{version.tag}: neither in the cache nor in a remote: {missing}; try dvc fetch")
    parent = target.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".building", dir=parent))
    try:
        try:
            cache.copy(out.md5, draft / "model")
            verify_manifest(draft / "model")
            if version.facts.get("manifest_sha256") not in (None, sha256_file(draft / "model" / MANIFEST)):
                raise ForgeError("its manifest is not the one that was registered")
        except ForgeError as error:
            raise ForgeError(f"{version.tag}: damaged in the cache or the remote: {error}") from error
        (draft / "model").rename(target)
        fsync_directory(parent)
    finally:
        shutil.rmtree(draft)
    return version
