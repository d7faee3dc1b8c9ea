"""Configurations and directories of models that a stranger may have written, for `forge.model.load_model`.

Every one of them must end in one line of ForgeError, before anything large is allocated.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from forge.model.config import TinyTitanConfig

NOT_SIZES: tuple[Any, ...] = (0, -1, 2**31, 10**30, 4.0, True, "4", None, [4], {}, float("nan"), float("inf"))
NOT_BLOCKS: tuple[Any, ...] = ([], [0], [-1], [2**40], [True], ["4"], [1.0], [None], [[4]], [4] * 65, 4, "44", {"4": 4})
NOT_CHOICES: tuple[Any, ...] = (None, "yes", 2, 1.0, 7, [], {}, "ternar")
NOT_RATES: tuple[Any, ...] = (float("nan"), float("inf"), -1.0, 1e30, "0.5", None, True, [0.5], {"__float__": "NaN"})
SIZES = (
    "vocab_size",
    "hidden_size",
    "head_dim",
    "max_steps",
    "window",
    "memory_heads",
    "memory_head_dim",
    "memory_chunk",
    "memory_capacity",
)
BLOCKS = ("low_heads", "high_heads", "low_ffn", "high_ffn")
CHOICES = ("architecture", "weight_quant", "act_bits", "embed_bits", "token_shift", "memory", "halting")
RATES = ("halt_threshold", "rope_theta")
FOREIGN: tuple[tuple[str, Any], ...] = (
    ("rope_theta", 0),
    ("max_steps", 10**9),
    ("head_dim", 7),
    ("num_labels", 30_000_000),
    ("num_labels", -1),
    ("num_labels", "9"),
    ("id2label", {str(i): "x" for i in range(65)}),
    ("id2label", {"x": "LABEL"}),
    ("label2id", [1]),
    ("label2id", "x"),
    ("architectures", "TinyTitan"),
    ("architectures", [1]),
    ("auto_map", "x"),
    ("dtype", "numpy"),
    ("dtype", "nn"),
    ("dtype", 7),
    ("torch_dtype", "int8"),
    ("model_type", "llama"),
    ("tie_word_embeddings", False),
    ("is_encoder_decoder", True),
    ("chunk_size_feed_forward", 4),
    ("problem_type", "regression"),
    ("output_attentions", True),
    ("return_dict", "no"),
    ("attn_implementation", "flash_attention_2"),
    ("per_layer_config", {"0": {"hidden_size": 2**30}}),
    ("rope_scaling", {"type": "linear", "factor": 1e9}),
    ("rope_parameters", {"rope_theta": 0}),
    ("layer_types", ["full_attention"] * 9),
    ("quantization_config", {"quant_method": "gptq"}),
    ("transformers_version", 5),
    ("_name_or_path", ["x"]),
    ("eos_token_id", 10**9),
    ("eos_token_id", -1),
    ("pad_token_id", "0"),
    ("attribute_map", {"vocab_size": "hidden_size"}),
    ("sub_configs_defaults", {}),
    ("embed", 4),
    ("__class__", "x"),
    ("x" * 5000, 1),
)


def hostile_configurations() -> Iterator[tuple[str, Any]]:
    """(key, value) that no configuration may have, 300 of them."""
    for keys, values in ((SIZES, NOT_SIZES), (BLOCKS, NOT_BLOCKS), (CHOICES, NOT_CHOICES), (RATES, NOT_RATES)):
        yield from ((key, value) for key in keys for value in values if not _allowed(key, value))
    yield from FOREIGN


def _allowed(key: str, value: Any) -> bool:
    return key == "embed_bits" and type(value) is int and value == 2


def _rewrite(name: str, make: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(make((folder / name).read_bytes()))

    return change


def _configure(**changes: Any) -> Callable[[Path], None]:
    return _rewrite("config.json", lambda data: json.dumps({**json.loads(data), **changes}).encode())


def _header(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Weights with another header: its length is told first, in eight bytes."""

    def make(data: bytes) -> bytes:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        change(header)
        text = json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + data[8 + size :]

    return make


def _replace(name: str, put: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        put(folder / name)

    return change


def _weights(**changes: Any) -> Callable[[Path], None]:
    def change(header: dict[str, Any]) -> None:
        header["embed.weight"].update(changes)

    return _rewrite("model.safetensors", _header(change))


# What is done to a sound directory, and a word that its refusal has.
HOSTILE_DIRECTORIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "vocabulary of another size": (_configure(vocab_size=65536, hidden_size=8192), "config|shape"),
    "deep and wide": (
        _configure(low_heads=[512] * 64, low_ffn=[65536] * 64, high_heads=[512] * 64, high_ffn=[65536] * 64),
        "model.safetensors",
    ),
    "one block more": (_configure(low_heads=[2, 3, 1], low_ffn=[40, 24, 8]), "missing"),
    "without memory": (_configure(memory=False), "none of those"),
    "labels": (_configure(num_labels=30_000_000), "num_labels"),
    "no table": (_rewrite("config.json", lambda _: b"[]"), "table"),
    "nested": (_rewrite("config.json", lambda _: b"[" * 100_000), "config.json"),
    "endless integer": (_rewrite("config.json", lambda _: b'{"window": ' + b"9" * 5000 + b"}"), "config.json"),
    "large configuration": (lambda folder: os.truncate(folder / "config.json", 2**27), "bytes"),
    "empty configuration": (_rewrite("config.json", lambda _: b""), "config.json"),
    "not text": (_rewrite("config.json", lambda _: b"\xff\xfe\x00"), "config.json"),
    "cut weights": (_rewrite("model.safetensors", lambda data: data[:-40]), "model.safetensors"),
    "no weights": (_rewrite("model.safetensors", lambda _: b""), "model.safetensors"),
    "header beyond the file": (
        _rewrite("model.safetensors", lambda data: (2**60).to_bytes(8, "little") + data[8:]),
        "model.safetensors",
    ),
    "shape beyond the file": (_weights(shape=[2**40, 2**20]), "model.safetensors"),
    "shape of nothing": (_weights(shape=[2**40, 0], data_offsets=[0, 0]), "model.safetensors"),
    "turned shape": (_weights(shape=[24, 48]), "shape"),
    "another type": (_weights(dtype="I32"), "type"),
    "float8": (_weights(dtype="F8_E4M3"), "model.safetensors"),
    "not finite": (
        _rewrite("model.safetensors", lambda data: data[:-4] + b"\x00\x00\xc0\x7f"),
        "not finite",
    ),
    "infinite": (_rewrite("model.safetensors", lambda data: data[:-4] + b"\x00\x00\x80\x7f"), "not finite"),
    "configuration is a pipe": (_replace("config.json", os.mkfifo), "regular file"),
    "weights are a pipe": (_replace("model.safetensors", os.mkfifo), "regular file"),
    "weights are a device": (_replace("model.safetensors", lambda path: path.symlink_to("/dev/zero")), "regular file"),
    "something else is a pipe": (_replace("tokenizer_config.json", os.mkfifo), "regular file"),
    "a link to a device": (_replace("vocab.txt", lambda path: path.symlink_to("/dev/urandom")), "regular file"),
    "a link to nothing": (_replace("merges.txt", lambda path: path.symlink_to("gone")), "merges.txt"),
}


def _packed(name: str, **changes: Any) -> Callable[[Path], None]:
    return _rewrite("packed.safetensors", _header(lambda header: header[name].update(changes)))


def _packed_bytes(name: str, make: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Other bytes for one tensor, as many as before."""

    def change(data: bytes) -> bytes:
        size = int.from_bytes(data[:8], "little")
        start, end = (8 + size + offset for offset in json.loads(data[8 : 8 + size])[name]["data_offsets"])
        made = make(data[start:end])
        assert len(made) == end - start
        return data[:start] + made + data[end:]

    return _rewrite("packed.safetensors", change)


_TRITS, _SCALE = "low.0.ffn.up.weight.trits", "low.0.ffn.up.weight.scale"
_NAN, _INFINITE = b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f"
# What is done to a sound directory that holds packed weights alone.
HOSTILE_PACKED: dict[str, tuple[Callable[[Path], None], str]] = {
    "vocabulary of another size": (_configure(vocab_size=65536, hidden_size=8192), "config|shape"),
    "deep and wide": (
        _configure(low_heads=[512] * 64, low_ffn=[65536] * 64, high_heads=[512] * 64, high_ffn=[65536] * 64),
        "packed.safetensors",
    ),
    "one block more": (_configure(low_heads=[2, 3, 1], low_ffn=[40, 24, 8]), "missing"),
    "without memory": (_configure(memory=False), "none of those"),
    "embedding in eight bits": (_configure(embed_bits=8), "embed.weight.codes is missing"),
    "embedding in floats": (_configure(embed_bits=0), "embed.weight is missing"),
    "cut": (_rewrite("packed.safetensors", lambda data: data[:-40]), "packed.safetensors"),
    "empty": (_rewrite("packed.safetensors", lambda _: b""), "packed.safetensors"),
    "header beyond the file": (
        _rewrite("packed.safetensors", lambda data: (2**60).to_bytes(8, "little") + data[8:]),
        "packed.safetensors",
    ),
    "shape beyond the file": (_packed(_TRITS, shape=[2**40]), "packed.safetensors"),
    "shape of nothing": (_packed(_TRITS, shape=[2**40, 0], data_offsets=[0, 0]), "packed.safetensors"),
    "trits in rows": (_packed(_TRITS, shape=[32, 6]), "shape"),
    "trits with a sign": (_packed(_TRITS, dtype="I8"), "type"),
    "a scale for each of its rows": (_packed(_SCALE, shape=[1]), "shape"),
    "a scale of whole numbers": (_packed(_SCALE, dtype="I32"), "type"),
    "scales of another half precision": (_packed("embed.weight.scale", dtype="BF16"), "type"),
    "more than three values": (_packed_bytes(_TRITS, lambda data: b"\xff" * len(data)), "above 242"),
    "scale is not finite": (_packed_bytes(_SCALE, lambda _: _NAN), "not finite"),
    "scale is infinite": (_packed_bytes(_SCALE, lambda _: _INFINITE), "not finite"),
    "a row of the embedding is not finite": (
        _packed_bytes("embed.weight.scale", lambda data: b"\x00\x7e" + data[2:]),
        "not finite",
    ),
    "a plain weight is not finite": (_packed_bytes("low_init", lambda data: _NAN + data[4:]), "not finite"),
    "weights are a pipe": (_replace("packed.safetensors", os.mkfifo), "regular file"),
    "weights are a device": (_replace("packed.safetensors", lambda path: path.symlink_to("/dev/zero")), "regular file"),
}


_STRANGE: tuple[Any, ...] = (
    0, 1, 2, 3, 7, 64, 512, 65536, 2**31, -1, 0.5, 1e-30, 1e38, float("nan"), True, False, None, "", "no", [], [1], {},
)  # fmt: skip


def mutate(folder: Path, seed: int) -> None:
    """Change a copy of a sound directory at random: values of the configuration, of the header of the weights, of what
    the metadata declare, or bytes of any file."""
    rng = random.Random(seed)
    kind = rng.choice(("configuration", "header", "metadata", "bytes", "bytes"))
    if kind == "configuration":
        config = json.loads((folder / "config.json").read_text())
        for key in rng.sample(sorted(config), rng.randint(1, 3)):
            value = config[key]
            grown = [*value, *value] if isinstance(value, list) else rng.choice(_STRANGE)
            config[key] = rng.choice((grown, [rng.choice(_STRANGE)] * rng.randint(0, 3), rng.choice(_STRANGE)))
        (folder / "config.json").write_text(json.dumps(config))
    elif kind == "header":

        def change(header: dict[str, Any]) -> None:
            entry = header[rng.choice(sorted(set(header) - {"__metadata__"}))]
            field = rng.choice(("shape", "dtype", "data_offsets"))
            entry[field] = rng.choice((entry[field][::-1], [2**40], [0], ["x"], "F16", "I64", "F8_E5M2", None, {}, -1))

        _rewrite("model.safetensors", _header(change))(folder)
    elif kind == "metadata":
        metadata = json.loads((folder / "metadata.json").read_text())
        place: Any = metadata
        while rng.random() < 0.9:  # down into what it declares
            keys = sorted(place) if isinstance(place, dict) else range(len(place))
            inner = [key for key in keys if isinstance(place[key], dict | list) and place[key]]
            if not inner:
                break
            place = place[rng.choice(inner)]
        key = rng.choice(sorted(place)) if isinstance(place, dict) else rng.randrange(len(place))
        place[key] = rng.choice((*_STRANGE, place[key], [place[key]], {"run": {"command": ["touch", "made"]}}))
        (folder / "metadata.json").write_text(json.dumps(metadata))
    else:
        path = rng.choice(sorted(path for path in folder.iterdir() if path.suffix != ".py"))
        data = bytearray(path.read_bytes())
        for _ in range(rng.choice((1, 3, 40))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        path.write_bytes(data[: rng.choice((len(data), rng.randrange(len(data))))])


def known_keys() -> set[str]:
    """What a configuration of ours holds, so that a new key is attacked as well."""
    return set(TinyTitanConfig().to_dict()) - set(TinyTitanConfig.__mro__[1]().to_dict()) - {"tie_word_embeddings"}
