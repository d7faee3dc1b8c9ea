"""Rows of declared tools: what they say is what they call, and no split shares a sentence with another."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from forge.data.declared.rows import SHARES, OwnRowMaker, own_persona_rows, own_tool_rows, user_words
from forge.data.declared.sentences import type_sentence
from forge.data.declared.templates import (
    Template,
    left_out_templates,
    plain_words_of_row,
    row_template_of_example,
    row_templates_told_apart,
)
from forge.data.declared.values import Said, count_row_values, draw_value, spoken_number
from forge.data.splits import SPLITS, dataset_split_by_hash
from forge.errors import ForgeError
from forge.tools.calls import parse_tool_call, refuse_call, tool_call_text
from forge.tools.declared.reading import read_tools_file
from forge.tools.declared.schema import DeclaredPersona, DeclaredTool

HOME = Path(__file__).resolve().parents[3] / "examples" / "home" / "tools.yaml"
TOOLS = {tool.name: tool for tool in read_tools_file(HOME).tools}
COUNTS = {"train": 1500, "val": 150, "test": 300}
NOTE: dict[str, Any] = {
    "name": "note",
    "parameters": {"properties": {"text": {"type": "string"}}, "required": ["text"]},
    "values": {"text": "sentence"},
    "examples": ["note {text}", "write down {text}", "note down: {text}", "remember {text}", "memo {text}"],
}


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict[str, Any]]]:
    return own_tool_rows(list(TOOLS.values()), COUNTS, seed=7)


def test_equal_arguments_give_equal_rows(rows: dict[str, list[dict[str, Any]]]) -> None:
    few = {"train": 20, "val": 150, "test": 300}
    again = own_tool_rows(list(TOOLS.values()), few, seed=7)
    assert again["test"] == rows["test"]
    assert again["train"] != own_tool_rows(list(TOOLS.values()), few, seed=8)["train"]


def test_every_kind_has_its_share(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert sum(SHARES.values()) == pytest.approx(1.0)
    for split, count in COUNTS.items():
        assert len(rows[split]) == count
    kinds = [row["category"] for row in rows["train"]]
    for category, share in SHARES.items():
        assert kinds.count(category) / len(kinds) == pytest.approx(share, abs=0.04), category
    assert SHARES["offtopic"] == 1 / 8


def test_no_sentence_and_no_held_out_call_is_in_two_splits(rows: dict[str, list[dict[str, Any]]]) -> None:
    said = {split: {user_words(row) for row in rows[split]} for split in SPLITS}
    assert not said["train"] & said["test"]
    assert not said["train"] & said["val"]
    assert not said["val"] & said["test"]
    for split in ("val", "test"):
        held_out = [c for row in rows[split] if row["category"] == "call" for c in row["expected"] if _has_many(c)]
        assert held_out
        assert {dataset_split_by_hash(call) for call in held_out} == {split}


def _has_many(call: str) -> bool:
    """Calls of tools whose every example leaves many values open."""
    return call.split(" ", 1)[0] in ("add_to_list", "remove_from_list", "set_timer", "play")


def test_every_call_is_one_that_its_tool_takes(rows: dict[str, list[dict[str, Any]]]) -> None:
    for row in (row for split in SPLITS for row in rows[split]):
        calls = [m["content"] for m in row["messages"] if m["role"] == "call"]
        assert calls[len(calls) - len(row["expected"]) :] == row["expected"]
        assert len(row["expected"]) == {"call": 1, "followup": 1, "two": 2}.get(row["category"], 0)
        for call in calls:
            name, arguments = parse_tool_call(call, TOOLS)
            assert refuse_call(TOOLS[name], arguments) is None
            assert tool_call_text(TOOLS[name], arguments) == call
        roles = "".join(m["role"][0] for m in row["messages"])
        assert re.fullmatch(r"(u(cr)*a)+", roles), roles


def test_what_a_call_copies_stands_in_the_sentence_letter_by_letter(rows: dict[str, list[dict[str, Any]]]) -> None:
    copied = 0
    for row in rows["train"]:
        said = " ".join(m["content"] for m in row["messages"] if m["role"] == "user")
        for call in row["expected"]:
            tool, arguments = parse_tool_call(call, TOOLS)
            for name, value in arguments.items():
                if TOOLS[tool].arguments[name].free:
                    assert value in said
                    copied += 1
    assert copied > 100


def test_talk_calls_nothing_and_stays_clear_of_the_tools(rows: dict[str, list[dict[str, Any]]]) -> None:
    maker = OwnRowMaker(list(TOOLS.values()), "train")
    for row in rows["train"]:
        if row["category"] in ("offtopic", "mention", "unknown"):
            assert [m["role"] for m in row["messages"]] == ["user", "assistant"]
    assert maker.words.meets("we need a hammer")  # reads like an example with another value
    assert maker.words.meets("is the awning red")
    assert not maker.words.meets("who was Cleopatra")


def test_off_topic_rows_give_way_where_a_tool_takes_any_text() -> None:
    anything = DeclaredTool.model_validate({**NOTE, "examples": ["{text}", "note {text}"]})
    kinds = {row["category"] for row in own_tool_rows([anything], {"train": 60, "val": 0, "test": 0}, 0)["train"]}
    assert "offtopic" not in kinds
    assert "call" in kinds


def test_a_sentence_that_lacks_an_argument_is_asked_about(rows: dict[str, list[dict[str, Any]]]) -> None:
    asked = {row["messages"][1]["content"] for row in rows["train"] if row["category"] == "missing"}
    assert {"Which light?", "How bright?", "Which door?", "What shall I add?"} <= asked
    known = frozenset(row_template_of_example(t, e).text.lower() for t in TOOLS.values() for e in t.examples)
    left = {template.text for template in left_out_templates(TOOLS["set_light"], known)}
    assert {"turn on the light", "turn the light on", "set it to {brightness} percent", "set the {name}"} <= left
    assert "add something to the list" in {t.text for t in left_out_templates(TOOLS["add_to_list"], known)}


def test_what_reads_the_same_for_two_tools_is_not_asked_about() -> None:
    fan = {"type": "string", "enum": ["ceiling fan", "attic fan"]}
    made = {"properties": {"name": fan}, "required": ["name"]}
    pump = {"properties": {"place": {"type": "string", "enum": ["pond"]}}, "required": ["place"]}
    tools = [
        DeclaredTool.model_validate({"name": "fan", "parameters": made, "examples": ["stop the {name}"]}),
        DeclaredTool.model_validate({"name": "pump", "parameters": pump, "examples": ["stop the {place}"]}),
    ]
    left = row_templates_told_apart({tool.name: left_out_templates(tool, frozenset()) for tool in tools})
    assert {name: [template.text for template in templates] for name, templates in left.items()} == {
        "fan": ["stop the fan"],
        "pump": [],
    }


def test_a_follow_up_needs_the_turn_before(rows: dict[str, list[dict[str, Any]]]) -> None:
    follow = [row for row in rows["train"] if row["category"] == "followup"]
    assert any(" one" in row["messages"][-4]["content"] for row in follow)
    for row in follow:
        users = [m["content"] for m in row["messages"] if m["role"] == "user"]
        assert len(users) == 2


@pytest.mark.parametrize(
    ("say", "mood"),
    [
        ("turn on the {name}", "order"),
        ("is the {name} on", "question"),
        ("how bright is the {name}?", "question"),
        ("I want the {name} on", "statement"),
        ("the {name} on full", "statement"),
        ("{name} on", "statement"),
        ("next song in {name}", "statement"),
        ("light on in {name}", "statement"),
        ("light the {name}", "order"),
        ("light {name}", "order"),
    ],
)
def test_frames_fit_the_mood(say: str, mood: str) -> None:
    examples = [say, "switch the light of the {name}"]
    parameters = {"properties": {"name": {"type": "string", "enum": ["hall"]}}}
    tool = DeclaredTool.model_validate({"name": "f", "parameters": parameters, "examples": examples})
    assert row_template_of_example(tool, tool.examples[0]).mood == mood


def test_nothing_runs_into_a_free_text_at_the_end() -> None:
    note = DeclaredTool.model_validate(NOTE)
    frames = row_template_of_example(note, note.examples[0]).frames()
    assert "{} for me" not in frames
    assert "please {}" in frames


def test_values_fit_their_schema_and_are_counted() -> None:
    rng = random.Random(0)
    for tool in TOOLS.values():
        for name in tool.arguments:
            drawn = [draw_value(rng, tool, name) for _ in range(60)]
            assert 1 < len({str(value) for value in drawn}) <= count_row_values(tool, name)
    picky = {**NOTE, "parameters": {"properties": {"text": {"type": "string", "pattern": "^[0-9]$"}}}}
    with pytest.raises(ForgeError, match="its schema allows none"):
        draw_value(rng, DeclaredTool.model_validate(picky), "text")


@pytest.mark.parametrize(("number", "words"), [(0, "zero"), (15, "fifteen"), (40, "forty"), (99, "ninety nine")])
def test_numbers_in_words(number: int, words: str) -> None:
    assert spoken_number(number) == words
    assert len({spoken_number(n) for n in range(1000)}) == 1000


def test_noise_leaves_verbatim_words_alone() -> None:
    rng = random.Random(3)
    typed = {type_sentence(rng, [Said("remember the "), Said("Grey Zebra", verbatim=True)]) for _ in range(300)}
    assert all("Grey Zebra" in text for text in typed)
    assert len({plain_words_of_row(text) for text in typed}) > 5  # some have typos
    assert any(text[0] == "r" for text in typed)
    assert any(text[-1] in ".!" for text in typed)


def test_results_tell_the_arguments() -> None:
    tool = TOOLS["set_lock"]
    row = OwnRowMaker([tool], "train").draw(random.Random(1), "call")
    assert row is not None
    _, arguments = parse_tool_call(row["expected"][0], TOOLS)
    assert row["messages"][2]["content"] == f"{arguments['name']} locked: {'yes' if arguments['locked'] else 'no'}"


def test_tools_without_examples_are_refused() -> None:
    with pytest.raises(ForgeError, match="none has an example"):
        own_tool_rows([DeclaredTool(name="mute")], COUNTS, 0)


def test_personas_become_rows() -> None:
    examples = [{"say": f"Question {n}?", "answer": f"Answer {n}."} for n in range(10)]
    butler = DeclaredPersona.model_validate({"name": "butler", "prompt": "Be a butler.", "examples": examples})
    made = own_persona_rows([butler], {"train": 100, "val": 5, "test": 5}, 0)
    answers = {split: {row["messages"][2]["content"] for row in made[split]} for split in SPLITS}
    assert [len(answers[split]) for split in SPLITS] == [8, 1, 1]
    assert len(set.union(*answers.values())) == 10
    assert made["train"][0]["messages"][0] == {"role": "system", "content": "Be a butler."}


def test_a_template_reads_as_its_example() -> None:
    light = TOOLS["set_light"]
    template = row_template_of_example(light, light.examples[0])
    assert isinstance(template, Template)
    assert template.text == "set the {name} to {brightness} percent"
    assert template.holds_arguments_out
    assert not row_template_of_example(light, light.examples[6]).holds_arguments_out
