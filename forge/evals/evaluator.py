"""The one way in which a phase measures its models: on the test split, with the run's sizes and seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.data.build import Row
from forge.data.dataset import OWN
from forge.data.declared.own_set import OwnTools
from forge.data.personas import PERSONAS
from forge.data.views import dialogue_without_prompt
from forge.evals.answering import answer_all
from forge.evals.call_confidence import measure_call_calibration
from forge.evals.free_questions import FreeQuestionScore, read_free_questions, score_free_questions
from forge.evals.measure import Measurement, measure_eval_scores
from forge.evals.own_tool_use import OwnToolUse, measure_own_tool_use
from forge.evals.own_tools import eval_rules_of_all_tools
from forge.evals.persona import PersonaScore, score_personas
from forge.evals.shared import MeasurementTable, measurement_key
from forge.evals.tool_use import ToolScore, eval_dialogue_until_question, score_tool_use
from forge.evals.word_matcher import score_phrasing_search
from forge.interface.params import EvaluationParams
from forge.model import TinyTitanForCausalLM
from forge.model.calling import Calibration, CallRules
from forge.tools import TOOL_NAMES, Toolbox

MOST_OWN = 200  # held-out own dialogues that are asked


@dataclass(frozen=True)
class Probes:
    """Held-out dialogues that every model of phases 6 to 8 is asked, the persona answers that a classifier may learn
    from, and how many own rows are trained on."""

    tools: list[Row]
    personas: list[Row]
    persona_train: list[Row]
    own: list[Row] = field(default_factory=list)
    own_trained: int = 0


@dataclass(frozen=True)
class OwnDataScore:
    """trained: own rows of the training split. correct: per held-out question of own data, 1.0 for an answer that is
    the row's, character by character, else 0.0."""

    trained: int
    correct: list[float]

    def headline(self) -> dict[str, float]:
        """`own/rows`, `own/held_out`, `own/exact_match` (share, where anything was asked); nothing without own data."""
        if not (self.trained or self.correct):
            return {}
        found: dict[str, float] = {"own/rows": self.trained, "own/held_out": len(self.correct)}
        return found | ({"own/exact_match": sum(self.correct) / len(self.correct)} if self.correct else {})


def pick_eval_probes(test: list[Row], train: list[Row], tool_n: int, persona_n: int) -> Probes:
    """The first ``tool_n`` dialogues of each tool and ``persona_n`` of each persona, and at most `MOST_OWN` own ones
    that a user has asked something in."""

    def first(kind: str, task: str, n: int) -> list[Row]:
        return [row for row in test if row["kind"] == kind and row["task"] == task][:n]

    tools = [row for name in TOOL_NAMES for row in first("tool", name, tool_n)]
    personas = [row for name in PERSONAS for row in first("persona", name, persona_n)]
    asked = [row for row in test if row["kind"] == OWN and any(m["role"] == "user" for m in row.get("messages", ()))]
    own = [row for row in asked if row["messages"][-1]["role"] == "assistant"]
    trained = sum(row["kind"] == OWN for row in train)
    return Probes(tools, personas, [row for row in train if row["kind"] == "persona"], own[:MOST_OWN], trained)


@dataclass(frozen=True)
class Evaluator:
    """Workspace, sizes and tokenizer, given once.

    rows: reads the conversations of a split. table: what is measured already. own: what the user has declared.
    """

    tokenizer: PreTrainedTokenizerFast
    params: EvaluationParams
    workspace: Path
    rows: Callable[[str], list[Row]]
    table: MeasurementTable = field(default_factory=MeasurementTable)
    own: OwnTools = OwnTools()  # noqa: RUF009 - frozen

    def measure(self, model: TinyTitanForCausalLM, prompted: bool = True) -> Measurement:
        """The figures of the ledger; ``prompted`` adds the suite under the tool prompt. A model that the table has is
        not asked again: the texts of its answers are missing then."""
        p = self.params
        sizes: dict[str, Any] = {
            "n": p.suite_n,
            "seed": p.seed,
            "max_new_tokens": p.answer_tokens,
            "text_chars": p.text_chars,
            "prompted": prompted,
        }

        def measure() -> Measurement:
            return measure_eval_scores(model, self.tokenizer, workspace=self.workspace, **sizes)

        return self.table.find(measurement_key(model, self.tokenizer, sizes), measure)

    @cached_property
    def probes(self) -> Probes:
        """Held-out tool and persona dialogues."""
        return pick_eval_probes(self.rows("test"), self.rows("train"), self.params.tool_n, self.params.persona_n)

    def tools(self, model: TinyTitanForCausalLM, prompted: bool = False) -> ToolScore:
        """Zero-shot (or prompted) tool use on held-out phrasings."""
        with Toolbox(self.workspace) as toolbox:
            return score_tool_use(
                model,
                self.tokenizer,
                toolbox,
                self.probes.tools,
                prompted=prompted,
                max_new_tokens=self.params.answer_tokens,
                rules=self.call_rules(toolbox),
            )

    def tools_without_model(self) -> list[float]:
        """The control of `tools`: verdicts on the same dialogues, answered by a search over phrasings alone."""
        with Toolbox(self.workspace) as toolbox:
            return score_phrasing_search(self.probes.tools, toolbox)

    def call_rules(self, toolbox: Toolbox) -> CallRules:
        """How calls are decoded where the agent is used: of the built-in tools and the user's."""
        return eval_rules_of_all_tools(self.tokenizer, self.own.tools, toolbox)

    def own_data(self, model: TinyTitanForCausalLM) -> OwnDataScore:
        """Exact match on the last answers of held-out own dialogues, asked without their system prompt, as phases 6 to
        8 train on them."""
        rows = self.probes.own
        if not rows:
            return OwnDataScore(self.probes.own_trained, [])
        openings = [eval_dialogue_until_question(dialogue_without_prompt(row)) for row in rows]
        with Toolbox(self.workspace) as toolbox:
            made = answer_all(
                model,
                self.tokenizer,
                openings,
                execute=toolbox.execute,
                max_new_tokens=self.params.answer_tokens,
                thoughts="auto",
                rules=self.call_rules(toolbox),
            )
        wanted = [row["messages"][-1]["content"].strip() for row in rows]
        correct = [float(answer.text.strip() == want) for answer, want in zip(made, wanted, strict=True)]
        return OwnDataScore(self.probes.own_trained, correct)

    def own_tool_use(self, model: TinyTitanForCausalLM) -> OwnToolUse:
        """Calls of declared tools on held-out rows, beside the word matcher's; no tool is run."""
        return measure_own_tool_use(model, self.tokenizer, self.own, max_new_tokens=self.params.answer_tokens)

    def call_confidence(self, model: TinyTitanForCausalLM) -> Calibration:
        """How far the model's confidence in a call can be believed, by validation dialogues."""
        longest = self.params.answer_tokens
        with Toolbox(self.workspace) as toolbox:
            rows = self.rows("val")
            return measure_call_calibration(model, self.tokenizer, self.own, rows, toolbox, max_new_tokens=longest)

    def questions(self, model: TinyTitanForCausalLM) -> FreeQuestionScore:
        """The report's half of the free questions, asked as the agent is used."""
        with Toolbox(self.workspace) as toolbox:
            return score_free_questions(
                model,
                self.tokenizer,
                toolbox,
                read_free_questions("report"),
                max_new_tokens=self.params.answer_tokens,
                rules=self.call_rules(toolbox),
            )

    def personas(self, model: TinyTitanForCausalLM, handles: bool = True) -> PersonaScore:
        """Persona consistency by handle, or with nothing at all as the control."""
        return score_personas(
            model,
            self.tokenizer,
            self.probes.persona_train,
            self.probes.personas,
            handles=handles,
            max_new_tokens=self.params.answer_tokens,
        )
