"""Free questions: what people type, in their own words, and what an agent makes of it.

`questions/choose.jsonl` steers decisions, `questions/report.jsonl` is for the report alone; both were written by hand,
have the same kinds and are no source of training rows. A question has one verdict, on the answer to its last turn;
before that the agent is shown what it answered itself.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from forge.data.personas import PERSONAS
from forge.errors import ForgeError
from forge.evals.answer_grading import Accepted, grade_free_answer
from forge.evals.answering import (
    MAX_NEW_TOKENS,
    RETRY_TEMPERATURE,
    Message,
    Thoughts,
    answer_all,
    answer_at_second_try,
    answer_of_generation,
    tool_refused_last_call,
)
from forge.evals.verdicts import QUESTION_SETS, VERDICTS, QuestionSet, Verdict
from forge.files import read_jsonl

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from forge.evals.bootstrap import Interval
    from forge.model.calling import CallRules
    from forge.model.engine import Generation
    from forge.tools.declared.running.toolbox import CallExecutor


class FreeQuestion(BaseModel):
    """One question with what counts as an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    kind: str = Field(min_length=1)
    turns: tuple[str, ...] = Field(min_length=1)
    """What the user says, turn by turn."""
    persona: str | None = None
    """The handle under which it is asked."""
    accepted: tuple[Accepted, ...] = ()
    refusal: bool = False
    """Whether a plain refusal is right."""
    calls: tuple[str, ...] = ()
    """Calls that lead to the answer: where it comes from, not what the agent has to do."""

    @model_validator(mode="after")
    def _check(self) -> FreeQuestion:
        if not (self.accepted or self.refusal):
            raise ValueError("no answer is accepted and no refusal either")
        if self.persona is not None and self.persona not in PERSONAS:
            raise ValueError(f"unknown persona {self.persona!r}; known: {', '.join(PERSONAS)}")
        if not all(turn.strip() for turn in self.turns):
            raise ValueError("an empty turn")
        return self

    def grade(self, text: str, calls: Sequence[tuple[str, str]] = ()) -> Verdict:
        """The verdict on an answer, and on the calls (call, result) that the agent made for it."""
        return grade_free_answer(
            text,
            self.accepted,
            refusal=self.refusal,
            turns=self.turns,
            worked=self.calls,
            shown=[*_turns_of_all_questions(), *(result for _, result in calls)],
        )


@dataclass(frozen=True)
class FreeAnswer:
    """What the user read, the calls that were made for it as (call, result), and the verdict."""

    text: str
    calls: list[tuple[str, str]]
    verdict: Verdict


@dataclass(frozen=True)
class FreeQuestionScore:
    """Shares in 0..1.

    shares: of each verdict, with its 95 % interval. junk_or_empty: of the two together. failed_calls: share of the
    questions whose last call ended in an error. kinds: {kind: {"n", verdict: share}}. correct: 1.0 or 0.0 per question,
    in the given order; answers the same.
    """

    shares: dict[Verdict, Interval]
    junk_or_empty: Interval
    failed_calls: float
    kinds: dict[str, dict[str, float]]
    correct: list[float]
    answers: list[FreeAnswer]

    def headline(self) -> dict[str, float]:
        """`questions/<verdict>` and `questions/junk_or_empty`, shares."""
        shares = {f"questions/{verdict}": share.diff for verdict, share in self.shares.items()}
        return {**shares, "questions/junk_or_empty": self.junk_or_empty.diff}


def read_question_file(path: Path) -> tuple[FreeQuestion, ...]:
    """The questions of a JSONL file. Raises ForgeError "FILE:LINE: ..." for a line that is none, and for an id that is
    given twice."""
    found: dict[str, FreeQuestion] = {}
    for where, row in read_jsonl(path):
        try:
            question = FreeQuestion.model_validate(row)
        except ValidationError as error:
            faults = error.errors()
            # Of a union every member complains; a rule of ours says what is meant.
            first = next((e for e in faults if e["type"] == "value_error"), faults[0])
            field = ".".join(str(part) for part in first["loc"])
            raise ForgeError(f"{where}: {field + ': ' if field else ''}{first['msg']}") from error
        if question.id in found:
            raise ForgeError(f"{where}: the id {question.id!r} is given twice")
        found[question.id] = question
    return tuple(found.values())


@functools.cache
def read_free_questions(name: QuestionSet) -> tuple[FreeQuestion, ...]:
    """A set that ships with the package. Raises ForgeError for an unknown name."""
    if name not in QUESTION_SETS:
        raise ForgeError(f"no free questions {name!r}; there are: {', '.join(QUESTION_SETS)}")
    return read_question_file(Path(__file__).parent / "questions" / f"{name}.jsonl")


@functools.cache
def _turns_of_all_questions() -> tuple[str, ...]:
    """Texts whose words are no gibberish in an answer because people use them, in any language."""
    return tuple(turn for name in QUESTION_SETS for question in read_free_questions(name) for turn in question.turns)


def score_free_questions(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    toolbox: CallExecutor,
    questions: Sequence[FreeQuestion],
    *,
    system: str | None = None,
    thoughts: Thoughts = "auto",
    max_new_tokens: int = MAX_NEW_TOKENS,
    rules: CallRules | None = None,
) -> FreeQuestionScore:
    """Ask every question of an agent that may use its tools, and judge what a person would read.

    Args:
        toolbox: on the built-in workspace, which the accepted answers are about.
        system: words put first (none by default: as the agent is used). thoughts: left to the model by default.
        rules: what a call may be.
    Raises ForgeError for no question.
    """
    if not questions:
        raise ForgeError("free questions: none is given")
    opening: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    talks: list[list[Message]] = [
        [*([] if q.persona is None else [{"role": "persona", "content": q.persona}]), *opening] for q in questions
    ]
    said: list[tuple[str, list[tuple[str, str]]]] = [("", [])] * len(questions)
    for turn in range(max(len(question.turns) for question in questions)):
        asked = [index for index, question in enumerate(questions) if turn < len(question.turns)]
        for index in asked:
            talks[index].append({"role": "user", "content": questions[index].turns[turn]})
        now = [talks[i] for i in asked]
        made = _answer_free_turn(model, tokenizer, toolbox, now, thoughts, max_new_tokens, rules)
        for index, answer in zip(asked, made, strict=True):
            calls = [(call, result) for call, result in answer.calls]
            text = answer_of_generation(answer)
            # What the runtime says for a model that said nothing is no refusal of the model's.
            said[index] = text if calls or answer.text.strip() else "", calls
            for call, result in calls:
                talks[index] += [{"role": "call", "content": call}, {"role": "result", "content": result}]
            talks[index].append({"role": "assistant", "content": text})
    answers = [FreeAnswer(text, calls, q.grade(text, calls)) for q, (text, calls) in zip(questions, said, strict=True)]
    return summarize_free_answers(questions, answers)


def _answer_free_turn(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    toolbox: CallExecutor,
    talks: Sequence[list[Message]],
    thoughts: Thoughts,
    max_new_tokens: int,
    rules: CallRules | None,
) -> list[Generation]:
    """Answers in order, as in use: where a thought found no end and nothing else was written, one without a thought,
    and a second one where a tool refused the last call."""

    def ask(some: Sequence[list[Message]], wanted: Thoughts, temperature: float = 0.0) -> list[Generation]:
        return answer_all(
            model,
            tokenizer,
            some,
            execute=toolbox.execute,
            max_new_tokens=max_new_tokens,
            thoughts=wanted,
            temperature=temperature,
            seed=int(temperature > 0),
            rules=rules,
        )

    made = ask(talks, thoughts)
    blank = [i for i, answer in enumerate(made) if not (answer.thought or answer.calls or answer.text.strip())]
    if thoughts != "off" and blank:
        for i, answer in zip(blank, ask([talks[i] for i in blank], "off"), strict=True):
            made[i] = answer
    refused = [i for i, answer in enumerate(made) if tool_refused_last_call(answer)]
    if refused:
        for i, answer in zip(refused, ask([talks[i] for i in refused], thoughts, RETRY_TEMPERATURE), strict=True):
            made[i] = answer_at_second_try(made[i], answer)
    return made


def summarize_free_answers(questions: Sequence[FreeQuestion], answers: Sequence[FreeAnswer]) -> FreeQuestionScore:
    """Shares of the verdicts on answers to questions in the same order (at least one)."""
    from forge.data.render import TOOL_ERROR
    from forge.evals.bootstrap import mean_interval  # numpy: not for those who only name a set

    verdicts = [answer.verdict for answer in answers]
    kinds: dict[str, dict[str, float]] = {}
    for kind in dict.fromkeys(question.kind for question in questions):
        own = [v for q, v in zip(questions, verdicts, strict=True) if q.kind == kind]
        kinds[kind] = {"n": len(own), **{verdict: own.count(verdict) / len(own) for verdict in VERDICTS}}
    failed = [bool(answer.calls) and answer.calls[-1][1].startswith(TOOL_ERROR) for answer in answers]
    return FreeQuestionScore(
        shares={name: mean_interval([float(verdict == name) for verdict in verdicts]) for name in VERDICTS},
        junk_or_empty=mean_interval([float(verdict in ("junk", "empty")) for verdict in verdicts]),
        failed_calls=sum(failed) / len(failed),
        kinds=kinds,
        correct=[float(verdict == "right") for verdict in verdicts],
        answers=list(answers),
    )
