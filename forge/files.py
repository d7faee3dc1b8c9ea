"""Files that are either whole or absent: atomic writes, checksums, manifests.

Every write goes to a temporary name in the target's own directory, is fsynced, renamed over the target, and
the directory is fsynced, so a reader never meets half a file, whatever kills the writer.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from forge.errors import ForgeError

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "manifest.json"
_BLOCK = 1 << 20


def fsync_directory(directory: Path) -> None:
    """Make a rename inside `directory` durable (POSIX: the entry lives in the directory's own data)."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` so that `path` holds its old content or all of `data`. Creates parent directories."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes 0600; what we publish is readable like any file made by open().
        os.chmod(temporary, 0o666 & ~_umask_for_new_files())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def remove_temporary_files(directory: Path) -> None:
    """Delete the temporary files that writers killed in `atomic_write_bytes` left directly in `directory`.

    To be called by whoever alone writes there.
    """
    for path in directory.glob(".*.tmp"):
        path.unlink()


def _umask_for_new_files() -> int:
    """The process's umask; POSIX can only read it by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def atomic_write_text(path: str | Path, text: str) -> None:
    """`atomic_write_bytes` for UTF-8 text; line ends are written as they are."""
    atomic_write_bytes(path, text.encode("utf-8"))


def canonical_json(obj: Any) -> str:
    """JSON with sorted keys, two-space indent and a final newline: equal objects give equal bytes.

    Raises:
        ForgeError: `obj` holds NaN or infinity, which JSON cannot say, or a type that JSON does not know.
    """
    try:
        return json.dumps(obj, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    except (ValueError, TypeError) as error:
        raise ForgeError(f"cannot be written as JSON: {error}") from error


def atomic_write_json(path: str | Path, obj: Any) -> None:
    """Write `canonical_json(obj)` atomically; NaN and infinity are refused with the file's name."""
    try:
        text = canonical_json(obj)
    except ForgeError as error:
        raise ForgeError(f"{path}: {error}") from error
    atomic_write_text(path, text)


def read_json(path: str | Path) -> Any:
    """Parse a JSON file.

    Raises:
        ForgeError: the file is missing or not JSON; the message names it.
    """
    try:
        with open_regular_file(path) as stream:
            return json.loads(stream.read().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ForgeError(f"{path}: not readable as JSON ({error})") from error


def read_optional_json(path: Path) -> Any:
    """A JSON file, or None when it is not there. Raises ForgeError that names it when it is not JSON."""
    if not path.is_file():
        return None
    try:
        return read_json(path)
    except ForgeError as error:
        if isinstance(error.__cause__, FileNotFoundError):  # removed since it was looked for
            return None
        raise


def open_regular_file(path: str | Path) -> BinaryIO:
    """Open a file for reading its bytes; what is no regular file is refused before one of them is read.

    A pipe would keep its reader waiting and a device has no end. (`O_NONBLOCK` lets a pipe be opened, to be refused.)

    Raises:
        ForgeError: missing, not readable, or a directory, pipe or device; the message names it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise ForgeError(f"{path}: no such file") from error
    except OSError as error:
        raise ForgeError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # NUL or half a surrogate pair, which no name of a file holds
        raise ForgeError(f"{path}: no such file") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ForgeError(f"{path}: not a regular file")
    return os.fdopen(descriptor, "rb")


def read_regular_file(path: str | Path, limit: int) -> bytes:
    """All of a file. Raises ForgeError as `open_regular_file` does, and, unread, for one of more than `limit` bytes."""
    with open_regular_file(path) as stream:
        if (size := os.fstat(stream.fileno()).st_size) > limit:
            raise ForgeError(f"{path}: {size:,} bytes, more than such a file may have ({limit:,})")
        return stream.read(limit)


def refuse_special_files(directory: Path, limit: int = 1 << 26) -> None:
    """Look at what lies in the directory of a model, links followed, before any of it is read.

    Raises:
        ForgeError: names what is neither a regular file nor a directory (a pipe would keep its reader waiting, a device
            has no end), or is larger than `limit` bytes and holds no weights.
    """
    for path in sorted(directory.glob("*")):
        try:
            found = path.stat()
        except OSError as error:
            raise ForgeError(f"{path}: cannot be read ({error.strerror})") from error
        if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
            raise ForgeError(f"{path}: neither a regular file nor a folder; a model holds nothing else")
        if found.st_size > limit and stat.S_ISREG(found.st_mode) and path.suffix not in (".safetensors", ".forge"):
            raise ForgeError(f"{path}: {found.st_size:,} bytes, more than such a file may have ({limit:,})")


def package_file_text(package: str, name: str) -> str:
    """A UTF-8 text that an installed package ships, by its path in it. The package is not imported: some take seconds.

    Raises:
        ForgeError: the package is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ForgeError(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0], name).read_text(encoding="utf-8")


def decode_utf8(data: bytes, where: str) -> str:
    """Text of UTF-8 bytes, a byte order mark before it left out. Raises ForgeError that names `where`."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ForgeError(f"{where}: not UTF-8 text ({error.reason})") from error


def _json_object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _finite_json_number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number that JSON has" if text[-1].isalpha() else "a number that is too large")
    return value


# Python reads NaN and Infinity, and 1e999 as infinite; nothing that is read from outside means them.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_json_object_without_repeats, parse_constant=_finite_json_number, parse_float=_finite_json_number
)


def _decode_json_at(text: str, start: int, where: str) -> tuple[Any, int]:
    """The value that begins at `start`, and where the text goes on behind it and the blanks that follow it."""
    try:
        value, end = _DECODER.raw_decode(text, start)
        if text.find("\\ud", start, end) >= 0 or text.find("\\uD", start, end) >= 0:
            # Half a surrogate pair comes from such an escape only, and no file can hold it.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ForgeError(f"{where}: not JSON (brackets nested too deeply)") from None
    except UnicodeEncodeError as error:
        raise ForgeError(f"{where}: holds half a surrogate pair, which is no text") from error
    except ValueError as error:  # also of an integer with thousands of digits
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error).partition(";")[0]
        raise ForgeError(f"{where}: not JSON ({reason})") from error
    return value, _skip_json_space(text, end)


def _skip_json_space(text: str, start: int) -> int:
    while start < len(text) and text[start] in " \t\r\n":
        start += 1
    return start


def parse_json(text: str, where: str) -> Any:
    """The value of a JSON text from outside.

    Raises:
        ForgeError: names `where`: not JSON, nested too deeply, a number that is none (NaN), too large or of thousands
            of digits, a name that stands twice in an object, or half a surrogate pair, which no file could hold.
    """
    value, end = _decode_json_at(text, _skip_json_space(text, 0), where)
    if end < len(text):
        raise ForgeError(f"{where}: not JSON (more behind its end)")
    return value


def parse_jsonl(lines: Iterable[bytes], name: str | Path) -> Iterator[tuple[str, Any]]:
    r"""The values of lines of JSON as (`NAME:LINE`, value); blank lines and byte order marks are passed over.

    Args:
        lines: as a binary stream gives them: only `\n` ends a line, U+2028 within a text does not.
        name: the file's, for the places.

    Raises:
        ForgeError: as `parse_json` does, or not UTF-8.
    """
    for number, line in enumerate(lines, 1):
        where = f"{name}:{number}"
        text = decode_utf8(line, where)
        if text.strip():
            yield where, parse_json(text, where)


def read_jsonl(path: str | Path) -> Iterator[tuple[str, Any]]:
    """`parse_jsonl` of a file. Raises ForgeError as `open_regular_file` and `parse_json` do."""
    with open_regular_file(path) as stream:
        yield from parse_jsonl(stream, path)


def parse_json_values(text: str, name: str | Path) -> Iterator[tuple[str, Any]]:
    """The items of a JSON array, or values that follow each other, as (`NAME:LINE` where it begins, value).

    Raises:
        ForgeError: as `parse_json` does, or the array does not end.
    """
    at, line, counted = _skip_json_space(text, 0), 1, 0
    in_array = text.startswith("[", at)
    if in_array:
        at = _skip_json_space(text, at + 1)
    more = not (in_array and text.startswith("]", at))
    while more and at < len(text):
        line, counted = line + text.count("\n", counted, at), at
        where = f"{name}:{line}"
        value, at = _decode_json_at(text, at, where)
        yield where, value
        if in_array:
            more = text.startswith(",", at)
            at = _skip_json_space(text, at + more)
    if in_array and text[at:].strip() != "]":
        raise ForgeError(f"{name}:{line}: not JSON (the array does not end behind this item)")


def sha256_file(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks of 1 MiB."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def directory_files(directory: str | Path) -> list[Path]:
    """Every regular file under `directory`, sorted by relative POSIX path, byte-code caches left out."""
    root = Path(directory)
    found = [p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return sorted(found, key=lambda p: p.relative_to(root).as_posix())


def write_manifest(directory: str | Path) -> dict[str, Any]:
    """Record SHA-256 and size of every other file under `directory` in its `manifest.json`, and return it."""
    root = Path(directory)
    files = {
        path.relative_to(root).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in directory_files(root)
        if path != root / MANIFEST
    }
    manifest = {"files": files}
    atomic_write_json(root / MANIFEST, manifest)
    return manifest


def verify_manifest(directory: str | Path) -> None:
    """Check every file under `directory` against its `manifest.json`.

    DVC trusts a read-only cache object without re-hashing it, so this is the check that finds rotten bytes.

    Raises:
        ForgeError: names the first missing, changed or extra file, in order of path; also where another process
            removes the directory meanwhile, as stages do with their older checkpoints.
    """
    try:
        _check_files_against_manifest(Path(directory))
    except FileNotFoundError as error:
        raise ForgeError(f"{error.filename}: removed while it was verified") from None


def _check_files_against_manifest(root: Path) -> None:
    manifest = read_json(root / MANIFEST)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ForgeError(f"{root / MANIFEST}: has no table of files")
    expected: dict[str, Any] = manifest["files"]
    present = {p.relative_to(root).as_posix(): p for p in directory_files(root) if p != root / MANIFEST}
    for name in sorted(expected.keys() | present.keys()):
        if name not in present:
            raise ForgeError(f"{root / name}: missing, though the manifest lists it")
        if name not in expected:
            raise ForgeError(f"{root / name}: not in the manifest")
        entry = expected[name]
        if not isinstance(entry, dict):
            raise ForgeError(f"{root / MANIFEST}: entry {name} is malformed")
        if present[name].stat().st_size != entry.get("bytes"):
            raise ForgeError(f"{present[name]}: size differs from the manifest")
        if sha256_file(present[name]) != entry.get("sha256"):
            raise ForgeError(f"{present[name]}: changed since the manifest was written (SHA-256 differs)")


def safetensors_file_entries(path: str | Path) -> dict[str, tuple[tuple[int, ...], int]]:
    """Shape and bytes of every tensor in a safetensors file; none is read, torch is not imported.

    Raises:
        ForgeError: missing, malformed or truncated.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as stored:
            slices = {name: stored.get_slice(name) for name in stored.keys()}  # noqa: SIM118 - not a dict
            shapes = {name: tuple(entry.get_shape()) for name, entry in slices.items()}
            kinds = {name: str(entry.get_dtype()) for name, entry in slices.items()}
    except (OSError, SafetensorError) as error:
        raise ForgeError(f"{path}: not readable as safetensors ({error})") from error
    # The first number in a type's name is its width: F32, U8, F8_E4M3. BOOL, without one, takes a byte.
    bits = {name: int(width[0]) if (width := re.search(r"\d+", kind)) else 8 for name, kind in kinds.items()}
    return {name: (shape, math.prod(shape) * bits[name] // 8) for name, shape in shapes.items()}


def count_safetensors_file_parameters(path: str | Path) -> int:
    """Number of values in a safetensors file; tied weights are stored, and counted, once."""
    return sum(math.prod(shape) for shape, _ in safetensors_file_entries(path).values())


def save_safetensors_file(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write named tensors of any shape atomically as a safetensors file; equal arguments give equal bytes.

    Tensors are cloned to contiguous CPU memory first: safetensors refuses views and shared storage, and tied
    or sliced weights are common here. The header also carries `metadata` (strings only, as the format asks).
    """
    from safetensors.torch import save

    plain = {name: tensors[name].detach().cpu().contiguous().clone() for name in sorted(tensors)}
    atomic_write_bytes(path, _sorted_header(save(plain, metadata=metadata)))


def _sorted_header(blob: bytes) -> bytes:
    """Rewrite a safetensors header with sorted metadata: the library emits it in the random order of a hash
    map.

    Layout: u64 little-endian header length, JSON header padded with spaces to a multiple of 8, tensor bytes
    (offsets count from the end of the header, so its length may change).
    """
    length = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8 : 8 + length])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + blob[8 + length :]
