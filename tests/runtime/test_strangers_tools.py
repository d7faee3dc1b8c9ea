"""Own tools of a model that a stranger may have made: each is refused in one line, or does no harm."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from forge.agentfile.container import read_agent, write_agent
from forge.errors import ForgeError
from forge.runtime.load import load_agent
from tests.attacks.declarations import HOSTILE_DECLARATIONS
from tests.support.toy_agent import build_toy

ENDLESS = "^(a+)+$"  # which `re` takes for ever to refuse


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_toy(tmp_path_factory.mktemp("sound"))


def _with_metadata(sound: Path, kind: str, folder: Path, metadata: dict[str, Any]) -> Path:
    """A copy of a model that says this of itself."""
    if kind == "agent.forge":
        parts = read_agent(sound / kind)
        parts.metadata.update(metadata)
        write_agent(folder / kind, parts)
        return folder / kind
    shutil.copytree(sound / kind, folder / kind)
    (folder / kind / "metadata.json").write_text(json.dumps(metadata))
    return folder / kind


@pytest.mark.parametrize("kind", ["toy", "agent.forge"])
@pytest.mark.parametrize("name", HOSTILE_DECLARATIONS)
def test_hostile_declarations_are_refused_in_one_line(sound: Path, tmp_path: Path, name: str, kind: str) -> None:
    metadata, words = HOSTILE_DECLARATIONS[name]
    try:
        model = _with_metadata(sound, kind, tmp_path, metadata)
    except ForgeError:
        assert kind == "agent.forge"  # such a file is not even written
        return
    with pytest.raises(ForgeError) as caught:
        load_agent(model)
    told = str(caught.value)
    assert words in told
    assert told.startswith(str(model))
    assert "\n" not in told
    assert len(told) - len(str(model)) < 400
    assert not (tmp_path / "made").exists()


def test_patterns_of_strangers_are_held_against_nothing(sound: Path, tmp_path: Path) -> None:
    parameter = {"type": "string", "pattern": ENDLESS}
    tool = {"name": "bell", "parameters": {"properties": {"x": parameter}}, "values": {"x": ["a" * 60 + "b"]}}
    model = _with_metadata(sound, "toy", tmp_path, {"declared_tools": [tool]})
    began = time.monotonic()
    with load_agent(model) as agent:
        assert agent.execute(f'bell {{"x":"{"a" * 60}b"}}') == "ok"
        agent.reply([{"role": "user", "content": "ring"}], must_call="bell", max_new_tokens=40)
    assert time.monotonic() - began < 30


def test_a_model_runs_nothing_by_itself(sound: Path, tmp_path: Path) -> None:
    """A tools file beside the model is not read."""
    model = _with_metadata(sound, "toy", tmp_path, {"declared_tools": [{"name": "bell"}]})
    for folder in (model, model.parent):
        (folder / "tools.yaml").write_text("tools: [{name: bell, run: {command: [touch, made]}}]")
    with load_agent(model) as agent:
        assert agent.unrun == {"bell"}
        assert agent.execute("bell {}") == "ok"
    assert not list(tmp_path.rglob("made"))
