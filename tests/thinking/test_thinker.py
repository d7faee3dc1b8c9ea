"""The thinker: its file, its threshold, its calibration, its vote."""

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
from forge.data.tokenizer import save_tokenizer
from forge.errors import ForgeError
from forge.model import TinyTitanForCausalLM
from forge.thinking.coherence import COMPONENTS, Calibration
from forge.thinking.gate import ThoughtGate
from forge.thinking.sampling import Thought, answer_thinking, thought_sampling_seed, write_thoughts
from forge.thinking.thinker import THINKER_FILE, Thinker, read_thinker_file, weigh_thought_answers
from tests.support.tiny_models import tiny_model, tiny_tokenizer
from tests.support.toy_thoughts import WEIGHTS

HIDDEN = 24


@pytest.fixture
def model() -> TinyTitanForCausalLM:
    return tiny_model(vocab_size=len(tiny_tokenizer()))


@pytest.fixture
def thinker() -> Thinker:
    scores = np.random.default_rng(0).random((len(COMPONENTS), 20)).astype(np.float32)
    calibration = Calibration.fit(dict(zip(COMPONENTS, scores, strict=True)), WEIGHTS)
    return Thinker(ThoughtGate(HIDDEN, seed=2), calibration, tiny_tokenizer(), 2, 3, 0.9, 0.7, mixed=False)


def write(thinker: Thinker, folder: Path) -> Path:
    """The thinker's file and its tokenizer in a folder."""
    save_tokenizer(thinker.tokenizer, folder)
    (folder / THINKER_FILE).write_bytes(thinker.to_bytes())
    return folder / THINKER_FILE


def test_thinker_survives_its_file(thinker: Thinker, tmp_path: Path) -> None:
    path = write(thinker, tmp_path)
    loaded = read_thinker_file(tmp_path)
    assert loaded is not None
    for name in ("thoughts", "tokens", "temperature", "threshold", "mixed"):
        assert getattr(loaded, name) == getattr(thinker, name)
    assert loaded.calibration.weights == WEIGHTS
    assert np.array_equal(loaded.calibration.reference, thinker.calibration.reference)
    for name, value in thinker.gate.state_dict().items():
        assert torch.equal(loaded.gate.state_dict()[name], value)
    assert loaded.to_bytes() == thinker.to_bytes()
    path.write_bytes(thinker.to_bytes()[:-7])
    with pytest.raises(ForgeError, match=THINKER_FILE):
        read_thinker_file(tmp_path)
    assert read_thinker_file(tmp_path / "none") is None


HOSTILE: dict[str, tuple[dict[str, Any], dict[str, torch.Tensor]]] = {
    "many thoughts": ({"thoughts": 10**9}, {}),
    "half a thought": ({"thoughts": 2.5}, {}),
    "endless thoughts": ({"tokens": 2**40}, {}),
    "no temperature": ({"temperature": 0.0}, {}),
    "mixed by a number": ({"mixed": 1}, {}),
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
    path = write(thinker, tmp_path)
    with safe_open(path, framework="pt") as file:
        header, tensors = json.loads(file.metadata()["thinker"]), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    path.write_bytes(save({**tensors, **changed}, {"thinker": json.dumps({**header, **settings})}))
    with pytest.raises(ForgeError, match="not a readable think gate"):
        read_thinker_file(tmp_path)


def test_a_gate_of_another_width_is_refused(model: TinyTitanForCausalLM, thinker: Thinker) -> None:
    with pytest.raises(ForgeError, match="another width"):
        replace(thinker, gate=ThoughtGate(HIDDEN + 1)).answer(model, [[ID["user"], ID["assistant"]]], 2)


def scripted(
    _model: Any, prompts: list[list[int]], *, thoughts: int = 1, temperature: float = 0.0, **_: Any
) -> list[list[Thought]]:
    """Stands for sampling: each prompt holds the answers of its thoughts, the likeliest first. The fluency of an
    answer below 20 is nothing, and 0 is no answer at all."""
    out = []
    for prompt in prompts:
        answers = [token for token in prompt if token >= len(ID) or token == 0]
        answers = answers[1 : thoughts + 1] if temperature else answers[:1]
        ids = [[30, ID["/think"], a, ID["end"]] if a else [30] for a in answers]
        out.append([Thought.of(row, float(a >= 20)) for row, a in zip(ids, answers, strict=True)])
    return out


def test_coherent_thoughts_vote_and_the_likeliest_answers_where_none_may(
    model: TinyTitanForCausalLM, thinker: Thinker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forge.thinking.thinker.write_thoughts", scripted)
    fluent = {"fluency": 1.0, "logical": 0.0, "semantic": 0.0, "relevance": 0.0}
    scores = {name: np.linspace(0.1, 0.9, 9, dtype=np.float32) for name in COMPONENTS}
    voting = replace(thinker, thoughts=3, calibration=Calibration.fit(scores, fluent))
    rows = [[20, 21, 21], [16, 16, 22], [16, 17, 0], [0, 0, 0], [0, 24, 23]]
    prompts = [[ID["user"], *row, ID["assistant"]] for row in rows]
    wanted = [[21, ID["end"]], [22, ID["end"]], [16, ID["end"]], [ID["end"]], [24, ID["end"]]]
    assert [answer.ids for answer in voting.answer(model, prompts, 4)] == wanted
    thoughts = voting.think(model, prompts, 4)
    assert thoughts.valid.tolist() == [[True] * 3, [False, False, True], *[[False] * 3] * 2, [False, True, True]]
    assert [answer[:1] for answer in thoughts.majority()] == [[21], [16], [16], [], [24]]
    monkeypatch.setattr("forge.thinking.thinker.PROMPTS_AT_ONCE", 2)  # the order is kept where prompts come in parts
    assert [answer.ids for answer in voting.answer(model, prompts, 4)] == wanted
    strict = replace(voting, threshold=1.1)
    assert [answer.ids for answer in strict.answer(model, prompts, 4)[:3]] == [
        [20, ID["end"]],
        [16, ID["end"]],
        [16, ID["end"]],
    ]


def test_votes_are_weighed() -> None:
    def winner(answers: list[int], weights: list[float], counted: list[bool]) -> list[int]:
        return weigh_thought_answers([[a] for a in answers], np.array(weights), np.array(counted))

    assert winner([1, 2, 2], [0.9, 0.4, 0.4], [True] * 3) == [1]
    assert winner([1, 2, 2], [0.7, 0.4, 0.4], [True] * 3) == [2]
    assert winner([1, 2, 2], [0.7, 0.4, 0.4], [True, True, False]) == [1]
    assert winner([1, 2], [0.5, 0.5], [True] * 2) == [1]
    assert winner([1, 2], [0.4, 0.5], [False] * 2) == [1]


def test_a_mixing_thinker_decodes_its_answers_by_the_gate(model: TinyTitanForCausalLM, thinker: Thinker) -> None:
    prompts = [[ID["user"], 20 + i, ID["assistant"]] for i in range(3)]
    torch.nn.init.constant_(thinker.gate.outer.bias, -1e3)  # never the thought
    mixing = replace(thinker, mixed=True)
    thoughts = mixing.think(model, prompts, 4, seed=1)
    insides = [thought.inside for row in thoughts.written for thought in row]
    asked = [prompt for prompt in prompts for _ in range(2)]
    wanted = answer_thinking(model, thinker.gate, asked, insides, 4)
    assert [answer for row in thoughts.answers for answer in row] == wanted
    assert all(row[0] == row[1] for row in thoughts.answers)
    opened = [[*prompt, ID["think"]] for prompt in prompts]
    assert mixing.think(model, opened, 4, seed=1).answers == thoughts.answers


def test_an_answer_is_never_empty(model: TinyTitanForCausalLM, thinker: Thinker) -> None:
    asked = [[ID["user"], token, ID["assistant"]] for token in range(14, 40)]
    written = write_thoughts(model, asked, tokens=3, answer_tokens=2)
    prompts = [prompt for prompt, (likeliest, *_) in zip(asked, written, strict=True) if not likeliest.closed][:1]
    assert prompts, "a thought that finds no end: otherwise this test says nothing"
    (answer,) = replace(thinker, threshold=1.1).answer(model, prompts, 2)
    assert answer.ids == [ID["end"]]


def test_steps_of_a_vote_are_the_mean_over_what_was_written(model: TinyTitanForCausalLM, thinker: Thinker) -> None:
    prompts = [[ID["user"], 20 + i, ID["assistant"]] for i in range(3)]
    written = thinker.think(model, prompts, 4, seed=thought_sampling_seed(1, 0)).written
    for row, answer in zip(written, thinker.answer(model, prompts, 4, seed=1), strict=True):
        total = sum(len(thought.ids) * thought.steps for thought in row)
        assert answer.steps == pytest.approx(total / sum(len(thought.ids) for thought in row))
        assert 1 <= answer.steps <= model.config.max_steps
