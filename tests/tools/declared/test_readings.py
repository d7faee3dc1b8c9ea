"""What a sentence says for the arguments of a tool."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge.tools.declared.filling import fill_tool_arguments
from forge.tools.declared.quantities import CLOCK, quantities_in_tool_request
from forge.tools.declared.readings import Reader, commanded_tool_arguments
from forge.tools.declared.schema import DeclaredTool
from forge.tools.declared.tokens import stems_of_tool_words, tokens_of_tool_request
from forge.tools.declared.turns import JOINT, bare_value, drops_tool_request, goes_on
from forge.tools.declared.vocabulary import ToolWords, Vocabulary
from forge.tools.drawing import number_in_words

LIGHT = DeclaredTool.model_validate(
    {
        "name": "set_light",
        "description": "Set how bright a light is.",
        "parameters": {
            "properties": {
                "name": {"type": "string", "enum": ["kitchen light", "hall light", "desk lamp"]},
                "brightness": {"type": "integer", "minimum": 0, "maximum": 100},
                "warmth": {"type": "number", "minimum": -10, "maximum": 10},
                "minutes": {"type": "integer", "minimum": 1, "maximum": 600},
                "label": {"type": "string", "maxLength": 30},
                "zones": {"type": "array", "items": {"type": "string", "enum": ["ground floor", "garage"]}},
            },
            "required": ["name"],
        },
        "synonyms": {"desk lamp": ["work light"]},
        "examples": [
            {"say": "turn off the {name}", "arguments": {"brightness": 0}},
            {"say": "turn on the {name}", "arguments": {"brightness": 100}},
            {"say": "dim the {name}", "arguments": {"brightness": 30}},
            "set the {name} to {brightness} percent",
            "make the {name} {warmth} warm",
            "the {name} on for {minutes} minutes",
            "light the {name} and call that {label}",
            "light in the {zones}",
        ],
    }
)
NOTE = DeclaredTool.model_validate(
    {
        "name": "note",
        "description": "Write something down.",
        "parameters": {"properties": {"text": {"type": "string"}}, "required": ["text"]},
        "values": {"text": ["call me when you are there", "we need milk"]},
        "examples": ["note that {text}", "write down {text}", "note: {text}"],
    }
)


def said_for(text: str, tool: DeclaredTool = LIGHT) -> dict[str, list[Any]]:
    """Values that a text says for a tool's arguments."""
    return fill_tool_arguments(
        ToolWords(tool), text, Vocabulary([tool]).tokens(text), lambda value: "ß" not in value
    ).values


def test_words_are_compared_without_endings_and_units_in_one_spelling() -> None:
    assert stems_of_tool_words("labelled Lattes, 5 MINS; 20%") == stems_of_tool_words(
        "label latte, 5 minutes; 20 percent"
    )
    assert stems_of_tool_words("the butcher’s") == stems_of_tool_words("the butcher")
    assert [token.text for token in tokens_of_tool_request("2h 15min 20.5° don't")] == [
        "2",
        "h",
        "15",
        "min",
        "20.5",
        "°",
        "don't",
    ]
    assert stems_of_tool_words("Straße naïve") == ("straße", "naïve")


@given(st.integers(0, 999))
def test_numbers_in_words_are_read(number: int) -> None:
    hundreds, rest = divmod(number, 100)
    words = [f"{number_in_words(hundreds)} hundred"] if hundreds else []
    words += [number_in_words(rest)] if rest or not hundreds else []
    (found,) = quantities_in_tool_request(tokens_of_tool_request(f"set it to {' and '.join(words)} percent"))
    assert found.value == number


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("between 10 and 20", [10, 20]),
        ("-5 or minus 7 or 3 - 4", [-5, -7, 3, -4]),
        ("1,000,000 and 1,5 and 2.25", [1000000, 1.5, 2.25]),
        ("a hundred and fifty, a dozen", [150, 12]),
        ("half an hour or an hour", [0.5, 1]),
        ("a quarter of an hour", [0.25]),
        ("forty-five, forty five, forty", [45, 45, 40]),
        ("no number at all, a hall", []),
    ],
)
def test_numbers_are_read_as_they_are_written(text: str, values: list[float]) -> None:
    assert [quantity.value for quantity in quantities_in_tool_request(tokens_of_tool_request(text))] == values


ODD_NUMBERS = (
    *("two thousand", "one thousand two hundred", "1 000", "5k", "1.5 million", "10+5", "3*4", "1/2", "20-22", "7:30"),
    *("b95", "x=5", "twenty one point five", "1.2.3", "99999999999999999999", "0x10"),
)


@pytest.mark.parametrize("text", ODD_NUMBERS)
def test_of_a_number_that_is_written_in_another_way_no_part_is_taken(text: str) -> None:
    found = quantities_in_tool_request(tokens_of_tool_request(f"pay {text} euros"))
    assert found
    assert all(math.isnan(quantity.value) for quantity in found)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1 hour 30 minutes", (90, "minute")),
        ("1h30", (90, "minute")),
        ("an hour and a half", (1.5, "hour")),
        ("two and a half hours", (2.5, "hour")),
        ("2 days", (2, "day")),
        ("at 14:00", (14, CLOCK)),
        ("negative 5", (-5, "")),
        ("minus five", (-5, "")),
        ("half of .5", (0.5, "")),
    ],
)
def test_numbers_come_with_their_units(text: str, wanted: tuple[float, str]) -> None:
    (found,) = quantities_in_tool_request(tokens_of_tool_request(text))
    assert (found.value, found.unit) == (wanted[0], stems_of_tool_words(wanted[1])[0] if wanted[1] else "")


def test_letters_that_count_as_digits_elsewhere_are_none_here() -> None:
    assert [quantity.value for quantity in quantities_in_tool_request(tokens_of_tool_request("5 ² ① m²"))] == [5]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("the hall light to 45", {"name": ["hall light"], "brightness": [45]}),
        ("the light in the hall at half", {"name": ["hall light"], "brightness": [50]}),
        (
            "45 percent for the ktichen light, 20 minutes",
            {"name": ["kitchen light"], "brightness": [45], "minutes": [20]},
        ),
        ("the work light on for two hours", {"name": ["desk lamp"], "minutes": [120]}),
        ("hall light -2.5 warm", {"name": ["hall light"], "warmth": [-2.5]}),
        ("light in the garage and the ground floor", {"zones": [["garage", "ground floor"]]}),
        ("the hall light and the desk lamp", {"name": ["hall light", "desk lamp"]}),
        ("hall light to 250 percent", {"name": ["hall light"]}),
        ("hall light by 20 percent", {"name": ["hall light"]}),
        ("the hall light 10 percent brighter", {"name": ["hall light"]}),
        ("the hall light at 22:00", {"name": ["hall light"]}),
        ("the hall light to two thousand percent", {"name": ["hall light"]}),
        ("turn on the disco ball", {}),
    ],
)
def test_values_are_those_that_were_said(text: str, wanted: dict[str, list[Any]]) -> None:
    assert said_for(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("note that the train is late", "the train is late"),
        ("could you write down call me when you are free, please", "call me when you are free"),
        ('write "oat milk, two" down', "oat milk, two"),
        ("note: I'm late", "I'm late"),
        ("note something", None),
    ],
)
def test_a_text_is_what_the_tools_words_do_not_explain(text: str, wanted: str | None) -> None:
    assert said_for(text, NOTE).get("text", [None])[0] == wanted


def test_what_the_model_cannot_spell_is_no_value() -> None:
    assert "text" not in said_for("note: Gruß", NOTE)


def test_a_text_that_is_not_required_is_taken_where_words_lead_to_it() -> None:
    assert said_for("light the hall light and call it cosy evening")["label"] == ["cosy evening"]
    assert "label" not in said_for("light the hall light when the cat comes home")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("turn off the hall light", {"brightness": 0}),
        ("hall light off", {"brightness": 0}),
        ("switch the desk lamp on", {"brightness": 100}),
        ("the hall light dimmed", {"brightness": 30}),
        ("turn the hall light to 40", {}),
        ("the hall light", {}),
    ],
)
def test_what_a_command_says_without_a_slot(text: str, wanted: dict[str, Any]) -> None:
    words, tokens = ToolWords(LIGHT), Vocabulary([LIGHT]).tokens(text)
    assert commanded_tool_arguments(words, tokens, fill_tool_arguments(words, text, tokens, bool)) == wanted


def test_a_sentence_is_for_the_tool_whose_words_it_has() -> None:
    reader = Reader([LIGHT, NOTE], bool)
    best = reader.readings("please get that down in writing, we need eggs")[0]
    assert best.tool is NOTE
    best = reader.readings("in the hall it should be 40 bright")[0]
    assert (best.tool.name, best.arguments) == ("set_light", {"name": "hall light", "brightness": 40})
    assert best.schema()["properties"]["brightness"] == {"enum": [40], "type": "integer"}
    assert reader.readings("xyzzy") == ()
    assert reader.readings("make it brighter")[0].missing == ["name"]


@pytest.mark.parametrize(
    ("said", "bare", "on", "dropped"),
    [
        ("and the hall one, please", "the hall one", True, False),
        ("The kitchen too!", "The kitchen", True, False),
        ("what about low?", "low", True, False),
        ("Same for the garage one.", "the garage one", True, False),
        ("'zodi muro'.", "zodi muro", True, False),
        ("turn it off", "turn it off", False, False),
        ("something", "", False, False),
        ("never mind", "never mind", False, True),
        ("thanks", "thanks", False, True),
        ("", "", False, False),
    ],
)
def test_turns_go_on_with_others_or_end(said: str, bare: str, on: bool, dropped: bool) -> None:
    assert (bare_value(said), goes_on(said), drops_tool_request(said)) == (bare, on, dropped)


TRAIN = DeclaredTool.model_validate(
    {
        "name": "book_train",
        "parameters": {
            "properties": {
                "origin": {"type": "string", "enum": ["Berlin", "Paris", "Paris Nord", "Rome"]},
                "to": {"type": "string", "enum": ["Berlin", "Paris", "Paris Nord", "Rome"]},
                "seats": {"type": "array", "items": {"type": "integer", "minimum": 1}},
                "quiet": {"type": "boolean"},
            },
            "required": ["origin", "to"],
        },
        "examples": ["book a train from {origin} to {to}", "quiet {quiet}", "seats {seats}", "train {origin} {to}"],
    }
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("book a train from Berlin to Paris", {"origin": ["Berlin"], "to": ["Paris"]}),
        ("train to Rome from Paris", {"origin": ["Paris"], "to": ["Rome"]}),
        ("book a train to Paris", {"to": ["Paris"]}),
        ("a train from Paris Nord to Rome", {"origin": ["Paris Nord"], "to": ["Rome"]}),
        ("seats 3, 4 and 5", {"seats": [[3, 4, 5]]}),
        ("quiet yes", {"quiet": [True]}),
    ],
)
def test_each_mention_says_one_argument(text: str, wanted: dict[str, list[Any]]) -> None:
    assert said_for(text, TRAIN) == wanted


def test_joints_are_found_in_linear_time() -> None:
    started = time.process_time()
    assert len(list(JOINT.finditer("a, then b and c; d. e" + " and" * 50000))) > 4
    assert time.process_time() - started < 2


@pytest.mark.parametrize("text", ["at 14:00, 30 minutes", "9:00 and 2 hours", "for 2 hours, 14:00"])
def test_an_hour_of_the_day_is_part_of_no_duration(text: str) -> None:
    assert len(quantities_in_tool_request(tokens_of_tool_request(text))) == 2


def test_half_an_hour_is_no_half() -> None:
    assert said_for("the hall light on for half an hour") == {"name": ["hall light"], "minutes": [30]}
