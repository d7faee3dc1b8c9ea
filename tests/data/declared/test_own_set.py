"""What the stage `tools` leaves: declarations without commands, rows of one kind, the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forge.data.build import tokenize_data_rows
from forge.data.dataset import KINDS
from forge.data.declared.own_set import DECLARED_FILE, OwnTools, load_own_tool_rows
from forge.data.declared.rows import SHARES
from forge.data.declared.stage import write_own_tool_rows
from forge.data.render import ID
from forge.data.views import dataset_without_prompts
from forge.errors import ForgeError
from forge.tools.declared.checking import read_sound_tools
from forge.tools.declared.requests import Requests
from forge.tools.declared.schema import DeclaredPersona, DeclaredTool
from tests.support.own_tools import TOOLS_YAML, declare_own_tools
from tests.support.tiny_models import tiny_tokenizer


def test_what_was_declared_comes_back_without_its_commands(tmp_path: Path) -> None:
    own = declare_own_tools(tmp_path)
    (file,) = read_sound_tools(tmp_path / "tools.yaml")
    assert own
    assert own.tools == tuple(tool.model_copy(update={"run": None}) for tool in file.tools)
    assert own.tools[1].synonyms == {True: ("shut",), False: ("open",)}
    assert own.personas == file.personas
    assert list(own.by_name["set_light"].arguments) == ["name", "brightness"]
    for path in tmp_path.glob("*.json*"):
        assert "home-lights" not in path.read_text(encoding="utf-8")
        assert '"run"' not in path.read_text(encoding="utf-8")


def test_rows_are_of_every_category_and_have_no_prompt_but_a_personas(tmp_path: Path) -> None:
    own = declare_own_tools(tmp_path, rows=200)
    for split in ("train", "val", "test"):
        rows = own.rows(split)
        assert {row["kind"] for row in rows} == {"own_tool"}
        assert {row["category"] for row in own.call_rows(split)} == set(SHARES)
        assert len(own.call_rows(split)) == len(rows) - 20
        assert all((row["category"] == "persona") == (row["messages"][0]["role"] == "system") for row in rows)
    rows = own.rows("test")
    data = dataset_without_prompts(tiny_tokenizer(), rows)
    assert set(data.kind) == {KINDS.index("own_tool")}
    assert (data.ids == tokenize_data_rows(tiny_tokenizer(), rows).ids).all()
    assert (data.ids == ID["system"]).sum() == 20


def test_a_models_metadata_name_what_its_calls_need(tmp_path: Path) -> None:
    own = declare_own_tools(tmp_path)
    told = own.metadata()
    assert set(told) == {"declared_tools", "declared_personas"}
    assert not any("run" in tool for tool in told["declared_tools"])
    assert [len(tool.get("examples", ())) for tool in told["declared_tools"]] == [5, 5, 5]
    read = [DeclaredTool.model_validate(tool) for tool in json.loads(json.dumps(told["declared_tools"]))]
    for declared, kept in zip(own.tools, read, strict=True):
        assert (kept.name, kept.parameters, kept.results, kept.ask) == (
            declared.name,
            declared.parameters,
            declared.results,
            declared.ask,
        )
    for said in ("turn off the caffé lamp", "make it 70", "let people in at the shed"):
        kept_forms, forms = (Requests(tools[:2], bool).forms(said) for tools in (read, own.tools))
        assert [(tool.name, schema) for tool, schema in kept_forms] == [(tool.name, schema) for tool, schema in forms]
    butler = DeclaredPersona.model_validate(told["declared_personas"][0])
    assert (butler.prompt, len(butler.examples)) == ("Be a butler.", 1)


def test_equal_declarations_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        declare_own_tools(tmp_path / name)
    for path in (tmp_path / "a").glob("*.json*"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_where_nothing_is_declared_there_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    files = read_sound_tools(tmp_path / "tools")
    assert write_own_tool_rows(tmp_path, files, {"train": 9, "val": 9, "test": 9}, 0) == {
        "train": 0,
        "val": 0,
        "test": 0,
    }
    assert json.loads((tmp_path / DECLARED_FILE).read_text()) == {"tools": [], "personas": []}
    own = load_own_tool_rows(tmp_path)
    assert own == OwnTools()
    assert not own
    assert (own.rows("train"), own.call_rows("test"), own.metadata()) == ([], [], {})


def test_personas_alone_are_rows_too(tmp_path: Path) -> None:
    own = declare_own_tools(tmp_path, text=TOOLS_YAML[TOOLS_YAML.index("personas:") :])
    assert own
    assert own.call_rows("test") == []
    assert len(own.rows("train")) == 6
    assert set(own.metadata()) == {"declared_personas"}


def test_a_file_or_a_folder_of_files_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head, _, personas = TOOLS_YAML.partition("personas:")
    (tmp_path / "b.yaml").write_text(head, encoding="utf-8")
    (tmp_path / "a.yaml").write_text(f"personas:{personas}", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("not a tools file", encoding="utf-8")
    assert [file.path.name for file in read_sound_tools(tmp_path)] == ["a.yaml", "b.yaml"]
    assert [file.path.name for file in read_sound_tools(tmp_path / "b.yaml")] == ["b.yaml"]
    with pytest.raises(ForgeError, match=r"nowhere: no such tools file, and no such folder$"):
        read_sound_tools(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    assert read_sound_tools("data/tools") == []


def test_an_error_is_one_line_with_its_place(tmp_path: Path) -> None:
    broken = tmp_path / "tools.yaml"
    broken.write_text("tools:\n  - name: one\n  - name: two\n    examples: [do two]\n", encoding="utf-8")
    with pytest.raises(ForgeError) as refused:
        read_sound_tools(tmp_path)
    assert str(refused.value) == f"{broken}:2: one: has no examples, so nothing can be trained (and 1 more)"
