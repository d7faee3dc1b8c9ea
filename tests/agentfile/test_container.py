"""The one-file agent: exact, small, self-contained, and refused in one line if anything is wrong with it."""

from __future__ import annotations

import hashlib
import inspect
import os
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forge.agentfile.codecs import Coded, decode_tensor, encode_with_row_codec
from forge.agentfile.container import (
    AgentParts,
    decode_agent,
    encode_agent,
    pack_agent_file_parts,
    read_agent,
    write_agent,
)
from forge.agentfile.header import MAGIC, VERSION, open_agent_file
from forge.agentfile.jsonzip import deflate_agent_file_json, inflate_agent_file_json
from forge.agentfile.model import CONFIG_FIELDS, load_agent_file, save_agent_file
from forge.agentfile.vq import VQState
from forge.data.tokenizer import train_tokenizer
from forge.errors import ForgeError
from forge.model import TinyTitanConfig, TinyTitanForCausalLM, names_of_core_model_weights
from forge.model.quantizers import fake_rowwise, fake_ternary
from tests.support.entropy import entropy_bits

pytestmark = pytest.mark.long

TOKENIZER = train_tokenizer(["the cat sat on the mat 123 " * 9], 290, ["the cat sat on"])
CORE = [f"{m}.0.{part}.weight" for m in ("low", "high") for part in ("attn.q", "ffn.up", "ffn.down")]
CONFIG = {
    "model_type": "tinytitan",
    "weight_quant": "ternary",
    "hidden_size": 16,
    "low_heads": [2],
    "act_bits": 8,
}


def _state(d: int = 16, f: int = 24, rows: int | None = None) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    state = {"embed.weight": torch.randn(rows or len(TOKENIZER), d, generator=g) * 0.02}
    for name in CORE:
        shape = (f, d) if "up" in name else (d, f) if "down" in name else (d, d)
        state[name] = torch.randn(*shape, generator=g) * 0.05
    state["memory.gate.weight"] = torch.randn(2, d, generator=g)
    state["halt.bias"] = torch.randn(1, generator=g)
    state["low_init"] = torch.randn(d, generator=g)
    return state


def _vq(state: dict[str, torch.Tensor]) -> VQState:
    return VQState.from_state_dict(
        {n: state[n] for n in CORE}, k=16, v=5, role=lambda n: "ffn" if "ffn" in n else "attn"
    )


def _parts(**settings: Any) -> AgentParts:
    return encode_agent(CONFIG, _state(), TOKENIZER, CORE, **settings)


@pytest.mark.parametrize("embed_bits", [2, 3, 4, 8])
def test_what_is_read_is_bit_for_bit_what_was_quantized(tmp_path: Path, embed_bits: int) -> None:
    state, path = _state(), tmp_path / "agent.forge"
    sizes = write_agent(path, _parts(embed_bits=embed_bits, metadata={"parents": ["edge"]}))
    parts = read_agent(path)
    config, got, tokenizer = decode_agent(parts)
    assert config == {**CONFIG, "weight_quant": "frozen"}
    assert parts.metadata == {"parents": ["edge"]}
    assert list(got) == list(state)
    assert all(t.dtype == torch.float32 for t in got.values())
    for name in CORE:
        assert torch.equal(got[name], fake_ternary(state[name]))
    assert torch.equal(got["embed.weight"], fake_rowwise(state["embed.weight"], embed_bits))
    for name in ("memory.gate.weight", "halt.bias", "low_init"):
        assert torch.equal(got[name], state[name].half().float())
    assert tokenizer.get_vocab() == TOKENIZER.get_vocab()
    assert open_agent_file(path).bytes_by_component() == sizes
    assert sum(sizes.values()) == path.stat().st_size


@pytest.mark.parametrize("row_scales", [True, False])
def test_vector_quantized_core_is_exact(tmp_path: Path, row_scales: bool) -> None:
    state = _state()
    trained = VQState.from_state_dict({n: state[n] for n in CORE}, k=16, v=5, row_scales=row_scales, codebook_bits=6)
    write_agent(tmp_path / "a", encode_agent(CONFIG, state, TOKENIZER, CORE, vq=trained.freeze()))
    got = decode_agent(read_agent(tmp_path / "a"))[1]
    assert all(torch.equal(got[name], w) for name, w in trained.weights().items())


def _model() -> TinyTitanForCausalLM:
    """A ternary model whose small tensors are float16 values, as its file holds them."""
    torch.manual_seed(0)
    config = TinyTitanConfig(
        vocab_size=len(TOKENIZER), hidden_size=32, weight_quant="ternary", embed_bits=4, act_bits=8
    )
    model = TinyTitanForCausalLM(config).eval()
    names = (*names_of_core_model_weights(model), "embed.weight")
    small = {n: p.data.half().float() for n, p in model.named_parameters() if n not in names}
    model.load_state_dict(small, strict=False)
    return model


def test_a_model_loaded_from_its_file_alone_gives_the_same_logits(tmp_path: Path) -> None:
    model = _model()
    sizes = save_agent_file(tmp_path / "a", model, TOKENIZER, embed_bits=4, metadata={"made_by": "test"})
    assert sizes == open_agent_file(tmp_path / "a").bytes_by_component()
    again, tokenizer, metadata = load_agent_file(tmp_path / "a")
    assert not again.training
    assert metadata == {"made_by": "test"}
    ids = torch.tensor([tokenizer.encode("the cat sat on the mat 12")])
    with torch.no_grad():
        assert torch.equal(again(ids).logits, model(ids).logits)
    save_agent_file(tmp_path / "b", again, tokenizer, embed_bits=4, metadata=metadata)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_file_says_all_that_its_reader_builds_a_model_from() -> None:
    """A field of the configuration that shapes a model and that the file left out would be read as its default."""
    needed = {*inspect.signature(TinyTitanConfig.__init__).parameters} - {"self", "kwargs"}
    assert needed - {*CONFIG_FIELDS} == {"weight_quant", "embed_bits"}  # decoded weights are not quantized again


def test_weights_that_do_not_fit_the_configuration_are_refused(tmp_path: Path) -> None:
    model = _model()
    config = {key: value for key, value in model.config.to_dict().items() if key in CONFIG_FIELDS} | {"low_ffn": [8, 8]}
    write_agent(tmp_path / "a", encode_agent(config, model.state_dict(), TOKENIZER, names_of_core_model_weights(model)))
    with pytest.raises(ForgeError, match="do not fit its configuration") as caught:
        load_agent_file(tmp_path / "a")
    assert str(caught.value).startswith(str(tmp_path / "a"))
    assert "\n" not in str(caught.value)


def test_some_matrices_may_be_vector_quantized_and_others_ternary(tmp_path: Path) -> None:
    state = _state()
    trained = VQState.from_state_dict({CORE[1]: state[CORE[1]]}, k=8, v=4)
    write_agent(tmp_path / "a", encode_agent(CONFIG, state, TOKENIZER, CORE, vq=trained.freeze()))
    got = decode_agent(read_agent(tmp_path / "a"))[1]
    assert torch.equal(got[CORE[1]], trained.weights()[CORE[1]])
    assert torch.equal(got[CORE[0]], fake_ternary(state[CORE[0]]))


def test_equal_parts_give_equal_bytes_and_coding_again_changes_nothing(tmp_path: Path) -> None:
    parts = _parts()
    write_agent(tmp_path / "a", parts)
    assert (
        (tmp_path / "a").read_bytes()
        == pack_agent_file_parts(_parts())
        == pack_agent_file_parts(read_agent(tmp_path / "a"))
    )
    config, state, tokenizer = decode_agent(parts)
    assert pack_agent_file_parts(encode_agent(config, state, tokenizer, CORE, frozen=True)) == pack_agent_file_parts(
        parts
    )


def test_codes_cost_little_more_than_their_entropy() -> None:
    state = _state(d=128, f=256)
    parts = encode_agent(CONFIG, state, TOKENIZER, CORE, embed_bits=4)
    bits = sum(
        entropy_bits(parts.tensors[n].codes) * parts.tensors[n].codes.size
        for n in state
        if n == "embed.weight" or n in CORE
    )
    fixed = 900 + 3 * len(state["embed.weight"])  # tokenizer, header, small tensors, checksum; row scales
    assert bits / 8 < len(pack_agent_file_parts(parts)) < bits / 8 * 1.01 + fixed


def test_decoding_more_than_half_a_million_weights_is_quick() -> None:
    names = [f"low.{i}.ffn.up.weight" for i in range(8)]
    g = torch.Generator().manual_seed(0)
    state = {
        "embed.weight": torch.randn(600, 128, generator=g),
        **{n: torch.randn(512, 128, generator=g) for n in names},
    }
    parts = encode_agent(CONFIG, state, TOKENIZER, names)
    decode_agent(parts)
    started = time.perf_counter()
    decode_agent(parts)
    assert time.perf_counter() - started < 1.0


FILES = {"ternary": pack_agent_file_parts(_parts()), "vq": pack_agent_file_parts(_parts(vq=_vq(_state()).freeze()))}


@pytest.mark.parametrize("kind", list(FILES))
def test_every_flipped_byte_is_noticed(tmp_path: Path, kind: str) -> None:
    path, data = tmp_path / "agent.forge", FILES[kind]
    for at in [*range(14), *range(14, len(data), 50), *range(len(data) - 33, len(data))]:
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :])
        for reader in (read_agent, open_agent_file):
            with pytest.raises(ForgeError) as caught:
                reader(path)
            assert str(caught.value).startswith(str(path))
            assert "\n" not in str(caught.value)


def test_truncation_and_additions_are_noticed(tmp_path: Path) -> None:
    path, data = tmp_path / "agent.forge", FILES["vq"]
    for cut in [*range(1, 60), *range(60, len(data), 97), len(data) - 1]:
        path.write_bytes(data[:cut])
        with pytest.raises(ForgeError):
            read_agent(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(ForgeError, match="checksum"):
        read_agent(path)


def test_wrong_files_get_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "agent.forge"
    cases: list[tuple[bytes, str]] = [
        (b"", "empty"),
        (b"PK\x03\x04" * 30, "not an agent file"),
        (MAGIC, "cut off"),
        (MAGIC + struct.pack("<HI", VERSION + 1, 9) + b"x" * 60, f"format version {VERSION + 1} is newer"),
        (MAGIC + struct.pack("<HI", VERSION - 1, 9) + b"x" * 60, f"format version {VERSION - 1} is older"),
    ]
    for data, message in cases:
        path.write_bytes(data)
        with pytest.raises(ForgeError, match=message):
            read_agent(path)
    os.mkfifo(tmp_path / "pipe")
    for special in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ForgeError, match="not a regular file"):
            read_agent(special)
    with pytest.raises(ForgeError, match="no such file"):
        read_agent(tmp_path / "missing")
    with pytest.raises(ForgeError, match="cannot be read"):
        read_agent(path / "below a file")


def _forged(change: Any) -> bytes:
    """An agent file with a valid checksum whose header was tampered with."""
    data = FILES["vq"]
    start = len(MAGIC) + 6
    size = struct.unpack_from("<I", data, len(MAGIC) + 2)[0]
    header = inflate_agent_file_json(data[start : start + size])
    changed = change(header)
    changed = header if changed is None else changed
    raw = deflate_agent_file_json(changed)
    body = MAGIC + struct.pack("<HI", VERSION, len(raw)) + raw + data[start + size : -32]
    return body + hashlib.sha256(body).digest()


def _set(*keys: Any, to: Any) -> Any:
    def change(header: dict[str, Any]) -> None:
        for key in keys[:-1]:
            header = header[key]
        header[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda header: {},
        lambda header: [1],
        lambda header: {**header, "tensors": 3},
        lambda header: {**header, "sections": header["sections"][:-1]},
        _set("sections", 0, to=-1),
        _set("sections", 1, to=0),
        _set("tensors", 0, 1, to="zip"),
        _set("tensors", 0, 2, to=[-1, 2]),
        _set("tensors", 0, 2, to=[1 << 20, 1 << 20]),
        _set("tensors", 0, 2, to=[5]),
        _set("tensors", 1, 3, to=7),
        _set("tensors", 1, 4, to=99),
        _set("tensors", 1, 4, to=1),
        _set("tensors", 1, 1, to="vq:none"),
        _set("tensors", 1, to=["x"]),
        _set("codebooks", 0, 1, to=1),
        _set("codebooks", 0, 1, to=3),
        _set("codebooks", 0, 2, to=2),
        _set("codebooks", 0, 3, to=99),
        _set("codebooks", to=[]),
    ],
)
def test_forged_headers_never_escape_as_another_error(tmp_path: Path, change: Any) -> None:
    (tmp_path / "a").write_bytes(_forged(change))
    with pytest.raises(ForgeError):
        decode_agent(read_agent(tmp_path / "a"))


def test_forgery_with_an_unchanged_header_is_the_file_itself() -> None:
    assert _forged(lambda header: None) == FILES["vq"]


def test_impossible_requests_are_refused() -> None:
    state = _state()
    with pytest.raises(ForgeError, match="5 bits"):
        _parts(embed_bits=5)
    with pytest.raises(ForgeError, match="no weight"):
        encode_agent(CONFIG, state, TOKENIZER, ["nowhere.weight"])
    with pytest.raises(ForgeError, match="embedding rows"):
        encode_agent(CONFIG, _state(rows=20), TOKENIZER, CORE)
    with pytest.raises(ForgeError, match=r"low_init.*finite"):
        encode_agent(CONFIG, {**state, "low_init": torch.full((16,), 1e9)}, TOKENIZER, CORE)
    with pytest.raises(ForgeError, match="need a matrix"):
        encode_with_row_codec(state["low_init"], 8)
    with pytest.raises(ForgeError, match="frozen"):
        _parts(frozen=True)


def test_decoder_names_the_fault_of_a_tensor() -> None:
    coded = Coded("vq:a", (2, 4), np.full((2, 1), 9, dtype=np.int32), np.zeros(2, dtype=np.int8))
    with pytest.raises(ForgeError, match="codebook a is missing"):
        decode_tensor(coded, {})
    books = VQState.from_state_dict({"w": torch.ones(2, 4)}, k=4, v=4, role=lambda n: "a").freeze().codebooks
    with pytest.raises(ForgeError, match="outside codebook"):
        decode_tensor(coded, books)
    parts = _parts()
    broken = AgentParts(parts.config, parts.tokenizer, {"w": coded})
    with pytest.raises(ForgeError, match="agent: w: codebook"):
        decode_agent(broken)
