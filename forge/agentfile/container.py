"""The one-file agent: tokenizer, weights and configuration in `agent.forge`; nothing else is needed to run
it. Its outside is `forge.agentfile.header`; here tensors become sections and sections tensors.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from forge.agentfile import codecs
from forge.agentfile.codecs import Coded
from forge.agentfile.entropy import (
    coded_alphabet,
    decode_agent_file_halves,
    decode_symbols,
    encode_agent_file_halves,
    encode_symbols,
)
from forge.agentfile.header import (
    EMBEDDING,
    HEAD,
    MAGIC,
    ROW_BITS_OF,
    VERSION,
    CodebookEntry,
    Entry,
    OpenAgentFile,
    Section,
    guard_agent_file,
    open_agent_file,
    open_agent_file_bytes,
    plan_agent_file_sections,
)
from forge.agentfile.jsonzip import deflate_agent_file_json
from forge.agentfile.vocabulary import pack_agent_file_tokenizer, unpack_agent_file_tokenizer
from forge.agentfile.vq import FrozenCodebook, FrozenVQ
from forge.errors import ForgeError
from forge.files import atomic_write_bytes


@dataclass(frozen=True)
class AgentParts:
    """An agent in coded form; `decode_agent` makes it usable, `write_agent` makes it a file.

    ``config``: model configuration; ``tokenizer``: bytes of `pack_agent_file_tokenizer`; ``tensors`` by weight name;
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
    if embed_bits not in ROW_BITS_OF.values():
        raise ForgeError(f"agent: the embedding cannot have {embed_bits} bits")
    if missing := sorted(set(core_names) - set(state_dict)):
        raise ForgeError(f"agent: the model has no weight {missing[0]}")
    _check_agent_tokens(tokenizer, state_dict)
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
    """``(model configuration, float32 state dict, tokenizer)``; the same bytes on every machine.

    ForgeError for a weight that is not finite or above `LARGEST`, and for a token without a row in the embedding.
    """
    tokenizer = unpack_agent_file_tokenizer(parts.tokenizer)
    state = {}
    for name, coded in parts.tensors.items():
        try:
            state[name] = codecs.decode_tensor(coded, parts.codebooks)
        except ForgeError as error:
            raise ForgeError(f"agent: {name}: {error}") from error
    _check_agent_tokens(tokenizer, state)
    return dict(parts.config), state, tokenizer


def _check_agent_tokens(tokenizer: PreTrainedTokenizerFast, state: Mapping[str, Tensor]) -> None:
    if EMBEDDING in state and len(state[EMBEDDING]) < len(tokenizer):
        raise ForgeError(f"agent: {len(tokenizer)} tokens but only {len(state[EMBEDDING])} embedding rows")


def _codec_symbol_range(codec: str, books: Mapping[str, FrozenCodebook]) -> tuple[int, int]:
    """``(alphabet size, offset)``: symbols are codes plus offset."""
    if codec == "ternary":
        return 3, 1
    if codec in ROW_BITS_OF:
        return _signed_symbol_range(ROW_BITS_OF[codec])
    return len(books[codec.removeprefix("vq:")].codes), 0


def _signed_symbol_range(bits: int) -> tuple[int, int]:
    top = 2 ** (bits - 1) - 1
    return 2 * top + 1, top


def _entropy_runs(section: Section) -> list[int]:
    """How many symbols of each tensor there are in a section: one context of the entropy coder for each."""
    return [math.prod(entry.code_shape()) for entry in section.members]


def _encode_levels(levels: np.ndarray) -> bytes:
    low = int(levels.min(initial=0))
    span = int(levels.max(initial=0)) - low + 1
    return struct.pack("<b", low) + encode_symbols(levels.astype(np.int64) - low, max(2, span))


def _decode_levels(data: bytes, n: int) -> np.ndarray:
    low = struct.unpack_from("<b", data)[0]
    levels: np.ndarray = decode_symbols(data[1:], n, coded_alphabet(data[1:])).astype(np.int32) + low
    if levels.max(initial=low) > 127:
        raise ForgeError("a scale is out of range")
    return levels.astype(np.int8)


def _encode_section(section: Section, parts: AgentParts) -> bytes:
    if section.kind == "tokenizer":
        return parts.tokenizer
    if section.kind == "codebook":
        book = parts.codebooks[section.codec]
        alphabet, offset = _signed_symbol_range(book.bits)
        return encode_symbols(book.codes.astype(np.int64) + offset, alphabet)
    tensors = [parts.tensors[entry.name] for entry in section.members]
    if section.codec == "half":
        return encode_agent_file_halves(np.concatenate([t.codes.reshape(-1) for t in tensors]))
    if section.kind == "codes":
        alphabet, offset = _codec_symbol_range(section.codec, parts.codebooks)
        flat = np.concatenate([t.codes.reshape(-1).astype(np.int64) for t in tensors])
        return encode_symbols(flat + offset, alphabet, _entropy_runs(section))
    scales = np.concatenate([t.scale for t in tensors])
    if section.codec == "ternary":
        return scales.astype("<f4").tobytes()
    return encode_agent_file_halves(scales) if section.codec in ROW_BITS_OF else _encode_levels(scales)


def _decode_codes(section: Section, data: bytes, books: Mapping[str, FrozenCodebook]) -> np.ndarray:
    runs = _entropy_runs(section)
    if section.codec == "half":
        return decode_agent_file_halves(data, sum(runs))
    alphabet, offset = _codec_symbol_range(section.codec, books)
    symbols = decode_symbols(data, sum(runs), alphabet, runs)
    return symbols if section.codec.startswith("vq:") else _centered(symbols, offset)


def _centered(symbols: np.ndarray, offset: int) -> np.ndarray:
    """uint8 symbols as int8 codes, in place: bytes wrap around."""
    symbols -= np.uint8(offset)
    return symbols.view(np.int8)


def _decode_scales(section: Section, data: bytes) -> np.ndarray:
    n = sum(entry.scales for entry in section.members)
    if section.codec == "ternary":
        if len(data) != 4 * n:
            raise ForgeError("the scales do not fill their section")
        return np.frombuffer(data, dtype="<f4").astype(np.float32)
    return decode_agent_file_halves(data, n) if section.codec in ROW_BITS_OF else _decode_levels(data, n)


def _agent_file_entries(parts: AgentParts) -> list[Entry]:
    return [
        Entry(name, t.codec, t.shape, t.scale.size, t.codes.shape[1] if t.role else 0)
        for name, t in parts.tensors.items()
    ]


def _agent_file_header_and_sections(parts: AgentParts) -> tuple[bytes, list[bytes]]:
    """Deflated header and the sections."""
    entries, roles = _agent_file_entries(parts), list(parts.codebooks)
    sections = [_encode_section(s, parts) for s in plan_agent_file_sections(entries, roles)]
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
        "sections": [len(data) for data in sections],
    }
    return deflate_agent_file_json(header), sections


def pack_agent_file_parts(parts: AgentParts) -> bytes:
    """The bytes of an agent file; equal parts give equal bytes."""
    header, sections = _agent_file_header_and_sections(parts)
    body = MAGIC + HEAD.pack(VERSION, len(header)) + header + b"".join(sections)
    return body + hashlib.sha256(body).digest()


def write_agent(path: str | Path, parts: AgentParts) -> dict[str, int]:
    """Write the file atomically; returns its bytes by component (as `OpenAgentFile.bytes_by_component`).

    ForgeError, and no file, for what a reader would refuse.
    """
    data = pack_agent_file_parts(parts)
    sizes = open_agent_file_bytes(data, str(path)).bytes_by_component()
    atomic_write_bytes(path, data)
    return sizes


def _decode_codebook(entry: CodebookEntry, data: bytes) -> FrozenCodebook:
    alphabet, offset = _signed_symbol_range(entry.bits)
    codes = _centered(decode_symbols(data, entry.size * entry.width, alphabet), offset)
    return FrozenCodebook(codes.reshape(entry.size, entry.width), entry.scale, entry.bits)


def _decode_sections(opened: OpenAgentFile) -> AgentParts:
    books = {
        s.codec: _decode_codebook(opened.codebooks[s.codec], raw) for s, raw in opened.sections if s.kind == "codebook"
    }
    codes: dict[str, np.ndarray] = {}
    scales: dict[str, np.ndarray] = {}
    for section, raw in opened.sections:
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
    none = np.zeros(0, dtype=np.float16)
    tensors = {e.name: Coded(e.codec, e.shape, codes[e.name], scales.get(e.name, none)) for e in opened.entries}
    tokenizer = next(raw for section, raw in opened.sections if section.kind == "tokenizer")
    return AgentParts(opened.config, tokenizer, tensors, books, opened.metadata)


def decode_agent_file(opened: OpenAgentFile) -> AgentParts:
    """The parts of an opened file. ForgeError, one line naming the file, if a section is malformed."""
    return guard_agent_file(opened.label, lambda: _decode_sections(opened))


def read_agent(path: str | Path) -> AgentParts:
    """Read and check an agent file; ForgeError as `open_agent_file` and `decode_agent_file`."""
    return decode_agent_file(open_agent_file(path))
