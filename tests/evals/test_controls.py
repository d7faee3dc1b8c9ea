"""Controls that few problems show: the first of each family, the same as those of the whole suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forge.data.dialogues import TOOL_PROMPT
from forge.evals import controls
from forge.evals.controls import CONTROL_N, control_problems, score_eval_control
from forge.tools import set_up_tool_workspace
from tests.support.stub_run import StubRun, suite
from tests.support.tiny_models import tiny_tokenizer


def test_a_control_is_asked_the_first_problems_of_each_family() -> None:
    n = CONTROL_N + 5
    scores = [float(place) for place in range(2 * n)]
    assert control_problems(scores, n) == [*range(CONTROL_N), *range(n, n + CONTROL_N)]
    assert control_problems(scores, 10) == scores  # where the suite has fewer, all


def test_what_a_control_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, asked = StubRun(tmp_path), []
    set_up_tool_workspace(run.workspace_dir)
    run.evaluation.suite_n = CONTROL_N + 1

    def score(model: Any, tokenizer: Any, **options: Any) -> Any:
        asked.append((options["n"], options["tools"], options.get("system"), options.get("thoughts", "off")))
        return suite([1.0, 1.0] if options["tools"] else [1.0, 0.0])

    monkeypatch.setattr(controls, "score_suite", score)
    model: Any = None
    assert score_eval_control(run.evaluator(tiny_tokenizer()), model) == [1.0, 1.0]
    assert score_eval_control(run.evaluator(tiny_tokenizer()), model, told=True, thoughts=True) == [1.0, 0.5]
    assert asked == [
        (CONTROL_N, True, None, "off"),
        (CONTROL_N, True, TOOL_PROMPT, "off"),
        (CONTROL_N, False, None, "on"),
    ]
