"""A user's own data: which files are read, what is left out, and the rows in them."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forge.data.layouts import own_record_rows
from forge.data.texts import chunk_text
from forge.errors import ForgeError
from forge.files import decode_utf8, open_regular_file, parse_json_values, parse_jsonl
from forge.interface.paths import PREPARED, WORKSPACE

_PROSE = (".txt", ".md")
_SUFFIXES = (*_PROSE, ".json", ".jsonl", ".parquet")
READABLE = ".txt, .md, .json and .jsonl (also with .gz) and .parquet"
_NAMED_AT_MOST = 5


@dataclass
class OwnData:
    """What `data.own_data` stands for. files: those that were read. skipped: what else lies visibly in the folders."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)

    def counts(self) -> dict[str, Any]:
        """How many files and rows, and which files were skipped."""
        skipped = [path.as_posix() for path in self.skipped]
        return {"files": len(self.files), "rows": len(self.rows), "skipped": skipped}

    def summary(self) -> str:
        """One line: how many files and rows, and the names of what was skipped."""
        line = f"{len(self.rows):,} rows, files read: {len(self.files):,}"
        if self.skipped:
            more = f" and {len(self.skipped) - _NAMED_AT_MOST:,} more" if len(self.skipped) > _NAMED_AT_MOST else ""
            named = ", ".join(path.as_posix() for path in self.skipped[:_NAMED_AT_MOST])
            line += f"; not read: {named}{more} (only {READABLE} are)"
        return line


def read_own_data(paths: list[str]) -> OwnData:
    """All rows of a user's own files: passages of prose as `{"text"}`, dialogues as `{"messages"}`.

    A folder stands for every readable file below it; hidden files and folders, and links to folders, are not followed.

    Raises:
        ForgeError: as `find_own_data` does, or names the file, and the line where there is one, of the first thing that
            cannot be used.
    """
    found = find_own_data(paths)
    try:
        for path in found.files:
            found.rows += _own_file_rows(path)
    except ForgeError as error:
        raise ForgeError(f"data.own_data: {error}") from error
    return found


def find_own_data(paths: list[str]) -> OwnData:
    """The files that `read_own_data` reads, none of them opened: quick, however much they hold.

    Raises:
        ForgeError: one is missing, no regular file or not of a kind that is read; a folder that holds nothing to read,
            or what the pipeline itself writes.
    """
    found = OwnData()
    try:
        for name in paths:
            files, skipped = _find_own_files(Path(name))
            found.files += files
            found.skipped += skipped
    except ForgeError as error:
        raise ForgeError(f"data.own_data: {error}") from error
    return found


def _own_file_format(path: Path) -> str:
    """`.jsonl` of `a.JSONL.gz`; empty where the file is not read."""
    name = path.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    return suffix if suffix in _SUFFIXES and not name.endswith(".parquet.gz") else ""


def _find_own_files(path: Path) -> tuple[list[Path], list[Path]]:
    """Files to read, in order of their names, and visible ones that are not read."""
    try:
        if not path.exists():
            raise ForgeError(f"{path} does not exist")
    except OSError as error:  # a folder on the way that may not be looked into, a name too long
        raise ForgeError(f"{path}: cannot be read ({error.strerror})") from error
    if not path.is_dir():
        if not _own_file_format(path):
            raise ForgeError(f"{path}: only {READABLE} are read")
        if not path.is_file():
            raise ForgeError(f"{path}: not a regular file")
        return [path], []
    real = path.resolve()
    for made in (PREPARED.resolve(), WORKSPACE.resolve()):
        if made.is_relative_to(real) or real.is_relative_to(made):
            raise ForgeError(f"{path}: holds what the pipeline writes; name a folder of your own, such as data/own")
    visible = _visible_files(path)
    files = [file for file in visible if _own_file_format(file) and not file.is_dir()]
    if not files:
        raise ForgeError(f"{path}: holds no file that is read; those are {READABLE}")
    return files, sorted(set(visible) - set(files))


def _visible_files(folder: Path) -> list[Path]:
    def stop(error: OSError) -> None:
        raise ForgeError(f"{error.filename}: cannot be read ({error.strerror})") from error

    found = []
    try:
        for parent, folders, files in os.walk(folder, onerror=stop):
            # A link to a folder is not walked into: it is named with what was skipped.
            linked = [name for name in folders if os.path.islink(os.path.join(parent, name))]
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [Path(parent, name) for name in (*files, *linked) if not name.startswith(".")]
    except RecursionError:
        raise ForgeError(f"{folder}: its folders are nested too deeply") from None
    return sorted(found)


def _own_file_rows(path: Path) -> Iterator[dict[str, Any]]:
    suffix = _own_file_format(path)
    if suffix == ".parquet":
        records = _parquet_records(path)
    elif suffix == ".jsonl":
        records = parse_jsonl(_own_file_lines(path), path)
    else:
        text = decode_utf8(b"".join(_own_file_lines(path)), str(path))
        if suffix in _PROSE:
            if "\0" in text:  # UTF-16 without its mark is valid UTF-8, letter for letter
                raise ForgeError(f"{path}: not UTF-8 text (it holds zero bytes)")
            yield from ({"text": chunk} for chunk in chunk_text(text))
            return
        records = parse_json_values(text, path)
    for where, record in records:
        yield from own_record_rows(record, where)


def _own_file_lines(path: Path) -> Iterator[bytes]:
    try:
        with open_regular_file(path) as stream:
            if path.name.lower().endswith(".gz"):
                with gzip.open(stream) as unpacked:
                    yield from unpacked
            else:
                yield from stream
    except (OSError, EOFError, zlib.error) as error:
        raise ForgeError(f"{path}: not readable ({error})") from error


def _parquet_records(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ForgeError("reading .parquet needs the extra: pip install 'agent-forge[parquet]'") from error
    try:
        with open_regular_file(path) as stream:  # not by its path, whose folders could be taken for columns (a=1/)
            records: list[dict[str, Any]] = parquet.read_table(stream).to_pylist()
    except (ArrowException, OSError, ValueError) as error:
        raise ForgeError(f"{path}: not readable as parquet ({error})") from error
    for number, record in enumerate(records, 1):
        yield f"{path}: row {number}", record
