"""`tools check`: what is missing or ambiguous is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.tools.declared.checking import check_tool_files
from forge.tools.declared.reading import read_own_tool_files

ROOT = Path(__file__).resolve().parents[3]
GOOD = """\
tools:
  - name: lamp
    description: A lamp.
    parameters:
      properties:
        name: {type: string, enum: [hall, desk]}
        level: {type: integer}
      required: [name]
    synonyms: {hall: [corridor]}
    examples:
      - lamp {name}
      - light up {name}
      - set the lamp {name} to {level}
      - lamp {name} at {level}
      - shine at {name}
  - name: diary
    description: A diary.
    parameters:
      properties: {text: {type: string}}
      required: [text]
    values: {text: sentence}
    examples: ["dear diary {text}", "diary {text}", "diary entry {text}", "into the diary {text}", "write {text}"]
"""


def check(folder: Path, text: str) -> list[tuple[str, int, str]]:
    path = folder / "t.yaml"
    path.write_text(text, encoding="utf-8")
    found = check_tool_files(read_own_tool_files([path]))
    assert all(finding.place.startswith(f"{path}:") for finding in found)
    return [(finding.level, int(finding.place.rpartition(":")[2]), finding.message) for finding in found]


def test_a_good_file_has_no_findings(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD) == []
    assert check_tool_files(read_own_tool_files([ROOT / "examples" / "home" / "tools.yaml"])) == []


@pytest.mark.parametrize(
    ("old", "new", "level", "line", "said"),
    [
        ("      - lamp {name} at {level}\n", "", "error", 10, "has 4 examples"),
        ("    description: A lamp.\n", "", "warning", 2, "no description"),
        ("required: [name]", "required: [name, level]", "error", 0, ""),
        (" to {level}", " well", "warning", 0, ""),
        ("enum: [hall, desk]", "enum: [hall, desk, desk two]", "warning", 6, "'desk' begins 'desk two'"),
        ("enum: [hall, desk]", "enum: [hall, desk, hallway]", "warning", 6, "'hall' begins 'hallway'"),
        ("{hall: [corridor]}", "{hal: [corridor]}", "error", 9, "no parameter has the value 'hal'"),
        ("{hall: [corridor]}", "{hall: [desk]}", "error", 9, "stands for 'hall' and for 'desk'"),
        ("diary entry {text}", "light up {text}", "error", 22, "reads like"),
        ("    values: {text: sentence}\n", "", "warning", 19, "is free text"),
        ("{text: {type: string}}", "{text: {type: string, pattern: '^a'}}", "error", 19, "has a pattern"),
        ("- light up {name}", "- lamp {name}", "warning", 12, "stands at"),
        ("- shine at {name}", "- {say: 'lamp {name}', arguments: {level: 3}}", "warning", 0, ""),
    ],
)
def test_a_finding_has_its_line(tmp_path: Path, old: str, new: str, level: str, line: int, said: str) -> None:
    assert GOOD.count(old) == 1
    found = check(tmp_path, GOOD.replace(old, new))
    if not line:  # allowed, as long as some example still does it
        assert not [finding for finding in found if finding[0] == "error"]
        return
    assert any(f[0] == level and f[1] == line and said in f[2] for f in found), found


def test_the_same_words_with_other_arguments_are_an_error(tmp_path: Path) -> None:
    examples = (
        "\n      - {say: 'lamp on', arguments: {name: hall}}\n      - {say: 'Lamp on', arguments: {name: desk}}\n"
    )
    found = check(tmp_path, GOOD.replace("      - shine at {name}\n", examples[1:]))
    assert [(level, line) for level, line, message in found if "other arguments" in message] == [("error", 16)]


def test_a_parameter_in_no_example_is_told(tmp_path: Path) -> None:
    text = GOOD.replace(" to {level}", "").replace(" at {level}", " up")
    assert ("warning", 7, "'level' is in no example, so no call will have it") in check(tmp_path, text)
    found = check(tmp_path, text.replace("required: [name]", "required: [name, level]"))
    assert any(level == "error" and line == 7 for level, line, _ in found)
    assert any("no example names every required argument" in message for _, _, message in found)
