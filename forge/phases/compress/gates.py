"""Gates: what each stage of the chain must keep of its input, as the validation split sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.evals.measure import eval_accuracy_retention, mean
from forge.evals.own_tools import eval_rules_of_all_tools
from forge.evals.shared import measurement_key
from forge.evals.suite import score_suite
from forge.evals.tool_use import score_tool_use
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.compress.params import Params
from forge.tools import TOOL_NAMES, Toolbox

VALIDATION_N = 40  # problems of a family behind a gate's verdict, at most


@dataclass(frozen=True)
class Gate:
    """Outcome of one attempt: accuracy, what it kept of its input's, and the threshold. The file lists them."""

    stage: str
    setting: str
    accuracy: float
    retention: float
    threshold: float
    passed: bool


def judge_compression_attempt(stage: str, setting: str, accuracy: float, before: float, threshold: float) -> Gate:
    """Hold an attempt's accuracy against that of its input, ``before``."""
    kept = eval_accuracy_retention([before], [accuracy])
    return Gate(stage, setting, accuracy, kept, threshold, kept >= threshold)


@dataclass
class Verdicts:
    """Gates passed through so far, how many attempts were undone, and the accuracy before the first of them."""

    before: float
    gates: list[Gate] = field(default_factory=list)
    rollbacks: int = 0

    def accept(self, gate: Gate, *, forced: bool = False) -> bool:
        """Note an outcome; whether its attempt is taken: if it passed, or ``forced`` by a budget of bytes."""
        self.gates.append(gate)
        taken = gate.passed or forced
        self.rollbacks += not taken
        return taken

    def metrics(self) -> dict[str, float]:
        """Of each stage's last attempt what it reached and kept, and whether its gate let it pass."""
        out: dict[str, float] = {}
        for gate in self.gates:
            out[f"{gate.stage}/accuracy"] = gate.accuracy
            out[f"{gate.stage}/retention"] = gate.retention
            out[f"{gate.stage}/gate_passed"] = float(gate.passed)
        return {**out, "phase/rollbacks": self.rollbacks}


class ValidationScore:
    """What gates decide on, a third each: on validation, the suite with tools, the suite by thoughts without tools,
    and tool dialogues. A model that was scored before is not asked again: entropy coding changes no weight."""

    def __init__(self, run: PhaseRun[Params]) -> None:
        self.evaluation, self.workspace, self.own = run.evaluation, run.workspace_dir, run.own_tools.tools
        dialogues = [row for row in run.rows("val") if row["kind"] == "tool"]
        self.dialogues = dialogues[: len(TOOL_NAMES) * self.evaluation.tool_n]
        self.found: dict[str, float] = {}

    def __call__(self, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast) -> float:
        key = measurement_key(model, tokenizer, {})
        if key not in self.found:
            self.found[key] = self._ask(model, tokenizer)
        return self.found[key]

    def _ask(self, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast) -> float:
        e = self.evaluation
        common: dict[str, Any] = {
            "n": min(e.suite_n, VALIDATION_N),
            "seed": e.seed,
            "split": "val",
            "max_new_tokens": e.answer_tokens,
        }
        with Toolbox(self.workspace) as toolbox:
            rules = eval_rules_of_all_tools(tokenizer, self.own, toolbox)
            called = score_suite(model, tokenizer, tools=True, execute=toolbox.execute, rules=rules, **common)
            thought = score_suite(model, tokenizer, tools=False, thoughts="on", **common)
            tools = score_tool_use(
                model, tokenizer, toolbox, self.dialogues, max_new_tokens=e.answer_tokens, rules=rules
            )
        return mean([called.mean_accuracy, thought.mean_accuracy, tools.success])
