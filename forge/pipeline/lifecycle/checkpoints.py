"""Where an unfinished stage keeps its state, and who may write there.

`<main repo>/.forge/checkpoints/<stage>/<fingerprint>/`: outside the outputs, because DVC deletes those before
every run, and keyed by all that decides the result, because a run with other parameters must start afresh.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from forge.config import Params
from forge.errors import ForgeError
from forge.files import MANIFEST, canonical_json, directory_files, sha256_file
from forge.interface.paths import declared_stage_name
from forge.interface.phase import Stage
from forge.pipeline.layout.paths import layout_state_dir
from forge.pipeline.layout.phases import STAGES, layout_input_files

LOCK_WAIT_SECONDS = 60.0
_KEY_DIGITS = 32
_DISCARDED = ".discarded"


def where_stages_keep_checkpoints() -> Path:
    """The directory of all stages' checkpoints."""
    return layout_state_dir() / "checkpoints"


def digest_stage_input(path: Path) -> str:
    """SHA-256 of a file, or of a directory's relative names and contents; a missing path has a digest of its
    own.

    A published directory is known by its manifest, which already holds the sums of its files.
    """
    if path.is_file():
        return sha256_file(path)
    if (path / MANIFEST).is_file():
        return sha256_file(path / MANIFEST)
    digest = hashlib.sha256(b"directory" if path.is_dir() else b"absent")
    for file in directory_files(path) if path.is_dir() else []:
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()


def stage_fingerprint(stage: str, params: Any, paths: Iterable[str]) -> str:
    """Hex SHA-256 of a stage's name, its parameters and the contents of the given workspace paths.

    With inputs alone in `paths` it identifies a result; with code too, it identifies what a checkpoint may
    resume.
    """
    contents = {path: digest_stage_input(Path(path)) for path in sorted(paths)}
    return hashlib.sha256(canonical_json([stage, params, contents]).encode()).hexdigest()


def stage_checkpoint_key(stage: Stage, branch: str | None, params: Params) -> str:
    """What a stage's checkpoints are found by: its parameters, its inputs and its code as they are now."""
    keys = [key.format(scale=params.scale, branch=branch) for key in stage.params]
    inputs = layout_input_files(stage, params.file.data.tools)
    return stage_fingerprint(declared_stage_name(stage.name, branch), params.select(keys), (*inputs, stage.code))


class CheckpointHome:
    """A checkpoint directory held under an exclusive lock, from `open` until `close` or `discard`."""

    def __init__(self, stage: str, key: str, wait: float = LOCK_WAIT_SECONDS) -> None:
        parent = where_stages_keep_checkpoints() / stage
        self.path = parent / key[:_KEY_DIGITS]
        self._discarded = parent / f"{key[:_KEY_DIGITS]}{_DISCARDED}"
        self._lock_path = parent / f"{key[:_KEY_DIGITS]}.lock"
        self._wait = wait
        self._descriptor: int | None = None

    def open(self) -> Path:
        """Take the lock and create the directory.

        A predecessor that was just killed may still be saving, so this waits for it.

        Raises:
            ForgeError: another process holds the lock for longer than the wait.
        """
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self._wait
        while not self._try_lock():
            if time.monotonic() > deadline:
                holder = self._lock_path.read_text(encoding="utf-8").strip() or "unknown"
                raise ForgeError(f"{self._lock_path}: process {holder} is already working on this stage")
            time.sleep(0.1)
        if self._discarded.exists():
            shutil.rmtree(self._discarded)
        self.path.mkdir(exist_ok=True)
        return self.path

    def _try_lock(self) -> bool:
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The previous holder may have unlinked the file that we just locked; then it excludes nobody.
            if os.fstat(descriptor).st_ino != os.stat(self._lock_path).st_ino:
                raise FileNotFoundError
        except (BlockingIOError, FileNotFoundError):
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor
        return True

    def close(self) -> None:
        """Give the lock up and keep the checkpoints; without any, leave nothing behind."""
        if self._descriptor is None:
            return
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()
            self._lock_path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def discard(self) -> None:
        """Remove the checkpoints (the stage has published), then `close`. A kill leaves all of them or none."""
        self.path.rename(self._discarded)
        shutil.rmtree(self._discarded)
        self.path.mkdir()
        self.close()


def live_stage_checkpoint_keys(params: Params) -> set[tuple[str, str]]:
    """(stage, name of its directory) of the checkpoints that the next run of each stage would resume from."""
    return {
        (declared_stage_name(stage.name, branch), stage_checkpoint_key(stage, branch, params)[:_KEY_DIGITS])
        for stage in STAGES
        for branch in stage.branches
    }


def unresumable_stage_checkpoints(params: Params) -> list[CheckpointHome]:
    """Checkpoints that no stage would resume from as things are: parameters, inputs or code have changed since.

    Those of a run under way are among them where it is an experiment with parameters of its own; they are locked,
    so that `open` refuses them.
    """
    live = live_stage_checkpoint_keys(params)
    folders = [path for path in sorted(where_stages_keep_checkpoints().glob("*/*")) if path.is_dir()]
    # What a killed `discard` has left goes with its key: `open` removes it.
    found = {(path.parent.name, path.name.removesuffix(_DISCARDED)): None for path in folders}
    return [CheckpointHome(stage, key, wait=0.0) for stage, key in found if (stage, key) not in live]
