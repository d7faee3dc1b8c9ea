"""Bringing the registry's models up to date with the truth: tags, dvc.lock and manifests."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import MANIFEST, sha256_file
from forge.pipeline.dvc.lockfile import LOCK, Cache, Lock, Out
from forge.pipeline.handoff.publish import METADATA, parse_published_metadata
from forge.pipeline.registry import store
from forge.pipeline.registry.models import (
    describe_registry_row,
    model_row,
    registry_artifact_names,
    registry_deployed_bytes,
    registry_headline_metrics,
    registry_scale,
)
from forge.pipeline.registry.store import put, registry_event_row, registry_path, writing_registry
from forge.pipeline.registry.versions import Version, versions


def reindex(root: Path) -> dict[str, Any]:
    """Rebuild the registry's models and versions; sessions, handoffs and events stay.

    A damaged registry is made anew beside the old one, with what can be read of its sessions, and takes its place when
    it is whole; the old one stays under another name. One that only cannot be read just now is left as it is.

    Returns:
        `models`, `versions`: how many there are now. `dropped`: models that no tag, lock or manifest knows any
        more. `damaged`: where the damaged file is now, else None. `saved`: rows taken over from it by table.

    Raises:
        ForgeError: no project, Git cannot be asked, dvc.lock is damaged, or the registry cannot be examined or written;
            it is then as it was.
    """
    if not (root / "dvc.yaml").is_file():  # it names the models: without it all would be forgotten
        raise ForgeError(f"{root.absolute()}: not a project directory, dvc.yaml is missing")
    known, models = _registry_versions_and_models(root)
    path = registry_path()
    try:
        if store.validate_registry_store(path):
            return _registry_made_anew(path, models, known)
        return {**_enter_in_registry(models, known, drop_others=True), "damaged": None, "saved": {}}
    except (sqlite3.Error, OSError) as error:
        raise ForgeError(f"{path}: cannot be written ({error}); nothing was changed") from error


def _registry_made_anew(path: Path, models: dict[str, dict[str, Any]], known: list[Version]) -> dict[str, Any]:
    draft = store.draft_registry(path)
    try:
        saved = store.salvage_registry(path, draft)
        counts = _enter_in_registry(models, known, drop_others=True, path=draft)
        damaged = store.set_registry_aside(path)
        draft.rename(path)
    finally:
        store.discard_registry_draft(draft)
    return {**counts, "damaged": damaged.as_posix(), "saved": saved}


def index_in_registry(root: Path) -> None:
    """Enter every model of the workspace and every registered version, after one was added.

    Raises:
        ForgeError: dvc.lock or a tag is damaged, or the registry cannot be written.
    """
    known, models = _registry_versions_and_models(root)
    try:
        _enter_in_registry(models, known, drop_others=False)
    except (sqlite3.Error, OSError) as error:
        raise ForgeError(f"{registry_path()}: cannot be written ({error}); {store.registry_hint(error)}") from error


def _registry_versions_and_models(root: Path) -> tuple[list[Version], dict[str, dict[str, Any]]]:
    """Versions, and rows of models by manifest, as tags, dvc.lock and manifests have them."""
    known = versions(root)
    return known, {row["manifest_sha256"]: row for row in _known_registry_models(root, known)}


def _enter_in_registry(
    models: dict[str, dict[str, Any]], known: list[Version], *, drop_others: bool, path: Path | None = None
) -> dict[str, Any]:
    with writing_registry(path) as connection:
        before = {row["manifest_sha256"]: dict(row) for row in connection.execute("SELECT * FROM models")}
        connection.execute("DELETE FROM versions")
        dropped = [key for key in before if key not in models] if drop_others else []
        for key in dropped:
            connection.execute("DELETE FROM models WHERE manifest_sha256 = ?", (key,))
        for key, row in models.items():
            if key in before:  # the run itself knew better when, in which experiment and at which scale
                row = {**row, "recorded": before[key]["recorded"], "experiment": before[key]["experiment"]}
                row["scale"] = row["scale"] or before[key]["scale"]
            put(connection, "models", row)
        for version in known:
            put(connection, "versions", _version_row(version, models))
        note = f"{len(models)} models, {len(known)} versions, {len(dropped)} dropped"
        put(connection, "events", registry_event_row(uuid.uuid4().hex, None, time.time(), "indexed", "models", note))
    return {"models": len(models), "versions": len(known), "dropped": dropped}


def _version_row(version: Version, models: dict[str, dict[str, Any]]) -> dict[str, Any]:
    manifest = version.facts.get("manifest_sha256")
    return {
        "tag": version.tag,
        "artifact": version.artifact,
        "version": version.version,
        "manifest_sha256": manifest if manifest in models else None,
        "git_commit": version.commit,
        "registered": version.registered,
        "stages": json.dumps(version.stages),
        "facts": json.dumps(version.facts, sort_keys=True),
    }


def _known_registry_models(root: Path, known: list[Version]) -> list[dict[str, Any]]:
    """Rows of all models that a tag or dvc.lock names, as far as their metadata can be had here."""
    found = [_registry_row_from_tag(version) for version in known if "model" in version.facts]
    names = registry_artifact_names(root)
    outs = Lock.read(root).outs() if (root / LOCK).is_file() else {}
    cache = Cache.of(root) if outs else None
    for path in names:
        out = outs.get(path)
        if (root / path / MANIFEST).is_file():
            found.append(model_row(root, path, recorded=(root / path / MANIFEST).stat().st_mtime))
        elif out is not None and cache is not None:
            found += _registry_rows_from_cache(root, out, names[path], cache)
    return found


def _registry_row_from_tag(version: Version) -> dict[str, Any]:
    """A row from a tag's message alone: all that a fresh clone has."""
    facts = version.facts
    return describe_registry_row(
        parse_published_metadata(facts["model"], version.tag),
        path=facts["path"],
        artifact=version.artifact,
        manifest_sha256=facts["manifest_sha256"],
        metrics=facts["metrics"],
        recorded=version.registered,
        scale=facts.get("scale"),
        size=facts.get("bytes"),
    )


def _registry_rows_from_cache(root: Path, out: Out, artifact: str, cache: Cache) -> list[dict[str, Any]]:
    """A row of a model that dvc.lock names and that is in the cache but not in the workspace."""
    metadata, manifest = cache.read_json(out.md5, METADATA), cache.file(out.md5, MANIFEST)
    if metadata is None or manifest is None:
        return []
    found = parse_published_metadata(metadata, out.path)
    return [
        describe_registry_row(
            found,
            path=out.path,
            artifact=artifact,
            manifest_sha256=sha256_file(manifest),
            metrics=registry_headline_metrics(root, out.path),
            recorded=time.time(),
            scale=registry_scale(root, out.path, found),
            size=registry_deployed_bytes(found, manifest),
        )
    ]
