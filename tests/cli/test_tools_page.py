"""docs/tools.md: its files are written, its commands run, and they print what stands there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tools.md").read_text(encoding="utf-8")
FILES = re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^```console\n\$ agent-forge (.*?)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_prints_what_the_commands_print(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mcp_server_time")
    monkeypatch.chdir(tmp_path)
    for name, text in FILES:
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert len(COMMANDS) == PAGE.count("```console") == 5
    for command, printed in COMMANDS:
        done = call(*shlex.split(command))
        assert (done.code, done.out) == (0, printed), done.err
