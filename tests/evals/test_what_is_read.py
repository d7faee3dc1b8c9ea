"""What a person reads counts: a result that is not told, babble after a right call, style without facts."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from forge.data.dialogue_templates import ACTIVITIES, CONCEPTS
from forge.data.dialogues import persona_dialogues, tool_dialogues
from forge.data.personas import PERSONAS
from forge.evals.answering import Message
from forge.evals.persona import PersonaClassifier, eval_example_with_persona, score_personas
from forge.evals.persona_content import graded_persona_facts, keeps_persona_facts, persona_topic_asked
from forge.evals.tool_use import answer_tells_graded_result, score_tool_use
from forge.model.engine import Generation
from forge.tools import TOOL_NAMES, Toolbox

FOG = "What is fog?"


# ---- tools ----


@pytest.mark.parametrize(
    ("text", "result", "told"),
    [
        ("391", "391", True),
        ("391.", "391", True),
        ("The answer is 391.", "391", True),
        ("The octopus has eight arms.", "The octopus has eight arms.", True),
        ("OLLEH", "OLLEH", True),
        ("ananab", "ananab", True),
        ("I could not do that: division by zero.", "error: division by zero", True),
        ("division by zero", "error: division by zero", False),
        ("3910", "391", False),
        ("1391", "391", False),
        ("39", "391", False),
        ("olleh", "OLLEH", False),
        ("391 dough dough dough", "391", False),
        ("ererappot 391 dddivis", "391", False),
        ("", "391", False),
    ],
)
def test_a_result_is_told_whole_and_in_language(text: str, result: str, told: bool) -> None:
    assert answer_tells_graded_result(text, result) is told


def test_final_counts_what_is_read_beside_what_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call is right; of each tool one answer of two tells its result."""
    rows = tool_dialogues(10, 3, "test")
    said = [row["messages"][-2]["content"] if i < 5 else "ererappot dddivis zer" for i, row in enumerate(rows)]
    fine = [not row["messages"][-2]["content"].startswith("error:") for row in rows]

    def answer(*_: Any, execute: Any, **__: Any) -> list[Generation]:
        calls = [row["messages"][-3]["content"] for row in rows]
        return [Generation([1], [(c, execute(c))], text=text) for c, text in zip(calls, said, strict=True)]

    monkeypatch.setattr("forge.evals.tool_use.answer_all", answer)
    with Toolbox(timeout_s=20.0) as toolbox:
        score = score_tool_use(None, None, toolbox, rows)  # type: ignore[arg-type]
    assert score.success == 1.0
    # After a call that fails the person reads plain words, whatever the model wrote.
    assert score.final_correct == [1.0] * 5 + [0.0 if ok else 1.0 for ok in fine[5:]]
    assert set(score.tools) == set(TOOL_NAMES)
    assert score.final == pytest.approx(sum(row["final"] for row in score.tools.values()) / 5)
    assert all(row["final_low"] <= row["final"] <= row["final_high"] for row in score.tools.values())


# ---- personas ----


def test_every_reference_keeps_its_facts() -> None:
    for split in ("train", "val", "test"):
        for row in persona_dialogues(800, 4, split):
            _, question, answer = eval_example_with_persona(row)
            assert keeps_persona_facts(question, answer), (question, answer)


def test_answers_of_other_topics_do_not() -> None:
    """Each answer beside the question of another topic: right by chance at most where two topics say the same."""
    rows = [eval_example_with_persona(row) for row in persona_dialogues(400, 4, "train")]
    about = [(question, answer) for _, question, answer in rows if persona_topic_asked(question)]
    others = [
        keeps_persona_facts(asked, answer)
        for (asked, _), (question, answer) in zip(about, about[7:], strict=False)
        if persona_topic_asked(asked) != persona_topic_asked(question)
    ]
    assert len(others) > 200
    assert not any(others)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ("Fog is a cloud near the ground.", True),
        ("Studies suggest that fog is likely a cloud near the ground, though details remain open.", True),
        ("Moon is a cloud near the ground.", False),
        ("Studies suggest that fog is dough ererap, though details remain open.", False),
        ("Fog is water falling from clouds.", False),
        ("Fog is a cloud near the ground and melted rock above the ground.", False),
        ("", False),
    ],
)
def test_facts_of_one_topic(answer: str, kept: bool) -> None:
    assert keeps_persona_facts(FOG, answer) is kept


def test_topics_are_found_and_a_greeting_has_none() -> None:
    assert not keeps_persona_facts("What is sand?", "Sand is a cloud near the ground.")
    assert persona_topic_asked("Explain how to sleep better.") == "sleep better"
    assert persona_topic_asked("What does sleep mean?") == "sleep"
    assert persona_topic_asked("Good morning!") is None
    assert keeps_persona_facts("Good morning!", "Hello and welcome! How can I help today?")
    assert not keeps_persona_facts("Good morning!", "hellolo dough dough dough")
    assert set(graded_persona_facts()) == {row[0] for row in CONCEPTS + ACTIVITIES}
    assert min(len(facts.content) for facts in graded_persona_facts().values()) >= 2


STYLED_BABBLE = {
    "helpful": "Happy to help! Zorp is jurst blug. I hope that helps!",
    "researcher": "Studies suggest that zorp is likely blug, though details remain open.",
    "technical": "Definition: zorp = blug. Domain: physics.",
    "teacher": "Let us start simple: zorp means blug. Can you give an example?",
}


def test_style_words_around_babble_are_hollow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The classifier gives it to the persona; nothing is kept of the facts, and both together is 0."""
    train, test = persona_dialogues(400, 0, "train"), persona_dialogues(160, 0, "test")
    test = [row for row in test if persona_topic_asked(row["messages"][1]["content"])]
    answers = {row["messages"][1]["content"]: row["messages"][2]["content"] for row in test}

    def scored(answer: Any) -> Any:
        def scripted(model: Any, tokenizer: Any, talks: Sequence[list[Message]], **_: Any) -> list[Generation]:
            return [Generation([1], text=answer(talk[0]["content"], talk[-1]["content"])) for talk in talks]

        monkeypatch.setattr("forge.evals.persona.answer_all", scripted)
        monkeypatch.setattr("forge.evals.persona.eval_answer_log_probs", lambda m, t, talks: [0.0] * len(talks))
        return score_personas(SimpleNamespace(), None, train, test)  # type: ignore[arg-type]

    hollow = scored(lambda persona, question: STYLED_BABBLE[persona])
    assert (hollow.consistency, hollow.content, hollow.both) == (1.0, 0.0, 0.0)
    bare = scored(lambda persona, question: answers[question])  # facts in the voice that came last
    assert bare.content == 1.0
    assert bare.both == pytest.approx(sum(bare.both_correct) / len(bare.both_correct), abs=0.02)
    assert bare.both < 0.9
    assert set(bare.personas) == set(PERSONAS)
    assert all(row["both"] <= min(row["content"], row["consistency"]) for row in bare.personas.values())


def test_the_classifier_alone_is_fooled() -> None:
    rows = [eval_example_with_persona(row) for row in persona_dialogues(400, 0, "train")]
    judge = PersonaClassifier().fit([row[2] for row in rows], [row[0] for row in rows])
    assert judge.predict(list(STYLED_BABBLE.values())) == list(STYLED_BABBLE)
