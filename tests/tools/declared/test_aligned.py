"""What a sentence has in the places of an example's slots."""

from __future__ import annotations

import pytest

from forge.tools.declared.aligned import bare_value, slots_as_said

PLAY = ("play {title} in the {room}", "i want to hear {title} in the {room}", "{title} in the {room} please")
LIST = ("note {item} for shopping", "i have bought {item} already", "remember to buy {item}", "we need {item}")


@pytest.mark.parametrize(
    ("says", "text", "wanted"),
    [
        (PLAY, "And play blue moon in the bath, please", {"title": "blue moon", "room": "bath"}),
        (PLAY, "PLAY  blue   moon in the bath!", {"title": "blue   moon", "room": "bath"}),
        (PLAY, "i want to hear 'moon' in the hall and the bath", {"title": "moon", "room": "hall and the bath"}),
        (PLAY, "play something in the hall", {"title": "", "room": "hall"}),
        (LIST, "ok, note singer segarop bucket for shopping.", {"item": "singer segarop bucket"}),
        (LIST, "i have bought oat milk already", {"item": "oat milk"}),
        (LIST, "remember to buy", {"item": ""}),
        (LIST, 'remember to buy the "oat milk" now', {"item": "oat milk"}),
        (LIST, "we need (a|b)* [c]", {"item": "(a|b)* [c]"}),
    ],
)  # fmt: skip
def test_slots_hold_what_stands_in_their_places(says: tuple[str, ...], text: str, wanted: dict[str, str]) -> None:
    assert slots_as_said(says, text) == wanted


def test_the_example_with_the_most_words_decides() -> None:
    says = ("play {title}", "play {title} in the {room}")
    assert slots_as_said(says, "play moon in the hall") == {"title": "moon", "room": "hall"}
    assert slots_as_said(says[::-1], "play moon in the hall") == {"title": "moon", "room": "hall"}


def test_other_words_are_like_no_example() -> None:
    assert slots_as_said(PLAY, "turn on the light") is None
    assert slots_as_said(("{a} {b}", "the {a}"), "what is it") is None, "courtesy alone tells nothing"
    assert slots_as_said((), "play moon in the hall") is None


@pytest.mark.parametrize(
    ("said", "bare"),
    [
        ("and the hall one, please", "the hall one"),
        ("The kitchen too!", "The kitchen"),
        ("what about low?", "low"),
        ("Same for the garage one.", "the garage one"),
        ("'zodi muro'.", "zodi muro"),
        ("it", ""),
        ("something", ""),
        ("", ""),
        ("o'brien's", "o'brien's"),
    ],
)
def test_what_is_said_without_what_is_around_it(said: str, bare: str) -> None:
    assert bare_value(said) == bare


def test_a_slot_may_have_any_name() -> None:
    assert slots_as_said(("set the {max-temp} to {2}",), "set the fan to high") == {"max-temp": "fan", "2": "high"}


def test_a_long_sentence_takes_no_long_time() -> None:
    found = slots_as_said(PLAY, "play x " * 2000 + "in the hall")
    assert found is not None
    assert found["room"] == "hall"
    assert slots_as_said(PLAY, "play " + "in the " * 2000) is None
