"""How calls of declared tools are measured: against the words' matcher, without running a tool; how confidence is
fitted to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forge.data.declared.own_set import OwnTools
from forge.evals import call_confidence, own_tools
from forge.evals.call_confidence import measure_call_calibration
from forge.evals.own_tool_use import OwnToolUse, measure_own_tool_use
from forge.evals.own_tools import eval_row_opening, own_call_verdicts
from forge.model.calling import Calibration
from forge.model.engine import Generation
from forge.tools import Toolbox
from tests.support.own_tools import declare_own_tools
from tests.support.stub_run import StubRun
from tests.support.tiny_models import tiny_model, tiny_tokenizer


def knowing(rows: list[dict[str, Any]], told: list[str | None], *, wrong: str = "") -> Any:
    """Stands for `answer_all`: every row's own calls and answer, or the call ``wrong``; results go to ``told``."""
    known = {str(eval_row_opening(row)): row for row in rows}

    def answer_all(_: Any, __: Any, openings: Any, *, execute: Any, **options: Any) -> list[Generation]:
        assert options["rules"].grammar.names[-3:] == ("set_light", "set_lock", "tell_weather")
        made = []
        for opening in openings:
            row = known[str(opening)]
            calls = [wrong] if wrong else row["expected"]
            told.extend(results := [execute(call) for call in calls])
            answer = Generation(calls=list(zip(calls, results, strict=True)), text=row["messages"][-1]["content"])
            answer.call_scores = [-0.1] * len(calls)
            made.append(answer)
        return made

    return answer_all


def test_a_model_that_knows_every_call_beats_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = declare_own_tools(tmp_path, rows=120)
    rows, told = own.call_rows("test"), list[str | None]()
    monkeypatch.setattr(own_tools, "answer_all", knowing(rows, told))
    use = measure_own_tool_use(tiny_model(), tiny_tokenizer(), own, max_new_tokens=8)
    categories = {row["category"] for row in rows}
    assert use.headline() == {f"own_tools/{category}_right": 1.0 for category in categories}
    assert use.metrics()["own_tools/call_n"] == sum(row["category"] == "call" for row in rows)
    assert use.metrics()["own_tools/word_matcher_followup_right"] < 0.5
    assert "ok" in told
    assert any(str(result).endswith("percent") for result in told)
    claim, search, *reached = use.claims(StubRun(tmp_path), {"call": 0.75, "missing": 1.0, "unheard": 0.5})
    assert [(one.value, one.control_value, one.passed) for one in reached] == [(1.0, 0.75, True), (1.0, 1.0, False)]
    assert [one.n for one in reached] == [use.metrics()[f"own_tools/{kind}_n"] for kind in ("call", "missing")]
    assert reached[1].claim == "own tools: what is missing is asked for, at least 1.00"
    assert (search.control_value, search.n) == (sum(use.search.right) / len(rows), len(rows))
    assert 0.5 < use.metrics()["own_tools/search_call_right"] < 1
    assert (claim.claim, claim.control, claim.value) == ("own tools: whole call right", "word matcher", 1.0)
    assert claim.n == use.metrics()["own_tools/call_n"]
    assert claim.ci95 is not None


def test_a_call_that_no_row_has_is_given_ok_and_counts_as_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, told = declare_own_tools(tmp_path), list[str | None]()
    wrong = 'set_light {"name":"hall light","brightness":101}'
    monkeypatch.setattr(own_tools, "answer_all", knowing(own.call_rows("test"), told, wrong=wrong))
    use = measure_own_tool_use(tiny_model(), tiny_tokenizer(), own, max_new_tokens=8)
    assert set(told) == {"ok"}
    assert set(use.headline().values()) == {0.0}


def test_where_nothing_is_declared_nothing_is_measured(tmp_path: Path) -> None:
    use = measure_own_tool_use(tiny_model(), tiny_tokenizer(), OwnTools(), max_new_tokens=8)
    assert use == OwnToolUse()
    assert (use.headline(), use.metrics(), use.claims(StubRun(tmp_path), {"call": 0.9})) == ({}, {}, [])


def test_each_call_of_a_row_has_a_verdict(tmp_path: Path) -> None:
    own = declare_own_tools(tmp_path)
    row = next(row for row in own.call_rows("test") if row["category"] == "two")
    first, second = row["expected"]
    assert own_call_verdicts(row, [first, second], own.by_name) == [1.0, 1.0]
    assert own_call_verdicts(row, [second, second, second], own.by_name) == [0.0, 1.0, 0.0]
    assert own_call_verdicts(row, [], own.by_name) == []


def test_confidence_is_fitted_on_declared_tools_where_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = declare_own_tools(tmp_path / "own")
    rows = own.call_rows("val")
    monkeypatch.setattr(own_tools, "answer_all", knowing(rows, []))
    with Toolbox() as toolbox:
        given = (tiny_model(), tiny_tokenizer(), own, [], toolbox)
        fitted = measure_call_calibration(*given, max_new_tokens=8)
        assert fitted.probability(-0.1) > 0.95
        monkeypatch.setattr(own_tools, "answer_all", knowing(rows, [], wrong="set_lock {}"))
        assert measure_call_calibration(*given, max_new_tokens=8).probability(-0.1) < 0.05


def test_confidence_of_built_in_tools_goes_by_their_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [{"role": "system", "content": "s"}, {"role": "user", "content": "What is 3 + 4?"}]
    call, result = {"role": "call", "content": "calculator 3+4"}, {"role": "result", "content": "7"}
    rows = [{"kind": "tool", "task": "calculator", "messages": [*asked, call, result]}] * 50

    def answer_all(_: Any, __: Any, openings: Any, *, execute: Any, **options: Any) -> list[Generation]:
        assert openings == [asked[1:]] * call_confidence.ROWS
        made = [Generation(calls=[(text, execute(text))], call_scores=[-0.1]) for text in ("calculator 4+3",) * 20]
        return [*made, *[Generation()] * 20]

    monkeypatch.setattr(call_confidence, "answer_all", answer_all)
    with Toolbox() as toolbox:
        given = (tiny_model(), tiny_tokenizer(), OwnTools(), rows, toolbox)
        assert measure_call_calibration(*given, max_new_tokens=8).probability(-0.1) > 0.9
        monkeypatch.setattr(call_confidence, "answer_all", lambda *_, **__: [Generation()] * call_confidence.ROWS)
        assert measure_call_calibration(*given, max_new_tokens=8) == Calibration()
