"""examples/home: every call that its rows make runs, answers as its rows say, and changes the house."""

from __future__ import annotations

import copy
import importlib.util
import random
from pathlib import Path
from types import ModuleType

import pytest

from forge.data.declared.rows import OwnRowMaker
from forge.tools.calls import parse_tool_call
from forge.tools.declared.reading import read_tools_file
from forge.tools.declared.schema import DeclaredTool

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "home"
TOOLS = {tool.name: tool for tool in read_tools_file(FOLDER / "tools.yaml").tools}


def open_home() -> ModuleType:
    spec = importlib.util.spec_from_file_location("home_of_the_example", FOLDER / "home.py")
    assert spec is not None
    assert spec.loader is not None
    home = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(home)
    return home


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_every_call_changes_the_house_and_answers_as_trained(tool: DeclaredTool) -> None:
    home, rng = open_home(), random.Random(5)
    maker = OwnRowMaker([tool], "train")
    assert tool.run is not None
    assert tool.run.python is not None
    module, _, function = tool.run.python.partition(":")
    assert module == "home"
    tried = set()
    for _ in range(60):
        row = maker.draw(rng, "call")
        assert row is not None
        _, arguments = parse_tool_call(row["expected"][0], TOOLS)
        key = str(arguments)
        if key in tried:
            continue
        tried.add(key)
        if tool.name == "remove_from_list":
            home.add_to_list(**arguments)
        before = copy.deepcopy(home.STATE)
        answer = getattr(home, function)(**arguments)
        assert before != home.STATE or arguments in ({"action": "dock"},)
        if tool.name == "read_temperature":  # which the rows cannot know
            assert answer.startswith(f"{arguments['room']}: ")
        else:
            assert answer == row["messages"][2]["content"]
    assert len(tried) > 2


def test_what_is_not_on_the_list_cannot_be_taken_off() -> None:
    assert open_home().remove_from_list("nothing") == "error: nothing is not on the list"
