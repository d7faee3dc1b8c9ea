"""Tool use: did the model choose the right tool, write arguments that parse, get the right result, and tell it?

Judged on held-out dialogues by executing what the model wrote. Zero-shot means that the prompt holds the
user's words alone: no system text, no list of tools.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forge.errors import ForgeError
from forge.evals.answering import MAX_NEW_TOKENS, Message, answer_all, answer_of_generation
from forge.evals.bootstrap import mean_interval
from forge.evals.gibberish import is_gibberish, words_of_answer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from forge.model.calling import CallRules
    from forge.tools import Toolbox

_ERROR = "error:"


@dataclass(frozen=True)
class ToolScore:
    """Shares in 0..1.

    tools: {tool: {"n", "right_tool", "parsable", "success", "low", "high", "final", "final_low", "final_high"}};
    success = right tool, arguments that run and the expected result; final = success, and the user reads that result;
    low and high are 95 % intervals. success, final: means over tools. correct, final_correct: 1.0 or 0.0 per dialogue
    in the given order; of a dialogue without an expected call both say that none was made. needless_calls: share of
    those dialogues in which the model called a tool anyway (None when there are none).
    """

    tools: dict[str, dict[str, float]]
    success: float
    right_tool: float
    parsable: float
    correct: list[float]
    needless_calls: float | None = None
    calls: list[str] = field(default_factory=list)
    final: float = 0.0
    final_correct: list[float] = field(default_factory=list)


def expected_call_for_eval(messages: Sequence[Message]) -> str | None:
    """The first call after the last question of a reference dialogue, or None when that needs no tool."""
    return next((message["content"] for message in graded_messages_after_question(messages, "call")), None)


def graded_messages_after_question(messages: Sequence[Message], role: str) -> list[Message]:
    """What a role says after the dialogue's last user turn."""
    return [message for message in messages[len(eval_dialogue_until_question(messages)) :] if message["role"] == role]


def eval_dialogue_until_question(messages: Sequence[Message]) -> list[Message]:
    """The dialogue up to and including its last user turn; `ForgeError` if it has none."""
    asked = [place for place, message in enumerate(messages) if message["role"] == "user"]
    if not asked:
        raise ForgeError("tool dialogue without a user turn")
    return [dict(message) for message in messages[: asked[-1] + 1]]


def eval_dialogue_opening(messages: Sequence[Message], *, prompted: bool, tool_prompt: str) -> list[Message]:
    """What the model is given: the dialogue up to and including its last user turn.

    Zero-shot drops every system text; prompted puts `tool_prompt` first when the dialogue brings no system
    text itself.
    """
    kept = [m for m in eval_dialogue_until_question(messages) if prompted or m["role"] != "system"]
    if prompted and all(message["role"] != "system" for message in kept):
        kept.insert(0, {"role": "system", "content": tool_prompt})
    return kept


def score_tool_call(wanted: str, wanted_result: str, calls: Sequence[tuple[str, str]]) -> tuple[float, float, float]:
    """Verdict on one dialogue from the first call made: (right tool, arguments that run, expected result),
    each 0 or 1. A call that is to fail runs if it fails as expected.

    Only the first call counts: trying tools until one fits is not knowing which tool to use.
    """
    if not calls:
        return 0.0, 0.0, 0.0
    call, result = calls[0]
    right = call.split(" ", 1)[0] == wanted.split(" ", 1)[0]
    runs = not result.startswith(_ERROR) or result == wanted_result
    return float(right), float(right and runs), float(right and runs and result == wanted_result)


def answer_tells_graded_result(text: str, wanted_result: str) -> bool:
    """Whether an answer, as a person reads it, tells a result: it is the result (or for an error the plain words for
    it), or language that holds it as it is."""
    from forge.data.render import render_answer_after_tool_result

    read, told = " ".join(text.split()), " ".join(render_answer_after_tool_result(wanted_result).split())
    if read.rstrip(".") == told.rstrip("."):
        return True
    held = re.search(rf"(?<!\w){re.escape(told.rstrip('.'))}(?!\w)", read) is not None
    return held and not is_gibberish(read, words_of_answer(told))


def score_tool_use(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    toolbox: Toolbox,
    dialogues: Sequence[dict[str, Any]],
    *,
    prompted: bool = False,
    max_new_tokens: int = MAX_NEW_TOKENS,
    rules: CallRules | None = None,
) -> ToolScore:
    """Score dialogues (rows with "messages"), each executed for real. `rules`: what a call may be, and when to ask.

    Raises ForgeError when no dialogue expects a call, or when a reference call itself fails: the data would
    be wrong.
    """
    from forge.data.dialogues import TOOL_PROMPT

    wanted = [expected_call_for_eval(row["messages"]) for row in dialogues]
    openings = [eval_dialogue_opening(row["messages"], prompted=prompted, tool_prompt=TOOL_PROMPT) for row in dialogues]
    if not any(wanted):
        raise ForgeError("tool evaluation: no dialogue expects a call")
    made = answer_all(
        model,
        tokenizer,
        openings,
        execute=toolbox.execute,
        max_new_tokens=max_new_tokens,
        rules=rules,
    )
    verdicts: dict[str, list[tuple[float, float, float, float]]] = {}
    correct: list[float] = []
    final: list[float] = []
    needless: list[float] = []
    for row, call, answer in zip(dialogues, wanted, made, strict=True):
        if call is None:
            needless.append(float(bool(answer.calls)))
            correct.append(1.0 - needless[-1])
            final.append(correct[-1])
            continue
        result = graded_tool_reference(toolbox, row["messages"], call)
        verdict = score_tool_call(call, result, answer.calls)
        correct.append(verdict[2])
        said = answer_of_generation(answer)
        final.append(verdict[2] * answer_tells_graded_result(said, result))
        verdicts.setdefault(call.split(" ", 1)[0], []).append((*verdict, final[-1]))
    tools = {name: _summarize_tool_use_eval(rows) for name, rows in sorted(verdicts.items())}
    return ToolScore(
        tools=tools,
        success=_mean_tool_score(tools, "success"),
        right_tool=_mean_tool_score(tools, "right_tool"),
        parsable=_mean_tool_score(tools, "parsable"),
        correct=correct,
        needless_calls=sum(needless) / len(needless) if needless else None,
        calls=[answer.calls[0][0] if answer.calls else "" for answer in made],
        final=_mean_tool_score(tools, "final"),
        final_correct=final,
    )


def graded_tool_reference(toolbox: Toolbox, messages: Sequence[Message], call: str) -> str:
    """The result that the dialogue records, or for one that records none, what its call gives."""
    recorded = next((message["content"] for message in graded_messages_after_question(messages, "result")), None)
    if recorded is not None:  # with an error, if that is what the dialogue is about
        return recorded
    result = toolbox.execute(call)
    if result.startswith(_ERROR):
        raise ForgeError(f"tool evaluation: the reference call {call!r} fails: {result}")
    return result


def _summarize_tool_use_eval(verdicts: Sequence[tuple[float, float, float, float]]) -> dict[str, float]:
    n = len(verdicts)
    success, final = mean_interval([v[2] for v in verdicts]), mean_interval([v[3] for v in verdicts])
    return {
        "n": n,
        "right_tool": sum(v[0] for v in verdicts) / n,
        "parsable": sum(v[1] for v in verdicts) / n,
        "success": success.diff,
        "low": success.low,
        "high": success.high,
        "final": final.diff,
        "final_low": final.low,
        "final_high": final.high,
    }


def _mean_tool_score(tools: dict[str, dict[str, float]], key: str) -> float:
    return sum(row[key] for row in tools.values()) / len(tools)
