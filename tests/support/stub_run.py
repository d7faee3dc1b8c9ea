"""A stage's run as the phases see it, without a pipeline around it; rows and token sets to train on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from forge.data.build import TASKS, Row
from forge.data.dataset import KINDS, EncodedSet, build_set
from forge.data.dialogues import PERSONA_PROMPTS, TOOL_PROMPT
from forge.evals import answering, persona, tool_use
from forge.evals.measure import Measurement
from forge.evals.suite import SuiteScore
from tests.support.tiny_models import tokens


def watch_lengths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Room for an answer, in tokens, of every scoring of tools and personas from now on; answers are given as ever."""
    lengths: list[int] = []

    def answer_all(*given: Any, max_new_tokens: int, **options: Any) -> Any:
        lengths.append(max_new_tokens)
        return answering.answer_all(*given, max_new_tokens=max_new_tokens, **options)

    for scorer in (tool_use, persona):
        monkeypatch.setattr(scorer, "answer_all", answer_all)
    return lengths


class StubRun:
    """Records what is logged; asks to stop once ``stop_at`` has been shown as progress."""

    branch = "reasoning"
    # Set by the tests that need them.
    all_params: Any
    ledger: Any
    publish: Any
    out_dir: Path
    seconds: float

    def __init__(self, folder: Path, seed: int = 3, **params: Any) -> None:
        self.checkpoint_dir, self.data_dir, self.workspace_dir = folder / "checkpoints", folder, folder / "workspace"
        self.checkpoint_dir.mkdir(parents=True, exist_ok=True)
        self.seed, self.params, self.stop_at = seed, SimpleNamespace(**params), -1
        self.evaluation = SimpleNamespace(
            bootstrap=200, seed=7, suite_n=2, tool_n=1, persona_n=1, answer_tokens=24, text_chars=200
        )
        self.stop_requested = False
        self.logged: list[tuple[int, dict[str, Any]]] = []

    def log(self, step: int, **metrics: Any) -> None:
        self.logged.append((step, metrics))

    def progress(self, step: int, total: int, note: str = "") -> None:
        assert 0 <= step <= total
        self.stop_requested = step == self.stop_at


def conversation(kind: str, number: int) -> Row:
    """A short training row of a kind; numbers tell rows apart."""
    question, answer = f"What is {number} + 30?", str(number + 30)
    user, said = {"role": "user", "content": question}, {"role": "assistant", "content": answer}
    call, result = {"role": "call", "content": f"calculator {number}+30"}, {"role": "result", "content": answer}
    row: Row = {"kind": kind, "task": TASKS[0], "difficulty": (number % 10) / 10}
    if kind == "text":
        return {"kind": kind, "task": "text", "text": f"the cat sat on mat {number}", "difficulty": 0.5}
    if kind in ("direct", "recall"):
        return {**row, "messages": [user, said]}
    if kind == "persona":
        system = {"role": "system", "content": PERSONA_PROMPTS["teacher"]}
        return {**row, "task": "teacher", "messages": [system, user, said]}
    system = {"role": "system", "content": TOOL_PROMPT}
    task = "calculator" if kind == "tool" else row["task"]
    return {**row, "task": task, "messages": [system, user, call, result, said]}


def conversations(each: int = 6) -> list[Row]:
    """``each`` rows of every kind."""
    return [conversation(kind, 11 + 7 * i + k) for k, kind in enumerate(KINDS) for i in range(each)]


def random_set(rows: int = 24, vocab: int = 48, kinds: tuple[str, ...] = KINDS, seed: int = 0) -> EncodedSet:
    """Random tokens of lengths 8 to 14, the last 3 to 6 supervised; kinds in turn."""
    made = []
    for i in range(rows):
        length, supervised = 8 + i % 7, 3 + i % 4
        ids = tokens(1, length, seed=100 * seed + i, vocab=vocab)[0].numpy()
        made.append((ids, np.arange(length) >= length - supervised))
    kind = [KINDS.index(kinds[i % len(kinds)]) for i in range(rows)]
    return build_set(made, kind, [0] * rows, np.linspace(0, 1, rows))


def suite(correct: list[float]) -> SuiteScore:
    """A suite score of one family."""
    accuracy = sum(correct) / len(correct)
    return SuiteScore({"x": {"n": len(correct), "accuracy": accuracy}}, accuracy, correct, 1.5, 0)


def measured(without: list[float], tools: list[float], prompted: list[float] | None = None) -> Measurement:
    """A phase's metrics from the answers that were right."""
    return Measurement(suite(without), suite(tools), None if prompted is None else suite(prompted), 2.0)
