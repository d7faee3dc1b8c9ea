"""Tokens that mean different things are refused wherever they stand; settings, heads and rules that differ are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from forge.errors import ForgeError
from forge.merge.directories import Recipe, merge_directories, write_merged
from forge.merge.folder import ModelFolder
from forge.merge.tokens import check_tokens_alike, read_sentencepiece_tokens

WORDS = ["<unk>", "<s>", "</s>", "▁the", "<0x0A>", "a"]


def protobuf_text(field: int, data: bytes) -> bytes:
    """A field of bytes, shorter than 128."""
    return bytes([field << 3 | 2, len(data)]) + data


def sentencepiece(words: list[str]) -> bytes:
    """A SentencePiece model of these pieces, with scores, kinds and a trainer's block as real ones have."""
    pieces = [protobuf_text(1, word.encode()) + b"\x15\x00\x00\x80\xbf" + b"\x18\x01" for word in words]
    return b"".join(protobuf_text(1, piece) for piece in pieces) + protobuf_text(2, b"\x18\x01\x22\x01x")


def numbered(words: list[str], start: int = 0) -> dict[str, int]:
    return {word: start + number for number, word in enumerate(words)}


def listed(words: list[str], start: int) -> list[dict[str, Any]]:
    return [{"id": start + number, "content": word, "special": True} for number, word in enumerate(words)]


def tokenizer(words: list[str], added: Any = (), **model: Any) -> str:
    return json.dumps({"model": {"vocab": numbered(words), **model}, "added_tokens": added})


# Each place in which the fact stands, written by two lists of words: the vocabulary, and what was added to it.
PLACES: dict[str, Any] = {
    "tokenizer.json": lambda words, extra: {"tokenizer.json": tokenizer([*words, *extra])},
    "tokenizer.json, added": lambda words, extra: {"tokenizer.json": tokenizer(words, listed(extra, len(words)))},
    "tokenizer.json, unigram": lambda words, extra: {
        "tokenizer.json": json.dumps({"model": {"vocab": [[word, -1.0] for word in [*words, *extra]]}})
    },
    "vocab.json": lambda words, extra: {"vocab.json": json.dumps(numbered([*words, *extra])), "merges.txt": "a b"},
    "vocab.txt": lambda words, extra: {"vocab.txt": "".join(f"{word}\n" for word in [*words, *extra])},
    "tokenizer.model": lambda words, extra: {"tokenizer.model": sentencepiece([*words, *extra])},
    "spiece.model": lambda words, extra: {"spiece.model": sentencepiece([*words, *extra])},
    "added_tokens.json": lambda words, extra: {
        "tokenizer.model": sentencepiece(words),
        "added_tokens.json": json.dumps(numbered(extra, len(words))),
    },
    "added_tokens.json beside the same tokenizer.json": lambda words, extra: {
        "tokenizer.json": tokenizer(words),
        "added_tokens.json": json.dumps(numbered(extra, len(words))),
    },
    "added_tokens_decoder": lambda words, extra: {
        "vocab.json": json.dumps(numbered(words)),
        "tokenizer_config.json": json.dumps(
            {"added_tokens_decoder": {len(words) + n: {"content": word} for n, word in enumerate(extra)}}
        ),
    },
    "only added tokens": lambda words, extra: {"added_tokens.json": json.dumps(numbered(extra, len(words)))},
}


def model(path: Path, files: dict[str, str | bytes], tensors: dict[str, Tensor] | None = None, **config: Any) -> Path:
    path.mkdir(parents=True)
    save_file(tensors or {"embed.weight": torch.ones(4, 2)}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps({"architectures": ["Gizmo"], **config}))
    for name, content in files.items():
        (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def compare(tmp_path: Path, ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    folders = [ModelFolder.look_through(model(tmp_path / name, files)) for name, files in (("A", ours), ("B", theirs))]
    return check_tokens_alike(*folders)


@pytest.mark.parametrize("place", PLACES)
def test_one_token_that_differs_is_named(tmp_path: Path, place: str) -> None:
    write = PLACES[place]
    assert compare(tmp_path, write(WORDS, ["<pad>", "<x>"]), write(WORDS, ["<pad>", "<x>"])) == []
    with pytest.raises(ForgeError) as caught:
        compare(tmp_path / "A", write(WORDS, ["<pad>", "<x>"]), write(WORDS, ["<im_end>", "<x>"]))
    assert "B: its tokenizer has another vocabulary than that of " in str(caught.value)
    assert "token 6 is '<im_end>', there '<pad>'" in str(caught.value)


@pytest.mark.parametrize("place", [place for place in PLACES if place != "only added tokens"])
def test_a_token_that_only_one_has_is_named(tmp_path: Path, place: str) -> None:
    with pytest.raises(ForgeError, match=r"token 6 is (none, there '<pad>'|'<pad>', there none)"):
        compare(tmp_path, PLACES[place](WORDS, ["<pad>"]), PLACES[place](WORDS, []))


def test_the_same_tokens_in_different_files_are_the_same(tmp_path: Path) -> None:
    ways = {name: PLACES[name](WORDS, ["<pad>"]) for name in PLACES if name != "only added tokens"}
    ours = ways["tokenizer.json"]
    for number, (name, theirs) in enumerate(ways.items()):
        (tmp_path / str(number)).mkdir()
        told = compare(tmp_path / str(number), ours, theirs)
        assert len(told) == (name == "tokenizer.json, unigram"), told  # which splits text by other rules
    other = PLACES["tokenizer.model"]([*WORDS[:5], "b"], ["<pad>"])
    with pytest.raises(ForgeError, match="token 5 is 'b', there 'a'"):
        compare(tmp_path, ours, other)


def test_special_tokens_may_be_others_of_the_same_vocabulary_only(tmp_path: Path) -> None:
    def roles(end: str) -> dict[str, Any]:
        named = json.dumps({"eos_token": {"content": end}})
        return {"tokenizer.json": tokenizer(WORDS), "special_tokens_map.json": named}

    told = compare(tmp_path, roles("</s>"), roles("<s>"))
    assert len(told) == 1
    assert "its special token eos_token is '<s>', in " in told[0]
    (tmp_path / "new").mkdir()
    with pytest.raises(ForgeError, match=r"special token eos_token is '<end>', in .* not both know both"):
        compare(tmp_path / "new", roles("</s>"), roles("<end>"))


def test_lists_of_special_tokens_and_roles_that_one_lacks_are_told(tmp_path: Path) -> None:
    def listing(**roles: Any) -> dict[str, Any]:
        return {"tokenizer.json": tokenizer(WORDS), "special_tokens_map.json": json.dumps(roles)}

    ours, theirs = (listing(additional_special_tokens=["<s>", {"content": word}]) for word in ("a", "</s>"))
    assert compare(tmp_path, ours, ours) == []
    (told,) = compare(tmp_path / "listed", ours, theirs)
    assert "additional_special_tokens is '</s>', '<s>', in " in told
    (told,) = compare(tmp_path / "lacking", listing(), listing(pad_token="<unk>"))
    assert "pad_token is '<unk>', in " in told
    assert "it is none" in told
    with pytest.raises(ForgeError, match="not both know both"):
        compare(tmp_path / "unknown", listing(), listing(additional_special_tokens=["<new>"]))


def test_tokens_in_a_form_that_is_not_read_are_alike_or_refused(tmp_path: Path) -> None:
    for name in ("tekken.json", "qwen.tiktoken"):
        ours, theirs = ({name: text} for text in (b"IQ== 0\n", b"Ig== 0\n"))
        assert compare(tmp_path / name / "same", ours, ours) == []
        with pytest.raises(ForgeError, match=rf"{name}: differs from that of .* cannot be read"):
            compare(tmp_path / name / "other", ours, theirs)
        with pytest.raises(ForgeError, match="cannot be read, and so not be compared"):
            compare(tmp_path / name / "one", ours, {"tokenizer.json": tokenizer(WORDS)})
        both = {"tokenizer.json": tokenizer(WORDS)}
        assert compare(tmp_path / name / "beside", ours | both, both) == []


def test_other_rules_of_splitting_are_told(tmp_path: Path) -> None:
    ours, theirs = ({"vocab.json": json.dumps(numbered(WORDS)), "merges.txt": rule} for rule in ("a b", "b a"))
    assert "splits text into tokens otherwise" in compare(tmp_path, ours, theirs)[0]
    (tmp_path / "json").mkdir()
    one, two = ({"tokenizer.json": tokenizer(WORDS, merges=rule)} for rule in (["a b"], ["b a"]))
    assert "splits text into tokens otherwise" in compare(tmp_path / "json", one, two)[0]
    one, two = (
        {"tokenizer.json": tokenizer(WORDS, [{"id": 6, "content": "<x>", "lstrip": strip}])} for strip in (0, 1)
    )
    assert "splits text into tokens otherwise" in compare(tmp_path / "added", one, two)[0]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"tokenizer.model": b"IQ== 0\nIg== 1\n"}, "tokenizer.model: differs from that of"),  # as tiktoken has it
        ({"tokenizer.model": b""}, "tokenizer.model: differs from that of"),
        ({"tokenizer.json": "[" * 100_000}, "not readable as JSON"),
        ({"tokenizer.json": tokenizer(WORDS, added=5)}, "malformed list of added tokens"),
        ({"tokenizer.json": tokenizer(WORDS, added=[{"id": -1, "content": "x"}])}, "malformed list of added tokens"),
        ({"tokenizer.json": tokenizer(WORDS, added=[{"id": True, "content": "x"}])}, "malformed list of added tokens"),
        ({"tokenizer.json": tokenizer(WORDS, added=[{"id": 9}])}, "malformed list of added tokens"),
        ({"tokenizer.json": tokenizer(WORDS, added=[5])}, "malformed list of added tokens"),
        ({"tokenizer.json": "[]"}, "differs from that of"),
        ({"added_tokens.json": '{"x": 99999999999999999999}'}, "malformed list of added tokens"),
        (
            {"added_tokens.json": '{"x": 7}', "tokenizer_config.json": '{"added_tokens_decoder": {"7": "y"}}'},
            "beside it",
        ),
        ({"vocab.json": '{"a": "b"}'}, "differs from that of"),
        ({"vocab.txt": b"\xff"}, "not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_name(tmp_path: Path, files: dict[str, Any], words: str) -> None:
    sound = {**PLACES["tokenizer.json"](WORDS, []), **PLACES["tokenizer.model"](WORDS, [])}
    sound |= {**PLACES["vocab.json"](WORDS, []), **PLACES["vocab.txt"](WORDS, [])}
    with pytest.raises(ForgeError) as caught:
        compare(tmp_path, sound, {**sound, **files})
    assert words in str(caught.value)
    assert next(iter(files)) in str(caught.value) or "beside it" in str(caught.value)


def test_sentencepiece_is_read_as_its_format_says() -> None:
    """Oracle: the schema of the format, as transformers ships it, and Google's library."""
    from transformers.utils import sentencepiece_model_pb2_new as schema

    words = [*WORDS, "x" * 300]
    model = schema.ModelProto()
    for number, word in enumerate(words):
        model.pieces.add(piece=word, score=-float(number), type=1 + number % 3)
    model.trainer_spec.vocab_size = 300
    model.normalizer_spec.precompiled_charsmap = b"\x0a\x01\x0a" * 99
    assert read_sentencepiece_tokens(model.SerializeToString()) == words


def test_a_sentencepiece_model_of_millions_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forge.merge.tokens._MANY", 4)
    piece = b"\x0a\x03\x0a\x01a"
    assert read_sentencepiece_tokens(piece * 4) == ["a"] * 4
    assert read_sentencepiece_tokens(piece * 5) is None


def test_half_a_sentencepiece_model_is_no_fault() -> None:
    data = sentencepiece(WORDS)
    assert read_sentencepiece_tokens(data) == WORDS
    for size in range(len(data)):  # cut short it is no model, or one of fewer pieces; never an exception
        found = read_sentencepiece_tokens(data[:size]) or []
        assert found == WORDS[: len(found)]
    assert read_sentencepiece_tokens(b"\xff" * 400) is None
    assert read_sentencepiece_tokens(b"\x0a\xff\xff\xff\xff\x7f") is None


def test_settings_that_change_the_function_are_told(tmp_path: Path) -> None:
    shared = {"transformers_version": "5", "sliding_window": None}
    a = model(tmp_path / "A", {}, **shared, rope_theta=10000.0, hidden_act="silu")
    b = model(tmp_path / "B", {}, transformers_version="4", rope_parameters={"rope_theta": 1e6}, hidden_act="gelu")
    told = merge_directories(Recipe("linear", (a, b))).notes
    assert len(told) == 1
    assert "hidden_act is 'gelu', there 'silu', rope_theta is 1000000.0, there 10000.0" in told[0]
    c = model(tmp_path / "C", {}, rope_parameters={"rope_theta": 10000.0}, hidden_act="silu", use_cache=False)
    assert merge_directories(Recipe("linear", (a, c))).notes == []


def llama(path: Path, seed: int, *, head: bool, **config: Any) -> Path:
    generator = torch.Generator().manual_seed(seed)
    tensors = {"model.embed_tokens.weight": torch.randn(6, 4, generator=generator), "model.norm.weight": torch.ones(4)}
    if head:
        tensors["lm_head.weight"] = torch.randn(6, 4, generator=generator)
    return model(path, {}, tensors, **config)


@pytest.mark.parametrize("tied_first", [True, False])
def test_a_tied_head_is_copied_where_others_are_their_own(tmp_path: Path, tied_first: bool) -> None:
    tied = llama(tmp_path / "tied", 1, head=False, tie_word_embeddings=True)
    own = llama(tmp_path / "own", 2, head=True, tie_word_embeddings=False)
    recipe = Recipe("linear", (tied, own) if tied_first else (own, tied))
    merged = merge_directories(recipe)
    assert any(note.startswith(f"{tied}: its head is its embedding") for note in merged.notes)
    (tmp_path / "out").mkdir()
    write_merged(recipe, merged, tmp_path / "out")
    weights, a, b = (load_file(path / "model.safetensors") for path in (tmp_path / "out", tied, own))
    expected = (a["model.embed_tokens.weight"] + b["lm_head.weight"]) / 2
    assert torch.allclose(weights["lm_head.weight"], expected)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"] is False


def test_a_head_that_is_lost_is_no_tied_one(tmp_path: Path) -> None:
    lost = llama(tmp_path / "lost", 1, head=False, tie_word_embeddings=False)
    own = llama(tmp_path / "own", 2, head=True, tie_word_embeddings=False)
    with pytest.raises(ForgeError, match=r"'lm_head\.weight' is not in both"):
        merge_directories(Recipe("linear", (own, lost)))


def test_a_stored_copy_of_a_tied_head_is_left_out(tmp_path: Path) -> None:
    with_copy = llama(tmp_path / "copy", 1, head=True, tie_word_embeddings=True)
    without = llama(tmp_path / "none", 2, head=False, tie_word_embeddings=True)
    merged = merge_directories(Recipe("linear", (with_copy, without)))
    assert "lm_head.weight" not in merged.state
    assert not merged.untied
