"""How far a model's confidence in a call can be believed: fitted on validation data, once a model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from forge.data.build import Row
from forge.data.declared.own_set import OwnTools
from forge.errors import ForgeError
from forge.evals.answering import answer_all
from forge.evals.own_tools import answer_own_rows, eval_rules_of_all_tools, own_call_verdicts
from forge.evals.tool_use import eval_dialogue_until_question, expected_call_for_eval, graded_tool_reference
from forge.model import TinyTitanForCausalLM
from forge.model.calling import Calibration, model_log_odds_of_call
from forge.tools import TOOL_NAMES, Toolbox

ROWS = 40  # of each built-in tool; of declared ones as many as of all these, so that it takes seconds


def fit_call_confidence(scores: Sequence[float], correct: Sequence[float]) -> Calibration:
    """Fit Platt scaling on the log-odds of calls.

    Platt's targets (1999, section 2.2) stand for right and wrong, (n+ + 1) / (n+ + 2) and 1 / (n- + 2): calls that are
    all right do not make the model certain. Where a likelier call is not right more often, the share of right ones is
    all that is known, and the slope is 0.

    Args:
        scores: log-probability of each call that was written (`Generation.call_scores`), on validation data.
        correct: 1.0 where the call was right, name and every argument, else 0.0.

    Raises:
        ForgeError: no calls, or not as many verdicts as scores.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    n = len(scores)
    if n == 0 or len(correct) != n:
        raise ForgeError(f"confidence of calls: {n} calls and {len(correct)} verdicts")
    right = np.asarray(correct, dtype=float) > 0.5
    hits = int(right.sum())
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (n - hits + 2))
    odds = np.array([model_log_odds_of_call(score) for score in scores])
    # A soft target is both labels, each with its weight.
    fitted = LogisticRegression(C=1e6).fit(
        np.concatenate([odds, odds])[:, None],
        np.repeat([1, 0], n),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope < 0:
        share = float(target.mean())
        return Calibration(0.0, math.log(share / (1 - share)))
    return Calibration(round(slope, 4), round(intercept, 4))


def measure_call_calibration(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    own: OwnTools,
    rows: Sequence[Row],
    toolbox: Toolbox,
    *,
    max_new_tokens: int,
) -> Calibration:
    """Ask a model validation dialogues and fit the confidence of its calls: those with declared tools, where there are
    any, else those with built-in ones.

    Args:
        rows: of the validation split.

    Returns:
        The default, probabilities as the model gives them, where it makes no call.

    Raises:
        ForgeError: as `answer_all`; the tokenizer cannot spell what a tool's calls may hold.
    """
    if own.tools:
        scored = _judge_own_calls(model, tokenizer, own, max_new_tokens)
    else:
        scored = _judge_built_in_calls(model, tokenizer, rows, toolbox, max_new_tokens)
    return fit_call_confidence(*zip(*scored, strict=True)) if scored else Calibration()


def _judge_own_calls(
    model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, own: OwnTools, max_new_tokens: int
) -> list[tuple[float, float]]:
    """Log-probability and verdict of every call."""
    asked = own.call_rows("val")[: ROWS * len(TOOL_NAMES)]
    made = answer_own_rows(model, tokenizer, own.tools, asked, max_new_tokens=max_new_tokens)
    return [
        pair
        for row, answer in zip(asked, made, strict=True)
        for pair in zip(
            answer.call_scores,
            own_call_verdicts(row, [call for call, _ in answer.calls], own.by_name),
            strict=True,
        )
    ]


def _judge_built_in_calls(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Row],
    toolbox: Toolbox,
    max_new_tokens: int,
) -> list[tuple[float, float]]:
    """The same of the first call of each dialogue; it is right if it has the reference's result."""
    tool_rows = [row for row in rows if row["kind"] == "tool"]
    asked = [row for name in TOOL_NAMES for row in [row for row in tool_rows if row["task"] == name][:ROWS]]
    openings = [
        [message for message in eval_dialogue_until_question(row["messages"]) if message["role"] != "system"]
        for row in asked
    ]
    made = answer_all(
        model,
        tokenizer,
        openings,
        execute=toolbox.execute,
        max_new_tokens=max_new_tokens,
        rules=eval_rules_of_all_tools(tokenizer, toolbox=toolbox),
    )
    scored = []
    for row, answer in zip(asked, made, strict=True):
        if answer.calls:
            wanted = expected_call_for_eval(row["messages"])
            right = wanted is not None and answer.calls[0][1] == graded_tool_reference(toolbox, row["messages"], wanted)
            scored.append((answer.call_scores[0], float(right)))
    return scored
