"""Every command reads `params.yaml` as a stage does: the same values, the same refusals, in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forge.cli.main import main
from forge.config import load_params
from forge.pipeline.dvc.lockfile import read_yaml_as_dvc
from tests.attacks.yaml_texts import REFUSED

COMMANDS = (["config", "validate"], ["config", "show"], ["status"])


@pytest.fixture
def home(project: Path) -> Path:
    (project / "dvc.yaml").write_text("stages: {}\n")
    return project


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(list(words))
    return (code, *capsys.readouterr())


@pytest.mark.parametrize(
    ("word", "value"), [("010", 10), ("1_000", 1000), ("0x10", 16), ("+7", 7), ("0o17", 15), ("08", 8)]
)
def test_what_is_shown_is_what_runs(home: Path, capsys: pytest.CaptureFixture[str], word: str, value: int) -> None:
    file = home / "params.yaml"
    file.write_text(file.read_text().replace("\nseed: 0\n", f"\nseed: {word}\n"))
    assert load_params().seed == read_yaml_as_dvc(file)["seed"] == value
    for command in COMMANDS[:2]:
        found = json.loads(call(capsys, *command, "--json")[1].splitlines()[-1])
        assert found["seed"] == value
    assert f"seed: {value}\n" in call(capsys, "config", "show")[1]


@pytest.mark.parametrize("word", ["1:30", "on", "yes", "off", "'1'", "2001-12-14", "~", "1.0", "1e3", "true"])
def test_what_is_no_number_is_refused_by_all(home: Path, capsys: pytest.CaptureFixture[str], word: str) -> None:
    file = home / "params.yaml"
    file.write_text(file.read_text().replace("\nseed: 0\n", f"\nseed: {word}\n"))
    lines = [call(capsys, *command) for command in COMMANDS[:2]]
    assert lines[0] == lines[1]
    code, out, err = lines[0]
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "params.yaml: seed: " in err or "params.yaml, line " in err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("attack", ["merge bomb", "alias bomb", "brackets", "integer", "hexadecimal", "twice", "date"])
def test_an_attack_is_one_line_everywhere(
    home: Path, capsys: pytest.CaptureFixture[str], command: list[str], attack: str
) -> None:
    (home / "params.yaml").write_text(REFUSED[attack][0])
    code, out, err = call(capsys, *command)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "params.yaml" in err
    assert REFUSED[attack][1] in err
    assert "fault of the program" not in err


def test_a_scale_that_is_no_table_is_refused_by_all(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("scale: a\nscales: {a: {data: [1]}}\n", "scale: a\nscales: [1]\n", "scale: [a]\nscales: {a: {}}\n"):
        (home / "params.yaml").write_text(text)
        for command in (*COMMANDS[:2], ["metrics"]):
            code, _, err = call(capsys, *command)
            assert (code, err.count("\n")) == (1, 1), (text, command)
            assert "fault of the program" not in err, (text, command)


def test_a_pipe_or_a_device_is_refused_before_it_is_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import os

    os.mkfifo("pipe.yaml")
    for name in ("pipe.yaml", "/dev/zero"):
        code, _, err = call(capsys, "config", "validate", name)
        assert (code, err.count("\n")) == (1, 1)
        assert "not a regular file" in err
