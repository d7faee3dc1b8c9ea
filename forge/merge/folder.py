"""What a merge may read of a model directory: regular files that lie in it, of known names and bounded size.

The directory may be a stranger's. A link in it can lead to a private file, which would end up in the merged model, or
to a device without an end; a program (`*.py`) would be run by whoever loads the result with `trust_remote_code`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forge.errors import ForgeError
from forge.files import open_regular_file, read_json

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
LARGEST_COPY = 64 << 20  # bytes; the largest tokenizer.json around has half of it
# What is copied beside the weights: configuration, tokenizer, chat template, license.
COPIED = {
    *("config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    *("tekken.json", "tiktoken.model", "tokenizer.tiktoken", "qwen.tiktoken"),
    *("chat_template.jinja", "chat_template.json", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE", "NOTICE.txt"),
}
_ABOUT_IT = ("manifest.json", "metadata.json", "merge.json")  # true of that model only
_NAMED = 8  # files that a note names


@dataclass(frozen=True)
class ModelFolder:
    """A model directory that has been looked through.

    Attributes:
        path: as it was given.
        files: where each file that may be read really is, by its name.
        left_out: why each of the others is not read, by its name.
    """

    path: Path
    files: dict[str, Path]
    left_out: dict[str, str]

    @classmethod
    def look_through(cls, path: Path) -> ModelFolder:
        """Sort the entries of a directory. Nothing is opened.

        Raises:
            ForgeError: there is no such directory, or no `config.json` in it that may be read.
        """
        if not path.is_dir():
            raise ForgeError(f"{path}: no such model directory")
        roots = _roots_of_model_folder(path)
        files, left_out = {}, {}
        for entry in sorted(path.iterdir()):
            real = Path(os.path.realpath(entry))
            reason = _why_not_read(entry.name, real, roots)
            if reason is None:
                files[entry.name] = real
            else:
                left_out[entry.name] = reason
        found = cls(path, files, left_out)
        found.need("config.json", f"{path}: no config.json; this is not a model directory")
        return found

    def need(self, name: str, missing: str) -> Path:
        """Where a file is; `ForgeError` with the reason why it may not be read, or `missing` if it is not there."""
        if name in self.files:
            return self.files[name]
        raise ForgeError(f"{self.path / name}: {self.left_out[name]}" if name in self.left_out else missing)

    def table(self, name: str) -> dict[str, Any]:
        """A JSON file that holds a table; an empty one if it is not there. `ForgeError` if it holds something else."""
        if name not in self.files:
            return {}
        found = read_json(self.files[name])
        if not isinstance(found, dict):
            raise ForgeError(f"{self.path / name}: is not a table")
        return found

    def weight_files(self) -> dict[str, Path]:
        """The safetensors files that hold the weights, by name; `ForgeError` if one is missing or there are none."""
        if not self._is_sharded():
            return {WEIGHTS: self.need(WEIGHTS, f"{self.path}: neither {WEIGHTS} nor {INDEX}")}
        return {
            name: self.need(name, f"{self.path / name}: missing, though the index names it")
            for name in sorted(set(self.weight_map().values()))
        }

    def weight_map(self) -> dict[str, str]:
        """The name of its shard by tensor; empty where the weights are in one file."""
        if not self._is_sharded():
            return {}
        named = self.table(INDEX).get("weight_map")
        if not isinstance(named, dict) or not named or not all(isinstance(name, str) for name in named.values()):
            raise ForgeError(f"{self.path / INDEX}: has no weight_map")
        return named

    def _is_sharded(self) -> bool:
        return WEIGHTS not in self.files and WEIGHTS not in self.left_out and INDEX in self.files

    def note_of_left_out(self, anew: Collection[str] = ()) -> str | None:
        """A line on what is neither copied nor written `anew` by that name, for whoever may miss it."""
        weights = {WEIGHTS, INDEX, *self.weight_map().values()}
        missed = {
            name: self.left_out.get(name, "not a file that a merged model has")
            for name in [*self.files, *self.left_out]
            if name not in {*COPIED, *weights, *_ABOUT_IT} - self.left_out.keys() and name not in anew
        }
        if not missed:
            return None
        named = [f"{name} ({missed[name]})" for name in sorted(missed)[:_NAMED]]
        more = f" and {len(missed) - _NAMED} more" if len(missed) > _NAMED else ""
        return f"not copied from {self.path}: {', '.join(named)}{more}"

    def copy_beside_weights(self, target: Path) -> None:
        """Copy configuration, tokenizer and their like, byte for byte; none of it is run or interpreted.

        Raises:
            ForgeError: a file has grown beyond the bound since it was looked at.
        """
        for name in sorted(COPIED & self.files.keys()):
            with open_regular_file(self.files[name]) as stream:
                data = stream.read(LARGEST_COPY + 1)
            if len(data) > LARGEST_COPY:
                raise ForgeError(f"{self.path / name}: {_too_large(len(data))}")
            (target / name).write_bytes(data)


def _roots_of_model_folder(path: Path) -> list[Path]:
    """Where the files of a directory may really lie: in it or, if it is a snapshot in a Hugging Face cache, among the
    blobs beside, to which the files of a snapshot are links.
    """
    real = path.resolve()
    return [real, real.parent.parent / "blobs"] if real.parent.name == "snapshots" else [real]


def _why_not_read(name: str, real: Path, roots: Iterable[Path]) -> str | None:
    if not any(real.is_relative_to(root) for root in roots):
        return "a link out of the directory"
    try:
        found = real.stat()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if stat.S_ISDIR(found.st_mode):
        return "a folder"
    if not stat.S_ISREG(found.st_mode):
        return "no regular file"
    if not name.endswith(".safetensors") and found.st_size > LARGEST_COPY:
        return _too_large(found.st_size)
    return "a program" if name.endswith((".py", ".so", ".sh", ".exe")) else None


def _too_large(size: int) -> str:
    return f"too large, {size:,} bytes of at most {LARGEST_COPY:,}"
