"""Where a model came from: from its output in dvc.lock over the inputs of its stage to all that it was made from.

dvc.lock records, for every stage, the hashes of what it read and wrote, its parameters and its code. At a tagged
commit Git holds that file, so the walk needs neither workspace nor cache, neither network nor registry: a clone is
enough. What a cache or a tag's message can add (model ids, versions) is added.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import MANIFEST, sha256_file
from forge.interface.paths import CODE
from forge.pipeline.dvc.git import git_file_at
from forge.pipeline.dvc.lockfile import (
    LOCK,
    Cache,
    Lock,
    Out,
    dvc_artifact_paths,
    dvc_paths_overlap,
    md5_path,
    parse_yaml_as_dvc,
)
from forge.pipeline.handoff.publish import METADATA, read_published_metadata
from forge.pipeline.registry.models import registry_artifact_names
from forge.pipeline.registry.versions import Version, find_version, versions


def _is_lineage_code_input(path: str) -> bool:
    """Of a stage's inputs: the file that stands for its code, or source files themselves in an older lock."""
    return Path(path).parent == CODE or Path(path).parts[0] in ("forge", "stages")


@dataclass(frozen=True)
class _Origin:
    """What a reference stands for: an output, the dvc.lock that tells of it, and the version whose lock that is."""

    path: str
    lock: Lock
    names: dict[str, str]  # artifact by path
    version: Version | None = None


def lineage(root: Path, ref: str) -> dict[str, Any]:
    """The whole ancestry of a model.

    Args:
        root: the project, any clone of it.
        ref: a version (`edge@v0.0.1`, `edge#prod`), an artifact's name, a model's directory, or an `agent.forge`.

    Returns:
        `ref`, `tag` and `commit` (None for the workspace), `path`, and `nodes`: for every output and every source
        its path, kind (model, data or source), DVC's hash, artifact, versions, model id where known, stage,
        command, parameters, code with hashes, and the paths of its parents. The model asked for is the first.

    Raises:
        ForgeError: nothing is known by that reference.
    """
    known = versions(root)
    origin = _origin(root, ref, known)
    paths = [origin.path, *origin.lock.ancestors(origin.path)]
    cache = Cache.of(root)
    nodes = [_lineage_node(origin, path, known, cache) for path in paths]
    nodes += _lineage_source_nodes(origin.lock, nodes)
    tag = origin.version.tag if origin.version else None
    commit = origin.version.commit if origin.version else None
    return {"ref": ref, "tag": tag, "commit": commit, "path": origin.path, "nodes": nodes}


def _lineage_node(origin: _Origin, path: str, known: list[Version], cache: Cache) -> dict[str, Any]:
    out = origin.lock.outs()[path]
    inputs = origin.lock.inputs(out.stage)
    tags = [v for v in known if v.facts.get("dvc_md5") == out.md5 and v.facts.get("path") == path]
    if origin.version is not None and path == origin.path and origin.version not in tags:
        tags.append(origin.version)
    return {
        "path": path,
        "kind": "model" if path in origin.names else "data",
        "md5": out.md5,
        "bytes": out.size,
        "artifact": origin.names.get(path),
        "versions": [version.tag for version in tags],
        "model_id": _model_id(out.md5, tags, cache),
        "stage": out.stage,
        "command": origin.lock.stages[out.stage].get("cmd"),
        "params": origin.lock.params(out.stage),
        "code": {name: md5 for name, md5 in inputs.items() if _is_lineage_code_input(name)},
        "parents": [*origin.lock.parents(out.stage), *_lineage_plain_inputs(origin.lock, out.stage)],
    }


def _model_id(md5: str, tags: list[Version], cache: Cache) -> str | None:
    for version in tags:
        if "model" in version.facts:
            return str(version.facts["model"]["model_id"])
    metadata = cache.read_json(md5, METADATA)
    return str(metadata["model_id"]) if isinstance(metadata, dict) and "model_id" in metadata else None


def _lineage_plain_inputs(lock: Lock, stage: str) -> list[str]:
    """Inputs that no stage makes and that are not code: a user's own data."""
    made = list(lock.outs())
    return [
        path
        for path in lock.inputs(stage)
        if not _is_lineage_code_input(path) and not any(dvc_paths_overlap(path, out) for out in made)
    ]


def _lineage_source_nodes(lock: Lock, nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Nodes for the inputs that no stage made."""
    found: dict[str, str] = {}
    for node in nodes:
        for path in _lineage_plain_inputs(lock, node["stage"]):
            found[path] = lock.inputs(node["stage"])[path]
    return [{"path": path, "kind": "source", "md5": md5, "parents": []} for path, md5 in found.items()]


# ---- what a reference stands for ----------------------------------------------------------------------------


def _origin(root: Path, ref: str, known: list[Version]) -> _Origin:
    if any(ref == version.tag for version in known) or "#" in ref:
        return _of_version(root, find_version(root, ref))
    names = registry_artifact_names(root)
    if Path(ref).exists() and ref not in names.values():  # `forge` is a model and a folder of code
        return _lineage_origin_of_path(root, Path(ref), known)
    for path, name in names.items():
        if ref in (name, path) and (root / LOCK).is_file() and path in Lock.read(root).outs():
            return _Origin(path, Lock.read(root), names)
    if ref in (version.artifact for version in known):
        return _of_version(root, find_version(root, ref))
    tags = ", ".join(version.tag for version in known) or "none"
    raise ForgeError(f"no model {ref!r}; artifacts: {', '.join(names.values()) or 'none'}; versions: {tags}")


def _of_version(root: Path, version: Version) -> _Origin:
    file = f"{version.tag}:dvc.yaml"
    document = parse_yaml_as_dvc(git_file_at(root, version.tag, "dvc.yaml"), file)
    names = {path: name for name, path in dvc_artifact_paths(document, file).items()}
    return _Origin(version.path(root), version.lock(root), names, version)


def _lineage_origin_of_path(root: Path, path: Path, known: list[Version]) -> _Origin:
    """A directory or file is known by its content: it may be the workspace's model, or a copy of a version."""
    directory = path.parent if path.is_file() else path
    if (directory / MANIFEST).is_file():
        return _lineage_origin_of_directory(root, directory, known)
    if path.is_file():
        try:
            content = sha256_file(path)[:12]  # the end of the id of a model that is known by this file
        except OSError as error:
            raise ForgeError(f"{path}: cannot be read ({error.strerror})") from error
        for version in reversed(known):
            if str(version.facts.get("model", {}).get("model_id", "")).endswith(f"_{content}"):
                return _of_version(root, version)
        for out in _lineage_workspace_outs(root):
            model = root / out.path
            if (model / METADATA).is_file() and read_published_metadata(model).model_id.endswith(f"_{content}"):
                return _lineage_origin_of_directory(root, model, known)
    raise ForgeError(f"{path}: no model that is registered or in {LOCK}")


def _lineage_origin_of_directory(root: Path, directory: Path, known: list[Version]) -> _Origin:
    md5 = md5_path(directory, {})
    matching = [out for out in _lineage_workspace_outs(root) if out.md5 == md5]
    # Two phases may have made the same bytes: then the place decides.
    matching.sort(key=lambda out: (root / out.path).resolve() != directory.resolve())
    if matching:
        return _Origin(matching[0].path, Lock.read(root), registry_artifact_names(root))
    for version in reversed(known):
        if version.facts.get("dvc_md5") == md5:
            return _of_version(root, version)
    raise ForgeError(f"{directory}: its content is neither in {LOCK} nor a registered version; has it been changed?")


def _lineage_workspace_outs(root: Path) -> list[Out]:
    return list(Lock.read(root).outs().values()) if (root / LOCK).is_file() else []
