"""Entropy coding of small-integer arrays with asymmetric numeral systems (ANS, Duda 2013, arXiv 1311.2540).

The coder is constriction's; this module adds what a file needs: symbol frequencies stored as *integers* in a
compact table, so that decoding never depends on how another machine rounds a probability, and the choice,
made by length, between one table, one table for each context, and none. (The pipeline's specification calls
this stage "Hypercompression"; the paper of that name, arXiv 2409.00592, is a quantizer, not an entropy
coder.)

Stream: mode byte, alphabet size, then for each context its table, then the ANS words. A table is (least
level, bits per level, packed levels); a level stands for the frequency ``(m + level % m) << level // m``. With
m = 4 (large alphabets, where the table must be short) steps are at most 25 % and cost under 0.004 bit per
symbol against exact frequencies; up to 64 symbols m = 32.
"""

from __future__ import annotations

from collections.abc import Sequence

import constriction
import numpy as np

from forge.errors import ForgeError

_UNIFORM, _SHARED, _BY_CONTEXT = 0, 1, 2
_MAX_ALPHABET = 1 << 16
_FINE_ALPHABET = 64
# A table whose levels are all the same takes two bytes, whatever its alphabet: so many frequencies are free.
_FREE_FREQUENCIES = 1 << 18
_AT_ONCE = 1 << 18  # symbols that are decoded at a time: the coder makes four bytes of each


def _entropy_frequency_ladder(m: int, octaves: int) -> np.ndarray:
    return np.array([(m + level % m) << (level // m) for level in range(m * octaves)], dtype=np.int64)


# Both ladders end just under 2**22: inside the coder's 24-bit precision.
_COARSE, _FINE = _entropy_frequency_ladder(4, 20), _entropy_frequency_ladder(32, 17)


def varint(value: int) -> bytes:
    """Non-negative integer as LEB128: seven bits per byte, least first, high bit = more to come."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """``(value, position after it)`` of a LEB128 integer; ForgeError if it is cut off or absurdly long."""
    value = shift = 0
    while at < len(data) and shift <= 56:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at
    raise ForgeError("coded data: a number is cut off")


def _pack_entropy_bits(values: np.ndarray, width: int) -> bytes:
    planes = (values[:, None] >> np.arange(width)) & 1
    return np.packbits(planes.astype(np.uint8).reshape(-1)).tobytes()


def _unpack_bits(data: bytes, n: int, width: int) -> np.ndarray:
    planes = np.unpackbits(np.frombuffer(data, dtype=np.uint8))[: n * width].reshape(n, width)
    values: np.ndarray = (planes.astype(np.int64) << np.arange(width)).sum(axis=1)
    return values


def _frequencies_of(alphabet: int) -> np.ndarray:
    return _FINE if alphabet <= _FINE_ALPHABET else _COARSE


def _entropy_levels(counts: np.ndarray) -> np.ndarray:
    """Nearest level of each count on a log scale, the highest count at the top level; absent = -1."""
    ladder = _frequencies_of(counts.size)
    levels = np.full(counts.shape, -1, dtype=np.int64)
    seen = counts > 0
    scaled = counts[seen] * (ladder[-1] / counts.max())
    edges = np.sqrt(ladder[1:] * ladder[:-1].astype(np.float64))
    levels[seen] = np.searchsorted(edges, scaled)
    return levels


def _encode_entropy_table(counts: np.ndarray) -> bytes:
    levels = _entropy_levels(counts)
    least = int(levels[levels >= 0].min())
    # Code 0 means absent; when every symbol occurs the code space shifts down and the table gets shorter.
    absent = int(levels.min() < 0)
    codes = np.where(levels < 0, 0, levels - least + absent)
    width = int(codes.max()).bit_length()
    return varint(least << 1 | absent) + bytes([width]) + _pack_entropy_bits(codes, width)


def _read_entropy_table(data: bytes, at: int, alphabet: int) -> tuple[np.ndarray, int]:
    ladder = _frequencies_of(alphabet)
    first, at = read_varint(data, at)
    least, absent = first >> 1, first & 1
    width = data[at] if at < len(data) else len(ladder)
    end = at + 1 + -(-alphabet * width // 8)
    if end > len(data) or width > len(ladder).bit_length():
        raise ForgeError("coded data: a frequency table is cut off")
    codes = _unpack_bits(data[at + 1 : end], alphabet, width)
    levels = np.clip(codes + min(least, len(ladder)) - absent, 0, len(ladder) - 1)
    frequency = np.where((codes == 0) & bool(absent), 0, ladder[levels])
    if not frequency.any():
        raise ForgeError("coded data: a frequency table is empty")
    return frequency, end


def _ans_model(frequency: np.ndarray | int) -> object:
    """Coder model of an integer table, or of ``frequency`` equally likely symbols."""
    models = constriction.stream.model
    if isinstance(frequency, int):
        return models.Uniform(frequency)
    return models.Categorical(frequency.astype(np.float64), perfect=False)


def _encode_groups(groups: Sequence[np.ndarray], tables: Sequence[np.ndarray | int]) -> bytes:
    coder = constriction.stream.stack.AnsCoder()
    for group, table in zip(reversed(groups), reversed(tables), strict=True):
        if group.size:
            coder.encode_reverse(np.ascontiguousarray(group, dtype=np.int32), _ans_model(table))
    words: np.ndarray = coder.get_compressed()
    return words.astype("<u4").tobytes()


def _ans_encode_with_tables(groups: list[np.ndarray], alphabet: int) -> bytes:
    raw, tables = b"", []
    for group in groups:
        counts = np.bincount(group, minlength=alphabet)
        table = _encode_entropy_table(counts if group.size else np.ones(alphabet, dtype=np.int64))
        tables.append(_read_entropy_table(table, 0, alphabet)[0])
        raw += table
    return raw + _encode_groups(groups, tables)


def _check_entropy_symbols(symbols: np.ndarray, alphabet: int) -> np.ndarray:
    flat = np.asarray(symbols).reshape(-1).astype(np.int64)
    if not 2 <= alphabet <= _MAX_ALPHABET:
        raise ForgeError(f"entropy coder: alphabet size must be 2..{_MAX_ALPHABET}, got {alphabet}")
    if flat.size and (flat.min() < 0 or flat.max() >= alphabet):
        raise ForgeError(f"entropy coder: a symbol lies outside 0..{alphabet - 1}")
    return flat


def encode_symbols(symbols: np.ndarray, alphabet: int, runs: Sequence[int] | None = None) -> bytes:
    """Code ``symbols`` (any shape, row-major) from ``0..alphabet-1``.

    ``runs``: lengths of the pieces that the symbols come in, known to the decoder too (say, which tensor they are
    of); each has a frequency table of its own where that makes the result shorter. ForgeError for a symbol outside
    the alphabet or an alphabet outside 2..65536.
    """
    flat = _check_entropy_symbols(symbols, alphabet)
    head = varint(alphabet)
    candidates = [bytes([_UNIFORM]) + head + _encode_groups([flat], [alphabet])]
    if flat.size:
        candidates.append(bytes([_SHARED]) + head + _ans_encode_with_tables([flat], alphabet))
    if flat.size and runs is not None and len(runs) > 1:
        groups = np.split(flat, np.cumsum(runs)[:-1])
        candidates.append(bytes([_BY_CONTEXT]) + head + _ans_encode_with_tables(groups, alphabet))
    return min(candidates, key=len)


def _ans_stream_words(data: bytes) -> np.ndarray:
    if len(data) % 4:
        raise ForgeError("coded data: the stream is cut off")
    return np.frombuffer(data, dtype="<u4").astype(np.uint32)


def coded_alphabet(data: bytes) -> int:
    """Size of the alphabet that `encode_symbols` was given; ForgeError if ``data`` does not begin as its result."""
    if not data or data[0] > _BY_CONTEXT:
        raise ForgeError("coded data: unknown coding mode")
    alphabet, _ = read_varint(data, 1)
    if not 2 <= alphabet <= _MAX_ALPHABET:
        raise ForgeError("coded data: impossible alphabet size")
    return alphabet


def decode_symbols(data: bytes, n: int, alphabet: int, runs: Sequence[int] | None = None) -> np.ndarray:
    """The ``n`` symbols, uint8 or, of an alphabet above 256, uint16 (n), of :func:`encode_symbols`, given the same
    ``alphabet`` and ``runs``. Takes memory for the result and a megabyte; the caller bounds ``n``.

    ForgeError if the data is malformed, of another alphabet, or holds more than ``n`` symbols.
    """
    if coded_alphabet(data) != alphabet:
        raise ForgeError(f"coded data: its alphabet has {coded_alphabet(data)} symbols, not {alphabet}")
    sizes = [n]
    if data[0] == _BY_CONTEXT:
        if runs is None or sum(runs) != n:
            raise ForgeError("coded data: it was coded in runs, and their lengths are missing")
        sizes = list(runs)
    if alphabet * len(sizes) > _FREE_FREQUENCIES + 8 * len(data):
        raise ForgeError("coded data: more frequency tables than its length allows")
    tables: list[np.ndarray | int] = [alphabet]
    _, at = read_varint(data, 1)
    if data[0] != _UNIFORM:
        tables = []
        for _ in sizes:
            frequency, at = _read_entropy_table(data, at, alphabet)
            tables.append(frequency)
    try:
        return _decode_groups(_ans_stream_words(data[at:]), sizes, tables)
    except (ValueError, AssertionError) as error:
        raise ForgeError(f"coded data: the stream is malformed ({error})") from error


def _decode_groups(words: np.ndarray, sizes: Sequence[int], tables: Sequence[np.ndarray | int]) -> np.ndarray:
    alphabet = tables[0] if isinstance(tables[0], int) else tables[0].size
    out = np.empty(sum(sizes), dtype=np.uint8 if alphabet <= 256 else np.uint16)
    coder, begin = constriction.stream.stack.AnsCoder(words), 0
    for size, table in zip(sizes, tables, strict=True):
        model = _ans_model(table) if size else None
        for at in range(begin, begin + size, _AT_ONCE):
            count = min(_AT_ONCE, begin + size - at)
            out[at : at + count] = coder.decode(model, count)
        begin += size
    if not coder.is_empty():
        raise ValueError("it holds more symbols than it should")
    return out


def encode_agent_file_halves(values: np.ndarray) -> bytes:
    """Lossless float16 array: high bytes (sign, exponent: skewed) and low bytes as two streams."""
    raw = np.ascontiguousarray(values, dtype="<f2").reshape(-1).view(np.uint8)
    high = encode_symbols(raw[1::2], 256)
    return varint(len(high)) + high + encode_symbols(raw[0::2], 256)


def decode_agent_file_halves(data: bytes, n: int) -> np.ndarray:
    """The ``n`` float16 values of :func:`encode_agent_file_halves`; ForgeError if the data is malformed."""
    size, at = read_varint(data, 0)
    raw = np.empty(2 * n, dtype=np.uint8)
    raw[1::2] = decode_symbols(data[at : at + size], n, 256)
    raw[0::2] = decode_symbols(data[at + size :], n, 256)
    return raw.view("<f2")
