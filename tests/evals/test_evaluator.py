"""The evaluator: which held-out dialogues it picks, and that every model is given room for the same answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.data.personas import PERSONAS
from forge.evals.evaluator import OwnDataScore
from forge.model.engine import Generation
from forge.tools import TOOL_NAMES, set_up_tool_workspace
from tests.support.stub_run import StubRun, conversation, watch_lengths, write_rows
from tests.support.tiny_models import tiny_model, tiny_tokenizer


def test_probes_take_each_tool_and_each_persona(tmp_path: Path) -> None:
    tools = [{**conversation("tool", i), "task": name} for name in TOOL_NAMES for i in range(3)]
    personas = [{**conversation("persona", i), "task": name} for name in PERSONAS for i in range(3)]
    write_rows(tmp_path / "test.jsonl", [*tools, conversation("direct", 1), *personas])
    write_rows(tmp_path / "train.jsonl", [conversation("persona", 4), conversation("tool", 4)])
    run = StubRun(tmp_path)
    run.evaluation.tool_n = 2
    asked = run.evaluator(tiny_tokenizer()).probes
    assert [row["task"] for row in asked.tools] == [name for name in TOOL_NAMES for _ in range(2)]
    assert [row["task"] for row in asked.personas] == list(PERSONAS)
    assert [row["kind"] for row in asked.persona_train] == ["persona"]


def test_probes_are_asked_of_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up_tool_workspace(tmp_path / "workspace")
    lengths = watch_lengths(monkeypatch)
    run, model = StubRun(tmp_path), tiny_model(vocab_size=320, max_steps=1)
    personas = [{**conversation("persona", 5), "task": name} for name in PERSONAS]
    for name, row in zip(PERSONAS, personas, strict=True):
        row["messages"][-1] = {"role": "assistant", "content": f"{name} speaks"}
    write_rows(tmp_path / "test.jsonl", [*(conversation("tool", i) for i in range(2)), *personas])
    write_rows(tmp_path / "train.jsonl", personas)
    evaluator = run.evaluator(tiny_tokenizer())
    score = evaluator.tools(model)
    assert len(score.correct) == 1
    found = evaluator.personas(model)
    assert len(found.correct) == len(PERSONAS)
    assert found.ceiling == 1.0
    assert lengths == [run.evaluation.answer_tokens] * 2


def test_held_out_own_dialogues_are_asked_and_graded_letter_by_letter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_tool_workspace(tmp_path / "workspace")
    own = [conversation("own", number) for number in range(4)]
    own[0]["messages"].insert(0, {"role": "system", "content": "Be short."})
    prose = {"kind": "own", "task": "own", "text": "Nobody asks anything here.", "difficulty": 0.5}
    answer_only = {**own[1], "messages": own[1]["messages"][-1:]}
    write_rows(tmp_path / "test.jsonl", [*own, prose, answer_only, conversation("direct", 9)])
    write_rows(tmp_path / "train.jsonl", [conversation("own", 7), prose, conversation("tool", 4)])
    asked: list[list[str]] = []

    def answer(model: object, tokenizer: object, openings: list[list[dict[str, str]]], **_: object) -> list[Generation]:
        asked.extend([message["role"] for message in opening] for opening in openings)
        return [Generation([1], text=text) for text in ("30", " 31\n", "it is 32", "33")]

    monkeypatch.setattr("forge.evals.evaluator.answer_all", answer)
    score = StubRun(tmp_path).evaluator(tiny_tokenizer()).own_data(tiny_model())
    assert asked == [["user"]] * 4
    assert score.correct == [1.0, 1.0, 0.0, 1.0]
    assert score.headline() == {"own/rows": 2, "own/held_out": 4, "own/exact_match": 0.75}


def test_without_own_data_there_is_no_line_about_it(tmp_path: Path) -> None:
    for split in ("test", "train"):
        write_rows(tmp_path / f"{split}.jsonl", [conversation("direct", 9)])
    assert StubRun(tmp_path).evaluator(tiny_tokenizer()).own_data(tiny_model()).headline() == {}
    assert OwnDataScore(3, []).headline() == {"own/rows": 3, "own/held_out": 0}
