"""`agent-forge tools`: a file is checked, and its rows are shown."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HOME = str(ROOT / "examples" / "home" / "tools.yaml")


def test_a_sound_file_passes(call: Callable[..., Any]) -> None:
    done = call("tools", "check", HOME)
    assert done.code == 0
    assert done.out == "15 tools: 0 errors, 0 warnings\n"
    assert call("tools", "check", HOME, "--json").json == {"tools": 15, "errors": 0, "findings": []}


def test_findings_are_told_with_their_line(call: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "few.yaml"
    path.write_text("tools:\n  - name: honk\n    description: Honk.\n    examples:\n      - honk\n", encoding="utf-8")
    done = call("tools", "check", str(path))
    assert done.code == 1
    assert f"{path}:4: error: honk: has 1 examples" in done.out
    found = call("tools", "check", str(path), "--json")
    assert found.code == 1
    assert found.json["errors"] == 1
    assert found.json["findings"][0].keys() == {"level", "place", "tool", "message"}


def test_a_broken_file_is_one_line(call: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("tools:\n  - name: honk\n    loud: true\n", encoding="utf-8")
    for command in ("check", "show"):
        done = call("tools", command, str(path))
        assert (done.code, done.out) == (1, "")
        assert done.err == f"agent-forge: {path}:3: honk: loud: unknown key\n"


def test_rows_are_shown(call: Callable[..., Any]) -> None:
    done = call("tools", "show", HOME, "--n", "6", "--category", "two")
    assert done.code == 0
    assert done.out.count("[two]") == 6
    assert done.out.count("  call  ") == 12
    shown = call("tools", "show", HOME, "--n", "5", "--held-out", "--json").json
    assert shown["split"] == "test"
    assert len(shown["rows"]) == 5
    assert "no kind of rows 'three'" in call("tools", "show", HOME, "--category", "three").err


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys\n"
        "from forge.cli.main import main\n"
        f"main(['tools', 'check', {HOME!r}])\n"
        f"main(['tools', 'show', {HOME!r}, '--n', '3'])\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'dvc'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stderr
