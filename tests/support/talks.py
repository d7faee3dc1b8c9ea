"""Talks that pages of the documentation show: what stands behind `you>` is typed, the lines between are printed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def shown_and_typed(page: str, command: str, also: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Type the talk below `$ agent-forge COMMAND` of a page again: the lines that the page shows, those printed now.

    Args:
        also: in place of the command's last word, where the page names what is not there.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    block = re.search(rf"```\n\$ agent-forge {re.escape(command)}\n(.*?)```", text, re.DOTALL)
    assert block is not None, f"{page} shows no {command}"
    lines = block[1].splitlines()
    typed = "".join(f"{line.removeprefix('you> ')}\n" for line in lines if line.startswith("you> "))
    assert typed, f"nothing is said in the talk of {page}"
    words = [*command.split()[:-1], *also] if also else command.split()
    told = subprocess.run(
        [sys.executable, "-m", "forge.cli.main", *words],
        cwd=ROOT,
        input=typed,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in lines if line and not line.startswith("you> ")], told.stdout.splitlines()
