"""Gibberish: real babble of small models is found, and nothing that an agent is taught to say is taken for it."""

from __future__ import annotations

import pytest

from forge.data.dialogues import persona_dialogues, tool_dialogues
from forge.data.texts import book_chunks
from forge.evals.gibberish import is_gibberish, text_goes_in_circles, unknown_word_share, words_of_answer

BABBLE = (
    "ererappot",
    "dough dough dough",
    "dddivis 0 zer",
    "the lampamp is is is is red",
    "Studies sugges tha evidenevid lattern ulimit, thouh.",
    "aaaaaaaaaa",
    "xkcd qwrt zzp",
    "mix the dough mix the dough mix the dough",
    "...",
    "?!",
    "b c d f g",
    "a3f9 7kk2x q1w2e3",
)
LANGUAGE = (
    "moon is a cloud near the ground",  # wrong, but a sentence
    "391",
    "It costs 25 euros.",
    "I cannot do that, but I can search the documents and read your files.",
    "Happy to help! What can I do for you today?",
    "7, 7, 7; 7, 7, 7",
    "g",
    "Water freezes at 0 degrees Celsius.",
    "No, no, that is wrong.",
    "Ha ha, thank you!",
    "The 3rd one weighs 25g.",
)


@pytest.mark.parametrize("text", BABBLE)
def test_babble_is_found(text: str) -> None:
    assert is_gibberish(text)


@pytest.mark.parametrize("text", LANGUAGE)
def test_language_is_not_taken_for_babble(text: str) -> None:
    assert not is_gibberish(text)


def test_nothing_that_is_taught_is_gibberish() -> None:
    """Answers of training dialogues and prose, the words of the user's own turn and of the result being known."""
    for row in [*tool_dialogues(500, 5, "train"), *persona_dialogues(500, 5, "test")]:
        *before, answer = row["messages"]
        known = {word for message in before for word in words_of_answer(message["content"])}
        repeats = "*" in "".join(m["content"] for m in before if m["role"] == "call")  # the same word is asked for
        empty = answer["content"] == "[]"  # what a line of code prints
        assert repeats or empty or not is_gibberish(answer["content"], known), answer["content"]
    assert not any(is_gibberish(text) for text in book_chunks())


def test_a_word_is_known_where_it_was_shown() -> None:
    assert is_gibberish("ananab")
    assert not is_gibberish("ananab", {"ananab"})
    assert unknown_word_share("The word is ananab") == 0.25
    assert unknown_word_share("12 + 30 = 42") == 0.0


def test_turning_letters_around_makes_most_prose_gibberish() -> None:
    """The detector against a control that has the letters of language, and none of its words."""
    texts = [text for text in book_chunks() if len(text) > 60]
    assert sum(is_gibberish(text[::-1]) for text in texts) > 0.95 * len(texts)


def test_going_round_in_circles() -> None:
    assert text_goes_in_circles("so it is so it is so it is")
    assert text_goes_in_circles("yes yes yes")
    assert not text_goes_in_circles("yes yes")
    assert not text_goes_in_circles("1 1 1 1 1 1")
    assert not text_goes_in_circles("the cat and the dog and the bird")
    assert text_goes_in_circles("the moonderoonderoonderoonderoonderoo")
    assert text_goes_in_circles("expl" + "".join(chr(97 + 7 * i % 26) for i in range(28)))
    assert not text_goes_in_circles("electroencephalographically, hahaha, 0101010101010101")
