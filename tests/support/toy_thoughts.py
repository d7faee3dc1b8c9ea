"""Toy sizes of phase 3, and rows of two families to think about."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerFast

from forge.config import load_params
from forge.data.build import tokenize_data_rows
from forge.data.dataset import EncodedSet
from forge.data.render import ID, render, tokenize_characters
from forge.data.tasks import Item, draw_problems
from forge.phases.quietstar.params import Params
from forge.thinking.sampling import Thought
from tests.support.stub_run import ROOT

WEIGHTS = {"semantic": 0.3, "logical": 0.3, "relevance": 0.25, "fluency": 0.15}
FAMILIES = ("leg_counting", "spell_backward")
SIZES = {
    "steps": 4,
    "thoughts": 3,
    "thought_tokens": 6,
    "temperature": 1.0,
    "answer_tokens": 4,
    "batch": 4,
    "replay_tokens": 64,
    "lr": 0.01,
    "validation_n": 3,
    "checkpoint_every": 2,
}


def thought_params(**changes: Any) -> Params:
    """The phase's parameters at toy sizes."""
    block = load_params(ROOT / "params.yaml").block("quietstar")
    return Params(**{name: getattr(block, name) for name in Params.model_fields} | SIZES | changes)


def encoded(tokenizer: PreTrainedTokenizerFast, split: str, n: int) -> EncodedSet:
    """``n`` direct rows of each of two families and as many worked ones."""
    rows: list[dict[str, Any]] = []
    for name in FAMILIES:
        for place, item in enumerate(draw_problems(name, 0, 2 * n, split)):
            thought = [{"role": "thought", "content": item.thought()}] if place % 2 else []
            asked, said = {"role": "user", "content": item.prompt}, {"role": "assistant", "content": item.answer}
            kind = "worked" if thought else "direct"
            rows.append({"kind": kind, "task": name, "difficulty": 0.5, "messages": [asked, *thought, said]})
    return tokenize_data_rows(tokenizer, rows)


def prompt_of(tokenizer: PreTrainedTokenizerFast, item: Item) -> list[int]:
    """A problem as a prompt."""
    return render(tokenizer, [{"role": "user", "content": item.prompt}], generation_prompt=True)[0]


def thought_of(tokenizer: PreTrainedTokenizerFast, inside: str, answer: str, fluency: float = 0.5) -> Thought:
    """A thought as a model would write it."""
    texts = [tokenize_characters(tokenizer, text) for text in (inside, answer)]
    return Thought.of([*texts[0], ID["/think"], *texts[1], ID["end"]], fluency)
