"""Four conditions on the same problems: the controls stand where thoughts do, and no true answer is used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forge.data.render import ID, tokenize_text
from forge.data.tasks import draw_problems
from forge.model import TinyTitanForCausalLM
from forge.phases.quietstar.evaluation import evaluate_thoughts, quietstar_stand_ins, quietstar_suite_problems
from forge.thinking.thinker import Thinker


@pytest.mark.usefixtures("two_families")
def test_controls_stand_where_thoughts_do(
    model: TinyTitanForCausalLM, tokenizer: Any, thinker: Thinker, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = quietstar_suite_problems(tokenizer, 3, 7, "test")
    assert [p.item for p in problems[:3]] == list(draw_problems("gcd", 7, 3, "test"))
    assert problems[0].answer == [*tokenize_text(tokenizer, problems[0].item.answer), ID["end"]]
    asked: list[tuple[list[Any], list[Any]]] = []

    def oracle(_: Any, gate: Any, prompts: list[Any], insides: list[Any], limit: int) -> list[list[int]]:
        asked.append((prompts, insides))
        known = {tuple(p.prompt): p.answer for p in problems}
        return [known[tuple(p)] if len(asked) == 1 else [ID["end"]] for p in prompts]

    monkeypatch.setattr("forge.phases.quietstar.evaluation.answer_thinking", oracle)
    monkeypatch.setattr("forge.phases.quietstar.evaluation.PROMPTS_AT_ONCE", 4)
    thinker = replace(thinker, threshold=0.95)
    found = evaluate_thoughts(model, tokenizer, thinker, problems, max_new_tokens=4, seed=1)
    assert [len(part.ids) for part in found.thoughts] == [4, 2]
    where = found.passed
    assert 0 < where.sum() < len(where)  # otherwise this test says nothing
    thoughtful = [problem.prompt for problem, w in zip(problems, where, strict=True) if w]
    assert [prompts for prompts, _ in asked] == [thoughtful] * 3
    assert found.correct["on"].tolist() == where.astype(float).tolist()
    assert found.correct["pause"].sum() == found.correct["off"].sum() == 0
    on, pause, shuffled = (insides for _, insides in asked)
    assert pause == [[ID["pause"]] * 3] * int(where.sum())
    assert all(a != b for a, b in zip(on, shuffled, strict=True))
    for name in ("on", "pause", "shuffled"):
        gap = found.log_likelihood[name] != found.log_likelihood["off"]
        assert not gap[~where].any()
        assert gap[where].all()


@pytest.mark.usefixtures("two_families")
def test_true_answers_do_not_reach_the_thoughts(model: TinyTitanForCausalLM, tokenizer: Any, thinker: Thinker) -> None:
    problems = quietstar_suite_problems(tokenizer, 2, 7, "test")
    swapped = [replace(p, answer=[40, 41, ID["end"]]) for p in problems]
    one, two = (evaluate_thoughts(model, tokenizer, thinker, p, max_new_tokens=3, seed=1) for p in (problems, swapped))
    assert np.array_equal(one.coherence, two.coherence)
    assert np.array_equal(one.correct["on"], two.correct["on"])
    assert not np.array_equal(one.log_likelihood["off"], two.log_likelihood["off"])


def test_stand_ins_use_thoughts_of_others() -> None:
    chosen = [[20 + i, 30 + i] for i in range(6)]
    made = quietstar_stand_ins(chosen, seed=3)
    assert made["on"] == chosen
    assert sorted(made["shuffled"]) == sorted(chosen)
    assert all(a != b for a, b in zip(made["shuffled"], chosen, strict=True))
