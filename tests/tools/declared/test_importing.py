"""`tools import` from each of its sources, and back: the file that it writes is read as the tools that it drafted."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forge.cli.main import main
from forge.errors import ForgeError
from forge.tools.declared.checking import check_tool_files
from forge.tools.declared.importing.drafting import FoundTool, draft_tools
from forge.tools.declared.importing.sources import import_tools
from forge.tools.declared.importing.writing import tools_file_text
from forge.tools.declared.reading import read_tools_file
from forge.tools.declared.running.toolbox import DeclaredToolbox

OPENAI = [
    {
        "type": "function",
        "function": {
            "name": "set_light",
            "description": "Switch a light on or off, or set its brightness.",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "enum": ["kitchen light", "hall light", "yes", "010"]},
                    "brightness": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 100}, {"type": "null"}]},
                },
                "required": ["name", "brightness"],
                "additionalProperties": False,
            },
        },
    },
    {
        "type": "function",
        "name": "get_weather",
        "parameters": {"properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
    {"name": "stop_all"},
]
LIGHTS = '''
import enum
from datetime import date
from json import dumps
from typing import Annotated, Literal, Optional

from pydantic import Field

STATE = {}
print("a module may print")


class Room(enum.Enum):
    hall = "the hall"


def set_light(
    name: Literal["desk lamp", "hall light"],
    brightness: Annotated[int, Field(ge=0, le=100)] = 100,
    color: Optional[str] = None,
    scenes: list[str] = [],
) -> str:
    """Set a light.

    Args:
        name: Which lamp.
        brightness: In percent.
    """
    print("so may a function")
    STATE[name] = brightness
    return f"{name} is at {brightness}"


def show_lights() -> dict[str, int]:
    """Show all lights."""
    return STATE


async def clean_room(room: Room, when: date, thorough=False):
    """Clean a room.

    :param when: the day
    """
    return f"{room.name} {when.year} {thorough}"


def scale(factors: dict[str, float], *more, **others) -> None:
    """Scale by factors."""


def _private(): ...
'''


def test_openai_tools_make_the_round_trip(tmp_path: Path) -> None:
    (tmp_path / "functions.json").write_text(json.dumps(OPENAI))
    draft = import_tools(str(tmp_path / "functions.json"), tmp_path / "tools.yaml")
    read = read_tools_file(tmp_path / "tools.yaml")
    assert read.tools == draft.tools
    assert not [finding for finding in check_tool_files([read]) if finding.level == "error"]
    light, weather, stop = read.tools
    assert light.openai()["function"] == {
        "name": "set_light",
        "description": "Switch a light on or off, or set its brightness.",
        "parameters": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "enum": ["kitchen light", "hall light", "yes", "010"]},
                "brightness": {"type": "integer", "minimum": 0, "maximum": 100},
            },
            "required": ["name"],
            "additionalProperties": False,
        },
    }
    assert weather.plain == "city"
    assert stop.arguments == {}
    assert all(len(tool.examples) >= 5 and tool.run is None for tool in read.tools)


@pytest.mark.parametrize("key", ["tools", "functions"])
def test_an_object_around_the_tools_and_one_tool_alone_are_read(tmp_path: Path, key: str) -> None:
    for name, tree in (("around", {"model": "m", key: OPENAI[:1]}), ("alone", OPENAI[0])):
        (tmp_path / f"{name}.json").write_text(json.dumps(tree))
        assert [tool.name for tool in import_tools(str(tmp_path / f"{name}.json"), tmp_path / name).tools] == [
            "set_light"
        ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[\n {"name": "a"},\n {"name": }\n]', ":3: not JSON"),
        ('[\n {"name": "a"},\n {"type": "function", "function": {}}\n]', ":3: a function without a name"),
        ('[\n {"type": "web_search"}]', ":2: a tool of type 'web_search'"),
        ("[1]", ":1: a tool is an object"),
        ('{\n "tools": {}}', ":2: tools is not an array"),
        ('{\n "tools": [7]}', ":2: tool 1: a tool is an object"),
        ("[]", "holds no tools"),
        ('[{"name": "two words"}]', "two words: name"),
        (
            '[{"name": "a", "parameters": {"properties": {"p": {"type": "object"}}, "required": ["p"]}}]',
            "a: p: an object",
        ),
        ("[" * 100_000, ":1: not JSON"),
    ],
)
def test_a_broken_file_gets_one_line_with_the_place(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(ForgeError) as fault:
        import_tools(str(tmp_path / "broken.json"), tmp_path / "tools.yaml")
    assert str(fault.value).startswith(str(tmp_path / "broken.json"))
    assert reason in str(fault.value)
    assert not (tmp_path / "tools.yaml").exists()


def test_python_functions_make_the_round_trip(tmp_path: Path) -> None:
    (tmp_path / "lights.py").write_text(LIGHTS)
    draft = import_tools(str(tmp_path / "lights.py"), tmp_path / "tools.yaml")
    read = read_tools_file(tmp_path / "tools.yaml")
    assert read.tools == draft.tools
    assert not [finding for finding in check_tool_files([read]) if finding.level == "error"]
    assert [tool.name for tool in read.tools] == ["set_light", "show_lights", "clean_room"]
    assert any(note.startswith("scale: factors: an object") for note in draft.notes)
    light, _, clean = read.tools
    assert light.description == "Set a light."
    assert light.json_schema()["properties"] == {
        "name": {"type": "string", "enum": ["desk lamp", "hall light"], "description": "Which lamp."},
        "brightness": {"type": "integer", "minimum": 0, "maximum": 100, "description": "In percent."},
        "color": {"type": "string"},
        "scenes": {"type": "array", "items": {"type": "string"}},
    }
    assert light.required == ("name",)
    assert clean.required == ("room", "when")
    assert clean.arguments["thorough"].type == "boolean"
    assert clean.arguments["when"].description == "the day"
    with DeclaredToolbox([read]) as toolbox:
        assert toolbox.execute('set_light {"name":"desk lamp","brightness":30}') == "desk lamp is at 30"
        assert toolbox.execute('set_light {"name":"hall light"}') == "hall light is at 100"
        assert toolbox.execute("show_lights {}") == '{"desk lamp": 30, "hall light": 100}'
        assert toolbox.execute('clean_room {"room":"the hall","when":"2030-01-02"}') == "hall 2030 False"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1\ndef f(:\n", "lights.py:2: SyntaxError"),
        ("import os\n\nos.undefined()\n", "lights.py:3: AttributeError"),
        ("import no_such_module\n", "lights.py:1: ModuleNotFoundError"),
        ("import sys\nsys.exit('no')\n", "SystemExit"),
        ("import os\nos._exit(3)\n", "ended its process"),
        ("x = 1\n", "holds no tools"),
    ],
)
def test_a_broken_module_gets_one_line_with_the_place(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "lights.py").write_text(text)
    with pytest.raises(ForgeError, match=reason):
        import_tools(str(tmp_path / "lights.py"), tmp_path / "tools.yaml")
    assert not (tmp_path / "tools.yaml").exists()


def test_a_module_has_to_be_where_it_will_be_looked_for(tmp_path: Path) -> None:
    (tmp_path / "lights.py").write_text(LIGHTS)
    (tmp_path / "json.py").write_text(LIGHTS)
    (tmp_path / "sub").mkdir()
    (tmp_path / "two words.py").write_text(LIGHTS)
    for source, out, reason in (
        ("lights.py", "sub/tools.yaml", "beside it"),
        ("absent.py", "tools.yaml", "no such file"),
        ("two words.py", "tools.yaml", "no name of a module"),
        ("json.py", "tools.yaml", "rename the file"),
        ("lights.py", "absent/tools.yaml", "no such folder"),
    ):
        with pytest.raises(ForgeError, match=reason):
            import_tools(str(tmp_path / source), tmp_path / out)


def test_an_existing_file_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("functions.json").write_text(json.dumps(OPENAI))
    Path("tools.yaml").write_text("mine")
    assert main(["tools", "import", "functions.json", "-o", "tools.yaml"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert Path("tools.yaml").read_text() == "mine"
    assert (
        main(["tools", "import", "functions.json", "-o", "tools.yaml", "--force", "--tool", "get_weather", "--json"])
        == 0
    )
    assert json.loads(capsys.readouterr().out) == {"out": "tools.yaml", "tools": ["get_weather"], "notes": []}
    assert [tool.name for tool in read_tools_file("tools.yaml").tools] == ["get_weather"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("./tools.txt", "not a source"),
        ("absent.json", "no such file"),
        ("mcp:", "command or an address"),
        ("mcp:'", "not a command"),
    ],
)
def test_what_is_no_source_is_told(tmp_path: Path, source: str, reason: str) -> None:
    with pytest.raises(ForgeError, match=reason):
        import_tools(source, tmp_path / "tools.yaml")


def test_one_tool_does_not_stand_in_the_way_of_others() -> None:
    shape = {"properties": {"p": {"type": "object"}}, "required": ["p"]}
    found = [FoundTool("good"), FoundTool("bad", schema=shape), FoundTool("GOOD")]
    draft = draft_tools(found, "here")
    assert [tool.name for tool in draft.tools] == ["good"]
    assert len(draft.notes) == 2
    with pytest.raises(ForgeError, match="here: bad: p: an object"):
        draft_tools(found, "here", ["bad"])
    with pytest.raises(ForgeError, match="no tool 'other'; it has good, bad, GOOD"):
        draft_tools(found, "here", ["other"])


LINES = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=30)
WORDS = st.text(st.sampled_from("yesnoNULL~0123456789-:#{}[]&*!|>'\"%@`, a.ex_"), min_size=1, max_size=8).map(str.strip)


@given(LINES, st.lists(WORDS.filter(bool), min_size=1, max_size=5, unique=True))
@settings(max_examples=150, deadline=None)
def test_any_words_survive_the_file(tmp_path_factory: Any, description: str, values: list[str]) -> None:
    schema = {"properties": {"p": {"enum": values}, "q": {"type": "string", "examples": values}}}
    draft = draft_tools([FoundTool("tool", description, schema, {"command": ["a", *values]})], "here")
    path = tmp_path_factory.mktemp("written") / "tools.yaml"
    path.write_text(tools_file_text(draft, f"here\n{description}", path.name), encoding="utf-8")
    assert read_tools_file(path).tools == draft.tools


# ---- MCP servers ----


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., DeclaredToolbox]:
    pytest.importorskip("mcp")

    def import_server(command: str, **options: Any) -> DeclaredToolbox:
        import_tools(f"mcp:{command}", tmp_path / "tools.yaml", **options)
        read = read_tools_file(tmp_path / "tools.yaml")
        assert not [finding for finding in check_tool_files([read]) if finding.level == "error"]
        return DeclaredToolbox([read])

    return import_server


def test_a_server_from_pypi_is_imported_and_its_tools_are_called(imported: Callable[..., DeclaredToolbox]) -> None:
    pytest.importorskip("mcp_server_time")
    with imported("python -m mcp_server_time") as toolbox:
        assert toolbox.tools["get_current_time"].values == {
            "timezone": ("America/New_York", "Europe/London", "Etc/UTC")
        }
        assert len(toolbox.tools["convert_time"].examples) >= 5
        arguments = '{"source_timezone":"Asia/Tokyo","time":"12:00","target_timezone":"Asia/Kolkata"}'
        assert "T08:30:00+05:30" in toolbox.execute(f"convert_time {arguments}")
        assert "Etc/UTC" in toolbox.execute("get_current_time Etc/UTC")
        assert toolbox.execute("get_current_time Mars").startswith("error: ")


SERVER = '''
import sys
from mcp.server.mcpserver import MCPServer

server = MCPServer("counter")
count = 0


@server.tool(name="count.up")
def count_up(by: int = 1) -> str:
    """Count up."""
    global count
    count += by
    return f"now {count}"


@server.tool()
def leave() -> str:
    """Leave."""
    import os
    os._exit(0)


@server.tool()
def nested(where: dict[str, int]) -> str:
    """Nested."""
    return "x"


server.run()
'''


def test_a_servers_session_lasts_and_is_started_again(tmp_path: Path, imported: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("server.py").write_text(SERVER)
    with imported("python server.py") as toolbox:
        assert set(toolbox.tools) == {"count_up", "leave"}
        monkeypatch.chdir("/")
        assert toolbox.execute('count_up {"by":2}') == "now 2"
        assert toolbox.execute("count_up {}") == "now 3"
        assert toolbox.execute('count_up {"by":"x"}').startswith("error: count_up: by: 'x'")
        assert toolbox.execute("leave {}").startswith("error: ")
        assert toolbox.execute("count_up {}") == "now 1"


@pytest.mark.parametrize(
    "command", ["no-such-program", f"{sys.executable} -c 'print(7)'", "sleep 60", "http://127.0.0.1:9/mcp"]
)
def test_what_is_no_server_is_told_in_one_line(imported: Any, command: str) -> None:
    with pytest.raises(ForgeError, match="no MCP server answers"):
        imported(command, timeout_s=1.0)


def test_without_the_package_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(ForgeError, match=r"pip install 'agent-forge\[mcp\]'"):
        import_tools("mcp:python server.py", tmp_path / "tools.yaml")
