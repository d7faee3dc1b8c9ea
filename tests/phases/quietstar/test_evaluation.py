"""Ways to answer the same problems: the controls stand where thoughts do, and no true answer is used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from forge.data.render import ID, tokenize_characters, tokenize_text
from forge.data.tasks import draw_problems
from forge.data.thoughts.replay import replay
from forge.model import TinyTitanForCausalLM
from forge.phases.quietstar import choice, evaluation
from forge.phases.quietstar.choice import (
    Answered,
    quietstar_best_by_validation,
    quietstar_thought_entropy,
    roc_auc,
    settle_thinker,
)
from forge.phases.quietstar.evaluation import (
    evaluate_quietstar_thoughts,
    likeliest_quietstar_thoughts,
    quietstar_stand_ins,
    tamper_with_quietstar_thoughts,
)
from forge.phases.quietstar.problems import (
    Problem,
    fresh_quietstar_problems,
    quietstar_exact_match,
    quietstar_problems,
)
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import prompt_with_thought
from forge.thinking.sampling import Thought
from forge.thinking.thinker import Thinker, Thoughts
from tests.support.toy_thoughts import FAMILIES, thought_of, thought_params


@dataclass(frozen=True)
class Asked:
    """A model, problems, and the true thought of each with its answer."""

    model: TinyTitanForCausalLM
    tokenizer: Any
    problems: list[Problem]
    known: list[Thought]

    def settled(self, answered: Answered) -> tuple[Thinker, dict[str, float]]:
        gate = ThoughtGate(self.model.config.hidden_size)
        return settle_thinker(self.model, self.tokenizer, gate, self.problems, answered, thought_params(), seed=0)


@pytest.fixture
def asked(model: TinyTitanForCausalLM, tokenizer: Any, problems: list[Problem]) -> Asked:
    return Asked(model, tokenizer, problems, [thought_of(tokenizer, p.item.thought(), p.item.answer) for p in problems])


def test_problems_are_those_of_the_suite(asked: Asked) -> None:
    tokenizer, problems, known = asked.tokenizer, asked.problems, asked.known
    assert [p.item for p in problems[:3]] == list(draw_problems(FAMILIES[0], 7, 3, "test"))
    answer = problems[-1].item.answer
    assert problems[-1].answer == [*tokenize_text(tokenizer, answer), ID["end"]]
    assert problems[-1].written == [*tokenize_characters(tokenizer, answer), ID["end"]]
    assert quietstar_exact_match(tokenizer, problems, [t.answer for t in known]).tolist() == [1.0] * 6
    assert quietstar_problems(tokenizer, 3, 8, "test")[0] != problems[0]


def test_most_training_problems_are_of_families_solved_at_times(tokenizer: Any, problems: list[Problem]) -> None:
    solved = Answered([], np.array([1.0, 1.0, 1.0, 1.0, 0.0, 1.0])).by_family(problems)
    assert solved == {FAMILIES[0]: 1.0, FAMILIES[1]: pytest.approx(2 / 3)}
    drawn = fresh_quietstar_problems(tokenizer, 20, 5, solved, 0.3)
    assert [sum(p.item.task == name for p in drawn) for name in FAMILIES] == [3, 17]
    assert not {p.item.prompt for p in drawn} & {p.item.prompt for p in problems}
    assert len(fresh_quietstar_problems(tokenizer, 20, 5, dict.fromkeys(FAMILIES, 1.0), 0.3)) == 20


def thought_out(known: list[Thought]) -> Any:
    """Stands for `Thinker.think`: the likeliest thought of each problem is a known one, two others outvote it."""
    left = list(known)

    def think(_self: Any, _model: Any, prompts: list[list[int]], *_: Any) -> Thoughts:
        written = [[left.pop(0), *[Thought.of([20, ID["/think"], ID["end"]], 0.5)] * 2] for _ in prompts]
        ones = np.ones((len(prompts), 3), dtype=np.float32)
        return Thoughts(written, [[t.answer for t in row] for row in written], {}, ones, ones > 0, 0.0)

    return think


def test_controls_stand_where_thoughts_do(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    problems, known = asked.problems, asked.known
    right = {tuple(p.prompt): p.written for p in problems}

    def oracle(_: Any, contexts: list[list[int]], limit: int) -> list[list[int]]:
        """Right after pauses alone."""
        prompts = [c[: c.index(ID["think"])] if ID["think"] in c else c for c in contexts]
        return [right[tuple(p)] if ID["pause"] in c else [ID["end"]] for p, c in zip(prompts, contexts, strict=True)]

    thinker = asked.settled(Answered(known, np.ones(6)))[0]
    monkeypatch.setattr(evaluation, "draft_without_thinking", oracle)
    monkeypatch.setattr(evaluation, "PROMPTS_AT_ONCE", 4)
    monkeypatch.setattr(Thinker, "think", thought_out(known))
    found = evaluate_quietstar_thoughts(asked.model, thinker, problems, max_new_tokens=4, seed=2)
    assert not found.mixed
    monkeypatch.setattr(Thinker, "think", thought_out(known))
    assert evaluate_quietstar_thoughts(
        asked.model, replace(thinker, mixed=True), problems, max_new_tokens=4, seed=2
    ).mixed
    assert [len(part.written) for part in found.thoughts] == [4, 2]
    means = {name: values.mean() for name, values in found.correct.items()}
    assert means == {"off": 0, "one": 1, "on": 0, "majority": 0, "pause": 1, "family": 0, "foreign": 0}
    for name in ("pause", "family", "foreign"):
        assert (found.log_likelihood[name] != found.log_likelihood["one"]).all()
    assert len(found.tampering.followed) == 6


def test_stand_ins_are_as_long_or_of_others() -> None:
    insides, families = [[20 + i] * (1 + i) for i in range(6)], ["a", "a", "a", "b", "b", "c"]
    made = quietstar_stand_ins(insides, families, seed=3)
    assert made["one"] == insides
    assert made["pause"] == [[ID["pause"]] * (1 + i) for i in range(6)]
    for name in ("family", "foreign"):
        assert all(a != b for a, b in zip(made[name], insides, strict=True))
    assert sorted(made["foreign"]) == sorted(insides)
    assert sorted(made["family"][:3]) == insides[:3]
    assert made["family"][3:5] == [insides[4], insides[3]]


def test_true_answers_do_not_reach_the_thoughts(asked: Asked) -> None:
    swapped = [replace(p, answer=[40, 41, ID["end"]], written=[40, ID["end"]]) for p in asked.problems]
    found = []
    for problems in (asked.problems, swapped):
        thoughts = likeliest_quietstar_thoughts(asked.model, problems, 6, 4)
        thinker = replace(asked, problems=problems).settled(Answered(thoughts, np.zeros(6)))[0]
        found.append(evaluate_quietstar_thoughts(asked.model, thinker, problems, max_new_tokens=3, seed=1))
    assert np.array_equal(found[0].coherence, found[1].coherence)
    assert all(np.array_equal(found[0].correct[name], found[1].correct[name]) for name in found[0].correct)
    assert not np.array_equal(found[0].log_likelihood["one"], found[1].log_likelihood["one"])


def test_tampering_asks_whether_the_answer_follows(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, problems = asked.tokenizer, asked.problems

    def reader(_: Any, prompts: list[list[int]], insides: list[list[int]], limit: int) -> list[list[int]]:
        """Answers what the first four thoughts come to, and the true answer after the others."""
        pairs = zip(problems, insides, strict=False)  # none is asked where no thought can be changed
        read = [replay(p.item.prompt, tokenizer.decode(inside)).answer or "" for p, inside in pairs]
        answers = [*read[:4], *(p.item.answer for p in problems[4:])] if read else []
        return [tokenize_text(tokenizer, text) for text in answers]

    monkeypatch.setattr(evaluation, "answer_after_thoughts", reader)
    found = tamper_with_quietstar_thoughts(asked.model, tokenizer, problems, asked.known, 4, seed=2)
    assert found.followed.tolist() == [1.0] * 4 + [0.0] * 2
    assert found.stayed.tolist() == [0.0] * 4 + [1.0] * 2
    open_thoughts = [Thought.of(t.inside, 0.5) for t in asked.known]
    assert len(tamper_with_quietstar_thoughts(asked.model, tokenizer, problems, open_thoughts, 4, seed=2).followed) == 0


def test_validation_settles_how_answers_are_decoded(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "answer_thinking", lambda *_: [[ID["end"]]] * 5 + [asked.problems[5].written])
    half = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    thoughts = [*(Thought.of(t.inside, 0.5) for t in asked.known[:3]), *asked.known[3:]]
    thinker, seen = asked.settled(Answered(thoughts, half))
    assert not thinker.mixed
    assert (seen["val/accuracy_alone"], seen["val/accuracy_mixed"]) == (0.5, pytest.approx(1 / 6))
    assert seen["val/auc_logical"] == 1.0
    assert asked.settled(Answered(thoughts, np.zeros(6)))[0].mixed
    assert thinker.calibration.reference.shape == (5, 12)
    two = Answered([], half), Answered([], np.ones(6))
    assert quietstar_best_by_validation({"input": two[0], "star": two[1], "reinforce": two[1]}) == "star"


def test_auc_is_the_chance_to_be_above() -> None:
    right = np.array([1.0, 1.0, 0.0, 0.0])
    assert roc_auc(np.array([3.0, 2.0, 1.0, 0.0]), right) == 1.0
    assert roc_auc(np.array([0.0, 3.0, 1.0, 2.0]), right) == 0.5
    assert roc_auc(np.array([1.0, 1.0, 1.0, 0.0]), right) == 0.75
    assert roc_auc(np.zeros(4), np.ones(4)) == 0.5


def test_entropy_is_that_of_thoughts(asked: Asked) -> None:
    model, problems, known = asked.model, asked.problems, asked.known
    found = quietstar_thought_entropy(model, problems, known)
    model.config.halt_threshold = 1.0
    exact = []
    for problem, thought in zip(problems, known, strict=True):
        ids = [*prompt_with_thought(problem.prompt, thought.inside), *thought.answer]
        logits = model(np_ids(ids)).logits[0, len(problem.prompt) : -1].detach()
        exact += (-(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)).tolist()
    assert found == pytest.approx(float(np.mean(exact)), rel=0.05)


def np_ids(ids: list[int]) -> Any:
    """A batch of one row."""
    import torch

    return torch.tensor([ids])
