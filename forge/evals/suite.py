"""The suite's score: fresh problems, greedy answers, reasoning_gym's own verdict.

An answer is right when the family's scorer gives it the full 1.0; the scorers' partial credit is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forge.errors import ForgeError
from forge.evals.answering import (
    CALL,
    MAX_NEW_TOKENS,
    THINK,
    Thoughts,
    answer_all,
    eval_prompt_messages,
    eval_special_token_id,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from forge.data.tasks import Item
    from forge.model.calling import CallRules
    from forge.model.engine import Generation


@dataclass(frozen=True)
class SuiteScore:
    """What a model reached.

    tasks: {family: {"n", "accuracy"}}. mean_accuracy: mean over families, each counting the same. correct:
    1.0 or 0.0 per item, families in the order asked for, items in the order drawn: two scores with the same
    tasks, n, seed and split are paired. mean_steps: recurrence steps per token, mean of items. calls: tool calls made.
    made: what was written, item by item; empty for a score that was read from a file.
    """

    tasks: dict[str, dict[str, float]]
    mean_accuracy: float
    correct: list[float]
    mean_steps: float
    calls: int
    made: list[Generation] = field(default_factory=list)


def suite_tasks(names: Sequence[str] | None = None) -> list[str]:
    """The suite's families, or `names` checked against them. Raises ForgeError for an unknown one."""
    from forge.data.tasks import SUITE

    if names is None:
        return list(SUITE)
    for name in names:
        if name not in SUITE:
            raise ForgeError(f"unknown task {name!r}; the suite has: {', '.join(SUITE)}")
    if not names:
        raise ForgeError("no task named")
    return list(names)


def score_suite(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    *,
    tasks: Sequence[str] | None = None,
    n: int,
    seed: int,
    split: str = "test",
    execute: Callable[[str], str] | None = None,
    tools: bool,
    system: str | None = None,
    persona: str | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    thoughts: Thoughts = "off",
    thinker: Any = None,
    known: SuiteScore | None = None,
    rules: CallRules | None = None,
) -> SuiteScore:
    """Score `n` items of each family, drawn from `split` with `seed`.

    Args:
        tasks: families, default all. n: items per family, at least 1.
        tools: False bans the call token; True needs `execute` (call text -> result text), whose result is
        fed back.
        system: words put before the question (none by default: zero-shot). persona: a baked handle. thoughts:
        banned, begun for every answer, or left to the model. thinker: lets several vote (forge.thinking).
        known: this model's score of the same problems, asked in the same words, with less banned. Where an answer
        holds nothing that is banned now, greedy decoding would write it again: it counts and is not asked for.
        rules: what a call may be, and when to ask instead of acting: a question is no answer.
    Raises ForgeError for unknown tasks, n < 1, or tools without `execute`.
    """
    from forge.data.tasks import draw_problems

    if n < 1:
        raise ForgeError(f"eval: n must be at least 1, got {n}")
    if tools and execute is None:
        raise ForgeError("eval: tools are asked for, but nothing is given that executes a call")
    names = suite_tasks(tasks)
    items = [item for name in names for item in draw_problems(name, seed, n, split)]
    conversations = [eval_prompt_messages(item.prompt, system=system, persona=persona) for item in items]
    kept = {} if known is None else _suite_answers_that_stand(tokenizer, known, tools=tools, thoughts=thoughts)
    asked = [i for i in range(len(items)) if i not in kept]
    new = answer_all(
        model,
        tokenizer,
        [conversations[i] for i in asked],
        execute=execute if tools else None,
        max_new_tokens=max_new_tokens,
        thoughts=thoughts,
        thinker=thinker,
        rules=rules,
    )
    given = kept | dict(zip(asked, new, strict=True))
    return _suite_score(names, items, [given[i] for i in range(len(items))])


def _suite_score(names: Sequence[str], items: Sequence[Item], made: list[Generation]) -> SuiteScore:
    """The verdict on each answer, and the means by family and over families."""
    from forge.data.tasks import reasoning_gym_accepts_answer

    correct = [float(reasoning_gym_accepts_answer(item, answer.text)) for item, answer in zip(items, made, strict=True)]
    by_task = {name: [c for item, c in zip(items, correct, strict=True) if item.task == name] for name in names}
    table = {name: {"n": len(hits), "accuracy": sum(hits) / len(hits)} for name, hits in by_task.items()}
    return SuiteScore(
        tasks=table,
        mean_accuracy=sum(row["accuracy"] for row in table.values()) / len(table),
        correct=correct,
        mean_steps=sum(float(answer.steps) for answer in made) / len(made),
        calls=sum(len(answer.calls) for answer in made),
        made=made,
    )


def _suite_answers_that_stand(
    tokenizer: PreTrainedTokenizerFast, known: SuiteScore, *, tools: bool, thoughts: Thoughts
) -> dict[int, Generation]:
    """The answers of `known`, by place, in which nothing stands that is banned now."""
    banned = {
        eval_special_token_id(tokenizer, mark) for mark, off in ((CALL, not tools), (THINK, thoughts == "off")) if off
    }
    return {i: answer for i, answer in enumerate(known.made) if banned.isdisjoint(answer.ids)}
