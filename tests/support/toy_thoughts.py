"""Toy sizes of phase 3, and rows of two families to think about."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.config import load_params
from forge.data.dataset import KINDS, EncodedSet, build_set
from forge.data.render import render
from forge.data.tasks import draw_problems
from forge.phases.quietstar.params import Params
from tests.support.stub_run import ROOT

WEIGHTS = {"semantic": 0.3, "logical": 0.3, "relevance": 0.25, "fluency": 0.15}
FAMILIES = ("gcd", "spell_backward")
SIZES = {
    "steps": 4,
    "thoughts": 3,
    "thought_tokens": 3,
    "batch": 4,
    "replay_tokens": 64,
    "lr": 0.01,
    "policy_weight": 0.1,
    "alone_weight": 0.5,
    "validation_rows": 6,
    "checkpoint_every": 2,
}


def thought_params(**changes: Any) -> Params:
    """The phase's parameters at toy sizes."""
    block = load_params(ROOT / "params.yaml").block("quietstar")
    return Params(**{name: getattr(block, name) for name in Params.model_fields} | SIZES | changes)


def encoded(tokenizer: PreTrainedTokenizerFast, split: str, n: int) -> EncodedSet:
    """``n`` direct rows of each of two families and as many 'tooled' ones."""
    rows, kinds = [], []
    for name in FAMILIES:
        for item in draw_problems(name, 0, 2 * n, split):
            turns = [{"role": "user", "content": item.prompt}, {"role": "assistant", "content": item.answer}]
            rows.append(render(tokenizer, turns))
            kinds.append(KINDS.index("direct" if len(kinds) % 2 else "tooled"))
    return build_set(rows, kinds, [0] * len(rows), [0.5] * len(rows))
