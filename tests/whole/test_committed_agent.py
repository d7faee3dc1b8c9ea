"""`make chat` after the set-up alone: the committed agent is the file that the committed results name; it answers."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.evals.answering import NO_ANSWER
from forge.evals.gibberish import is_gibberish
from forge.evals.ledger import read_ledger
from forge.interface.paths import AGENT_FILE
from forge.runtime.agent import Agent
from forge.runtime.chat import EXAMPLES, ChatSession
from forge.runtime.load import load_agent
from tests.support.talks import shown_and_typed

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "agents" / "tiny.forge"
QUESTIONS = (*EXAMPLES, "hello", "what can you do?", "spell 'lamp' backwards")


@pytest.fixture(scope="module")
def agent() -> Iterator[Agent]:
    with load_agent(COMMITTED) as loaded:
        yield loaded


def test_make_chat_talks_to_it_after_the_set_up_alone() -> None:
    plan = subprocess.run(
        ["make", "--no-print-directory", "-n", "chat"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    *_, last = plan.splitlines()
    assert last.endswith(f"agent-forge chat {COMMITTED.relative_to(ROOT)}")
    assert "agent-forge run" not in plan


def test_it_is_the_file_that_results_and_report_name() -> None:
    data = COMMITTED.read_bytes()
    digest, name = hashlib.sha256(data).hexdigest(), AGENT_FILE.as_posix()
    row = read_ledger(ROOT / "results" / "compress" / "ledger.json")
    assert (row.files, row.bytes, row.sha256) == ([name], len(data), {name: digest})
    report = json.loads((ROOT / "results" / "report.json").read_text(encoding="utf-8"))
    assert report["ledger"][-1]["sha256"] == {name: digest}
    line = f"- `{name}`: {len(data):,} bytes, SHA-256 `{digest}` (from `results/compress/ledger.json`)."
    assert line in (ROOT / "results" / "report.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("question", QUESTIONS)
def test_it_answers_a_handful_of_questions(question: str, agent: Agent) -> None:
    reply = ChatSession(agent).ask(question)
    assert reply.text.strip()
    assert reply.text != NO_ANSWER
    assert not is_gibberish(reply.text, [word for call in reply.calls for word in (call.result or "").lower().split()])
    assert not any((call.result or "").startswith("error:") for call in reply.calls)


def test_the_readme_shows_a_talk_with_it() -> None:
    shown, printed = shown_and_typed("README.md", "chat agents/tiny.forge")
    assert printed == shown
