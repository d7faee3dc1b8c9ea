"""Controls so far off that few problems show it: models that were rounded or pruned and not trained again.

They write on to the last token of every answer, so to ask them as much as the others would take most of a phase's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forge.data.dialogues import TOOL_PROMPT
from forge.evals.evaluator import Evaluator
from forge.evals.measure import solved_in_halves
from forge.evals.suite import score_suite
from forge.model import TinyTitanForCausalLM
from forge.tools import Toolbox

CONTROL_N = 20  # problems of a family


def score_eval_control(
    evaluator: Evaluator, model: TinyTitanForCausalLM, *, told: bool = False, thoughts: bool = False
) -> list[float]:
    """Per problem, the first `CONTROL_N` of each family: solved with tools (``told``: explained in the prompt); with
    ``thoughts`` half that and half solved by a thought without tools."""
    p = evaluator.params
    common: dict[str, Any] = {
        "n": min(CONTROL_N, p.suite_n),
        "seed": p.seed,
        "max_new_tokens": p.answer_tokens,
    }
    with Toolbox(evaluator.workspace) as toolbox:
        asked = {**common, "tools": True, "execute": toolbox.execute, "system": TOOL_PROMPT if told else None}
        tools = score_suite(model, evaluator.tokenizer, rules=evaluator.call_rules(toolbox), **asked)
    if not thoughts:
        return tools.correct
    return solved_in_halves(tools, score_suite(model, evaluator.tokenizer, tools=False, thoughts="on", **common))


def control_problems(scores: Sequence[float], suite_n: int) -> list[float]:
    """Of scores of the whole suite, ``suite_n`` problems per family, those that a control is asked too."""
    few = min(CONTROL_N, suite_n)
    return [score for start in range(0, len(scores), suite_n) for score in scores[start : start + few]]
