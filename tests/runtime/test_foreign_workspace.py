"""The committed agent in folders of other people's, whose names and subjects no training had."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forge.runtime.load import load_agent
from tests.support.foreign import build_foreign_workspace, foreign_questions
from tests.support.talks import shown_and_typed

pytestmark = pytest.mark.long
AGENT = Path(__file__).resolve().parents[2] / "agents" / "tiny.forge"
ENOUGH = 0.8  # of the questions of a folder


@pytest.mark.parametrize("name", ["boats", "music"])
def test_four_of_five_questions_about_a_foreign_folder_are_answered(tmp_path: Path, name: str) -> None:
    questions, right = foreign_questions(name), []
    assert len(questions) == 40
    with load_agent(AGENT, workspace=build_foreign_workspace(name, tmp_path / name)) as agent:
        for row in questions:
            reply = agent.reply([{"role": "user", "content": row["question"]}])
            told = any(_tells(reply.text, text) for text in row["accepted"])
            right.append(told if row["accepted"] else not reply.calls)
    wrong = [row["question"] for row, good in zip(questions, right, strict=True) if not good]
    assert sum(right) >= ENOUGH * len(right), wrong


def _tells(answer: str, text: str) -> bool:
    """Whether an answer has a text; the 3 of 36 is none."""
    return re.search(rf"(?<![\w.]){re.escape(text)}(?!\w)", answer, re.IGNORECASE) is not None


def test_the_page_shows_a_talk_about_one(tmp_path: Path) -> None:
    folder = build_foreign_workspace("boats", tmp_path / "boats")
    shown, printed = shown_and_typed("docs/workspace.md", "chat agents/tiny.forge --workspace boats", [str(folder)])
    assert printed == shown
