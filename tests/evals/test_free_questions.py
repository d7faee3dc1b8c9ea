"""The free questions: every accepted answer is what a tool gives, none is in training, and an agent's answers to them
are counted as a person would."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forge.data.build import draw_dataset_split
from forge.data.phrasing import phrasings
from forge.data.render import render_answer_after_tool_result
from forge.data.talk import TALK as TALK_SUBJECTS
from forge.errors import ForgeError
from forge.evals.answer_grading import AnswerForm
from forge.evals.answering import Message
from forge.evals.free_questions import (
    FreeQuestion,
    read_free_questions,
    read_question_file,
    score_free_questions,
)
from forge.evals.verdicts import QUESTION_SETS, VERDICTS
from forge.interface.paths import FREE_QUESTIONS
from forge.model.engine import Generation
from forge.pipeline.layout.phases import STAGES
from forge.tools import Toolbox
from forge.tools.builtin import TOOLS

ROOT = Path(__file__).resolve().parents[2]

QUESTIONS = [question for name in QUESTION_SETS for question in read_free_questions(name)]
CHOOSE, REPORT = (read_free_questions(name) for name in QUESTION_SETS)
OVERLAP = 6  # words
# Kinds whose answers no tool gives.
TALK = {"greetings", "thanks", "abilities", "off_topic"}
FORMS = {
    "greeting": "Hello! How can I help you?",
    "fine": "I am fine.",
    "thanks": "You are welcome!",
    "farewell": "Goodbye, take care!",
    "abilities": "I can calculate, search documents and read files.",
    "self": "I am a small agent.",
}


@pytest.fixture(scope="module")
def toolbox() -> Iterator[Toolbox]:
    with Toolbox(timeout_s=20.0) as tools:
        yield tools


def normalized(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+(?:[.,'][^\W_]+)*|[-+*/=%^]", text.casefold()))


def grams(text: str) -> set[str]:
    words = normalized(text).split()
    return {" ".join(words[i : i + OVERLAP]) for i in range(len(words) - OVERLAP + 1)}


# ---- what they are ----


def test_there_are_many_of_every_kind_half_for_choosing_and_half_for_the_report() -> None:
    assert len(CHOOSE) == len(REPORT) >= 210
    kinds = Counter(question.kind for question in CHOOSE)
    assert kinds == Counter(question.kind for question in REPORT)
    assert len(kinds) >= 20
    assert min(kinds.values()) >= 4
    assert len({question.id for question in QUESTIONS}) == len(QUESTIONS)
    assert sum(len(question.turns) > 1 for question in REPORT) >= 10
    assert 0.05 < sum(question.refusal for question in REPORT) / len(REPORT) < 0.2


def test_no_two_questions_are_alike() -> None:
    """Nor do two differ by their numbers alone."""
    said = [normalized(" ".join(question.turns)) for question in QUESTIONS]
    assert len(set(said)) == len(said)
    forms = [re.sub(r"\d[\d.,]*", "#", text) for text in said]
    assert [form for form, n in Counter(forms).items() if n > 1 and re.search("[a-z]", form)] == []
    assert len({word for text in said for word in text.split()}) > 900


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_the_accepted_answer_is_what_the_tools_give(question: FreeQuestion, toolbox: Toolbox) -> None:
    results = [(call, toolbox.execute(call)) for call in question.calls]
    if not results:
        assert question.kind in {*TALK, "unanswerable", "personas", "languages"}
        return
    last = render_answer_after_tool_result(results[-1][1])
    everything = " and ".join(result for _, result in results)
    assert "right" in {question.grade(last, results), question.grade(everything, results)}, results


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_no_question_is_answered_by_its_own_words_or_by_anything(question: FreeQuestion) -> None:
    others = ("The answer is 4711.", "Purple.", "moon is a cloud near the ground", "ererappot", "")
    assert all(question.grade(text) != "right" for text in others)
    polite = any(isinstance(want, AnswerForm) for want in question.accepted)
    assert polite or question.grade(question.turns[-1]) != "right"
    refusal = question.grade("I do not know.")
    assert refusal == ("right" if question.refusal else "refused")


def test_forms_are_answered_by_what_a_polite_agent_says() -> None:
    asked = [question for question in QUESTIONS if any(isinstance(want, AnswerForm) for want in question.accepted)]
    assert len(asked) >= 20
    for question in asked:
        form = next(want.form for want in question.accepted if isinstance(want, AnswerForm))
        assert question.grade(FORMS[form]) == "right", question


# ---- never a training source ----


@pytest.fixture(scope="module")
def training_texts(toolbox: Toolbox) -> set[str]:
    """What is read in training: user turns of some ten thousand rows of every kind that the data stage draws, all
    prose, and every template with its slots left open."""
    sizes = {"train_direct": 20, "train_tooled": 5, "train_worked": 5, "train_tool": 6000, "train_persona": 2000}
    held_out = {"eval_per_family": 2, "val_per_family": 2}
    params = SimpleNamespace(**sizes, **held_out, train_recall=100, train_text=0, talk_share=0.125, fact_share=0.1)
    rows = draw_dataset_split(params, 0, "train", toolbox)
    turns = {m["content"] for row in rows for m in row.get("messages", ()) if m["role"] == "user"}
    prose = {row["text"] for row in rows if "text" in row}
    asked = (*TOOLS, TALK_SUBJECTS)
    templates = {text for tool in asked for intent in tool.intents for text in phrasings(tool, intent, "train")}
    assert min(map(len, (turns, prose, templates))) > 100
    return turns | prose | templates


def test_no_question_is_a_training_row(training_texts: set[str]) -> None:
    known = {normalized(text) for text in training_texts}
    assert [q.id for q in QUESTIONS for turn in q.turns if len(turn.split()) > 2 and normalized(turn) in known] == []


def test_questions_and_training_rows_share_no_run_of_six_words(training_texts: set[str]) -> None:
    known = {gram for text in training_texts for gram in grams(text)}
    shared = {(q.id, gram) for q in QUESTIONS for turn in q.turns for gram in grams(turn) & known}
    assert shared == set()
    assert grams("please tell me what is in the file") & grams("now tell me what is in the box"), "the test can fail"


# ---- what is counted ----


def ask_scripted(
    monkeypatch: pytest.MonkeyPatch,
    questions: Sequence[FreeQuestion],
    answer: Callable[[list[Message]], Generation],
    toolbox: Any = None,
) -> tuple[Any, list[list[Message]], list[str]]:
    seen: list[list[Message]] = []
    thoughts: list[str] = []

    def scripted(model: Any, tokenizer: Any, talks: Sequence[list[Message]], **options: Any) -> list[Generation]:
        seen.extend([list(talk) for talk in talks])
        thoughts.append(options["thoughts"])
        return [answer(talk) for talk in talks]

    monkeypatch.setattr("forge.evals.free_questions.answer_all", scripted)
    box = toolbox or type("Box", (), {"execute": staticmethod(lambda call: "")})()
    return score_free_questions(None, None, box, questions), seen, thoughts  # type: ignore[arg-type]


def test_an_agent_that_knows_every_answer_is_right(monkeypatch: pytest.MonkeyPatch, toolbox: Toolbox) -> None:
    """With the calls of the questions and their results shown as they are: the tools are enough for the report."""
    called = [question for question in REPORT if question.calls and question.kind != "two_steps"]
    by_last_turn = {(question.persona, question.turns): question for question in called}
    assert len(by_last_turn) == len(called)

    def oracle(talk: list[Message]) -> Generation:
        turns = tuple(m["content"] for m in talk if m["role"] == "user")
        persona = next((m["content"] for m in talk if m["role"] == "persona"), None)
        question = by_last_turn.get((persona, turns))
        if question is None:
            return Generation([1], text="Hello!")
        calls = [(call, toolbox.execute(call)) for call in question.calls]
        return Generation([1], calls, text=calls[-1][1])

    score, _, _ = ask_scripted(monkeypatch, called, oracle, toolbox)
    assert [q.id for q, right in zip(called, score.correct, strict=True) if not right] == []
    assert score.shares["right"].diff == 1.0
    assert 0.9 < score.shares["right"].low < 1.0


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("", "empty"), ("ererappot", "junk"), ("dough dough dough", "junk"), ("The moon is a star.", "wrong")],
)
def test_an_agent_that_always_says_the_same(monkeypatch: pytest.MonkeyPatch, text: str, verdict: Any) -> None:
    score, _, _ = ask_scripted(monkeypatch, REPORT, lambda talk: Generation([1], text=text))
    assert score.shares[verdict].diff > 0.98
    assert score.junk_or_empty.diff == pytest.approx(score.shares["junk"].diff + score.shares["empty"].diff)
    assert sum(score.shares[name].diff for name in VERDICTS) == pytest.approx(1.0)


def test_an_agent_that_always_declines_gains_only_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    score, _, _ = ask_scripted(monkeypatch, REPORT, lambda talk: Generation([1], text="I cannot do that."))
    due = sum(question.refusal for question in REPORT)
    assert sum(score.correct) == due
    assert score.shares["refused"].diff == pytest.approx(1 - due / len(REPORT))
    assert score.kinds["off_topic"]["right"] == 1.0
    assert score.kinds["documents"]["refused"] == 1.0


def test_turns_are_answered_one_after_another_with_calls_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    question = FreeQuestion(id="x", kind="k", turns=("what is 3+4", "and plus 2"), persona="teacher", accepted=(9,))
    answers = iter([Generation([1], [("calculator 3+4", "7")], text="7"), Generation([1], text="9")])
    score, seen, _ = ask_scripted(monkeypatch, [question], lambda talk: next(answers))
    assert score.correct == [1.0]
    assert [[message["role"] for message in talk] for talk in seen] == [
        ["persona", "user"],
        ["persona", "user", "call", "result", "assistant", "user"],
    ]


def test_a_failed_call_is_told_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [
        FreeQuestion(id="a", kind="k", turns=("8/0",), refusal=True),
        FreeQuestion(id="b", kind="k", turns=("8/2",), accepted=(4,)),
    ]
    failed = Generation([1], [("calculator 8/0", "error: division by zero")], text="dddivis 0 zer")
    score, _, _ = ask_scripted(monkeypatch, questions, lambda talk: failed)
    assert [answer.verdict for answer in score.answers] == ["right", "refused"]
    assert score.answers[0].text == "I could not do that: division by zero."
    assert score.failed_calls == 1.0


def test_half_a_thought_is_asked_again_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    question = FreeQuestion(id="b", kind="k", turns=("8/2",), accepted=(4,))
    answers = iter([Generation([1]), Generation([1], text="4")])
    score, _, thoughts = ask_scripted(monkeypatch, [question], lambda talk: next(answers))
    assert (score.correct, thoughts) == ([1.0], ["auto", "off"])


def test_a_call_that_its_tool_refuses_is_asked_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [
        FreeQuestion(id="a", kind="k", turns=("8/2",), accepted=(4,)),
        FreeQuestion(id="b", kind="k", turns=("hello",), accepted=({"form": "greeting"},)),  # type: ignore[arg-type]
    ]
    refused = Generation([1], [("calculator 8//2", "error: not a number")], text="x")
    answers = iter([refused, Generation([1], text="Hello!"), Generation([2], [("calculator 8/2", "4")], text="4")])
    score, seen, thoughts = ask_scripted(monkeypatch, questions, lambda talk: next(answers))
    assert [talk[-1]["content"] for talk in seen] == ["8/2", "hello", "8/2"]
    assert (score.correct, score.failed_calls, thoughts) == ([1.0, 1.0], 0.0, ["auto", "auto"])
    assert score.answers[0].calls == [("calculator 8//2", "error: not a number"), ("calculator 8/2", "4")]


# ---- files at fault ----


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"id": "a", "kind": "k", "turns": ["x"]}', "no answer is accepted"),
        ('{"id": "a", "kind": "k", "turns": [], "refusal": true}', "turns"),
        ('{"id": "a", "kind": "k", "turns": [" "], "refusal": true}', "empty turn"),
        ('{"id": "a", "kind": "k", "turns": ["x"], "accepted": [{"pattern": "("}]}', "regular expression"),
        ('{"id": "a", "kind": "k", "turns": ["x"], "accepted": [1], "persona": "pirate"}', "pirate"),
        ('{"id": "a", "kind": "k", "turns": ["x"], "accepted": [1], "answer": 1}', "answer"),
        ('{"id": "ok", "kind": "k", "turns": ["y"], "refusal": true}', "given twice"),
        ("[", "not JSON"),
    ],
)
def test_a_line_at_fault_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(f'{{"id": "ok", "kind": "k", "turns": ["x"], "accepted": [1]}}\n{line}\n')
    with pytest.raises(ForgeError, match=rf"questions\.jsonl:2: .*{words}"):
        read_question_file(path)


def test_an_unknown_set_and_no_question_are_refused() -> None:
    with pytest.raises(ForgeError, match="choose, report"):
        read_free_questions("secret")  # type: ignore[arg-type]
    with pytest.raises(ForgeError, match="none is given"):
        score_free_questions(None, None, None, [])  # type: ignore[arg-type]


def test_phases_that_ask_them_depend_on_them() -> None:
    """`data/code/` stands for what a stage's code is, not for the data that lie beside it."""
    assert (ROOT / FREE_QUESTIONS).is_file()
    asked = {stage.phase for stage in STAGES if FREE_QUESTIONS.as_posix() in stage.asks}
    runs = sorted((ROOT / "forge" / "phases").glob("*/run.py"))
    assert asked == {run.parent.name for run in runs if ".questions(" in run.read_text(encoding="utf-8")}
    assert len(asked) == 3
