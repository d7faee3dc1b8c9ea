"""What conversations ask of the tools of a house: the next call's form and values, in order, and whether one is due."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.data.asked_forms import forms_of_training_questions, own_rows_ask_for_call
from forge.tools.declared.reading import read_tools_file
from forge.tools.declared.readings import MOST_READINGS
from forge.tools.declared.requests import SURELY, Requests
from forge.tools.declared.schema import DeclaredTool

TOOLS = read_tools_file(Path(__file__).resolve().parents[3] / "examples" / "home" / "tools.yaml").tools
HOME = Requests(TOOLS, lambda text: True)


def arguments(schema: dict[str, Any]) -> dict[str, Any]:
    """The likeliest arguments that a schema allows."""
    return {name: said["const"] if "const" in said else said["enum"][0] for name, said in schema["properties"].items()}


def next_call(asked: str, *made: str) -> tuple[str, dict[str, Any]]:
    """The tool and the arguments of the first form that the next call may have."""
    tool, schema = HOME.forms(asked, made)[0]
    assert not isinstance(schema, str), schema
    return tool.name, arguments(schema)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("turn on the kitchen light", ("set_light", {"name": "kitchen light", "brightness": 100})),
        ("Take the lock off the cellar door!", ("set_lock", {"name": "cellar door", "locked": False})),
        ("pause the vacuum, thank you", ("vacuum", {"action": "pause"})),
        ("Muet the bath.", ("set_volume", {"room": "bathroom", "volume": 0})),
        ("protect the garage, garden and upstairs", ("arm_alarm", {"zones": ["garage", "garden", "upper floor"]})),
        ("keep the bedroom at 20.5 degrees", ("set_thermostat", {"room": "bedroom", "temperature": 20.5})),
        ("dim the desk lamp to ninety six", ("set_light", {"name": "desk lamp", "brightness": 96})),
        ("note singer bucket for shopping", ("add_to_list", {"item": "singer bucket"})),
        ("mute the study and the bath", ("set_volume", {"room": "study", "volume": 0})),
    ],
)
def test_a_request_is_one_call(asked: str, wanted: tuple[str, dict[str, Any]]) -> None:
    assert next_call(asked) == wanted
    assert HOME.certainty(asked) >= SURELY


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("turn on the kitchen light\nThe hall one too", ("set_light", {"name": "hall light", "brightness": 100})),
        ("bolt the shed\nSame for the garage one.", ("set_lock", {"name": "garage door", "locked": True})),
        ("timer for 1 day\nand three minutes", ("set_timer", {"duration": "three minutes"})),
        ("remember to buy something\n'oat milk'.", ("add_to_list", {"item": "oat milk"})),
        ("set the ceiling fan to medium\nwhat about low?", ("set_fan", {"name": "ceiling fan", "speed": "low"})),
    ],
)
def test_a_turn_that_leans_on_another_changes_its_value(asked: str, wanted: tuple[str, dict[str, Any]]) -> None:
    name, found = next_call(asked)
    assert (name, list(found.values())) == (wanted[0], list(wanted[1].values()))
    assert HOME.leans(asked)


def test_requests_are_met_in_their_order() -> None:
    asked = "mute the study and the bath, then lock the shed"
    made: list[str] = []
    for call in (
        'set_volume {"room":"study","volume":0}',
        'set_volume {"room":"bathroom","volume":0}',
        'set_lock {"name":"shed","locked":true}',
    ):
        name, found = next_call(asked, *made)
        assert call.startswith(name)
        assert all(str(value).lower() in call for value in found.values())
        made.append(call)
        assert HOME.more(asked, made) is (len(made) < 3)


def test_what_is_worded_like_no_example_is_about_what_it_names() -> None:
    """As the model chooses among the forms, the right one has to be there."""
    for asked, tool in (("more brightness at the porch light", "set_light"), ("see to the shed", "set_lock")):
        found = HOME.forms(asked)
        assert tool in {own.name for own, _ in found}
        assert len(found) <= MOST_READINGS


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("lock the shed\nunlock the shed", ("set_lock", {"name": "shed", "locked": False})),
        ("lock the front door\nunlock front door", ("set_lock", {"name": "front door", "locked": False})),
        ("open the awning\nclose the awning", ("move_cover", {"name": "awning", "position": 0})),
        ("mute the kitchen\nvacuum the kitchen", ("vacuum", {"action": "clean", "room": "kitchen"})),
        ("play dancing in the dark in the kitchen", ("play", {"title": "dancing in the dark", "room": "kitchen"})),
        ("add don't cry to the shopping list", ("add_to_list", {"item": "don't cry"})),
    ],
)
def test_a_command_of_its_own_leans_on_nothing_and_keeps_its_words(asked: str, wanted: tuple[str, object]) -> None:
    assert next_call(asked) == wanted
    assert not HOME.leans(asked)


@pytest.mark.parametrize("last", ["thanks", "thank you!", "ok", "stop", "undo", "cancel that", "bye", "no"])
def test_small_talk_is_no_value(last: str) -> None:
    for first in ("add milk to the shopping list", "set a timer for 5 minutes", "turn on the hall light"):
        assert not HOME.leans(f"{first}\n{last}")


@pytest.mark.parametrize("number", ["20.5", "-5", "101", "9" * 40])
def test_of_a_number_that_does_not_fit_no_part_is_taken(number: str) -> None:
    found = HOME.forms(f"set the hall light to {number} percent")
    assert [(tool.name, missing) for tool, missing in found] == [("set_light", "brightness")]


@pytest.mark.parametrize(
    ("asked", "made", "wanted"),
    [
        ("lock the shed and lock the shed", ['set_lock {"name":"shed","locked":true}'] * 2, False),
        ("add bread, butter and jam to the shopping list", ["add_to_list bread, butter and jam"], None),
        ("dim the hall light to 20 and the porch one to 40", ['set_light {"name":"hall light","brightness":20}'], True),
        ("turn the hall light on", ['set_light {"name":"hall light","brightness":100}'], False),
        (
            "turn the hall light on",
            ['set_light {"name":"hall light","brightness":100}', 'set_lock {"name":"shed"}'],
            False,
        ),
    ],
)
def test_no_call_is_forced_that_may_not_be_wanted(asked: str, made: list[str], wanted: bool | None) -> None:
    assert HOME.more(asked, made) is wanted


def test_an_optional_argument_may_be_missing_from_what_is_left() -> None:
    tool = DeclaredTool.model_validate(
        {
            "name": "fan",
            "parameters": {
                "properties": {
                    "name": {"type": "string", "enum": ["hall fan", "attic fan"]},
                    "speed": {"type": "string", "enum": ["low", "high"]},
                },
                "required": ["name"],
            },
            "examples": ["start the {name} {speed}", {"say": "start the {name}", "arguments": {"speed": "low"}}],
        }
    )
    made = ['fan {"name":"hall fan","speed":"low"}']
    assert Requests([tool], bool).more("start the hall fan", made) is False


def test_long_turns_and_many_slots_take_no_long_time() -> None:
    started = time.process_time()
    lock = "lock the shed"
    for asked in (f"{lock}. " * 1100, f"{lock}\n" + ", please" * 4000 + " x", f"{lock}\n" + "9" * 5000):
        HOME.forms(asked)
        HOME.more(asked, ['set_lock {"name":"shed","locked":true}'])
    many = {"name": "mix", "parameters": {"properties": {name: {"type": "string"} for name in "abcdef"}}}
    tool = DeclaredTool.model_validate({**many, "examples": ["mix {a} {b} {c} {d} {e} {f} zq"]})
    Requests([tool], bool).forms("mix " + "é " * 195)
    assert time.process_time() - started < 5


def test_two_requests_of_one_form_are_two_calls() -> None:
    asked = "delete jacket ladder from the list plus delete lihozu from the list"
    assert next_call(asked, "remove_from_list jacket ladder") == ("remove_from_list", {"item": "lihozu"})
    assert HOME.more(asked, ["remove_from_list jacket ladder"]) is True


def test_nothing_is_known_of_what_is_like_no_example() -> None:
    assert HOME.more("who was Cleopatra", ['set_lock {"name":"shed","locked":true}']) is None
    assert HOME.more("lock the shed", []) is None
    assert HOME.more("lock the shed", ["calculator 1+1"]) is None, "a call of another tool"
    assert len({tool.name for tool, _ in HOME.forms("who was Cleopatra")}) > 2
    assert not HOME.leans("who was Cleopatra\nand the hall one")
    assert Requests([], bool).forms("lock the shed") == []


@pytest.mark.parametrize("asked", ["play something in the hall", "lock it", "we need"])
def test_what_is_missing_is_named(asked: str) -> None:
    tool, missing = HOME.forms(asked)[0]
    assert isinstance(missing, str)
    assert missing in tool.required


@pytest.mark.parametrize("asked", ["", "\n", "x" * 5000, "and " * 500, "lock the shed and " * 60, "\x00 {name} [("])
def test_odd_turns_are_answered_quickly(asked: str) -> None:
    assert isinstance(HOME.forms(asked), list)
    assert HOME.more(asked, []) is None


@pytest.mark.parametrize(
    ("asked", "calls"),
    [
        ("turn off the hall, porch and attic light", [("hall light", 0), ("porch light", 0), ("attic light", 0)]),
        (
            "set the kitchen, hall and porch lights to 30 percent",
            [("kitchen light", 30), ("hall light", 30), ("porch light", 30)],
        ),
        ("turn off the hall light and turn on the porch light", [("hall light", 0), ("porch light", 100)]),
    ],
)
def test_of_things_that_are_named_one_by_one_none_is_left_out(asked: str, calls: list[tuple[str, int]]) -> None:
    made: list[str] = []
    for name, brightness in calls:
        assert next_call(asked, *made) == ("set_light", {"name": name, "brightness": brightness})
        made.append(f'set_light {{"name":"{name}","brightness":{brightness}}}')
        assert HOME.more(asked, made) is (len(made) < len(calls))


def test_it_is_what_the_turn_before_names() -> None:
    assert next_call("lock the front door\nunlock it") == ("set_lock", {"name": "front door", "locked": False})


def test_quotation_marks_hold_no_request() -> None:
    assert next_call('add "lock the shed, then mute the hall" to the shopping list')[0] == "add_to_list"


_ODD = (
    "²",
    "①",
    "1e9",
    "½",
    "10+",
    "%",
    "7:30",
    ":",
    "-",
    "'",
    '"',
    ",",
    ".",
    "é",
    "把灯",
    "🙂",
    "\ud800",
    "\x00",
    "\n",
)
_PLAIN = (
    "lock",
    "the shed",
    "turn off",
    "hall light",
    "to 30",
    "an hour and a half",
    "and",
    "then",
    "no",
    "it",
    "milk",
)
_PIECES = st.sampled_from((*_ODD, *_PLAIN, "what about", "add", "one", "14:00, 30 minutes", "9:00 and 2 hours"))


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=14).map(" ".join)))
def test_anything_may_be_said(text: str) -> None:
    for requests in (HOME, Requests([], bool)):
        found = requests.forms(text)
        assert all(isinstance(schema, str) or schema["type"] == "object" for _, schema in found)
        own_rows_ask_for_call(forms_of_training_questions(), requests, text)
        requests.more(text, ['set_lock {"name":"shed","locked":true}'])


def test_long_conversations_with_many_tools_take_no_long_time() -> None:
    names = [[f"{word}{n} thing" for n in range(100)] for word in ("big", "small", "old", "new")]
    tools = [
        DeclaredTool.model_validate(
            {
                "name": f"tool_{n}",
                "parameters": {"properties": {"x": {"type": "string", "enum": names[n]}, "y": {"type": "string"}}},
                "examples": [f"do{n} the {{x}} with {{y}}", f"make{n} of {{x}} some {{y}}"],
            }
        )
        for n in range(4)
    ]
    requests = Requests(tools, bool)
    turn = " and ".join(f"do{n % 4} the big{n} thing with paint" for n in range(12))
    started = time.process_time()
    for turns in range(1, 9):
        requests.forms("\n".join(f"{turn} {n}" for n in range(turns)))
    assert time.process_time() - started < 8
