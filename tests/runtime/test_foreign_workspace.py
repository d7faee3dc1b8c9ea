"""The committed agent in folders of other people's, whose names and subjects no training had."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from forge.runtime.load import load_agent
from tests.support.foreign import build_foreign_workspace, foreign_questions

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[2]
AGENT = ROOT / "agents" / "tiny.forge"
ENOUGH = 0.8  # of the questions of a folder


@pytest.mark.parametrize("name", ["boats", "music"])
def test_four_of_five_questions_about_a_foreign_folder_are_answered(tmp_path: Path, name: str) -> None:
    questions, right = foreign_questions(name), []
    assert len(questions) == 40
    with load_agent(AGENT, workspace=build_foreign_workspace(name, tmp_path / name)) as agent:
        for row in questions:
            reply = agent.reply([{"role": "user", "content": row["question"]}])
            told = any(text.lower() in reply.text.lower() for text in row["accepted"])
            right.append(told if row["accepted"] else not reply.calls)
    wrong = [row["question"] for row, good in zip(questions, right, strict=True) if not good]
    assert sum(right) >= ENOUGH * len(right), wrong


def test_the_page_shows_a_talk_about_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "workspace.md").read_text(encoding="utf-8")
    block = re.search(r"```\n\$ agent-forge (chat \S+ --workspace) boats\n(.*?)```", page, re.DOTALL)
    assert block is not None
    folder = build_foreign_workspace("boats", tmp_path / "boats")
    lines = block[2].splitlines()
    typed = "".join(f"{line.removeprefix('you> ')}\n" for line in lines if line.startswith("you> "))
    told = subprocess.run(
        [sys.executable, "-m", "forge.cli.main", *block[1].split(), str(folder)],
        cwd=ROOT,
        input=typed,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines() == [line for line in lines if line and not line.startswith("you> ")]
