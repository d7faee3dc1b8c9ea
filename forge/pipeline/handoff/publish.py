"""What a stage publishes: a directory that is whole, described and summed, or that is not there.

Nothing that varies between two equal runs is written into it. `metadata.json` therefore has no `created_at`
(it stands in `results/<phase>/run.json`), its `model_id` ends in a hash of the content where the
specification's example has a time, and its `session_id` is derived from parameters and inputs.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forge.errors import ForgeError
from forge.files import (
    atomic_write_bytes,
    atomic_write_text,
    canonical_json,
    count_safetensors_file_parameters,
    directory_files,
    fsync_directory,
    read_json,
    sha256_file,
    write_manifest,
)

METADATA = "metadata.json"
_CONTENT_FILES = ("agent.forge", "model.safetensors")  # what a model is known by, the first that is there


class ModelMetadata(BaseModel):
    """The specification's model metadata, less what is not a function of the inputs.

    size_mb is the size of the content file (weights, or the one-file agent) in MiB. What calls need is left out of
    the file where there is none: call_confidence (`forge.model.calling`), declared_tools and declared_personas
    (`forge.data.declared.own_set`).
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model_id: str = Field(min_length=1)
    session_id: str = Field(min_length=1)
    phase_name: str = Field(min_length=1)
    model_name: str = Field(min_length=1)
    specialization: str | None = None
    parameters: int = Field(ge=1)
    size_mb: float = Field(gt=0.0)
    tags: list[str] = []
    parents: list[str] = []
    tokenizer_sha256: str | None = None
    metrics: dict[str, Any] = {}
    call_confidence: dict[str, float] | None = None
    declared_tools: list[dict[str, Any]] = []
    declared_personas: list[dict[str, Any]] = []

    def value(self, key: str) -> Any:
        """A field of the schema or, failing that, an entry of `metrics`; None if absent."""
        return getattr(self, key) if key in type(self).model_fields else self.metrics.get(key)


_OPTIONAL_FIELDS = ("call_confidence", "declared_tools", "declared_personas")
_OWN_FIELDS = ("model_name", "specialization", "parameters", "tags", *_OPTIONAL_FIELDS)


def read_published_metadata(directory: Path) -> ModelMetadata:
    """Parse a published model's metadata.json.

    Raises:
        ForgeError: missing, not JSON, or a field is missing or of the wrong type.
    """
    path = directory / METADATA
    return parse_published_metadata(read_json(path), str(path))


def parse_published_metadata(values: Any, name: str) -> ModelMetadata:
    """Metadata from parsed JSON. Raises ForgeError, with the name given, when a field is missing or wrong."""
    try:
        return ModelMetadata.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ForgeError(f"{name}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error


def describe_published_model(
    directory: Path,
    *,
    phase: str,
    branch: str | None,
    session: str,
    parents: list[str],
    facts: Mapping[str, Any],
) -> ModelMetadata:
    """Derive the metadata of the model in `directory` and write its metadata.json.

    Args:
        directory: holds `model.safetensors` or `agent.forge`, and perhaps `tokenizer.json`.
        phase, branch: whose it is.
        session: hex digest of the parameters and inputs that made it, 32 digits or more.
        parents: model ids of the inputs.
        facts: schema fields of the caller's own (model_name, specialization, tags; parameters, where they
            cannot be counted from the weights; what calls need); every other key goes to `metrics`.

    Raises:
        ForgeError: there is no content file, or a fact cannot be written as JSON.
    """
    content = next((directory / name for name in _CONTENT_FILES if (directory / name).is_file()), None)
    if content is None:
        raise ForgeError(f"{phase}: nothing to publish, neither {' nor '.join(_CONTENT_FILES)} was written")
    own = {key: facts[key] for key in _OWN_FIELDS if key in facts}
    if "parameters" not in own:
        own["parameters"] = count_safetensors_file_parameters(directory / "model.safetensors")
    own.setdefault("model_name", f"TinyTitan-{branch or phase}")
    own.setdefault("tags", sorted({phase, *([branch] if branch else [])}))
    tokenizer = directory / "tokenizer.json"
    name = own["model_name"].lower().replace("-", "_")
    try:
        metadata = ModelMetadata(
            model_id=f"{phase}_{name}_{sha256_file(content)[:12]}",
            session_id=str(uuid.UUID(session[:32])),
            phase_name=phase,
            size_mb=content.stat().st_size / 2**20,
            parents=parents,
            tokenizer_sha256=sha256_file(tokenizer) if tokenizer.is_file() else None,
            metrics={key: value for key, value in facts.items() if key not in _OWN_FIELDS},
            **own,
        )
    except ValidationError as error:
        fault = error.errors()[0]
        raise ForgeError(f"{phase}: metadata {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error
    try:
        atomic_write_text(directory / METADATA, _published_metadata_text(metadata))
    except ForgeError as error:
        raise ForgeError(f"{directory / METADATA}: {error}") from error
    return metadata


def _published_metadata_text(metadata: ModelMetadata) -> str:
    """Canonical JSON, but for declared tools: the order of a tool's parameters is that of its calls."""
    values = metadata.model_dump(mode="json")
    optional = {key: value for key in _OPTIONAL_FIELDS if (value := values.pop(key))}
    ordered = {**json.loads(canonical_json(values)), **optional}
    return json.dumps(ordered, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def write_published_extras(directory: Path, files: Mapping[str, bytes | str | Path]) -> None:
    """Put extra files beside a model: bytes, text, or a file to copy, by relative name."""
    for name, content in files.items():
        if isinstance(content, Path):
            atomic_write_bytes(directory / name, content.read_bytes())
        else:
            atomic_write_bytes(directory / name, content.encode() if isinstance(content, str) else content)


def open_publishing_draft(target: Path) -> Path:
    """An empty directory beside `target` to build it in; what a killed run left there is removed."""
    draft = target.parent / f".{target.name}.building"
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(parents=True)
    return draft


@contextmanager
def publishing_directory(target: Path) -> Iterator[Path]:
    """A directory to fill; on leaving it gets its manifest, is fsynced and takes `target`'s place in one
    rename.

    If the block raises, the half-filled directory is removed and `target` stays as it was.
    """
    draft = open_publishing_draft(target)
    try:
        yield draft
        seal_published_directory(draft, target)
    finally:
        if draft.exists():
            shutil.rmtree(draft)


@contextmanager
def publishing_new_directory(target: Path) -> Iterator[Path]:
    """`publishing_directory` where others may write as well: nothing that is there is removed or replaced.

    Raises:
        ForgeError: the target exists, or somebody has put something in its place by the time it is full.
    """
    target = target.absolute()
    if os.path.lexists(target):
        raise ForgeError(f"{target}: exists already; name a new directory")
    target.parent.mkdir(parents=True, exist_ok=True)
    # A folder in it, because the one with a name of its own can be entered by its owner only.
    place = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".building", dir=target.parent))
    try:
        draft = place / "model"
        draft.mkdir()
        yield draft
        _make_published_directory_durable(draft)
        try:
            if os.path.lexists(target):
                raise FileExistsError
            draft.rename(target)  # fails where another has put a file, or a folder with anything in it, just now
        except OSError as error:
            if not os.path.lexists(target):
                raise
            raise ForgeError(f"{target}: was made by somebody else meanwhile") from error
        fsync_directory(target.parent)
    finally:
        shutil.rmtree(place)


def _make_published_directory_durable(draft: Path) -> None:
    """Write its manifest and flush all of it."""
    write_manifest(draft)
    for file in directory_files(draft):
        with open(file, "rb") as stream:
            os.fsync(stream.fileno())
    for folder in {file.parent for file in directory_files(draft)}:
        fsync_directory(folder)


def seal_published_directory(draft: Path, target: Path) -> None:
    """Give `draft` its manifest, make it durable and rename it to `target`, replacing what is there."""
    _make_published_directory_durable(draft)
    if target.exists():
        shutil.rmtree(target)
    draft.rename(target)
    fsync_directory(target.parent)
