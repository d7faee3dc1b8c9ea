"""Vocabulary pruning keeps every text readable, and a packed tokenizer is the same tokenizer."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from forge.agentfile.vocabulary import (
    count_characters_for_agent_file,
    count_tokens_for_agent_file,
    pack_agent_file_tokenizer,
    prune_agent_file_vocabulary,
    unpack_agent_file_tokenizer,
)
from forge.data.render import ID, render
from forge.data.texts import book_chunks
from forge.data.tokenizer import MIN_OCCURRENCES, SPECIAL_TOKENS, train_tokenizer
from forge.errors import ForgeError

PHRASES = ["Please calculate the result of the following", "Give the answer as a single number"]
WORDS = (
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "while",
    "seven",
    "green",
    "birds",
    "counted",
    "in",
    "London",
    "Paris",
)


def _corpus(n: int = 300) -> list[str]:
    rng = random.Random(5)
    return [
        f"{PHRASES[0]} sum: {rng.randint(0, 999)} + {rng.randint(0, 99)}\n"
        + " ".join(rng.choices(WORDS, k=9))
        + " Zoë?"
        for _ in range(n)
    ]


CORPUS = _corpus()
TOKENIZER = train_tokenizer([*CORPUS, "unrelated zebra crossings zigzag " * 40], 400, PHRASES)
COUNTS = count_tokens_for_agent_file(TOKENIZER, CORPUS)
SIZE = 120  # room for some of the words
PRUNED = prune_agent_file_vocabulary(TOKENIZER, COUNTS, size=SIZE)
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("\n\t\r"), max_size=80)


def _ids(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def test_counts_are_those_of_the_corpus() -> None:
    assert COUNTS.shape == (len(TOKENIZER),)
    assert COUNTS.sum() == sum(len(_ids(TOKENIZER, text)) for text in CORPUS)
    phrase = TOKENIZER.convert_tokens_to_ids(PHRASES[0])
    assert COUNTS[phrase] == len(CORPUS)


@pytest.mark.parametrize("size", [None, 200, 170, 130])
def test_corpus_round_trips_and_sizes_are_met(size: int | None) -> None:
    pruned = prune_agent_file_vocabulary(TOKENIZER, COUNTS, size=size)
    assert len(pruned.tokenizer) == len(pruned.kept_ids) == len(set(pruned.kept_ids))
    assert len(pruned.tokenizer) <= (size or len(TOKENIZER) - 1)
    for text in CORPUS[:60]:
        assert pruned.tokenizer.decode(_ids(pruned.tokenizer, text)) == text


def test_only_unused_tokens_go_by_default_and_the_corpus_keeps_its_ids() -> None:
    pruned = prune_agent_file_vocabulary(TOKENIZER, COUNTS)
    assert {"Ġzebra", "Ġcrossings"} <= TOKENIZER.get_vocab().keys()
    assert not {"Ġzebra", "Ġcrossings"} & pruned.tokenizer.get_vocab().keys()
    for text in CORPUS[:40]:
        assert [pruned.kept_ids[i] for i in _ids(pruned.tokenizer, text)] == _ids(TOKENIZER, text)


def test_special_tokens_keep_their_ids_and_rows_follow_their_tokens() -> None:
    assert [PRUNED.tokenizer.convert_ids_to_tokens(i) for i in range(14)] == list(SPECIAL_TOKENS)
    assert PRUNED.kept_ids[:14] == list(range(14))
    assert PRUNED.tokenizer.pad_token == "<|pad|>"
    assert PRUNED.tokenizer.eos_token == "<|end|>"
    for new, old in enumerate(PRUNED.kept_ids):
        assert PRUNED.tokenizer.convert_ids_to_tokens(new) == TOKENIZER.convert_ids_to_tokens(old)
    table = torch.arange(len(TOKENIZER) * 3.0).reshape(-1, 3)
    assert torch.equal(table[PRUNED.kept_ids][20], table[PRUNED.kept_ids[20]])


@pytest.mark.parametrize(
    ("thought", "answer"),
    [
        ("58*7=604,2=611+6771;10:4.0-3=-07 ff", "-1 cat"),
        ("".join(map(chr, range(32, 127))).replace("<|", ""), "the London Zoë"),
    ],
)
def test_a_worked_row_is_spelled_by_a_pruned_tokenizer_and_by_the_one_in_the_file(thought: str, answer: str) -> None:
    said = {"user": CORPUS[0], "thought": thought, "assistant": answer}
    row = [{"role": role, "content": text} for role, text in said.items()]
    counts = COUNTS + count_characters_for_agent_file(TOKENIZER, [thought, answer])
    pruned = prune_agent_file_vocabulary(TOKENIZER, counts, size=180)
    for tokenizer in (pruned.tokenizer, unpack_agent_file_tokenizer(pack_agent_file_tokenizer(pruned.tokenizer))):
        ids, _ = render(tokenizer, row)
        text = f"<|user|>{CORPUS[0]}<|assistant|><|think|>{thought}<|/think|>{answer}<|end|>"
        assert tokenizer.decode(ids) == text
        inside = _thought_ids(ids)
        assert [tokenizer.decode(i) for i in inside] == list(thought)
        assert [pruned.kept_ids[i] for i in inside] == _thought_ids(render(TOKENIZER, row)[0])


def _thought_ids(ids: list[int]) -> list[int]:
    return ids[ids.index(ID["think"]) + 1 : ids.index(ID["/think"])]


def test_what_is_written_a_token_a_character_is_counted_so() -> None:
    counts = count_characters_for_agent_file(TOKENIZER, ["cat", "tac ", ""])
    named = {TOKENIZER.convert_ids_to_tokens(i): int(count) for i, count in enumerate(counts) if count}
    assert named == {"c": 2, "a": 2, "t": 2, "Ġ": 1}
    assert count_tokens_for_agent_file(TOKENIZER, ["cat", "tac "]).sum() < counts.sum()


@given(ASCII)
@settings(max_examples=120, deadline=None)
def test_any_ascii_text_round_trips(text: str) -> None:
    text = text.replace("<|", "< |")
    assert PRUNED.tokenizer.decode(_ids(PRUNED.tokenizer, text)) == text


def test_a_word_is_one_token_or_none() -> None:
    kept = [word for word in WORDS if f"Ġ{word}" in PRUNED.tokenizer.get_vocab()]
    assert 0 < len(kept) < len(WORDS)
    for word in WORDS:
        pieces = PRUNED.tokenizer.tokenize(f" {word}")
        assert pieces == ([f"Ġ{word}"] if word in kept else ["Ġ", *word])


def test_phrases_pay_for_their_place_or_go() -> None:
    assert PHRASES[0] in PRUNED.tokenizer.get_vocab()
    assert PHRASES[1] not in PRUNED.tokenizer.get_vocab()
    shorter = sum(len(_ids(PRUNED.tokenizer, text)) for text in CORPUS)
    without = TOKENIZER.get_vocab()[PHRASES[0]]
    counts = COUNTS.copy()
    counts[without] = 0
    rest = prune_agent_file_vocabulary(TOKENIZER, counts, size=SIZE)
    assert PHRASES[0] not in rest.tokenizer.get_vocab()
    assert shorter < sum(len(_ids(rest.tokenizer, text)) for text in CORPUS)


def test_greedy_pruning_beats_dropping_the_rarest_ids() -> None:
    """Corpus length after pruning to a size, against random removal of as many leaf tokens."""
    ours = sum(len(_ids(PRUNED.tokenizer, text)) for text in CORPUS)
    rng = np.random.default_rng(0)
    shuffled = np.where(COUNTS > 0, rng.permutation(COUNTS) + 1, 0)
    theirs = prune_agent_file_vocabulary(TOKENIZER, shuffled, size=SIZE).tokenizer
    assert ours < sum(len(_ids(theirs, text)) for text in CORPUS)


def test_min_count_drops_rare_tokens() -> None:
    often = prune_agent_file_vocabulary(TOKENIZER, COUNTS, min_count=100)
    assert len(often.tokenizer) < len(prune_agent_file_vocabulary(TOKENIZER, COUNTS).tokenizer)
    assert often.tokenizer.decode(_ids(often.tokenizer, CORPUS[0])) == CORPUS[0]


@pytest.mark.parametrize("tokenizer", [TOKENIZER, PRUNED.tokenizer, train_tokenizer(CORPUS, 270, [])])
def test_packed_tokenizer_gives_the_same_ids(tokenizer: PreTrainedTokenizerFast) -> None:
    data = pack_agent_file_tokenizer(tokenizer)
    again = unpack_agent_file_tokenizer(data)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.all_special_tokens == tokenizer.all_special_tokens
    texts = [
        *CORPUS[:50],
        "".join(map(chr, range(32, 127))),
        "<|user|>hi<|end|>",
        "  \n\n\t two  spaces 0071",
    ]
    assert [_ids(again, text) for text in texts] == [_ids(tokenizer, text) for text in texts]
    assert [again.decode(_ids(again, t)) for t in texts] == [tokenizer.decode(_ids(tokenizer, t)) for t in texts]
    assert pack_agent_file_tokenizer(again) == data


def test_packed_tokenizer_takes_less_than_four_bytes_a_word() -> None:
    texts = book_chunks() * MIN_OCCURRENCES
    small, big = (train_tokenizer(texts, size, []) for size in (300, 900))
    assert (len(small), len(big)) == (300, 900)
    assert len(pack_agent_file_tokenizer(big)) < len(pack_agent_file_tokenizer(small)) + 4 * 600


def test_damaged_packed_tokenizers_are_refused_or_differ() -> None:
    data = pack_agent_file_tokenizer(PRUNED.tokenizer)
    for bad in (b"", data[:10], data[:60], b"\x00" * 50, data[:2] + b"\xff" * 20 + data[22:]):
        with pytest.raises(ForgeError):
            unpack_agent_file_tokenizer(bad)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ForgeError, match="cannot shrink to 50"):
        prune_agent_file_vocabulary(TOKENIZER, COUNTS, size=50)
    with pytest.raises(ForgeError, match="min_count"):
        prune_agent_file_vocabulary(TOKENIZER, COUNTS, min_count=0)
    with pytest.raises(ForgeError, match="counts"):
        prune_agent_file_vocabulary(TOKENIZER, COUNTS[:-1])
    plain = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(ForgeError, match="of our form"):
        pack_agent_file_tokenizer(plain)


def test_ids_out_of_order_are_refused_until_pruned() -> None:
    settings_ = json.loads(TOKENIZER.backend_tokenizer.to_str())
    vocab = settings_["model"]["vocab"]
    vocab["A"], vocab["B"] = vocab["B"], vocab["A"]
    odd = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(settings_)))
    with pytest.raises(ForgeError, match="canonical"):
        pack_agent_file_tokenizer(odd)
    counts = COUNTS.copy()
    put_right = prune_agent_file_vocabulary(odd, counts).tokenizer
    assert put_right.decode(_ids(put_right, "ABBA")) == "ABBA"
    assert pack_agent_file_tokenizer(put_right)
