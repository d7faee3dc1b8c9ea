"""Packed ternary files: lossless, small, and refused when damaged. Oracle: llama.cpp's TQ1_0 from `gguf`."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from forge.errors import ForgeError
from forge.files import save_safetensors_file
from forge.model.packed import pack_model_weight_trits, pack_state_dict, unpack_model_weight_trits, unpack_state_dict
from forge.model.quantizers import fake_rowwise, fake_ternary, ternary

CORE = ["low.0.ffn.up.weight", "low.0.attn.o.weight"]


def _state() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(3)
    return {
        "embed.weight": torch.randn(33, 21, generator=g) * 0.02,
        CORE[0]: torch.randn(40, 21, generator=g) * 0.1,
        CORE[1]: torch.randn(21, 13, generator=g) * 0.1,
        "halt.weight": torch.randn(1, 21, generator=g),
        "low_init": torch.randn(21, generator=g),
    }


def _shapes(state: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(t.shape) for name, t in state.items()}


@given(st.lists(st.integers(-1, 1), max_size=200))
@settings(max_examples=60, deadline=None)
def test_trits_round_trip_in_five_a_byte(trits: list[int]) -> None:
    codes = np.array(trits, dtype=np.int8)
    packed = pack_model_weight_trits(codes)
    assert packed.dtype == np.uint8
    assert packed.size == -(-codes.size // 5)
    assert np.array_equal(unpack_model_weight_trits(packed, codes.size), codes)


def test_trits_are_base_three_with_the_first_trit_least() -> None:
    assert pack_model_weight_trits(np.array([1, -1, -1, -1, -1])).tolist() == [2]
    assert pack_model_weight_trits(np.array([-1, -1, -1, -1, 1])).tolist() == [162]
    assert pack_model_weight_trits(torch.ones(5, dtype=torch.int8)).tolist() == [242]


def test_same_trits_and_values_as_tq1_0() -> None:
    generator = torch.Generator().manual_seed(0)
    codes, _ = ternary(torch.randn(8, 512, generator=generator))
    values = codes.numpy().astype(np.float32) * np.float32(0.25)
    kind = gguf.GGMLQuantizationType.TQ1_0
    raw = gguf.quants.quantize(values, kind)
    theirs = gguf.quants.dequantize(raw, kind).reshape(codes.shape)
    packed = pack_model_weight_trits(codes)
    ours = unpack_model_weight_trits(packed, codes.numel()).reshape(codes.shape) * np.float32(0.25)
    assert np.array_equal(ours, theirs)
    assert packed.size * 8 / codes.numel() == pytest.approx(1.6, abs=0.01)
    assert packed.size < raw.size


@pytest.mark.parametrize("bits", [4, 8])
def test_packed_file_holds_exactly_the_fake_quantized_weights(tmp_path: Path, bits: int) -> None:
    state = _state()
    save_safetensors_file(tmp_path / "packed.safetensors", pack_state_dict(state, CORE, bits))
    got = unpack_state_dict(load_file(tmp_path / "packed.safetensors"), _shapes(state))
    assert list(got) == list(state)
    assert torch.equal(got["embed.weight"], fake_rowwise(state["embed.weight"], bits))
    for name in CORE:
        assert torch.equal(got[name], fake_ternary(state[name]))
    for name in ("halt.weight", "low_init"):
        assert torch.equal(got[name], state[name])


def test_frozen_weights_keep_their_values_and_floats_stay_floats() -> None:
    state = _state()
    first = unpack_state_dict(pack_state_dict(state, CORE, 4), _shapes(state))
    second = unpack_state_dict(pack_state_dict(first, CORE, 4, frozen=True), _shapes(state))
    assert all(torch.equal(first[name], second[name]) for name in state)
    with pytest.raises(ForgeError, match="frozen"):
        pack_state_dict(state, CORE, 4, frozen=True)
    whole = unpack_state_dict(pack_state_dict(state, CORE, 0), _shapes(state))
    assert torch.equal(whole["embed.weight"], state["embed.weight"])


def test_packed_core_is_nearly_twenty_times_smaller(tmp_path: Path) -> None:
    state = {"low.0.ffn.up.weight": torch.randn(512, 256, generator=torch.Generator().manual_seed(1))}
    save_safetensors_file(tmp_path / "packed.safetensors", pack_state_dict(state, list(state), 4))
    assert 512 * 256 * 4 / (tmp_path / "packed.safetensors").stat().st_size > 19


def test_damage_is_refused() -> None:
    state = _state()
    packed = pack_state_dict(state, CORE, 4)
    shapes = _shapes(state)
    with pytest.raises(ForgeError, match="missing"):
        unpack_state_dict({k: v for k, v in packed.items() if k != f"{CORE[0]}.trits"}, shapes)
    with pytest.raises(ForgeError, match="cannot hold"):
        unpack_state_dict({**packed, f"{CORE[0]}.trits": packed[f"{CORE[0]}.trits"][:-1]}, shapes)
    with pytest.raises(ForgeError, match="above 242"):
        unpack_state_dict({**packed, f"{CORE[0]}.trits": packed[f"{CORE[0]}.trits"].clone().fill_(250)}, shapes)
    with pytest.raises(ForgeError, match="codes"):
        unpack_state_dict({**packed, "embed.weight.nibbles": packed["embed.weight.nibbles"][:-2]}, shapes)
    with pytest.raises(ForgeError, match="shape"):
        unpack_state_dict(packed, {**shapes, "low_init": (20,)})


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ForgeError, match="ternary code"):
        pack_model_weight_trits(np.array([0, 2]))
    with pytest.raises(ForgeError, match="embed_bits"):
        pack_state_dict(_state(), CORE, 5)
    with pytest.raises(ForgeError, match="no weight"):
        pack_state_dict(_state(), ["nowhere.weight"], 4)
