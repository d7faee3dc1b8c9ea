from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.data.argument_forms import ArgumentForm, forms_of_intent
from forge.data.asked_forms import (
    forms_of_training_questions,
    own_rows_ask_for_call,
    question_of_turns,
    training_forms_ask_for_call,
)
from forge.data.dialogues import tool_dialogues
from forge.tools import Toolbox
from forge.tools.builtin import TOOLS
from forge.tools.declared.reading import read_tools_file
from forge.tools.declared.requests import Requests
from forge.tools.declared.schema import DeclaredTool
from forge.tools.said import calculator_numbers_as_written

BY_NAME = {tool.name: tool for tool in TOOLS}
WORDS = frozenset({"chair", "shelf", "Karl", "Nina"})  # of a workspace


def _fits(tool: str, text: str, argument: str, known: frozenset[str] = frozenset()) -> bool:
    return any(re.fullmatch(pattern, argument) for pattern in forms_of_training_questions().patterns(tool, text, known))


def _form(tool: str, template: str) -> ArgumentForm:
    intents = (intent for intent in BY_NAME[tool].intents if intent.argument == template)
    return next(form for intent in intents for form in forms_of_intent(tool, intent))


def test_a_form_holds_what_is_said_and_nothing_twice() -> None:
    pattern = _form("calculator", "{A}*{B}").pattern("", [("-4",), ("0.50", "0.5")], ())
    for argument in ("-4*0.5", "0.50*-4"):
        assert re.fullmatch(pattern, argument)
    for argument in ("4*0.5", "-4*-4", "-4+0.5", "-4*0.5*-4", "-4*7"):
        assert not re.fullmatch(pattern, argument)
    price = _form("database_query", "SELECT price FROM products WHERE name='{E}'")
    pattern = price.pattern("", [], ["chair", "lamp"])
    assert re.fullmatch(pattern, "SELECT price FROM products WHERE name='lamp'")
    assert re.fullmatch(pattern, 'SELECT price FROM products WHERE name="chair"')
    assert not re.fullmatch(pattern, "SELECT stock FROM products WHERE name='chair'")
    assert not re.fullmatch(pattern, "SELECT price FROM products WHERE name='sofa'")


def test_a_form_takes_what_is_not_known_and_none_that_is_missing() -> None:
    product = _form("calculator", "{A}*{B}")
    assert re.fullmatch(product.pattern("two million times 3", None, ()), "2000000*3")
    assert product.pattern("times 3", [("3",)], ()) == ""
    assert _form("code_executor", "print('{W}'.count('{c}'))").pattern("letters in lamp", [], ["lamp"]) == ""


def test_what_is_said_of_few_things_is_part_of_the_form() -> None:
    tool = BY_NAME["database_query"]
    count = next(intent for intent in tool.intents if intent.argument == "SELECT COUNT(*) FROM {E}")
    forms = forms_of_intent(tool.name, count)
    assert {form.template for form in forms} == {
        f"SELECT COUNT(*) FROM {table}" for table in ("products", "customers", "employees")
    }
    assert all(form.slots == () for form in forms)


def _missed(split: str, n: int) -> tuple[list[tuple[str, str]], int]:
    """Questions whose call is not among those that they are held to, and how many are held to some."""
    missed, held = [], 0
    with Toolbox() as toolbox:
        for row in tool_dialogues(n, 3, split):  # type: ignore[arg-type]
            user, call = row["messages"][1]["content"], row["messages"][2]["content"]
            name, _, argument = call.partition(" ")
            words = toolbox.words_of_call(name, user)
            assert words is not None
            patterns = forms_of_training_questions().patterns(name, user, words.names)
            held += bool(patterns)
            if patterns and not any(re.fullmatch(pattern, argument) for pattern in patterns):
                missed.append((user, argument))
    return missed, held


@pytest.mark.parametrize(("split", "most"), [("train", 0.02), ("val", 0.12)])
def test_what_is_asked_is_among_the_forms(split: str, most: float) -> None:
    """Phrasings of val stand in no index."""
    missed, held = _missed(split, 1000)
    assert held > 800
    assert len(missed) < most * held, missed[:20]


@pytest.mark.parametrize(
    "text",
    ["what is 12*(3+4) and 2?", "a + b", "", "?", "zxqv qqw", "\u4f60\u597d", "(example: sun -> nus)"],
)
def test_what_is_not_understood_is_left_to_the_model(text: str) -> None:
    for name in ("calculator", "database_query"):
        assert forms_of_training_questions().patterns(name, text) == []
    assert forms_of_training_questions().tools(text) == BY_NAME.keys()


def test_a_question_is_for_tools_whose_phrasings_are_like_it() -> None:
    tools = forms_of_training_questions().tools
    assert tools("3 hours in minutes") == {"calculator"}
    assert tools("how much is the chair?") == {"database_query"}
    assert "code_executor" not in tools("who invented dynamite?")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("how much is the chair?", True),
        ("what is the capital of Norway?", True),
        ("hello", False),
        ("what are you", False),
        ("tell me a joke", None),
        ("zxqv", None),
    ],
)
def test_what_needs_a_call_and_what_must_not_be_one(text: str, wanted: bool | None) -> None:
    assert training_forms_ask_for_call(forms_of_training_questions(), text) is wanted


def test_sums_take_the_numbers_that_are_said() -> None:
    said = "add 12 and 30 and 41"
    assert _fits("calculator", said, "12+30+41")
    assert not any(_fits("calculator", said, argument) for argument in ("12+30", "12+30+30", "12+30+42"))
    assert _fits("calculator", "what is -8 times -6", "-8*-6")
    assert not _fits("calculator", "what is -8 times -6", "8*6")
    assert _fits("calculator", "how many days is 9 weeks", "9*7")
    assert not _fits("calculator", "how many days is 9 weeks", "9*5")
    assert _fits("calculator", "reduce the fraction 42/63", "frac(42, 63)")
    assert not _fits("calculator", "what is 42/63?", "frac(42, 63)")


def test_code_is_about_the_word_that_is_said() -> None:
    said = "how many letters does elephant have"
    assert _fits("code_executor", said, "print(len('elephant'))")
    assert not any(_fits("code_executor", said, f"print(len('{word}'))") for word in ("does", "aeiou", "letters"))
    assert _fits("code_executor", "how many r's are in strawberry?", "print('strawberry'.count('r'))")
    assert not _fits("code_executor", "how many r's are in strawberry?", "print('strawberry'.count('s'))")
    assert _fits("code_executor", 'put "stop" in capitals', "print('stop'.upper())")
    assert not _fits("code_executor", 'put "stop" in capitals', "print('capitals'.upper())")


@pytest.mark.parametrize(
    ("said", "argument"),
    [
        ("how much are the shelves?", "SELECT price FROM products WHERE name='shelf'"),
        ("price of the chiar", "SELECT price FROM products WHERE name='chair'"),
        ("price of the sofa", "SELECT price FROM products WHERE name='sofa'"),
        ("what does nina earn", "SELECT salary FROM employees WHERE name='Nina'"),
        ("what do Karl and Nina earn together", "SELECT SUM(salary) FROM employees WHERE name IN ('Karl', 'Nina')"),
    ],
)
def test_names_of_the_workspace_are_known_in_the_plural_and_with_a_typo(said: str, argument: str) -> None:
    assert _fits("database_query", said, argument, WORDS)
    assert not _fits("database_query", said, re.sub("'[^']*'", "'Ben'", argument), WORDS)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1,250 and 3.50", [("1250", "1,250", "1.250", "1.25"), ("3.50", "3.5")]),
        ("62,21 times twenty-one", [("62,21", "62.21"), ("21",)]),
        ("1 000 minus 8", [("1000",), ("8", "-8")]),
        ("66'089 by -99", [("66089",), ("-99",)]),
        ("which one is 7?", [("7",)]),
        ("1,234.5", [("1234.5",)]),
        ("two million", None),
        ("none", []),
    ],
)
def test_numbers_as_a_calculator_takes_them(text: str, numbers: list[tuple[str, ...]] | None) -> None:
    assert calculator_numbers_as_written(text) == numbers


def _is_read(text: str) -> bool:
    """Whether everything that is asked of a text has an answer."""
    forms = forms_of_training_questions()
    patterns = [pattern for name in BY_NAME for pattern in forms.patterns(name, text, WORDS)]
    call = forms.likest_call(text, lambda tool: WORDS)
    known = all(re.compile(pattern) for pattern in patterns) and (not call or call.split()[0] in BY_NAME)
    return (
        known
        and forms.tools(text) <= BY_NAME.keys()
        and training_forms_ask_for_call(forms_of_training_questions(), text) in (True, False, None)
    )


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_question_can_be_asked(text: str) -> None:
    assert _is_read(text)


@pytest.mark.parametrize("text", ["what is {a}?", "what does print({1: 2}) give", "{}", "how much is the {e}"])
def test_braces_are_no_slots(text: str) -> None:
    assert _is_read(text)


def test_long_questions_take_no_longer() -> None:
    started = time.process_time()
    for piece in ("1", "1 ", "1,", "-", "(", "( ", "a ", "1+", "minus ", "f(", "/a", "don't "):
        assert _is_read(piece * 15_000)
    assert time.process_time() - started < 10


def test_names_may_have_several_words() -> None:
    assert _fits("code_executor", 'reverse "hello world"', "print('hello world'[::-1])")
    price = "SELECT price FROM products WHERE name='garden gnome'"
    assert _fits("database_query", "how much is the garden gnome?", price, WORDS)


@pytest.mark.parametrize("text", ["don't add 5 and 5", "never read todo.txt", "tell me about yourself"])
def test_no_call_is_forced_on_who_wants_none(text: str) -> None:
    assert training_forms_ask_for_call(forms_of_training_questions(), text) is not True


def test_the_control_copies_what_is_written_out() -> None:
    call = forms_of_training_questions().likest_call
    assert call("run print('lamp'.upper())", lambda tool: WORDS) == "code_executor print('lamp'.upper())"
    assert call("solve 5x + 3 = 28", lambda tool: WORDS) == "calculator solve(5*x+3=28)"
    assert call("how much is the chair?", lambda tool: WORDS).endswith("SELECT price FROM products WHERE name='chair'")


HOME = Path(__file__).resolve().parents[2] / "examples" / "home" / "tools.yaml"


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("turn on the kitchen light", True),
        ("could you lock the shed?", True),
        ("how warm is it in the kitchen?", True),
        ("turn on the kitchen light\nthe hall one too", True),
        ("never bolt the garage door", False),
        ("i was told not to mute the music in the study", False),
        ("is the kitchen light on?", None),
        ("did you lock the front door?", None),
        ("how do I unlock the front door?", None),
        ("turn off all lights except the lantern", None),
        ("we do not need milk any more", None),
        ("turn off the lantern, nobody is home", None),
        ("add milk to the shopping list\nthanks", None),
        ("schalte das licht in der küche an", None),
        ("who was Cleopatra", None),
        ("what is 17 * 23?", None),
        ("", None),
    ],
)
def test_a_call_of_an_own_tool_is_due_where_its_examples_say_so(asked: str, wanted: bool | None) -> None:
    assert (
        own_rows_ask_for_call(forms_of_training_questions(), Requests(read_tools_file(HOME).tools, bool), asked)
        is wanted
    )


@pytest.mark.parametrize(
    "asked",
    [
        "you must not lock the shed",
        "I can't turn off the hall light",
        "I locked the shed",
        "the shed is locked",
        "thanks for locking the shed",
        "tell me if the shed is locked",
        "could you explain how to lock the front door?",
        "she said turn the hall light on",
        "turn the hall light on unless the porch light is on",
        "lock the shed or the garage door",
        "lock the shed, actually no",
        "lock the shed, no, wait",
        "ok, I locked the shed",
        "water the roses for 5 or 10 minutes",
        "stop dimming the hall light",
        "is the front door locked?\nand the shed?",
        "do not lock the shed\nthe garden gate",
        "set the hall light to 30 percent\nwhat is 17 percent of 230?",
        "set the hall light to 30 percent\nI paid 40 percent of that",
        "set the hall light to 30 percent\nthe desk lamp is broken",
        "set the hall light to 30 percent\nwho made the desk lamp",
        "set the hall light to 30 percent\nleave the desk lamp alone",
        "set the hall light to 30 percent\nanything but the desk lamp",
        "240 minutes = ? hours",
        "1 000 times 45",
        "hall light",
    ],
)
def test_a_call_that_may_not_be_wanted_is_left_to_the_model(asked: str) -> None:
    assert (
        own_rows_ask_for_call(forms_of_training_questions(), Requests(read_tools_file(HOME).tools, bool), asked)
        is not True
    )


def test_a_tool_that_nothing_is_known_of_may_be_the_one_that_is_meant() -> None:
    doors = {"properties": {"door": {"type": "string", "enum": ["front door", "garage"]}}, "required": ["door"]}
    opens = {"name": "open_door", "parameters": doors, "examples": ["open the {door}", "let me in at the {door}"]}
    locks = {"name": "lock_door", "description": "Lock a door.", "parameters": doors}
    requests = Requests([DeclaredTool.model_validate(tool) for tool in (opens, locks)], bool)
    assert own_rows_ask_for_call(forms_of_training_questions(), requests, "open the garage") is True
    assert own_rows_ask_for_call(forms_of_training_questions(), requests, "lock the front door") is not True
    assert {tool.name for tool, _ in requests.forms("lock the front door")} >= {"lock_door"}


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("how much is the lamp?", "how much is the lamp?"),
        ("how much is the lamp?\nand the chair?", "how much is the chair?"),
        ("capital of italy?\nand of Spain", "capital of Spain?"),
        ("read garden.txt\nand pets.txt too", "read pets.txt"),
        ("hi!\ncan you tell me what 9 times 9 is", "can you tell me what 9 times 9 is"),
        ("what's 80 minus 35\nthanks!\nand 20% of 80?", "and 20% of 80?"),
        ("what is 12 times 12?\nand plus 6", None),
        ("how much is the lamp?\nwhat a lovely day it is for the chair", None),
        ("how much is the lamp?\nthanks", None),
        ("", ""),
    ],
)
def test_a_turn_of_few_words_asks_what_the_one_before_asks_of_another_thing(asked: str, wanted: str | None) -> None:
    assert (
        question_of_turns(
            forms_of_training_questions(), asked, frozenset({"lamp", "chair", "italy", "spain", "capital"})
        )
        == wanted
    )


@pytest.mark.parametrize(
    ("question", "pattern"),
    [
        ("twelve times eleven", r"12\*11|11\*12"),
        ("do you know the square root of 529", r"sqrt\(529\)"),
        ("what is the square root of minus 529", r"sqrt\(-529\)"),
    ],
)
def test_a_sum_has_all_numbers_that_are_said_and_no_other_sign(question: str, pattern: str) -> None:
    forms = forms_of_training_questions().patterns("calculator", question)
    candidates = ("12*11", "11*12", "12*3", "11*2", "sqrt(529)", "sqrt(-529)")
    allowed = [call for call in candidates if any(re.fullmatch(form, call) for form in forms)]
    assert any(re.fullmatch(pattern, call) for call in allowed)
    assert all(re.fullmatch(pattern, call) for call in allowed if "minus" not in question)


def test_a_problem_that_says_a_number_of_its_own_is_asked_as_it_was_learned() -> None:
    question = "How many 1 bits are there in the binary representation of the number 70794?"
    assert [form.template for form in forms_of_training_questions().forms("calculator", question)] == ["bits({A})"]


def test_a_short_word_for_two_is_no_name() -> None:
    forms = forms_of_training_questions().patterns("code_executor", "whats the first letter of giraffe")
    assert any(re.fullmatch(form, "print('giraffe'[0])") for form in forms)
    assert not any(re.fullmatch(form, "print('whats'[0])") for form in forms)
