"""The outside of an `agent.forge`: what it declares, examined before anything in it is decoded.

Bytes: magic ``AFORGE``; format version, uint16; header length, uint32 (both little-endian); header (JSON,
deflated); the sections one after another; SHA-256 of everything before it. The header lists the
configuration, the tensors with their codecs, and the length of every section; which section holds what
follows from the list of tensors (`plan_agent_file_sections`), so writer and reader cannot disagree. Tensors that
share a codec share a section and, where that is shorter, the frequency tables of the entropy coder.

A checksum is no signature: whoever changes a file can make it right again. So every number that memory or time
depends on is bounded here, by the size of the file and by what a parameter may be. Imports nothing heavy.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from forge.agentfile.jsonzip import inflate_agent_file_json
from forge.errors import ForgeError
from forge.files import read_regular_file

T = TypeVar("T")
MAGIC = b"AFORGE"
VERSION = 2
HEAD = struct.Struct("<HI")
DIGEST = 32
EMBEDDING = "embed.weight"
ROW_BITS_OF = {"row2": 2, "row3": 3, "row4": 4, "row8": 8}
# No weight and no scale is larger: what float16 holds, so that nothing overflows where the model computes.
LARGEST = 65504.0

# Equal symbols take no bytes at all, so that the size of a file says little about its weights: four million (16 MB in
# memory) are free. Above that, an agent has five or six weights to a byte.
_FREE_VALUES = 1 << 22
_VALUES_PER_BYTE = 16
_MAX_VALUES = 1 << 28
_MAX_FILE = 1 << 28
_MAX_TENSORS = 4096
_MAX_NAME = 200
_FIELDS = {"config", "metadata", "codebooks", "tensors", "sections"}


@dataclass(frozen=True)
class Entry:
    """Line of the header's tensor table; ``scales`` is the number of scale values."""

    name: str
    codec: str
    shape: tuple[int, ...]
    scales: int
    group_columns: int

    @property
    def values(self) -> int:
        """How many weights it holds."""
        return math.prod(self.shape)

    def code_shape(self) -> tuple[int, ...]:
        """Shape of its codes: of its indices where it is vector-quantized."""
        return (self.shape[0], self.group_columns) if self.codec.startswith("vq:") else self.shape


@dataclass(frozen=True)
class CodebookEntry:
    """Line of the header's table of codebooks: ``size`` code vectors of ``width`` values."""

    role: str
    size: int
    width: int
    bits: int
    scale: float


@dataclass(frozen=True)
class Section:
    """``kind``: tokenizer, codebook, codes or scales; ``component``: its line in the size report."""

    kind: str
    component: str
    codec: str
    members: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class OpenAgentFile:
    """A file whose header is checked; its sections are still coded. ``before``: bytes before the first of them."""

    label: str
    config: dict[str, Any]
    metadata: dict[str, Any]
    codebooks: dict[str, CodebookEntry]
    entries: list[Entry]
    sections: list[tuple[Section, bytes]]
    before: int

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(entry.values for entry in self.entries)

    def bytes_by_component(self) -> dict[str, int]:
        """Bytes of the file by component; they add up to its size."""
        sizes = {"header": self.before}
        for section, raw in self.sections:
            sizes[section.component] = sizes.get(section.component, 0) + len(raw)
        return sizes | {"checksum": DIGEST}


def plan_agent_file_sections(entries: list[Entry], roles: list[str]) -> list[Section]:
    """Sections in file order; tensors keep the table's order inside a section."""
    plan = [Section("tokenizer", "tokenizer", "")]
    plan += [Section("codebook", "codebooks", role) for role in roles]
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        component = "embedding" if entry.name == EMBEDDING else "small" if entry.codec == "half" else "core"
        groups.setdefault((component, entry.codec), []).append(entry)
    for (component, codec), members in groups.items():
        plan.append(Section("codes", f"{component}_codes", codec, tuple(members)))
        if codec != "half":
            plan.append(Section("scales", f"{component}_scales", codec, tuple(members)))
    return plan


def guard_agent_file(label: str, work: Callable[[], T]) -> T:
    """Run ``work``; any fault of the file's content becomes one line that names the file."""
    try:
        return work()
    except ForgeError as error:
        raise (error if str(error).startswith(label) else ForgeError(f"{label}: {error}")) from error
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        struct.error,
        OverflowError,
    ) as error:
        raise ForgeError(f"{label}: malformed ({type(error).__name__}: {error})") from error


def open_agent_file(path: str | Path) -> OpenAgentFile:
    """Read a file and check its header; nothing is decoded.

    ForgeError, one line naming the file, if it is missing, no regular file, empty, no agent file, of another
    format version, cut off or damaged, or declares what its bytes cannot hold.
    """
    return open_agent_file_bytes(read_regular_file(path, _MAX_FILE), str(path))


def open_agent_file_bytes(data: bytes, label: str) -> OpenAgentFile:
    """`open_agent_file` of the bytes themselves; ``label`` names them in errors."""
    return guard_agent_file(label, lambda: _open(data, label))


def _open(data: bytes, label: str) -> OpenAgentFile:
    start = len(MAGIC) + HEAD.size
    header_size = _check_agent_file_frame(data)
    header = inflate_agent_file_json(data[start : start + header_size])
    if not isinstance(header, dict) or header.keys() != _FIELDS:
        raise ForgeError(f"the header must hold {', '.join(sorted(_FIELDS))} and nothing else")
    for key in ("config", "metadata"):
        if not isinstance(header[key], dict):
            raise ForgeError(f"{key} is no table")
    books = _parse_codebooks(header["codebooks"])
    entries = _parse_entries(header["tensors"], books)
    declared = sum(entry.values for entry in entries) + sum(book.size * book.width for book in books.values())
    if declared > min(_MAX_VALUES, _FREE_VALUES + _VALUES_PER_BYTE * len(data)):
        raise ForgeError(f"declares {declared:,} weights, more than a file of {len(data):,} bytes may")
    plan = plan_agent_file_sections(entries, list(books))
    if not isinstance(header["sections"], list):
        raise ForgeError("sections is no list")
    sizes = [_whole(size, 0, len(data), "a section's length") for size in header["sections"]]
    ends = list(itertools.accumulate(sizes, initial=start + header_size))
    if len(ends) != len(plan) + 1 or ends[-1] != len(data) - DIGEST:
        raise ForgeError("the sections do not fill the file")
    found = [(s, data[a:b]) for s, a, b in zip(plan, ends, ends[1:], strict=False)]
    return OpenAgentFile(label, header["config"], header["metadata"], books, entries, found, start + header_size)


def _check_agent_file_frame(data: bytes) -> int:
    """Length of the header, once the first bytes, the version and the checksum are right."""
    if not data:
        raise ForgeError("the file is empty")
    if data[: len(MAGIC)] != MAGIC:
        raise ForgeError("not an agent file (wrong first bytes)")
    if len(data) < len(MAGIC) + HEAD.size + DIGEST:
        raise ForgeError("the file is cut off")
    version, header_size = HEAD.unpack_from(data, len(MAGIC))
    if version != VERSION:
        age = "newer" if version > VERSION else "older"
        raise ForgeError(f"format version {version} is {age} than this program reads ({VERSION})")
    if hashlib.sha256(memoryview(data)[:-DIGEST]).digest() != data[-DIGEST:]:
        raise ForgeError("damaged or cut off, its checksum does not match")
    return int(header_size)


def _whole(value: Any, low: int, high: int, what: str) -> int:
    # bool is an int to Python, and json reads 1.0 as a float.
    if type(value) is not int or not low <= value <= high:
        raise ForgeError(f"{what} must be a whole number from {low} to {high}")
    return value


def _name(value: Any, taken: dict[str, Any], what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME:
        raise ForgeError(f"{what} needs a name of 1 to {_MAX_NAME} characters")
    if value in taken:
        raise ForgeError(f"{what} {value} is listed twice")
    return value


def _parse_codebooks(rows: Any) -> dict[str, CodebookEntry]:
    books: dict[str, CodebookEntry] = {}
    if not isinstance(rows, list) or len(rows) > _MAX_TENSORS:
        raise ForgeError("the table of codebooks is malformed")
    for row in rows:
        if not isinstance(row, list) or len(row) != 5:
            raise ForgeError("the table of codebooks is malformed")
        role = _name(row[0], books, "a codebook")
        size, width = _whole(row[1], 2, 65536, f"codes of {role}"), _whole(row[2], 1, 64, f"width of {role}")
        bits, scale = _whole(row[3], 2, 8, f"bits of {role}"), row[4]
        if type(scale) not in (int, float) or not 0 < scale <= LARGEST:
            raise ForgeError(f"scale of {role} must be a number above 0, at most {LARGEST:g}")
        books[role] = CodebookEntry(role, size, width, bits, float(scale))
    return books


def _parse_entries(rows: Any, books: dict[str, CodebookEntry]) -> list[Entry]:
    if not isinstance(rows, list) or not 0 < len(rows) <= _MAX_TENSORS:
        raise ForgeError(f"the table of tensors must have 1 to {_MAX_TENSORS} rows")
    entries: dict[str, Entry] = {}
    for row in rows:
        entry = _parse_entry(row, books, entries)
        entries[entry.name] = entry
    if unused := books.keys() - {entry.codec.removeprefix("vq:") for entry in entries.values()}:
        raise ForgeError(f"no tensor uses codebook {min(unused)}")
    return list(entries.values())


def _parse_entry(row: Any, books: dict[str, CodebookEntry], before: dict[str, Entry]) -> Entry:
    if not isinstance(row, list) or len(row) < 3 or not isinstance(row[1], str) or not isinstance(row[2], list):
        raise ForgeError("the table of tensors is malformed")
    name, codec, dimensions = _name(row[0], before, "tensor"), row[1], row[2]
    if not codec.startswith("vq:") and codec not in ("ternary", "half", *ROW_BITS_OF):
        raise ForgeError(f"unknown codec of {name}")
    vq, matrix = codec.startswith("vq:"), codec not in ("ternary", "half")
    if len(row) != (5 if vq else 3):
        raise ForgeError(f"the line of {name} is malformed")
    if len(dimensions) > 4 or (matrix and len(dimensions) != 2):
        raise ForgeError(f"impossible shape of {name}")
    shape = tuple(_whole(size, 1, _MAX_VALUES, f"a dimension of {name}") for size in dimensions)
    if not vq:
        return Entry(name, codec, shape, 1 if codec == "ternary" else shape[0] if matrix else 0, 0)
    if (book := books.get(codec.removeprefix("vq:"))) is None:
        raise ForgeError(f"codebook of {name} is missing")
    scales, groups = _whole(row[3], 1, shape[0], f"scales of {name}"), -(-shape[1] // book.width)
    if scales not in (1, shape[0]) or type(row[4]) is not int or row[4] != groups:
        raise ForgeError(f"impossible groups of {name}")
    return Entry(name, codec, shape, scales, groups)
