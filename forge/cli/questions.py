"""`agent-forge eval MODEL --questions SET`: what an agent makes of questions as people type them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forge.cli.output import emit_command_json, print_terminal_table, say, whisper
from forge.evals.verdicts import VERDICTS, QuestionSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forge.evals.free_questions import FreeQuestion, FreeQuestionScore
    from forge.runtime.agent import Agent


def eval_free_questions_command(
    agent: Agent, name: QuestionSet, *, tool_prompt: bool, show: bool, as_json: bool
) -> None:
    """Ask a set of free questions of an agent and print the shares of verdicts; with `show`, every answer first."""
    from forge.data.dialogues import TOOL_PROMPT
    from forge.evals.free_questions import read_free_questions, score_free_questions

    questions = read_free_questions(name)
    system = TOOL_PROMPT if tool_prompt else None
    score = score_free_questions(
        agent.model, agent.tokenizer, agent.toolbox, questions, system=system, rules=agent.call_rules()
    )
    if as_json:
        emit_command_json(_free_question_json(name, questions, score, show))
        return
    if show:
        _show_free_answers(questions, score)
    rows = [
        (kind, f"{row['n']:.0f}", *(f"{row[verdict]:.2f}" for verdict in VERDICTS)) for kind, row in score.kinds.items()
    ]
    print_terminal_table(("kind", "n", *VERDICTS), rows)
    for verdict in VERDICTS:
        share = score.shares[verdict]
        say(f"{verdict} {share.diff:.3f} (95 % interval {share.low:.3f} to {share.high:.3f})")
    say(f"junk or empty {score.junk_or_empty.diff:.3f}; last call failed in {score.failed_calls:.3f}")


def _show_free_answers(questions: Sequence[FreeQuestion], score: FreeQuestionScore) -> None:
    for question, answer in zip(questions, score.answers, strict=True):
        persona = "" if question.persona is None else f"[{question.persona}] "
        say(f"{answer.verdict:8}{persona}{' / '.join(question.turns)}")
        for call, result in answer.calls:
            whisper(f"        {call} -> {result}")
        say(f"        {answer.text}")


def _free_question_json(
    name: QuestionSet, questions: Sequence[FreeQuestion], score: FreeQuestionScore, show: bool
) -> dict[str, object]:
    found: dict[str, object] = {
        "questions": name,
        "n": len(questions),
        "shares": {verdict: share.diff for verdict, share in score.shares.items()},
        "ci95": {verdict: [share.low, share.high] for verdict, share in score.shares.items()},
        "junk_or_empty": score.junk_or_empty.diff,
        "failed_calls": score.failed_calls,
        "kinds": score.kinds,
    }
    if show:
        found["answers"] = [
            {
                "id": q.id,
                "turns": list(q.turns),
                "text": a.text,
                "calls": [list(c) for c in a.calls],
                "verdict": a.verdict,
            }
            for q, a in zip(questions, score.answers, strict=True)
        ]
    return found
