"""Files that a stranger may have made out of an `agent.forge`: changed on purpose in every part, checksum made right.

`sealed_mutations` draws them without end from a seed; `BOMBS` are small files that once took gigabytes or did not end.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from forge.agentfile.codecs import Coded
from forge.agentfile.container import AgentParts, pack_agent_file_parts, read_agent
from forge.agentfile.entropy import encode_symbols, read_varint, varint
from forge.agentfile.header import DIGEST, EMBEDDING, HEAD, MAGIC, VERSION, open_agent_file
from forge.agentfile.jsonzip import inflate_agent_file_json
from forge.agentfile.vq import FrozenCodebook
from forge.data.tokenizer import MAX_TOKEN_LENGTH
from forge.errors import ForgeError
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.model.fit import model_without_weights

NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 5, 7, 64, 127, 128, 255, 256, 4095, 65535, 65536, 65537, 2**23, 2**28),
    *(2**31 - 1, 2**31, 2**32, 2**40, 2**53, 2**63, 2**64, 10**40, -(2**31), -(2**63), 30_000_000),
    *(0.0, -0.0, 0.5, 1.0, 1.5, -1.5, 1e-320, 1e-40, 1e5, 1e39, 1e308, -1e308, math.nan, math.inf, -math.inf),
    *("", "a", "0", "x" * 300, "\x00", "\x1b[2J\x1b]0;x\x07", "../../etc/passwd", "é", "\ud800", "<|pad|>", "NaN"),
    *([], [[]], {}, [0], [-1], [1] * 70, [2**20, 2**20], {"a": 1}, [None], ["embed.weight"]),
    *("ternary", "half", "row2", "row8", "vq:shared", "vq:", "frozen", "plain", "titan", "embed.weight"),
)


@dataclass(frozen=True)
class Dissected:
    """A whole agent file taken apart: header as JSON, sections with what they are, and the decoded parts."""

    data: bytes
    header: dict[str, Any]
    kinds: tuple[str, ...]
    sections: tuple[bytes, ...]
    parts: AgentParts


def dissect(path: Path) -> Dissected:
    """Take a good file apart."""
    data, opened = path.read_bytes(), open_agent_file(path)
    start = len(MAGIC) + HEAD.size
    header = inflate_agent_file_json(data[start : opened.before])
    kinds = tuple(f"{section.kind} {section.codec}".strip() for section, _ in opened.sections)
    return Dissected(data, header, kinds, tuple(raw for _, raw in opened.sections), read_agent(path))


def seal(body: bytes) -> bytes:
    """The file with the checksum that its bytes ask for."""
    return body + hashlib.sha256(body).digest()


def assemble(header: Any, sections: tuple[bytes, ...], text: bytes | None = None) -> bytes:
    """A sealed file of a header, or of its ``text``, and sections; where the header lists lengths, they are right."""
    if text is None:
        text = json.dumps(header).encode("ascii")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = packer.compress(text) + packer.flush()
    return seal(MAGIC + HEAD.pack(VERSION, len(raw)) + raw + b"".join(sections))


def _with_lengths(header: dict[str, Any], sections: tuple[bytes, ...]) -> bytes:
    return assemble({**header, "sections": [len(raw) for raw in sections]}, sections)


# ---- changes of JSON ---------------------------------------------------------------------------------------------


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in a JSON value but the value itself."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((*path, key), *_places(value[key], (*path, key)))]


def change_json(random: random.Random, value: Any, below: tuple[Any, ...] = ()) -> tuple[str, Any]:
    """One change at a random place of a JSON value: another value, one more or less, gone, twice, swapped."""
    changed = copy.deepcopy(value)
    place = random.choice([place for place in _places(value) if place[: len(below)] == below])
    owner = changed
    for key in place[:-1]:
        owner = owner[key]
    key, old = place[-1], owner[place[-1]]
    way = random.randrange(8)
    if way < 3 or (way < 5 and not isinstance(old, int | float)):
        owner[key] = copy.deepcopy(random.choice(NASTY))
    elif way < 5:
        owner[key] = random.choice([old + 1, old - 1, -old, old * 2, old // 2, old * 1000, float(old), str(old)])
    elif way == 5:
        del owner[key]
    elif way == 6 and isinstance(owner, list):
        owner.insert(random.randrange(len(owner) + 1), copy.deepcopy(old))
    else:
        other = random.choice(list(owner) if isinstance(owner, dict) else range(len(owner)))
        owner[key], owner[other] = owner[other], owner[key]
    return "/".join(map(str, place)), changed


def _header_text(random: random.Random, good: Dissected) -> tuple[str, bytes]:
    """The header as text that no JSON writer makes."""
    text = json.dumps(good.header)
    at = random.randrange(len(text))
    wild = random.choice(
        ["[" * 200_000, "9" * 5000, "1e999", "NaN", '"a":1,', "\x00", "\\ud800", "{" * 9, "]", '"', "-"]
    )
    text = random.choice([text[:at] + wild + text[at:], text[:at], text + wild, wild, text[:at] + text[at + 1 :]])
    return f"text at {at}", assemble(None, good.sections, text.encode("utf-8", "surrogatepass"))


# ---- changes of the parts of a file ------------------------------------------------------------------------------


def _bytes(random: random.Random, good: Dissected) -> tuple[str, bytes]:
    """Bytes of the whole file: flipped, set, cut out, put in."""
    body, at = bytearray(good.data[:-DIGEST]), random.randrange(len(good.data) - DIGEST)
    for _ in range(random.choice([1, 1, 1, 4, 50])):
        place = random.choice([at, random.randrange(len(body)), random.randrange(min(len(body), 600))])
        body[place] = random.choice([body[place] ^ 1 << random.randrange(8), 0, 255, 128, random.randrange(256)])
    way = random.randrange(4)
    if way == 0:
        del body[at : at + random.choice([1, 2, 4, 100])]
    elif way == 1:
        body[at:at] = random.randbytes(random.choice([1, 4, 8, 100]))
    return f"bytes at {at}", seal(bytes(body))


def _frame(random: random.Random, good: Dissected) -> tuple[str, bytes]:
    """First bytes, version and length of the header."""
    size = HEAD.unpack_from(good.data, len(MAGIC))[1]
    wrong = random.choice([0, 1, size - 1, size + 1, size * 2, len(good.data), 2**31, 2**32 - 1])
    rest, version = good.data[len(MAGIC) + HEAD.size : -DIGEST], random.choice([0, 1, 1, 1, 2, 65535])
    magic = random.choice([MAGIC, MAGIC, MAGIC, b"aforge", b""])
    cut = random.choice([len(rest), len(rest), random.randrange(len(rest))])
    return f"frame {version} {wrong}", seal(magic + HEAD.pack(version, wrong) + rest[:cut])


def _header(random: random.Random, good: Dissected) -> tuple[str, bytes]:
    below = random.choice([(), ("config",), ("tensors",), ("codebooks",), ("sections",), ("metadata",)])
    below = below if not below or good.header[below[0]] else ()
    where, header = change_json(random, good.header, below)
    if random.random() < 0.3:
        more, header = change_json(random, header) if _places(header) else ("", header)
        where += f" {more}"
    return f"header {where}", assemble(header, good.sections)


def _section(random: random.Random, good: Dissected) -> tuple[str, bytes]:
    """One section: mode, alphabet, table or stream of its coder; cut, longer, of zeros, of noise, another's."""
    place = random.randrange(len(good.sections))
    sections = list(good.sections)
    sections[place] = change_stream(random, sections[place], good.sections)
    if random.random() < 0.3:  # lengths as they were: the sections behind it begin elsewhere
        return f"section {good.kinds[place]}, shifted", assemble(good.header, tuple(sections))
    return f"section {good.kinds[place]}", _with_lengths(good.header, tuple(sections))


def change_stream(random: random.Random, raw: bytes, others: tuple[bytes, ...] = (b"",)) -> bytes:
    """A coded stream that is another one."""
    at = random.randrange(len(raw)) if raw else 0
    start = random.choice([0, 0, 1, 2, 3])
    alphabet = varint(random.choice([0, 1, 2, 3, 7, 15, 255, 256, 257, 65535, 65536, 65537, 2**28, 2**40, 2**55]))
    return random.choice(
        [
            raw[:at] + bytes([raw[at] ^ 1 << random.randrange(8)]) + raw[at + 1 :] if raw else b"\x00",
            raw[:start] + bytes([random.choice([0, 1, 2, 3, 127, 128, 255])]) + raw[start + 1 :],
            raw[:start] + alphabet + raw[start + 1 :],
            raw[:start] + alphabet + raw[start + 2 :],
            raw[:at],
            raw[: at // 4 * 4],
            raw + bytes(random.choice([1, 4, 8, 400])),
            raw + random.randbytes(4),
            raw[:at] + bytes(len(raw) - at),
            raw[:4] + random.randbytes(max(0, len(raw) - 4)),
            random.randbytes(len(raw)),
            b"\xff" * len(raw),
            b"",
            random.choice(others),
        ]
    )


class _PackedTokenizer(NamedTuple):
    """The parts of a packed tokenizer: settings, the bytes that it has, words and phrases."""

    settings: bytes
    bitmap: bytes
    words: int
    shared: bytes
    told: bytes
    phrase_tokens: int
    phrases: bytes

    def packed(self, block: int | None = None) -> bytes:
        """All of it; ``block``: a wrong length of the settings."""
        blocks = b"".join(varint(len(part)) + part for part in (self.shared, self.told))
        size = varint(len(self.settings) if block is None else block)
        head = size + self.settings + self.bitmap + varint(self.words)
        return head + blocks + varint(self.phrase_tokens) + self.phrases


def _packed_tokenizer(raw: bytes) -> _PackedTokenizer:
    def block(at: int) -> tuple[bytes, int]:
        size, at = read_varint(raw, at)
        return raw[at : at + size], at + size

    settings, at = block(0)
    bitmap = raw[at : at + 32]
    words, at = read_varint(raw, at + 32)
    shared, at = block(at)
    told, at = block(at)
    phrase_tokens, at = read_varint(raw, at)
    return _PackedTokenizer(settings, bitmap, words, shared, told, phrase_tokens, raw[at:])


def _tokenizer(random: random.Random, good: Dissected) -> tuple[str, bytes]:
    """Settings, bytes, words and phrases of the packed tokenizer."""
    parts = _packed_tokenizer(good.sections[0])
    counts, wrong = [0, 1, 2, 5, 1000, 65536, 2**31, 2**40, 2**55], None
    part = random.choice([*_PackedTokenizer._fields, "text", "block"])
    if part == "settings":
        document = json.dumps(change_json(random, inflate_agent_file_json(parts.settings))[1]).encode()
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        parts = parts._replace(settings=packer.compress(document) + packer.flush())
    elif part == "text":
        parts = parts._replace(settings=change_stream(random, parts.settings))
    elif part == "bitmap":
        place = random.randrange(32)
        changed = parts.bitmap[:place] + random.randbytes(1) + parts.bitmap[place + 1 :]
        parts = parts._replace(bitmap=random.choice([bytes(32), b"\xff" * 32, changed]))
    elif part in ("words", "phrase_tokens"):
        count = getattr(parts, part)
        parts = parts._replace(**{part: random.choice([*counts, count + 1, max(0, count - 1), count * 2])})
    elif part == "block":
        wrong = random.choice(counts)
    else:
        parts = parts._replace(**{part: change_stream(random, getattr(parts, part))})
    return f"tokenizer {part}", _with_lengths(good.header, (parts.packed(wrong), *good.sections[1:]))


# ---- files that are consistent, with contents that are not -------------------------------------------------------

_WILD = np.array([np.nan, np.inf, -np.inf, 65504, -65504, 0, -0.0, 6e-8, 1, 1e-3], dtype=np.float16)


def _wild_codes(random: random.Random, coded: Coded, books: dict[str, FrozenCodebook]) -> Coded:
    draw = np.random.default_rng(random.randrange(2**32))
    codes, scale = coded.codes.copy(), coded.scale.copy()
    places = draw.random(codes.shape) < random.choice([0.001, 0.1, 1.0])
    if coded.codec == "half":
        codes[places] = draw.choice(_WILD, places.sum()) if random.random() < 0.5 else random.choice(_WILD)
        codes.reshape(-1)[random.randrange(codes.size)] = random.choice(_WILD)
        return replace(coded, codes=codes)
    if coded.role:
        top, floor = len(books[coded.role].codes) - 1, 0
        scale[...] = random.choice([-128, 127, 0, int(scale.flat[0])])
    else:
        top = {"ternary": 1, "row2": 1, "row3": 3, "row4": 7, "row8": 127}[coded.codec]
        floor = -top
        wild = _WILD.tolist() + ([1e38, 3e38, -1e38, 1e-45] if coded.codec == "ternary" else [])
        with np.errstate(over="ignore"):
            scale[draw.random(scale.shape) < random.choice([0.1, 1.0])] = random.choice(wild)
    if random.random() < 0.5:
        codes[places] = draw.integers(floor, top + 1, places.sum()) if random.random() < 0.7 else top
    return replace(coded, codes=codes, scale=scale)


def _values(random: random.Random, good: Dissected) -> tuple[str, bytes]:
    """Weights, scales and codebooks: NaN, infinite, huge, all the same, noise."""
    tensors, books = dict(good.parts.tensors), dict(good.parts.codebooks)
    names = random.sample(sorted(tensors), random.choice([1, 1, 2, len(tensors)]))
    for name in names:
        tensors[name] = _wild_codes(random, tensors[name], books)
    if books and random.random() < 0.3:
        role = random.choice(sorted(books))
        scale = random.choice([0.0, -1.0, 1e-40, 65504.0, 1e30, math.nan, math.inf])
        books[role] = replace(books[role], scale=scale if math.isfinite(scale) else 1e39)
    return f"values of {', '.join(names[:2])}", pack_agent_file_parts(
        replace(good.parts, tensors=tensors, codebooks=books)
    )


def _draw(random: random.Random, config: dict[str, Any]) -> dict[str, Any]:
    """A configuration that may be: sizes from the smallest to the largest."""
    sizes = {
        "hidden_size": [1, 2, 16, 33, 512, 8192],
        "head_dim": [2, 4, 64, 256],
        "max_steps": [1, 2, 16, 64],
        "window": [1, 2, 7, 2**20],
        "memory_heads": [1, 3, 64, 512],
        "memory_head_dim": [1, 2, 64, 256],
        "memory_chunk": [1, 2, 4096],
        "memory_capacity": [1, 2, 2**30],
        "halt_threshold": [0.0, 1e-9, 0.5, 1.0],
        "rope_theta": [1.0, 1e9],
        "act_bits": [0, 8],
        "architecture": ["titan", "plain"],
        "token_shift": [False, True],
        "memory": [False, True],
        "halting": [False, True],
        "vocab_size": [1, 14, 15, config["vocab_size"] - 1, config["vocab_size"] + 1, 65536],
    }
    for key in random.sample(sorted(sizes), random.choice([1, 2, 4])):
        config[key] = random.choice(sizes[key])
    for module in ("low", "high"):
        if random.random() < 0.3:
            blocks = random.choice([1, 2, 8, 64])
            config[f"{module}_heads"] = [random.choice([1, 2, 64, 512])] * blocks
            config[f"{module}_ffn"] = [random.choice([1, 3, 64, 4096, 65536])] * blocks
    return config


def with_shapes(good: Dissected, config: dict[str, Any], fill: int = 0) -> bytes:
    """A file whose table of tensors is what another configuration asks for. What is not read from the good file is all
    ``fill`` and takes nearly no bytes. ForgeError for a configuration that cannot be."""
    model = model_without_weights(TinyTitanConfig(**config), TinyTitanForCausalLM)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    if sum(map(math.prod, shapes.values())) > 1 << 25:
        raise ForgeError("more than a test should make")
    core = {f"{name}.weight" for name in model.core_linears()}
    tensors = {}
    for name, shape in shapes.items():
        if (old := good.parts.tensors.get(name)) is not None and old.shape == shape:
            tensors[name] = old
        elif name in core:
            tensors[name] = Coded("ternary", shape, np.full(shape, fill, np.int8), np.full(1, 0.1, np.float32))
        elif name == EMBEDDING:
            tensors[name] = Coded("row4", shape, np.full(shape, fill, np.int8), np.full(shape[0], 0.1, np.float16))
        else:
            tensors[name] = Coded("half", shape, np.full(shape, fill, np.float16), np.zeros(0, np.float16))
    used = {coded.role for coded in tensors.values()}
    books = {role: book for role, book in good.parts.codebooks.items() if role in used}
    return pack_agent_file_parts(replace(good.parts, config=config, tensors=tensors, codebooks=books))


def _shapes(random: random.Random, good: Dissected) -> tuple[str, bytes]:
    """Another configuration, with tensors that fit it."""
    while True:
        config = _draw(random, copy.deepcopy(good.parts.config))
        try:
            made = with_shapes(good, config, random.choice([0, 1]))
        except ForgeError:
            continue
        changed = {key: value for key, value in config.items() if value != good.parts.config[key]}
        return f"shapes {json.dumps(changed)[:80]}", made


WAYS: tuple[Callable[[random.Random, Dissected], tuple[str, bytes]], ...] = (
    *(_header, _header, _header, _section, _section, _tokenizer, _tokenizer, _values, _values, _shapes),
    *(_bytes, _frame, _header_text),
)


def sealed_mutations(goods: list[Dissected], seed: int) -> Iterator[tuple[str, bytes]]:
    """(what was changed, bytes of a file with a right checksum), without end."""
    source = random.Random(seed)
    while True:
        way, good = source.choice(WAYS), source.choice(goods)
        yield way(source, good)


# ---- small files that once took gigabytes, or did not end --------------------------------------------------------


def _declared(name: str, shape: list[int], **config: Any) -> Callable[[Dissected], bytes]:
    def make(good: Dissected) -> bytes:
        header = copy.deepcopy(good.header)
        header["config"].update(config)
        for row in header["tensors"]:
            if row[0] == name:
                row[2] = shape
        return assemble(header, good.sections)

    return make


def _config(**config: Any) -> Callable[[Dissected], bytes]:
    return lambda good: assemble({**good.header, "config": {**good.header["config"], **config}}, good.sections)


def _with_tokenizer(change: Callable[[_PackedTokenizer], _PackedTokenizer]) -> Callable[[Dissected], bytes]:
    def make(good: Dissected) -> bytes:
        made = change(_packed_tokenizer(good.sections[0])).packed()
        return _with_lengths(good.header, (made, *good.sections[1:]))

    return make


def _codebook(**changes: int) -> Callable[[Dissected], bytes]:
    def make(good: Dissected) -> bytes:
        header = copy.deepcopy(good.header)
        for place, key in enumerate(("size", "width", "bits"), 1):
            header["codebooks"][0][place] = changes.get(key, header["codebooks"][0][place])
        return assemble(header, good.sections)

    return make


def _stretched(**config: Any) -> Callable[[Dissected], bytes]:
    return lambda good: with_shapes(good, {**good.parts.config, **config})


def _long_words(parts: _PackedTokenizer) -> _PackedTokenizer:
    """Each word begins with all of the one before it."""
    rests = [[0] * 15 for _ in range(2)]
    chars = int(np.unpackbits(np.frombuffer(parts.bitmap, dtype=np.uint8)).sum())
    told = [number for rest in rests for number in (*rest, chars)]
    return parts._replace(
        words=len(rests),
        shared=encode_symbols(np.array([0, 15]), MAX_TOKEN_LENGTH),
        told=varint(len(told)) + encode_symbols(np.array(told), chars + 1),
        phrase_tokens=0,
        phrases=b"",
    )


# Name: how it is made of a good, vector-quantized file; a part of the line that refuses it.
BOMBS: dict[str, tuple[Callable[[Dissected], bytes], str]] = {
    "a core of 2**28 values": (_declared("memory.gate.weight", [2**14, 2**14]), "more than a file of"),
    "a vector of 2**40 values": (_declared("low_init", [2**40]), "a dimension of low_init"),
    "a vocabulary of 2**23": (_declared("embed.weight", [2**23, 32], vocab_size=2**23), "more than a file of"),
    "20,000 blocks": (_config(low_heads=[1] * 20_000, low_ffn=[1] * 20_000), "low_heads"),
    "30 million labels": (_config(num_labels=30_000_000), "num_labels"),
    "a codebook of 2**100 bits": (_codebook(bits=2**100), "bits of"),
    "a codebook of 2**40 codes": (_codebook(size=2**40), "codes of"),
    "words without end": (_with_tokenizer(lambda parts: parts._replace(words=2**40)), "it says 1099511627776"),
    "letters without end": (
        _with_tokenizer(lambda parts: parts._replace(told=varint(2**40) + parts.told)), "cannot hold texts of",
    ),
    "phrases without end": (
        _with_tokenizer(lambda parts: parts._replace(phrase_tokens=2**40)), "cannot hold texts of",
    ),
    "words that grow": (_with_tokenizer(_long_words), "is not 1 to 16 bytes"),
    "a billion steps": (_config(max_steps=10**9), "max_steps"),
    "rope_theta 0": (_config(rope_theta=0), "rope_theta"),
    "a window of -1": (_config(window=-1), "window"),
    "a threshold that is no number": (_config(halt_threshold=math.nan), "NaN is no number"),
    "weights that are not frozen": (_config(weight_quant="ternary"), "frozen"),
    "64 steps through 128 blocks": (
        _stretched(max_steps=64, low_heads=[1] * 64, low_ffn=[1] * 64, high_heads=[1] * 64, high_ffn=[1] * 64),
        "too many for a file of",
    ),
    "a memory of 512 heads": (
        _stretched(memory_heads=512, memory_head_dim=256, memory_chunk=1, hidden_size=2), "too wide for a file of",
    ),
    "keys of 131,072 values": (
        _stretched(low_heads=[512] * 4, low_ffn=[1] * 4, head_dim=256, hidden_size=1), "too wide for a file of",
    ),
}  # fmt: skip
