"""The thinker: its file, its threshold, its calibration."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from forge.data.render import ID
from forge.errors import ForgeError
from forge.model import TinyTitanForCausalLM
from forge.thinking.gate import ThoughtGate
from forge.thinking.sampling import answer_thinking
from forge.thinking.thinker import (
    THINKER_FILE,
    Thinker,
    Thoughts,
    calibrate_thinker,
    draft_without_thinking,
    read_thinker_file,
)
from tests.support.tiny_models import tiny_model

WEIGHTS = {"semantic": 0.3, "logical": 0.3, "relevance": 0.25, "fluency": 0.15}
HIDDEN = 24


@pytest.fixture
def model() -> TinyTitanForCausalLM:
    return tiny_model(vocab_size=80)


@pytest.fixture
def thinker(model: TinyTitanForCausalLM) -> Thinker:
    prompts = [[ID["user"], 20 + i, 30 + i, ID["assistant"]] for i in range(5)]
    gate = ThoughtGate(HIDDEN, seed=2)
    return calibrate_thinker(
        model, gate, prompts, WEIGHTS, thoughts=2, tokens=3, threshold=0.7, max_new_tokens=4, seed=0
    )


def test_thinker_survives_its_file(thinker: Thinker, tmp_path: Path) -> None:
    (tmp_path / THINKER_FILE).write_bytes(thinker.to_bytes())
    loaded = read_thinker_file(tmp_path)
    assert loaded is not None
    assert (loaded.thoughts, loaded.tokens, loaded.threshold) == (2, 3, 0.7)
    assert loaded.calibration.weights == WEIGHTS
    assert np.array_equal(loaded.calibration.reference, thinker.calibration.reference)
    for name, value in thinker.gate.state_dict().items():
        assert torch.equal(loaded.gate.state_dict()[name], value)
    assert loaded.to_bytes() == thinker.to_bytes()
    (tmp_path / THINKER_FILE).write_bytes(thinker.to_bytes()[:-7])
    with pytest.raises(ForgeError, match=THINKER_FILE):
        read_thinker_file(tmp_path)
    assert read_thinker_file(tmp_path / "none") is None


HOSTILE: dict[str, tuple[dict[str, Any], dict[str, torch.Tensor]]] = {
    "many thoughts": ({"thoughts": 10**9}, {}),
    "half a thought": ({"thoughts": 2.5}, {}),
    "endless thoughts": ({"tokens": 2**40}, {}),
    "no threshold": ({"threshold": float("nan")}, {}),
    "weights of nothing": ({"weights": {}}, {}),
    "weights that are not numbers": ({"weights": dict.fromkeys(WEIGHTS, "1")}, {}),
    "a wide gate": ({}, {"gate.inner.bias": torch.zeros(250_000)}),
    "no width": ({}, {"gate.inner.bias": torch.zeros(())}),
    "an empty calibration": ({}, {"calibration": torch.zeros(5, 0)}),
    "a flat calibration": ({}, {"calibration": torch.zeros(5)}),
    "not finite": ({}, {"gate.outer.bias": torch.full((1,), torch.nan)}),
    "one tensor more": ({}, {"gate.third": torch.zeros(1)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_gate_of_strangers_is_refused_before_it_is_made(name: str, thinker: Thinker, tmp_path: Path) -> None:
    settings, changed = HOSTILE[name]
    path = tmp_path / THINKER_FILE
    path.write_bytes(thinker.to_bytes())
    with safe_open(path, framework="pt") as file:
        header, tensors = json.loads(file.metadata()["thinker"]), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    path.write_bytes(save({**tensors, **changed}, {"thinker": json.dumps({**header, **settings})}))
    with pytest.raises(ForgeError, match="not a readable think gate"):
        read_thinker_file(tmp_path)


def test_a_gate_of_another_width_is_refused(model: TinyTitanForCausalLM, thinker: Thinker) -> None:
    with pytest.raises(ForgeError, match="another width"):
        replace(thinker, gate=ThoughtGate(HIDDEN + 1)).answer(model, [[ID["user"], ID["assistant"]]], 2)


def test_only_thoughts_above_the_threshold_enter(model: TinyTitanForCausalLM, thinker: Thinker) -> None:
    prompts = [[ID["user"], 50 + i, ID["assistant"]] for i in range(4)]
    torch.nn.init.constant_(thinker.gate.outer.bias, 1e3)
    drafts = draft_without_thinking(model, prompts, 4)
    assert replace(thinker, threshold=1.1).answer(model, prompts, 4) == drafts
    always = replace(thinker, threshold=0.0)
    thoughts = always.think(model, prompts, drafts, seed=0)
    assert thoughts.passed.all()
    chosen = thoughts.chosen()
    assert always.answer(model, prompts, 4) == answer_thinking(model, thinker.gate, prompts, chosen, 4)
    best = thoughts.coherence.max(axis=1)
    with pytest.MonkeyPatch.context() as patch:  # the order is kept where the prompts come in parts
        patch.setattr("forge.thinking.thinker.PROMPTS_AT_ONCE", 3)
        patch.setattr(Thinker, "think", lambda self, model, asked, *_: _echo(asked))
        answers = always.answer(model, prompts, 4)
    wanted = answer_thinking(model, thinker.gate, prompts, [[p[1]] * 3 for p in prompts], 4)
    assert answers == wanted
    middle = replace(thinker, threshold=float(np.sort(best)[2]))
    assert middle.think(model, prompts, drafts, seed=0).passed.tolist() == (best >= middle.threshold).tolist()


def _echo(prompts: list[list[int]]) -> Thoughts:
    """One thought per prompt that repeats its first word, and passes."""
    count = len(prompts)
    ids = torch.tensor([[[prompt[1]] * 3] for prompt in prompts])
    ones = np.ones((count, 1), dtype=np.float32)
    return Thoughts(ids, {}, ones, np.zeros(count, dtype=np.int64), np.ones(count, dtype=bool), 0.0)


def test_calibration_needs_another_prompt(model: TinyTitanForCausalLM) -> None:
    with pytest.raises(ForgeError, match="at least 2"):
        calibrate_thinker(
            model,
            ThoughtGate(HIDDEN),
            [[3, 20, 4]],
            WEIGHTS,
            thoughts=2,
            tokens=2,
            threshold=0.7,
            max_new_tokens=2,
            seed=0,
        )
