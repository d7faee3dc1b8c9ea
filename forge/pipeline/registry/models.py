"""Models in the registry: the row that describes one, and how a person finds it."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import MANIFEST, read_json, read_optional_json, sha256_file
from forge.interface.paths import MODELS, RESULTS
from forge.pipeline.dvc.lockfile import dvc_artifact_paths, read_yaml_as_dvc
from forge.pipeline.handoff.publish import ModelMetadata, read_published_metadata
from forge.pipeline.layout.phases import PHASES, STAGES
from forge.pipeline.registry.store import FIX_HINT, reading_registry, registry_path, sound_registry_rows


def registry_artifact_names(root: Path) -> dict[str, str]:
    """Name by path of the models that dvc.yaml names under `artifacts:`; empty without a dvc.yaml."""
    path = root / "dvc.yaml"
    return {path: name for name, path in dvc_artifact_paths(read_yaml_as_dvc(path)).items()} if path.is_file() else {}


def registry_results_dir(path: str) -> Path:
    """The results directory that belongs to a model's: `results/edge` for `models/edge`."""
    return RESULTS / Path(path).relative_to(MODELS)


def registry_headline_metrics(root: Path, path: str) -> dict[str, Any]:
    """The headline metrics beside a model in the workspace; empty if there are none."""
    file = root / registry_results_dir(path) / "metrics.json"
    found = read_optional_json(file)
    if not isinstance(found, dict | None):
        raise ForgeError(f"{file}: a metrics file holds an object")
    return found or {}


def registry_scale(root: Path, path: str, metadata: ModelMetadata) -> str | None:
    """The scale that a model of the workspace was made at, if the results beside it are of the run that made it."""
    run = read_optional_json(root / registry_results_dir(path) / "run.json")
    if not isinstance(run, dict) or str(run.get("session_id"))[:32] != metadata.session_id.replace("-", ""):
        return None
    return str(run["scale"]) if "scale" in run else None


def registry_deployed_bytes(metadata: ModelMetadata, manifest: Path) -> int:
    """Bytes of the files that someone must copy to run a model, as the ledger counts them; of its weights alone where
    its phase is none of ours.
    """
    try:
        sizes = {name: int(entry["bytes"]) for name, entry in read_json(manifest)["files"].items()}
    except (ForgeError, KeyError, TypeError, AttributeError, ValueError):
        sizes = {}  # a damaged manifest is for `models verify` to tell
    phase = next((stage.phase for stage in STAGES if stage.name == metadata.phase_name), None)
    names = next((each.deployed for each in PHASES if each.name == phase), ())
    deployed = [name.removesuffix("?") for name in names if not name.endswith("?") or name.removesuffix("?") in sizes]
    if not deployed or not sizes.keys() >= set(deployed):
        return round(metadata.size_mb * 2**20)
    return sum(sizes[name] for name in deployed)


def describe_registry_row(
    metadata: ModelMetadata,
    *,
    path: str,
    artifact: str | None,
    manifest_sha256: str,
    metrics: Mapping[str, Any],
    recorded: float,
    scale: str | None,
    size: int | None,
) -> dict[str, Any]:
    """A row of `models`. recorded: seconds since 1970. scale, size: None where it is not known; size in bytes."""
    return {
        "manifest_sha256": manifest_sha256,
        "model_id": metadata.model_id,
        "artifact": artifact,
        "path": path,
        "phase": metadata.phase_name,
        "model_name": metadata.model_name,
        "specialization": metadata.specialization,
        "session_id": metadata.session_id,
        "experiment": None,
        "parameters": metadata.parameters,
        "size_mb": metadata.size_mb,
        "tags": json.dumps(metadata.tags),
        "parents": json.dumps(metadata.parents),
        "metrics": json.dumps(metrics, sort_keys=True),
        "recorded": recorded,
        "scale": scale,
        "bytes": size,
    }


def model_row(root: Path, path: str, *, recorded: float) -> dict[str, Any]:
    """The row of a model in the workspace.

    Raises:
        ForgeError: there is none at that path, or its metadata is damaged.
    """
    metadata = read_published_metadata(root / path)
    return describe_registry_row(
        metadata,
        path=path,
        artifact=registry_artifact_names(root).get(path),
        manifest_sha256=sha256_file(root / path / MANIFEST),
        metrics=registry_headline_metrics(root, path),
        recorded=recorded,
        scale=registry_scale(root, path, metadata),
        size=registry_deployed_bytes(metadata, root / path / MANIFEST),
    )


def list_models(phase: str | None = None, tag: str | None = None, query: str | None = None) -> list[dict[str, Any]]:
    """Models, the newest first, each with its registered versions.

    Args:
        phase: only this phase.
        tag: only models that carry this tag: one of their metadata, a version (`edge@v0.0.1`) or a stage (`prod`).
        query: only models in whose names, tags or headline metrics this text stands, in either case.

    Returns:
        Rows of the registry, with `present`: whether this is what lies at its path now. None without a registry.

    Raises:
        ForgeError: the registry is damaged.
    """
    if not os.path.lexists(registry_path()):
        return []
    with reading_registry() as connection:
        found = _with_versions(
            connection,
            sound_registry_rows(connection, "models", "ORDER BY recorded DESC, path, manifest_sha256"),
        )
    return [
        model
        for model in found
        if phase in (None, model["phase"])
        and (tag is None or tag in _registry_tags_and_stages(model))
        and (query is None or query.lower() in _searchable_registry_text(model))
    ]


def _with_versions(connection: sqlite3.Connection, models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The models with their versions, whether they lie in the workspace, and, for rows of an older program, the scale
    of the session that made them and the bytes of their weights."""
    versions = sound_registry_rows(connection, "versions", "ORDER BY registered, tag")
    scales = {row["session_id"]: row["scale"] for row in sound_registry_rows(connection, "sessions")}
    here = {path: registry_manifest_key(Path(path)) for path in {model["path"] for model in models}}
    for model in models:
        model["versions"] = [v for v in versions if v["manifest_sha256"] == model["manifest_sha256"]]
        model["present"] = here[model["path"]] == model["manifest_sha256"]
        model["scale"] = model["scale"] or scales.get(model["session_id"])
        model["bytes"] = model["bytes"] or round(model["size_mb"] * 2**20)
    return models


def _registry_tags_and_stages(model: dict[str, Any]) -> set[str]:
    labels = set(model["tags"])
    for version in model["versions"]:
        labels |= {version["tag"], *version["stages"]}
    return labels


def _searchable_registry_text(model: dict[str, Any]) -> str:
    names = (model[key] for key in ("artifact", "model_id", "model_name", "specialization", "path", "experiment"))
    return " ".join(
        [*map(str, filter(None, names)), *_registry_tags_and_stages(model), json.dumps(model["metrics"])]
    ).lower()


def find_model(ref: str) -> dict[str, Any]:
    """One model with its versions, its handoffs and the sessions that had its inputs and parameters.

    Args:
        ref: a version (`edge@v0.0.1`), an artifact's name (the model that is in the workspace, else the newest), a
            model id or the beginning of one, the SHA-256 of a manifest, a model's directory, or an `agent.forge`.

    Raises:
        ForgeError: nothing or more than one thing answers to it, or the registry is missing or damaged.
    """
    with reading_registry() as connection:
        models = _with_versions(connection, sound_registry_rows(connection, "models", "ORDER BY recorded DESC"))
        model = _pick_registry_model(models, ref)
        model["handoffs"] = [
            handoff
            for handoff in sound_registry_rows(connection, "handoffs", "ORDER BY time")
            if model["model_id"] in handoff["models"]
        ]
        model["sessions"] = sound_registry_rows(
            connection, "sessions", "WHERE session_id = ? ORDER BY started DESC", (model["session_id"],)
        )
    return model


def _pick_registry_model(models: list[dict[str, Any]], ref: str) -> dict[str, Any]:
    here = registry_manifest_key(Path(ref))
    for model in models:
        if model["manifest_sha256"] == here or ref in (version["tag"] for version in model["versions"]):
            return model
    if here is not None:
        raise ForgeError(f"{ref}: this model is not in the registry; {FIX_HINT}")
    named = [model for model in models if model["artifact"] == ref]
    if named:
        return next((model for model in named if model["present"]), named[0])
    begun = {
        model["model_id"]: model
        for model in reversed(models)  # of several with one id, the newest stays
        if model["model_id"].startswith(ref) or model["manifest_sha256"].startswith(ref)
    }
    if len(begun) > 1 and ref not in begun:
        raise ForgeError(f"{ref}: {len(begun)} models begin like that: {', '.join(sorted(begun))}")
    if not begun:
        raise ForgeError(f"no model {ref!r} in the registry (agent-forge models list; {FIX_HINT})")
    return begun[ref] if ref in begun else next(iter(begun.values()))


def registry_manifest_key(path: Path) -> str | None:
    """SHA-256 of the manifest of a model's directory, or of the one an `agent.forge` lies in; None without one."""
    manifest = (path.parent if os.path.isfile(path) else path) / MANIFEST
    return sha256_file(manifest) if os.path.isfile(manifest) else None  # False for what no file can be named
