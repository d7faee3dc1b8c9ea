"""Forms of calls, and which of them a conversation is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.data.declared.rows import own_tool_rows
from forge.tools.declared.forms import NEAREST, CallForm, FormIndex, forms_of_tool
from forge.tools.declared.reading import read_tools_file
from forge.tools.declared.schema import DeclaredTool

TOOLS = read_tools_file(Path(__file__).resolve().parents[3] / "examples" / "home" / "tools.yaml").tools
BY_NAME = {tool.name: tool for tool in TOOLS}


def _named(form: CallForm) -> tuple[str, dict[str, object]]:
    return form.tool.name, dict(form.arguments)


def _told_by_forms(tool: DeclaredTool) -> DeclaredTool:
    """The tool as a published model knows it."""
    examples = tuple(example for form in forms_of_tool(tool) for example in form.examples())
    return tool.model_copy(update={"examples": examples})


def test_examples_that_lead_to_one_call_are_one_form() -> None:
    forms = forms_of_tool(BY_NAME["set_light"])
    assert [(dict(form.arguments), form.slots) for form in forms] == [
        ({}, ("name", "brightness")),
        ({"brightness": 100}, ("name",)),
        ({"brightness": 0}, ("name",)),
        ({"brightness": 30}, ("name",)),
        ({"brightness": 50}, ("name",)),
    ]
    assert {"turn on the {name}", "the {name} on full"} <= set(forms[1].says)
    assert len(set(forms[1].says)) == len(forms[1].says)
    assert forms_of_tool(DeclaredTool.model_validate({"name": "bell"})) == []


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_the_forms_of_the_examples_that_forms_become_are_the_same(tool: DeclaredTool) -> None:
    forms = forms_of_tool(tool)
    again = forms_of_tool(
        tool.model_copy(update={"examples": tuple(example for form in forms for example in form.examples())})
    )
    assert [(form.arguments, form.slots, form.says) for form in again] == [
        (form.arguments, form.slots, form.says) for form in forms
    ]


def test_forms_of_unusual_sentences_become_examples() -> None:
    many = [f"verb{n} the thing{n} {{name}} please" for n in range(90)]
    for says in (["show {{json}} of {name}"], ["{{}}"], ["   "], ["{name}"], many):
        tool = DeclaredTool.model_validate(
            {"name": "t", "parameters": {"properties": {"name": {"type": "string"}}}, "examples": says}
        )
        forms = forms_of_tool(tool)
        again = forms_of_tool(_told_by_forms(tool))
        assert [(form.slots, form.says) for form in again] == [(form.slots, form.says) for form in forms]


@pytest.mark.parametrize("before", ["word " * 40, "This is a sentence. " * 12, "One line.\n" * 7])
def test_a_request_is_found_at_the_end_of_long_talk(before: str) -> None:
    assert ("set_light", {"brightness": 100}) in map(
        _named, FormIndex(TOOLS).nearest(f"{before}turn on the hall light")
    )


def test_a_tool_whose_examples_have_common_words_only_is_found() -> None:
    tool = DeclaredTool.model_validate(
        {
            "name": "look",
            "parameters": {"properties": {"x": {"type": "string"}}, "required": ["x"]},
            "examples": ["what is {x}", "tell me about {x}"],
        }
    )
    assert FormIndex([tool, *TOOLS]).nearest("what is entropy")[0].tool is tool


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("mute the bathroom", ("set_volume", {"volume": 0})),
        ("sht the drapes", ("move_cover", {"position": 0})),
        ("dim the desk lamp\nDone.\nand the hall one?", ("set_light", {"brightness": 30})),
        ("lock the shed and mute the hall", ("set_lock", {"locked": True})),
        ("lock the shed and mute the hall", ("set_volume", {"volume": 0})),
    ],
)
def test_what_a_conversation_is_about(said: str, wanted: tuple[str, dict[str, object]]) -> None:
    assert wanted in [_named(form) for form in FormIndex(TOOLS).nearest(said)]


def test_few_forms_are_near_and_none_where_no_word_is_shared() -> None:
    index = FormIndex(TOOLS)
    assert next(map(_named, index.nearest("mute the bathroom"))) == ("set_volume", {"volume": 0})
    assert len(index.nearest("please set it to 30")) <= NEAREST
    assert index.nearest("xyzzy") == []
    assert index.nearest("") == FormIndex([]).nearest("mute the bathroom") == []


def test_the_call_of_nearly_every_row_is_of_a_form_that_is_near() -> None:
    index, missed, calls = FormIndex(TOOLS), 0, 0
    for row in own_tool_rows(TOOLS, {"train": 0, "val": 0, "test": 300}, 3)["test"]:
        said = "\n".join(turn["content"] for turn in row["messages"] if turn["role"] == "user")
        names = {form.tool.name for form in index.nearest(said)}
        calls += len(row["expected"])
        missed += sum(call.split()[0] not in names for call in row["expected"])
    assert calls > 150
    assert missed <= 0.01 * calls
