"""The one-file agent: tokenizer, weights and configuration in `agent.forge`; nothing else is needed to run
it.

Bytes: magic ``AFORGE``; format version, uint16; header length, uint32 (both little-endian); header (JSON,
deflated); the sections one after another; SHA-256 of everything before it. The header lists the
configuration, the tensors with their codecs, and the length of every section; which section holds what
follows from the list of tensors (`_plan_agent_file_sections`), so writer and reader cannot disagree. Tensors that share
a codec share a section and, where that is shorter, the frequency tables of the entropy coder.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from forge.agentfile import codecs
from forge.agentfile.codecs import Coded
from forge.agentfile.entropy import decode_halves, decode_symbols, encode_halves, encode_symbols
from forge.agentfile.jsonzip import deflate_agent_file_json, inflate_agent_file_json
from forge.agentfile.vocabulary import pack_agent_file_tokenizer, unpack_agent_file_tokenizer
from forge.agentfile.vq import FrozenCodebook, FrozenVQ
from forge.errors import ForgeError
from forge.files import atomic_write_bytes

T = TypeVar("T")
MAGIC = b"AFORGE"
VERSION = 1
EMBEDDING = "embed.weight"
_HEAD = struct.Struct("<HI")
_DIGEST = 32
# Far above any agent: a crafted header must not make the reader reserve the machine's memory.
_MAX_VALUES = 1 << 28


@dataclass(frozen=True)
class AgentParts:
    """An agent in coded form; `decode_agent` makes it usable, `write_agent` makes it a file.

    ``config``: model configuration; ``tokenizer``: bytes of `tokenizer_to_bytes`; ``tensors`` by weight name;
    ``codebooks`` by role; ``metadata``: anything JSON can say.
    """

    config: dict[str, Any]
    tokenizer: bytes
    tensors: dict[str, Coded]
    codebooks: dict[str, FrozenCodebook] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


def encode_agent(
    config: Mapping[str, Any],
    state_dict: Mapping[str, Tensor],
    tokenizer: PreTrainedTokenizerFast,
    core_names: Collection[str],
    *,
    vq: FrozenVQ | None = None,
    embed_bits: int = 4,
    frozen: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> AgentParts:
    """Code a model for its file.

    ``core_names``: weights that become trits, except those that ``vq`` holds. ``embed_bits``: 2, 3, 4 or 8.
    ``state_dict`` holds latent weights; with ``frozen`` a ternary core already holds its quantized values.
    Everything else becomes float16. The configuration is stored with ``weight_quant="frozen"``: decoded weights
    must not be quantized again. ForgeError, naming the weight, for one that its codec cannot hold.
    """
    if embed_bits not in codecs.ROW_BITS_OF.values():
        raise ForgeError(f"agent: the embedding cannot have {embed_bits} bits")
    if missing := sorted(set(core_names) - set(state_dict)):
        raise ForgeError(f"agent: the model has no weight {missing[0]}")
    if EMBEDDING in state_dict and len(state_dict[EMBEDDING]) < len(tokenizer):
        raise ForgeError(f"agent: {len(tokenizer)} tokens but only {len(state_dict[EMBEDDING])} embedding rows")
    matrices = vq.matrices if vq else {}
    tensors = {}
    for name, tensor in state_dict.items():
        w = tensor.detach().float().cpu()
        try:
            if name in matrices:
                tensors[name] = codecs.encode_with_vq_codec(matrices[name])
            elif name in core_names:
                tensors[name] = codecs.encode_with_ternary_codec(w, frozen=frozen)
            elif name == EMBEDDING:
                tensors[name] = codecs.encode_with_row_codec(w, embed_bits)
            else:
                tensors[name] = codecs.encode_with_half_codec(w)
        except ForgeError as error:
            raise ForgeError(f"agent: {name}: {error}") from error
    stored = {**config, "weight_quant": "frozen"}
    books = dict(vq.codebooks) if vq else {}
    return AgentParts(stored, pack_agent_file_tokenizer(tokenizer), tensors, books, dict(metadata or {}))


def decode_agent(parts: AgentParts) -> tuple[dict[str, Any], dict[str, Tensor], PreTrainedTokenizerFast]:
    """``(model configuration, float32 state dict, tokenizer)``; the same bytes on every machine."""
    state = {}
    for name, coded in parts.tensors.items():
        try:
            state[name] = codecs.decode_tensor(coded, parts.codebooks)
        except ForgeError as error:
            raise ForgeError(f"agent: {name}: {error}") from error
    return dict(parts.config), state, unpack_agent_file_tokenizer(parts.tokenizer)


@dataclass(frozen=True)
class _Entry:
    """Line of the header's tensor table; ``scales`` is the number of scale values."""

    name: str
    codec: str
    shape: tuple[int, ...]
    scales: int
    group_columns: int

    def code_shape(self) -> tuple[int, ...]:
        return (self.shape[0], self.group_columns) if self.codec.startswith("vq:") else self.shape


@dataclass(frozen=True)
class _Section:
    """``kind``: tokenizer, codebook, codes or scales; ``component``: its line in the size report."""

    kind: str
    component: str
    codec: str
    members: tuple[_Entry, ...] = ()


def _plan_agent_file_sections(entries: list[_Entry], roles: list[str]) -> list[_Section]:
    """Sections in file order; tensors keep the table's order inside a section."""
    plan = [_Section("tokenizer", "tokenizer", "")]
    plan += [_Section("codebook", "codebooks", role) for role in roles]
    groups: dict[tuple[str, str], list[_Entry]] = {}
    for entry in entries:
        component = "embedding" if entry.name == EMBEDDING else "small" if entry.codec == "half" else "core"
        groups.setdefault((component, entry.codec), []).append(entry)
    for (component, codec), members in groups.items():
        plan.append(_Section("codes", f"{component}_codes", codec, tuple(members)))
        if codec != "half":
            plan.append(_Section("scales", f"{component}_scales", codec, tuple(members)))
    return plan


def _codec_symbol_range(codec: str, books: Mapping[str, FrozenCodebook]) -> tuple[int, int]:
    """``(alphabet size, offset)``: symbols are codes plus offset."""
    if codec == "ternary":
        return 3, 1
    if codec in codecs.ROW_BITS_OF:
        top = 2 ** (codecs.ROW_BITS_OF[codec] - 1) - 1
        return 2 * top + 1, top
    if (book := books.get(codec.removeprefix("vq:"))) is None:
        raise ForgeError(f"unknown codec {codec}")
    return len(book.codes), 0


def _entropy_contexts(section: _Section) -> np.ndarray:
    """Which tensor of its section each symbol belongs to: one context of the entropy coder for each."""
    sizes = [math.prod(entry.code_shape()) for entry in section.members]
    return np.repeat(np.arange(len(sizes)), sizes)


def _encode_levels(levels: np.ndarray) -> bytes:
    low = int(levels.min(initial=0))
    span = int(levels.max(initial=0)) - low + 1
    return struct.pack("<b", low) + encode_symbols(levels.astype(np.int64) - low, max(2, span))


def _encode_section(section: _Section, parts: AgentParts) -> bytes:
    if section.kind == "tokenizer":
        return parts.tokenizer
    if section.kind == "codebook":
        book = parts.codebooks[section.codec]
        top = 2 ** (book.bits - 1) - 1
        return encode_symbols(book.codes.astype(np.int64) + top, 2 * top + 1)
    tensors = [parts.tensors[entry.name] for entry in section.members]
    if section.codec == "half":
        return encode_halves(np.concatenate([t.codes.reshape(-1) for t in tensors]))
    if section.kind == "codes":
        alphabet, offset = _codec_symbol_range(section.codec, parts.codebooks)
        flat = np.concatenate([t.codes.reshape(-1).astype(np.int64) for t in tensors])
        return encode_symbols(flat + offset, alphabet, _entropy_contexts(section))
    scales = np.concatenate([t.scale for t in tensors])
    if section.codec == "ternary":
        return scales.astype("<f4").tobytes()
    return encode_halves(scales) if section.codec in codecs.ROW_BITS_OF else _encode_levels(scales)


def _decode_codes(section: _Section, data: bytes, books: Mapping[str, FrozenCodebook]) -> np.ndarray:
    n = sum(math.prod(entry.code_shape()) for entry in section.members)
    if section.codec == "half":
        return decode_halves(data, n)
    offset = _codec_symbol_range(section.codec, books)[1]
    symbols = decode_symbols(data, n, _entropy_contexts(section))
    return symbols if section.codec.startswith("vq:") else (symbols - offset).astype(np.int8)


def _decode_scales(section: _Section, data: bytes) -> np.ndarray:
    n = sum(entry.scales for entry in section.members)
    if section.codec == "ternary":
        return np.frombuffer(data, dtype="<f4", count=n).astype(np.float32)
    if section.codec in codecs.ROW_BITS_OF:
        return decode_halves(data, n)
    levels: np.ndarray = decode_symbols(data[1:], n) + struct.unpack_from("<b", data)[0]
    return levels.astype(np.int8)


def _agent_file_entries(parts: AgentParts) -> list[_Entry]:
    return [
        _Entry(name, t.codec, t.shape, t.scale.size, t.codes.shape[1] if t.role else 0)
        for name, t in parts.tensors.items()
    ]


def _agent_file_header_and_sections(parts: AgentParts) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Deflated header and the sections as ``(component, bytes)``."""
    entries, roles = _agent_file_entries(parts), list(parts.codebooks)
    sections = [(s.component, _encode_section(s, parts)) for s in _plan_agent_file_sections(entries, roles)]
    table = [
        [e.name, e.codec, list(e.shape)] + ([e.scales, e.group_columns] if e.codec.startswith("vq:") else [])
        for e in entries
    ]
    books = [[role, *b.codes.shape, b.bits, b.scale] for role, b in parts.codebooks.items()]
    header = {
        "config": parts.config,
        "metadata": parts.metadata,
        "codebooks": books,
        "tensors": table,
        "sections": [len(data) for _, data in sections],
    }
    return deflate_agent_file_json(header), sections


def pack_agent_file_parts(parts: AgentParts) -> bytes:
    """The bytes of an agent file; equal parts give equal bytes."""
    header, sections = _agent_file_header_and_sections(parts)
    body = MAGIC + _HEAD.pack(VERSION, len(header)) + header + b"".join(data for _, data in sections)
    return body + hashlib.sha256(body).digest()


def write_agent(path: str | Path, parts: AgentParts) -> dict[str, int]:
    """Write the file atomically; returns its bytes by component (as `agent_file_bytes_by_component`)."""
    data = pack_agent_file_parts(parts)
    atomic_write_bytes(path, data)
    return _add_up_agent_file_sections(data, str(path))


def _read_agent_file_bytes(path: str | Path) -> bytes:
    path = Path(path)
    if path.is_dir():
        raise ForgeError(f"{path}: is a directory, expected an agent file")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ForgeError(f"{path}: no such file") from error
    except OSError as error:
        raise ForgeError(f"{path}: cannot be read ({error.strerror})") from error


def _parse_agent_file_entry(row: list[Any]) -> _Entry:
    name, codec, shape = str(row[0]), str(row[1]), tuple(int(size) for size in row[2])
    vq = codec.startswith("vq:")
    if codec not in ("ternary", "half", *codecs.ROW_BITS_OF) and not vq:
        raise ForgeError(f"unknown codec {codec}")
    matrix = vq or codec in codecs.ROW_BITS_OF
    if any(size < 0 for size in shape) or math.prod(shape) > _MAX_VALUES or (matrix and len(shape) != 2):
        raise ForgeError(f"impossible shape of {name}")
    if vq and not (row[3] in (1, shape[0]) and 0 <= row[4] <= shape[1]):
        raise ForgeError(f"impossible groups of {name}")
    scales = row[3] if vq else 1 if codec == "ternary" else shape[0] if matrix else 0
    return _Entry(name, codec, shape, int(scales), int(row[4]) if vq else 0)


def _open_agent_file(data: bytes, label: str) -> tuple[dict[str, Any], list[tuple[_Section, bytes]], int]:
    """Checked header, sections with their bytes, and the number of bytes before the sections."""
    start = len(MAGIC) + _HEAD.size
    if not data:
        raise ForgeError(f"{label}: the file is empty")
    if data[: len(MAGIC)] != MAGIC:
        raise ForgeError(f"{label}: not an agent file (wrong first bytes)")
    if len(data) < start + _DIGEST:
        raise ForgeError(f"{label}: the file is cut off")
    version, header_size = _HEAD.unpack_from(data, len(MAGIC))
    if version != VERSION:
        age = "newer" if version > VERSION else "older"
        raise ForgeError(f"{label}: format version {version} is {age} than this program reads ({VERSION})")
    if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
        raise ForgeError(f"{label}: damaged or cut off, its checksum does not match")
    header = inflate_agent_file_json(data[start : start + header_size])
    entries = [_parse_agent_file_entry(row) for row in header["tensors"]]
    plan = _plan_agent_file_sections(entries, [str(row[0]) for row in header["codebooks"]])
    ends = list(itertools.accumulate(header["sections"], initial=start + header_size))
    if len(ends) != len(plan) + 1 or ends[-1] != len(data) - _DIGEST or min(header["sections"]) < 0:
        raise ForgeError("the sections do not fill the file")
    found = [(s, data[a:b]) for s, a, b in zip(plan, ends, ends[1:], strict=False)]
    return header, found, start + header_size


def _guard_agent_file(label: str, work: Callable[[], T]) -> T:
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


def _add_up_agent_file_sections(data: bytes, label: str) -> dict[str, int]:
    _, sections, before = _open_agent_file(data, label)
    sizes = {"header": before}
    for section, raw in sections:
        sizes[section.component] = sizes.get(section.component, 0) + len(raw)
    return sizes | {"checksum": _DIGEST}


def agent_file_bytes_by_component(path: str | Path) -> dict[str, int]:
    """Bytes of an agent file by component; they add up to the size on disk. ForgeError as `read_agent`."""
    data = _read_agent_file_bytes(path)
    return _guard_agent_file(str(path), lambda: _add_up_agent_file_sections(data, str(path)))


def _parse_codebook(row: list[Any], data: bytes) -> FrozenCodebook:
    _, k, v, bits, scale = row
    top = 2 ** (bits - 1) - 1
    if not (2 <= k <= 65536 and 1 <= v <= 64 and 2 <= bits <= 8):
        raise ForgeError("impossible codebook")
    codes = (decode_symbols(data, k * v) - top).astype(np.int8).reshape(k, v)
    return FrozenCodebook(codes, float(scale), bits)


def _assemble(data: bytes, label: str) -> AgentParts:
    header, sections, _ = _open_agent_file(data, label)
    if sum(math.prod(row[2]) for row in header["tensors"]) > _MAX_VALUES:
        raise ForgeError("too many weights")
    rows = {str(row[0]): row for row in header["codebooks"]}
    books = {s.codec: _parse_codebook(rows[s.codec], raw) for s, raw in sections if s.kind == "codebook"}
    codes: dict[str, np.ndarray] = {}
    scales: dict[str, np.ndarray] = {}
    for section, raw in sections:
        at = 0
        if section.kind == "codes":
            flat = _decode_codes(section, raw, books)
            for entry in section.members:
                n = math.prod(entry.code_shape())
                codes[entry.name], at = flat[at : at + n].reshape(entry.code_shape()), at + n
        elif section.kind == "scales":
            flat = _decode_scales(section, raw)
            for entry in section.members:
                scales[entry.name], at = flat[at : at + entry.scales], at + entry.scales
    tensors = {}
    for row in header["tensors"]:
        name = str(row[0])
        scale = scales.get(name, np.zeros(0, dtype=np.float16))
        tensors[name] = Coded(str(row[1]), tuple(row[2]), codes[name], scale)
    tokenizer = next(raw for section, raw in sections if section.kind == "tokenizer")
    return AgentParts(header["config"], tokenizer, tensors, books, header["metadata"])


def read_agent(path: str | Path) -> AgentParts:
    """Read and check an agent file.

    ForgeError, one line naming the file, if it is missing, a directory, empty, no agent file, of another
    format version, cut off, or damaged anywhere.
    """
    data = _read_agent_file_bytes(path)
    return _guard_agent_file(str(path), lambda: _assemble(data, str(path)))
