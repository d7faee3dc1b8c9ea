"""How well a model calls the tools that a user has declared, beside the word matcher on the same held-out rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.data.declared.own_set import OwnTools, Row
from forge.evals.claims import Claim
from forge.evals.own_tools import OwnToolScore, score_own_search, score_own_tools, score_word_matcher
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM

CLAIMED = "call"  # the category with all that the word matcher needs in one sentence
# Categories of rows for which a phase has a target, in words.
ASKED = {
    "call": "requests for one call",
    "offtopic": "no call where nothing of the tools is asked for",
    "missing": "what is missing is asked for",
    "two": "two requests in a sentence",
    "followup": "follow-ups",
}


@dataclass(frozen=True)
class OwnToolUse:
    """Scores of a model and of the controls on the same rows, words alone and the search that its grammar goes by; None
    where no tools are declared."""

    rows: Sequence[Row] = ()
    model: OwnToolScore | None = None
    words: OwnToolScore | None = None
    search: OwnToolScore | None = None

    def headline(self) -> dict[str, float]:
        """`own_tools/<category>_right`: share of rows whose calls are all right, or that get the right question."""
        return {} if self.model is None else _shares_right(self.model, "own_tools/")

    def metrics(self) -> dict[str, float]:
        """The same with intervals and rows, and what the controls reach."""
        if self.model is None or self.words is None or self.search is None:
            return {}
        told = {
            f"own_tools/{category}_{name}": row[name]
            for category, row in self.model.categories.items()
            for name in ("n", "low", "high")
        }
        controls = _shares_right(self.words, "own_tools/word_matcher_") | _shares_right(
            self.search, "own_tools/search_"
        )
        return self.headline() | told | controls

    def claims(self, run: PhaseRun[Any], targets: Mapping[str, float]) -> list[Claim]:
        """That the model is better than words alone at plain requests for one call, where there are any, and than its
        search alone at all rows; and that it reaches ``targets``, shares of rows by category. None where no tools are
        declared."""
        if self.model is None or self.words is None or self.search is None:
            return []
        right = self._of_category(self.model, CLAIMED)
        claim, metric = "own tools: whole call right", "name and every argument right, held-out requests for one call"
        words = self._of_category(self.words, CLAIMED)
        made = [run.compare(claim, metric, right, words, control_name="word matcher")] if right else []
        claim, metric = (
            "own tools: the model beats its search alone",
            "every call, question and silence right, all rows",
        )
        control = "the same reading of a request, without a model"
        made.append(run.compare(claim, metric, self.model.right, self.search.right, control_name=control))
        return made + [self._target_claim(run, *target) for target in targets.items() if target[0] in self.categories]

    @property
    def categories(self) -> set[str]:
        """Those that have rows."""
        return {row["category"] for row in self.rows}

    def _of_category(self, score: OwnToolScore, category: str) -> list[float]:
        return [right for row, right in zip(self.rows, score.right, strict=True) if row["category"] == category]

    def _target_claim(self, run: PhaseRun[Any], category: str, least: float) -> Claim:
        assert self.model is not None, "without a model nothing is claimed"
        right = self._of_category(self.model, category)
        return run.compare(
            f"own tools: {ASKED[category]}, at least {least:.2f}",
            "every call, question and silence right, held-out rows of the kind",
            right,
            [least] * len(right),
            control_name="the target",
        )


def _shares_right(score: OwnToolScore, prefix: str) -> dict[str, float]:
    return {f"{prefix}{category}_right": row["right"] for category, row in score.categories.items()}


def measure_own_tool_use(
    model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, own: OwnTools, *, max_new_tokens: int
) -> OwnToolUse:
    """Ask a model the test rows of declared tools, and the word matcher their last sentences.

    Raises:
        ForgeError: the tokenizer cannot spell what a tool's calls may hold.
    """
    rows = own.call_rows("test")
    if not rows:
        return OwnToolUse()
    score = score_own_tools(model, tokenizer, own.tools, rows, max_new_tokens=max_new_tokens)
    return OwnToolUse(rows, score, score_word_matcher(own.tools, rows), score_own_search(own.tools, rows))
