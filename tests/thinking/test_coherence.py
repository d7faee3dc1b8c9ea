"""Coherence: what its components measure, and what its calibration promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forge.data.render import ID
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.thinking.coherence import COMPONENTS, Calibration, coherence_components, thought_derangement
from forge.thinking.gate import ThoughtGate
from forge.thinking.likelihood import thinker_answer_log_likelihood

WEIGHTS = {"semantic": 0.3, "logical": 0.3, "relevance": 0.25, "fluency": 0.15}


@pytest.fixture
def model() -> TinyTitanForCausalLM:
    torch.manual_seed(0)
    config = TinyTitanConfig(
        vocab_size=80,
        hidden_size=32,
        head_dim=16,
        low_heads=[2],
        high_heads=[2],
        low_ffn=[32],
        high_ffn=[32],
        memory_head_dim=8,
    )
    return TinyTitanForCausalLM(config).eval()


def test_components_are_what_they_say(model: TinyTitanForCausalLM) -> None:
    prompt = [ID["user"], 20, 21, 22, ID["assistant"]]
    raw = coherence_components(model, [prompt, prompt], [[22, 20, 21], [50, 51, 52]], [[30, 1], [30, 1]])
    assert raw["relevance"][0] == pytest.approx(1.0, abs=1e-5)
    assert raw["semantic"][0] == pytest.approx(1.0, abs=1e-5)
    assert raw["relevance"][1] < 0.9
    assert all(((raw[name] >= 0) & (raw[name] <= 1)).all() for name in COMPONENTS)
    model.config.halt_threshold = 1.0
    off = thinker_answer_log_likelihood(model, [prompt], [[30, 1]])
    gate = ThoughtGate(32)
    torch.nn.init.constant_(gate.outer.bias, 1e3)  # the thought alone
    on = thinker_answer_log_likelihood(model, [prompt], [[30, 1]], gate, [[50, 51, 52]])
    wanted = 1 / (1 + np.exp(-(on - off) / 2))
    again = coherence_components(model, [prompt], [[50, 51, 52]], [[30, 1]])
    assert again["logical"][0] == pytest.approx(float(wanted[0]), abs=1e-4)
    uniform = 1 / model.config.vocab_size
    assert again["fluency"][0] == pytest.approx(uniform, rel=0.9)


def test_role_tokens_do_not_make_a_prompt_relevant(model: TinyTitanForCausalLM) -> None:
    first = coherence_components(model, [[ID["user"], 20, ID["assistant"]]], [[40, 41]], [[1]])
    second = coherence_components(model, [[ID["teacher"], ID["user"], 20, ID["assistant"]]], [[40, 41]], [[1]])
    assert first["relevance"][0] == second["relevance"][0]
    assert first["semantic"][0] == second["semantic"][0]


def random_scores(seed: int, n: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: (rng.random(n) + shift).astype(np.float32) for name in COMPONENTS}


def test_coherence_of_mismatched_thoughts_is_half_on_average() -> None:
    calibration = Calibration.fit(random_scores(0, 400), WEIGHTS)
    fresh = calibration.coherence(random_scores(1, 2000))
    assert float(fresh.mean()) == pytest.approx(0.5, abs=0.04)
    assert float((fresh >= 0.7).mean()) == pytest.approx(0.3, abs=0.05)
    assert float(calibration.coherence(random_scores(2, 500, shift=2.0)).min()) == 1.0
    assert float(calibration.coherence(random_scores(2, 500, shift=-2.0)).max()) == 0.0


def test_coherence_grows_with_each_component_by_its_weight() -> None:
    calibration = Calibration.fit(random_scores(0, 400), WEIGHTS)
    middle = {name: np.full(1, 0.5, dtype=np.float32) for name in COMPONENTS}
    base = float(calibration.coherence(middle)[0])
    raised = {
        name: float(calibration.coherence(middle | {name: np.full(1, 0.9, dtype=np.float32)})[0]) for name in COMPONENTS
    }
    assert min(raised.values()) > base
    assert raised["fluency"] < min(raised["semantic"], raised["logical"])
    only = Calibration.fit(random_scores(0, 400), {**dict.fromkeys(COMPONENTS, 0.0), "logical": 1.0})
    other = middle | {"semantic": np.full(1, 0.9, dtype=np.float32)}
    assert only.coherence(other) == only.coherence(middle)


@given(st.integers(2, 60), st.integers(0, 1000))
def test_derangement_moves_everything(count: int, seed: int) -> None:
    order = thought_derangement(count, seed)
    assert sorted(order) == list(range(count))
    assert all(order[i] != i for i in range(count))
