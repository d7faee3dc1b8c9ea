"""A tokenizer.json that this program did not write is refused in one line before the library behind it sees it."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from forge.data.render import tokenize_text
from forge.data.tokenizer import (
    SPECIAL_TOKENS,
    added_token,
    build_tokenizer,
    read_tokenizer,
    save_tokenizer,
    tokenizer_form,
    train_tokenizer,
)
from forge.errors import ForgeError
from tests.attacks.tokenizers import STRANGERS, TEXTS, changed_tokenizers, stranger
from tests.support.tiny_models import PHRASES, tiny_tokenizer


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("good")
    save_tokenizer(tiny_tokenizer(), folder)
    form: dict[str, Any] = json.loads((folder / "tokenizer.json").read_text())
    return form


def _refused(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(ForgeError) as caught:
        read_tokenizer(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 400
    return str(caught.value)


def test_the_form_is_what_is_written(good: dict[str, Any]) -> None:
    """An update of the library that adds a setting is noticed here, not by whoever has a model."""
    vocab, added = good["model"]["vocab"], good["added_tokens"]
    assert json.dumps(good) == json.dumps(tokenizer_form(vocab, added))
    assert [added_token(token["content"], token["id"]) for token in added] == added
    assert len(added) == len(SPECIAL_TOKENS) + len(PHRASES)


def test_what_is_read_is_what_was_written(good: dict[str, Any], tmp_path: Path) -> None:
    for name, tokenizer in (("a", tiny_tokenizer()), ("b", train_tokenizer(["one two 3"] * 9, 290, []))):
        save_tokenizer(tokenizer, tmp_path / name)
        again = read_tokenizer(tmp_path / name / "tokenizer.json")
        assert again.get_vocab() == tokenizer.get_vocab()
        for text in ("What is 12 + 30? Give only the result.", "Zoë\n\t 007", "<|user|>hello"):
            assert tokenize_text(again, text) == tokenize_text(tokenizer, text)
        save_tokenizer(again, tmp_path / name / "again")
        for file in sorted(path.name for path in (tmp_path / name / "again").iterdir()):
            assert (tmp_path / name / "again" / file).read_bytes() == (tmp_path / name / file).read_bytes()


@pytest.mark.parametrize("name", STRANGERS)
def test_strangers_tokenizers_are_refused(
    good: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("forge.data.tokenizer.Tokenizer", None)  # the library may not see it
    _refused(tmp_path / "tokenizer.json", stranger(good, name))


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:12])
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, text: str) -> None:
    _refused(tmp_path / "tokenizer.json", text)


def test_special_files_and_large_ones_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for special in (tmp_path, tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(ForgeError, match="not a regular file"):
            read_tokenizer(special)
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(ForgeError, match="more than such a file may have"):
        read_tokenizer(tmp_path / "large")
    with pytest.raises(ForgeError, match="no such file"):
        read_tokenizer(tmp_path / "none")


def test_random_changes_are_read_or_refused(good: dict[str, Any], tmp_path: Path) -> None:
    path, read, refused = tmp_path / "tokenizer.json", 0, []
    for _, text in itertools.islice(changed_tokenizers(good, seed=1), 150):
        path.write_text(text)
        try:
            tokenizer = read_tokenizer(path)
        except ForgeError as error:
            refused.append(str(error))
        else:
            read += 1
            assert tokenizer.decode(tokenize_text(tokenizer, "12 cats")) == "12 cats"
    assert read < 75
    assert all(line.startswith(str(path)) for line in refused)


def test_what_the_caller_makes_up_is_refused_as_well() -> None:
    roles = {token: number for number, token in enumerate(SPECIAL_TOKENS)}
    vocab = {**roles, "a": 14, "b": 15, "ab": 16}
    assert build_tokenizer(vocab, {"b a": 17}, "here").decode([16, 17]) == "abb a"
    many = {f"{number:x}": number for number in range(14, 70_000)}
    for wrong, phrases, words in (
        ({**roles, "a": 15}, {}, "ids"),
        (vocab, {"a": 17}, "twice"),
        (vocab, {"ba": 3}, "ids"),
        ({**roles, "a": 15}, {"ba": 14}, "phrases do not follow"),
        ({**roles, **many}, {}, "more than"),
        ({**roles, "a b": 14}, {}, "token 14 is not"),
    ):
        with pytest.raises(ForgeError, match=f"here: .*{words}"):
            build_tokenizer(wrong, phrases, "here")
