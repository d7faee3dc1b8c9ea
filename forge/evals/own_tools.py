"""Scores of calls of a user's own tools: the whole call right, its name and every argument, kind by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from forge.errors import ForgeError
from forge.evals.answering import answer_all
from forge.evals.bootstrap import mean_interval
from forge.evals.word_matcher import match_builtin_calls_for_eval, match_own_calls_for_eval
from forge.tools.calls import parse_tool_call, tool_call_text
from forge.tools.declared.schema import DeclaredTool

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from forge.model.calling import CallRules
    from forge.model.engine import Generation
    from forge.tools import Toolbox

Message = dict[str, str]


@dataclass(frozen=True)
class OwnToolScore:
    """Shares in 0..1.

    categories: {category: {"n", "right", "low", "high"}}, with the 95 % interval of `right`. right: 1.0 or 0.0 per row,
    in the given order. calls: the same table over the rows that want one call or more. idle: over those that want none.
    """

    categories: dict[str, dict[str, float]]
    right: list[float]
    calls: dict[str, float] | None
    idle: dict[str, float] | None


def eval_row_opening(row: Mapping[str, Any]) -> list[Message]:
    """What the model is given of a row: all up to the last turn of the user.

    Raises:
        ForgeError: no turn is the user's.
    """
    messages: list[Message] = list(row["messages"])
    while messages and messages[-1]["role"] != "user":
        messages.pop()
    if not messages:
        raise ForgeError("own tools: a row without a turn of the user")
    return messages


def score_own_tools(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    tools: Sequence[DeclaredTool],
    rows: Sequence[Mapping[str, Any]],
    *,
    max_new_tokens: int,
) -> OwnToolScore:
    """Have a model answer each row's last turn of the user and score its calls. Nothing is run.

    Calls are written under the grammar of the built-in tools and `tools`. A call's result is the one that some row
    tells of it, "ok" for a call that none makes.

    Args:
        rows: as `forge.data.declared.rows` makes them.
        max_new_tokens: longest answer, calls and results included.

    Raises:
        ForgeError: no rows, one without a turn of the user, or a tool of which no grammar can be made.
    """
    made = answer_own_rows(model, tokenizer, tools, rows, max_new_tokens=max_new_tokens)
    calls = [[call for call, _ in answer.calls] for answer in made]
    return score_own_calls(rows, calls, {tool.name: tool for tool in tools}, [answer.text for answer in made])


def answer_own_rows(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    tools: Sequence[DeclaredTool],
    rows: Sequence[Mapping[str, Any]],
    *,
    max_new_tokens: int,
) -> list[Generation]:
    """The answers that `score_own_tools` judges; arguments and errors as there."""
    from forge.data.declared.rows import NO_RESULT

    results = _told_results(rows)
    return answer_all(
        model,
        tokenizer,
        [eval_row_opening(row) for row in rows],
        execute=lambda call: results.get(call, NO_RESULT),
        max_new_tokens=max_new_tokens,
        rules=eval_rules_of_all_tools(tokenizer, tools),
    )


def eval_rules_of_all_tools(
    tokenizer: PreTrainedTokenizerFast, tools: Sequence[DeclaredTool] = (), toolbox: Toolbox | None = None
) -> CallRules:
    """What a call may be: of a built-in tool, on what the toolbox knows, or of a declared one."""
    from forge.data.asked_forms import forms_of_training_questions_about
    from forge.model.calling import CallRules
    from forge.model.constrain import CallGrammar
    from forge.tools.builtin import TOOLS

    declared = [*(tool.declared for tool in TOOLS), *tools]
    if toolbox is None:
        return CallRules(CallGrammar(tokenizer, declared))
    asked = cache(lambda: forms_of_training_questions_about(toolbox.about))
    return CallRules(CallGrammar(tokenizer, declared, toolbox.words_of_call, asked))


def score_word_matcher(tools: Sequence[DeclaredTool], rows: Sequence[Mapping[str, Any]]) -> OwnToolScore:
    """The control of `score_own_tools`. It cannot ask, so that in a row of "missing" to call nothing is right.

    Raises:
        ForgeError: no rows, or one without a turn of the user.
    """
    calls = [match_builtin_calls_for_eval(eval_row_opening(row)[-1]["content"], tools) for row in rows]
    return score_own_calls(rows, calls, {tool.name: tool for tool in tools})


def score_own_search(tools: Sequence[DeclaredTool], rows: Sequence[Mapping[str, Any]]) -> OwnToolScore:
    """The other control of `score_own_tools`: the search that the grammar of calls goes by, without a model.

    Raises:
        ForgeError: no rows, or one without a turn of the user.
    """
    asked = [
        "\n".join(" ".join(turn["content"].split()) for turn in eval_row_opening(row) if turn["role"] == "user")
        for row in rows
    ]
    found = [match_own_calls_for_eval(text, tools) for text in asked]
    calls, questions = [made for made, _ in found], [question for _, question in found]
    return score_own_calls(rows, calls, {tool.name: tool for tool in tools}, questions)


def _told_results(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    results: dict[str, str] = {}
    for row in rows:
        turns: list[Message] = row["messages"]
        for call, result in pairwise(turns):
            if call["role"] == "call" and result["role"] == "result":
                results.setdefault(call["content"], result["content"])
    return results


def score_own_calls(
    rows: Sequence[Mapping[str, Any]],
    predicted: Sequence[Sequence[str]],
    tools: Mapping[str, DeclaredTool],
    answers: Sequence[str] | None = None,
) -> OwnToolScore:
    """Score the calls made after each row's last turn of the user.

    A row is right when exactly its calls were made, in their order, and none where it wants none. Calls are compared by
    what they say, not by blanks or the order of keys.

    Args:
        rows: with "category" and "expected", as `forge.data.declared.rows` makes them.
        predicted: texts of the calls made, per row.
        tools: by name.
        answers: what was said, per row; with them a row of "missing" is right only if the right question was asked.

    Raises:
        ForgeError: no rows, or another number of predictions than of rows.
    """
    if not rows or len(predicted) != len(rows) or (answers is not None and len(answers) != len(rows)):
        raise ForgeError(f"own tools: {len(rows)} rows and {len(predicted)} predictions")
    right: list[float] = []
    for number, (row, calls) in enumerate(zip(rows, predicted, strict=True)):
        well = [_canonical_call(call, tools) for call in calls] == list(row["expected"])
        if well and answers is not None and row["category"] == "missing":
            well = answers[number].strip() == row["messages"][-1]["content"]
        right.append(float(well))
    categories = sorted({row["category"] for row in rows})
    verdicts = list(zip(rows, right, strict=True))
    return OwnToolScore(
        categories={name: _share([well for row, well in verdicts if row["category"] == name]) for name in categories},
        right=right,
        calls=_share_if_any([well for row, well in verdicts if row["expected"]]),
        idle=_share_if_any([well for row, well in verdicts if not row["expected"]]),
    )


def own_call_verdicts(row: Mapping[str, Any], calls: Sequence[str], tools: Mapping[str, DeclaredTool]) -> list[float]:
    """1.0 for each of the calls that is the row's at its place, else 0.0."""
    wanted = [*row["expected"], *[None] * len(calls)]
    return [float(_canonical_call(call, tools) == right) for call, right in zip(calls, wanted, strict=False)]


def _canonical_call(call: str, tools: Mapping[str, DeclaredTool]) -> str:
    try:
        name, arguments = parse_tool_call(call, tools)
        return tool_call_text(tools[name], arguments)
    except ForgeError:
        return call  # malformed, so it is none of the expected ones


def _share_if_any(right: Sequence[float]) -> dict[str, float] | None:
    return _share(right) if right else None


def _share(right: Sequence[float]) -> dict[str, float]:
    found = mean_interval(right)
    return {"n": len(right), "right": found.diff, "low": found.low, "high": found.high}
