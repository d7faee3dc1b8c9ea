"""What the branches claim, each against a control on held-out examples."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import spearmanr

from forge.data.dataset import EncodedSet
from forge.evals.claims import Claim, compare
from forge.evals.likelihood import likelihood
from forge.model.titan import TinyTitanForCausalLM

FOCUS = {
    "reasoning": ("direct", "answers suite problems more likely than the trunk does"),
    "memory_integration": ("recall", "recalls pairs more likely than the trunk does"),
    "adaptive_computation": ("direct", "answers suite problems more likely than the trunk does"),
}


def branch_claims(run: Any, trunk: TinyTitanForCausalLM, model: TinyTitanForCausalLM, test: EncodedSet) -> list[Claim]:
    """The branch against the trunk on its own kind of examples; halting against the full number of steps."""
    kind, text = FOCUS[run.branch]
    index = test.where(kind)
    after, before = likelihood(model, test, index), likelihood(trunk, test, index)
    boot = {"n_boot": run.evaluation.bootstrap, "seed": run.seed}
    claims = [
        compare(
            f"the {run.branch} branch {text}",
            "answer loss (nats per token)",
            list(after.mean_loss),
            list(before.mean_loss),
            control_name="the trunk",
            higher_is_better=False,
            **boot,
        )
    ]
    if model.steps > 1 and model.config.halting:
        claims.append(halting_claim(model, test, boot))
    return claims


def halting_claim(model: TinyTitanForCausalLM, test: EncodedSet, boot: dict[str, Any]) -> Claim:
    """Halting keeps exact match within 2 points of always taking every step; the note says what it saves and whether
    harder problems take more steps."""
    index = test.where("direct", "tooled")
    adaptive, full = likelihood(model, test, index), likelihood(model, test, index, steps=model.steps)
    share = float((adaptive.steps * adaptive.tokens).sum() / (full.steps * full.tokens).sum())
    constant = len(np.unique(adaptive.steps)) < 2
    rank = 0.0 if constant else float(spearmanr(adaptive.steps, test.difficulty[index]).statistic)
    note = f"{share:.2f} of the steps; rank correlation of steps with difficulty within families {rank:.2f}"
    return compare(
        "learned halting keeps the accuracy of the full number of steps (within 2 points)",
        "teacher-forced exact match",
        list(adaptive.exact),
        list(full.exact),
        control_name=f"always {model.steps} steps",
        margin=-0.02,
        note=note,
        **boot,
    )
