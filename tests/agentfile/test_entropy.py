"""Entropy coding: lossless for any data, close to the entropy, one clear error for damaged streams."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.agentfile import entropy
from forge.agentfile.entropy import (
    decode_agent_file_halves,
    decode_symbols,
    encode_agent_file_halves,
    encode_symbols,
    read_varint,
    varint,
)
from forge.agentfile.jsonzip import deflate_agent_file_json, inflate_agent_file_json
from forge.errors import ForgeError
from tests.support.entropy import entropy_bits


@given(st.integers(2, 300).flatmap(lambda a: st.tuples(st.just(a), st.lists(st.integers(0, a - 1), max_size=120))))
@settings(max_examples=80, deadline=None)
def test_any_symbols_round_trip(case: tuple[int, list[int]]) -> None:
    alphabet, symbols = case
    got = decode_symbols(encode_symbols(np.array(symbols, dtype=np.int64), alphabet), len(symbols), alphabet)
    assert got.tolist() == symbols


@pytest.mark.parametrize("zeros", [0.34, 0.42, 0.75, 0.95])
def test_trits_come_within_half_a_percent_of_their_entropy(zeros: float) -> None:
    rng = np.random.default_rng(0)
    trits = rng.choice(3, size=60_000, p=[(1 - zeros) / 2, zeros, (1 - zeros) / 2])
    size = 8 * len(encode_symbols(trits, 3)) / trits.size
    assert entropy_bits(trits) <= size < entropy_bits(trits) * 1.005 + 0.01


def test_skewed_indices_pay_and_flat_ones_carry_no_table() -> None:
    rng = np.random.default_rng(1)
    share = np.exp(rng.normal(size=256))
    skewed = rng.choice(256, size=20_000, p=share / share.sum())
    assert len(encode_symbols(skewed, 256)) < (entropy_bits(skewed) / 8 + 0.015) * skewed.size < 20_000
    flat = rng.permutation(np.repeat(np.arange(256), 8))
    assert len(encode_symbols(flat, 256)) <= flat.size + 12


def test_runs_pay_where_they_differ_and_cost_nothing_where_not() -> None:
    rng = np.random.default_rng(2)
    runs = [4000, 4000, 4000]
    differing = rng.integers(0, 4, 12_000) + 4 * np.repeat([0, 1, 2], 4000)
    plain, split = encode_symbols(differing, 12), encode_symbols(differing, 12, runs)
    assert len(split) < 0.6 * len(plain)
    assert np.array_equal(decode_symbols(split, 12_000, 12, runs), differing)
    for wrong in (None, [4000, 4000]):
        with pytest.raises(ForgeError, match="runs"):
            decode_symbols(split, 12_000, 12, wrong)
    alike = rng.integers(0, 12, 12_000)
    assert encode_symbols(alike, 12, runs) == encode_symbols(alike, 12)


def test_a_run_may_be_empty() -> None:
    symbols, runs = np.array([0] * 900 + [1] * 900), [900, 0, 900]
    data = encode_symbols(symbols, 2, runs)
    assert np.array_equal(decode_symbols(data, symbols.size, 2, runs), symbols)
    assert len(data) < 40


def test_long_runs_are_decoded_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    symbols, runs = np.random.default_rng(3).integers(0, 300, 1000), [137, 863]
    data = encode_symbols(symbols, 300, runs)
    monkeypatch.setattr(entropy, "_AT_ONCE", 50)
    assert np.array_equal(decode_symbols(data, 1000, 300, runs), symbols)


def test_what_a_stream_does_not_hold_is_refused() -> None:
    data = encode_symbols(np.arange(200) % 7, 7)
    with pytest.raises(ForgeError, match="7 symbols, not 3"):
        decode_symbols(data, 200, 3)
    with pytest.raises(ForgeError, match="more symbols"):
        decode_symbols(data, 190, 7)
    with pytest.raises(ForgeError, match="more frequency tables"):
        decode_symbols(b"\x02" + varint(1 << 16) + b"\0" * 40, 9, 1 << 16, [1] * 9)


def test_rare_symbols_survive_coarse_tables() -> None:
    symbols = np.zeros(100_000, dtype=np.int64)
    symbols[77] = 199
    data = encode_symbols(symbols, 200)
    assert np.array_equal(decode_symbols(data, symbols.size, 200), symbols)
    assert len(data) < 300


@given(st.lists(st.floats(width=16), max_size=40))
@settings(max_examples=40, deadline=None)
def test_halves_are_lossless(values: list[float]) -> None:
    array = np.array(values, dtype=np.float16)
    assert decode_agent_file_halves(encode_agent_file_halves(array), array.size).tobytes() == array.tobytes()


def test_halves_of_like_size_take_less_than_two_bytes() -> None:
    scales = (np.abs(np.random.default_rng(0).normal(size=2000)) * 0.01 + 0.03).astype(np.float16)
    assert len(encode_agent_file_halves(scales)) < 0.85 * scales.nbytes


@given(st.integers(0, 2**50))
def test_varint_round_trip(value: int) -> None:
    assert read_varint(b"\x00" + varint(value), 1) == (value, 1 + len(varint(value)))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x09\x03", b"\x00", b"\x00\x80", b"\x00\x01", b"\x01\x03", b"\x01\x03\x00\xff", b"\x00\x03abc"],
)
def test_malformed_streams_are_refused(data: bytes) -> None:
    with pytest.raises(ForgeError, match="coded data"):
        decode_symbols(data, 5, 3)


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(ForgeError, match="empty"):
        decode_symbols(b"\x01\x03\x01\x01\x00", 5, 3)


@pytest.mark.parametrize(("symbols", "alphabet"), [([3], 3), ([-1], 3), ([0], 1), ([0], 70_000)])
def test_impossible_symbols_are_refused(symbols: list[int], alphabet: int) -> None:
    with pytest.raises(ForgeError, match="entropy coder"):
        encode_symbols(np.array(symbols), alphabet)


def test_json_is_squeezed_and_damage_refused() -> None:
    obj = {"model_type": "tinytitan", "low_heads": [4, 4], "name": "Zoë", "x": 0.1}
    data = deflate_agent_file_json(obj)
    assert inflate_agent_file_json(data) == obj
    assert len(data) < 60
    bomb = zlib.compress(b'"' + b"x" * (1 << 23) + b'"', wbits=-15)
    nested = zlib.compress(b"[" * 100_000, wbits=-15)
    for bad in (data[:-3], data + b"\0", b"", b"\xff" * 9, bomb, nested):
        with pytest.raises(ForgeError, match="packed JSON"):
            inflate_agent_file_json(bad)
    with pytest.raises(ForgeError, match="JSON"):
        deflate_agent_file_json({"x": float("nan")})
    with pytest.raises(ForgeError, match="too many"):
        deflate_agent_file_json("x" * (1 << 23))
