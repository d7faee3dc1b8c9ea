"""The tokenizer: nothing is lost, digits stand alone, phrases are one token, role tokens come first."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.data.personas import PERSONAS
from forge.data.render import tokenize_text
from forge.data.tokenizer import (
    MIN_OCCURRENCES,
    SPECIAL_TOKENS,
    mine_tokenizer_phrases,
    save_tokenizer,
    train_tokenizer,
)
from forge.model import load_titan_tokenizer
from tests.support.tiny_models import PHRASES, tiny_tokenizer


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=60))
@settings(max_examples=400, deadline=None)
def test_every_ascii_text_comes_back(text: str) -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenize_text(tokenizer, text)
    assert tokenizer.decode(ids) == text.replace("<|", "< |")
    assert not ids or min(ids) >= len(SPECIAL_TOKENS)


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_every_text_comes_back(text: str) -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.decode(tokenize_text(tokenizer, text)) == text.replace("<|", "< |")


@pytest.mark.parametrize("text", ["1234567", "a12b", "12.5", "3*45=135", " 77 88", "2024-01-31"])
def test_digits_stand_alone(text: str) -> None:
    tokenizer = tiny_tokenizer()
    pieces = [tokenizer.decode([i]) for i in tokenize_text(tokenizer, text)]
    assert "".join(pieces) == text
    for piece in pieces:
        digits = sum(c.isdigit() for c in piece)
        assert digits == 0 or piece in list("0123456789")


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_phrase_is_one_token_wherever_it_stands(phrase: str) -> None:
    tokenizer = tiny_tokenizer()
    place = tokenizer.convert_tokens_to_ids(phrase)
    assert place >= len(tokenizer) - len(PHRASES)
    assert tokenize_text(tokenizer, phrase) == [place]
    ids = tokenize_text(tokenizer, f"the cat {phrase}12{phrase} mat")
    assert ids.count(place) == 2
    assert tokenizer.decode(ids) == f"the cat {phrase}12{phrase} mat"


def test_role_tokens_come_first_and_the_size_is_kept() -> None:
    tokenizer = tiny_tokenizer()
    assert tokenizer.convert_ids_to_tokens(list(range(14))) == list(SPECIAL_TOKENS)
    texts = ["the cat sat on the mat", "hello world"]
    assert len(train_tokenizer(texts * MIN_OCCURRENCES, 276, PHRASES)) == 276
    assert len(train_tokenizer(texts, 276, PHRASES)) == 14 + 256 + len(PHRASES), "no word is common"
    assert tokenizer.pad_token_id == 0
    assert tokenizer.eos_token_id == 1
    assert SPECIAL_TOKENS[-4:] == tuple(f"<|{name}|>" for name in PERSONAS)


def test_training_is_deterministic_and_files_hold_everything(tmp_path: Path) -> None:
    texts = ["one two three 4", "five six <seven>"] * 9
    for name in "ab":
        save_tokenizer(train_tokenizer(texts, 290, ["one two"]), tmp_path / name)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    loaded, text = load_titan_tokenizer(tmp_path / "a"), "one two 34 <three>  x"
    assert tokenize_text(loaded, text) == tokenize_text(train_tokenizer(texts, 290, ["one two"]), text)
    assert loaded.decode(tokenize_text(loaded, text)) == text
    assert (loaded.pad_token, loaded.eos_token) == ("<|pad|>", "<|end|>")


@pytest.mark.parametrize("offline", [True, False])
def test_how_a_tokenizer_was_loaded_is_not_saved_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: bool
) -> None:
    """transformers adds what it was told on loading, such as to stay off the network."""
    monkeypatch.setattr("transformers.tokenization_utils_base.is_offline_mode", lambda: offline)
    save_tokenizer(tiny_tokenizer(), tmp_path / "first")
    load_titan_tokenizer(tmp_path / "first").save_pretrained(str(tmp_path / "second"))
    config = "tokenizer_config.json"
    assert (tmp_path / "second" / config).read_bytes() == (tmp_path / "first" / config).read_bytes()


def test_phrases_are_the_repeated_word_sequences() -> None:
    prompts = [f"Find the sum of {n} and {n + 1} and give only the final number please" for n in range(50)]
    prompts += [f"Something quite different without repetition number {n}" for n in "abc"]
    phrases = mine_tokenizer_phrases(prompts, 10, min_gain=50)
    # The tail saves 50 * 7 tokens, the head 50 * 3. The space before the number belongs to the head.
    assert phrases[0] == " and give only the final number please"
    assert "Find the sum of " in phrases
    assert not any(c.isdigit() for phrase in phrases for c in phrase)
    assert mine_tokenizer_phrases(prompts, 1, min_gain=50) == phrases[:1]
    assert mine_tokenizer_phrases(prompts, 10, min_gain=10**6) == []
    assert mine_tokenizer_phrases([], 10, min_gain=1) == []


def test_a_mined_phrase_shortens_the_prompts_it_came_from() -> None:
    prompts = [f"Find the sum of {n} and {n + 1} and give only the final number please" for n in range(50)]
    phrases = mine_tokenizer_phrases(prompts, 10, min_gain=50)
    without, with_phrases = train_tokenizer(prompts, 300, []), train_tokenizer(prompts, 300, phrases)
    assert len(tokenize_text(with_phrases, prompts[7])) < 0.7 * len(tokenize_text(without, prompts[7]))
    assert with_phrases.decode(tokenize_text(with_phrases, prompts[7])) == prompts[7]


def test_a_phrase_is_cut_out_of_both_its_sides() -> None:
    prompts = ["a b c x y z w d e f"] * 30 + [f"{start} x y z w" for start in "ghijklmnop" * 8]
    phrases = mine_tokenizer_phrases(prompts, 9, min_gain=50)
    assert phrases[0] == " x y z w"
    assert set(phrases[1:]) == {"a b c", " d e f"}
