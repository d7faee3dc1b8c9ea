"""A user's own data: which files are read, what is left out, and the rows in them."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from forge.data.layouts import OWN_FIELDS, own_record_rows
from forge.data.texts import chunk_prose
from forge.errors import ForgeError
from forge.files import decode_utf8, open_regular_file, parse_json_values, parse_jsonl
from forge.interface.paths import PREPARED, WORKSPACE

_PROSE = (".txt", ".md")
_SUFFIXES = (*_PROSE, ".json", ".jsonl", ".parquet")
READABLE = ".txt, .md, .json and .jsonl (also with .gz) and .parquet"
_NAMED_AT_MOST = 5
LARGEST_FILE = 64 << 20  # bytes, unpacked; a packed file of a megabyte may hold a thousand
MOST_ROWS = 1_000_000
_ROWS_AT_ONCE = 1024


@dataclass
class OwnData:
    """What `data.own_data` stands for. files: those that were read. skipped: what else lies visibly in the folders."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)

    def counts(self) -> dict[str, Any]:
        """How many files and rows, and which files were skipped."""
        skipped = [_printable(path) for path in self.skipped]
        return {"files": len(self.files), "rows": len(self.rows), "skipped": skipped}

    def summary(self) -> str:
        """One line: how many files and rows, and the names of what was skipped."""
        line = f"{len(self.rows):,} rows, files read: {len(self.files):,}"
        if self.skipped:
            more = f" and {len(self.skipped) - _NAMED_AT_MOST:,} more" if len(self.skipped) > _NAMED_AT_MOST else ""
            named = ", ".join(_printable(path) for path in self.skipped[:_NAMED_AT_MOST])
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
            for row in _own_file_rows(path):
                found.rows.append(row)
                if len(found.rows) > MOST_ROWS:
                    raise ForgeError(f"{path}: more than {MOST_ROWS:,} rows, which is all that are read")
    except ForgeError as error:
        raise ForgeError(f"data.own_data: {_printable(error)}") from error
    return found


def find_own_data(paths: list[str]) -> OwnData:
    """The files that `read_own_data` reads, none of them opened: quick, however much they hold.

    Raises:
        ForgeError: one is missing, no regular file or not of a kind that is read, named twice, or written by the
            pipeline itself; a folder that holds nothing to read, or what the pipeline writes.
    """
    found = OwnData()
    try:
        for name in paths:
            files, skipped = _find_own_files(Path(name))
            found.files += files
            found.skipped += skipped
        _refuse_files_of_pipeline_and_repeats(found.files)
    except ForgeError as error:
        raise ForgeError(f"data.own_data: {_printable(error)}") from error
    return found


def _printable(said: object) -> str:
    """What is to be said with the names of files in it, which need not be UTF-8."""
    return str(said).encode("utf-8", "backslashreplace").decode("utf-8")


def _refuse_files_of_pipeline_and_repeats(files: list[Path]) -> None:
    """By where files really are, links followed: rows would be read again in the next run, or twice in this one."""
    seen: dict[Path, Path] = {}
    made = (PREPARED.resolve(), WORKSPACE.resolve())
    for path in files:
        real = path.resolve()
        if any(real.is_relative_to(folder) for folder in made):
            raise ForgeError(f"{path}: holds what the pipeline writes; name a file of your own")
        if real in seen:
            raise ForgeError(f"{path}: is read already, as {seen[real]}; a row stands once")
        seen[real] = path


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
            yield from ({"text": chunk} for chunk in chunk_prose(text))
            return
        records = parse_json_values(text, path)
    for where, record in records:
        yield from own_record_rows(record, where)


def _own_file_lines(path: Path) -> Iterator[bytes]:
    left = LARGEST_FILE
    try:
        with open_regular_file(path) as stream:
            unpacked: BinaryIO | gzip.GzipFile = (
                gzip.GzipFile(fileobj=stream) if path.name.lower().endswith(".gz") else stream
            )
            while line := unpacked.readline(left + 1):
                left -= len(line)
                if left < 0:
                    raise ForgeError(_too_large(path))
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise ForgeError(f"{path}: not readable ({error})") from error


def _parquet_records(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ForgeError("reading .parquet needs the extra: pip install 'agent-forge[parquet]'") from error
    number = 0
    try:
        with open_regular_file(path) as stream:  # not by its path, whose folders could be taken for columns (a=1/)
            table = parquet.ParquetFile(stream)
            about = table.metadata
            if sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups)) > LARGEST_FILE:
                raise ForgeError(_too_large(path))
            columns = [name for name in table.schema_arrow.names if name in OWN_FIELDS]
            if len(set(columns)) < len(columns):
                raise ForgeError(f"{path}: a column stands twice in it")
            if not columns:
                yield f"{path}: row 1", {}
            # Other columns are not decoded: they may hold what Python cannot, such as dates after the year 9999.
            for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns):
                for record in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", record
    except (ArrowException, OSError, ValueError, OverflowError, LookupError) as error:
        raise ForgeError(f"{path}: not readable as parquet ({error})") from error


def _too_large(path: Path) -> str:
    return f"{path}: holds more than {LARGEST_FILE:,} bytes, unpacked; split it into several files"
