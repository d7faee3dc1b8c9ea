"""Tools files: read as the rest of the project reads YAML, and faults are told with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.errors import ForgeError
from forge.tools.declared.reading import read_own_tool_files, read_tools_file

GOOD = """\
# my home
tools:
  - name: set_light
    parameters:
      type: object
      properties:
        name: {type: string, enum: [kitchen light, hall light]}
        brightness: {type: integer, minimum: 0, maximum: 100}
      required: [name]
    synonyms: {kitchen light: [cooker lamp]}
    examples:
      - set the {name} to {brightness} percent
      - {say: "dim the {name}", arguments: {brightness: 30}}
    results: ["the {name} is set"]
    run: {command: [python, lights.py]}
  - name: lock
    parameters:
      properties:
        locked: {type: boolean}
    synonyms: {true: [shut], false: [open]}
    values: {}
personas:
  - name: butler
    prompt: Answer like a butler.
    examples:
      - {say: Hello., answer: "Good day, sir."}
hosts: [home.example]
"""


def write(folder: Path, text: str, name: str = "tools.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    file = read_tools_file(write(tmp_path, GOOD))
    light, lock = file.tools
    assert light.examples[1].arguments == {"brightness": 30}
    assert light.run is not None
    assert light.run.command == ("python", "lights.py")
    assert lock.synonyms == {True: ("shut",), False: ("open",)}
    assert file.personas[0].examples[0].answer == "Good day, sir."
    assert file.hosts == ("home.example",)
    assert file.place("tools", 0, "examples", 1).endswith("tools.yaml:13")
    assert file.place("tools", 1).endswith("tools.yaml:16")


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("kitchen light, hall light]", "kitchen light, kitchen light]", 7, "set_light: .*a value stands twice"),
        ("integer, minimum", "int, minimum", 8, "set_light: .*'integer'"),
        ("minimum: 0", "least: 0", 8, r"set_light: parameters.properties.brightness.least: unknown key"),
        ("required: [name]", "required: [nam]", 4, "there is no parameter 'nam'"),
        ("set the {name} to", "set the {lamp} to", 12, r"set_light: examples.0: there is no parameter 'lamp'"),
        ("arguments: {brightness: 30}", "arguments: {brightness: 300}", 13, "300 is greater than the maximum"),
        ("the {name} is set", "the {lamp} is set", 14, "there is no parameter 'lamp'"),
        ("[python, lights.py]", "[]", 15, "set_light: run.command"),
        ("  - name: lock", "  - name: set_Light", 16, "set_Light is declared already, in .*:3"),
        ("    values: {}", "    values: {locked: [1]}", 21, "lock: values.locked.0: 1 is not of type 'boolean'"),
        ("    prompt: Answer like a butler.\n", "", 23, "butler: prompt: missing"),
        ("hosts: [home.example]", "hosts: ['http://home']", 27, "hosts"),
        ("# my home", "tool: 3", 1, "tool: unknown key"),
    ],
)
def test_a_fault_is_one_line_with_its_place(tmp_path: Path, old: str, new: str, line: int, reason: str) -> None:
    assert GOOD.count(old) == 1
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(ForgeError, match=rf"tools\.yaml:{line}: .*{reason}"):
        read_tools_file(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", r"tools\.yaml:1: a tools file begins with"),
        ("- a", r"tools\.yaml:1: a tools file begins with"),
        ("tools: []", "holds no tools"),
        ("tools: 3", r"tools\.yaml:1: tools: "),
        ("tools:\n  - name: [", r"tools\.yaml, line 3: not valid YAML"),
        ("tools: &a\n  - *a", "anchors and aliases"),
        ("tools:\n  - <<: {}", "merge keys"),
        ("tools:\n  - just a text", r"tools\.yaml:2: tools.0: "),
        ("tools:\n  - name: a\n    name: b", "not valid YAML"),
        ("tools: " + "[" * 40, "nested"),
        ("#" * (600 << 10), "at most"),
    ],
)
def test_what_is_no_tools_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ForgeError, match=reason):
        read_tools_file(write(tmp_path, text))


def test_names_are_told_apart_over_files_and_from_built_in_ones(tmp_path: Path) -> None:
    one = write(tmp_path, "tools:\n  - name: lamp\n", "one.yaml")
    two = write(tmp_path, "tools:\n  - {name: fan}\n  - name: lamp\n", "two.yaml")
    three = write(tmp_path, "tools:\n  - description: mine\n    name: calculator\n", "three.yaml")
    assert [tool.name for file in read_own_tool_files([one]) for tool in file.tools] == ["lamp"]
    with pytest.raises(ForgeError, match=r"two\.yaml:3: lamp is declared already, in .*one\.yaml:2"):
        read_own_tool_files([one, two])
    with pytest.raises(ForgeError, match=r"three\.yaml:3: calculator is a built-in tool"):
        read_own_tool_files([one, three])
