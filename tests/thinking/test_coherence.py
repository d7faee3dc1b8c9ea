"""Coherence: what its components measure, and what its calibration promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from forge.data.render import ID, render, tokenize_text
from forge.data.tasks import draw_problems, reasoning_gym_accepts_answer
from forge.data.tokenizer import train_tokenizer
from forge.model import TinyTitanForCausalLM
from forge.thinking.coherence import (
    COMPONENTS,
    Calibration,
    coherence_components,
    last_question,
    logical_thought,
    mismatched_thoughts,
    thought_derangement,
)
from forge.thinking.sampling import Thought
from tests.support.tiny_models import tiny_model
from tests.support.toy_thoughts import WEIGHTS, prompt_of, thought_of

ITEMS = draw_problems("leg_counting", 0, 6, "val")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer([item.prompt for item in ITEMS], 320, [])


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> TinyTitanForCausalLM:
    return tiny_model(vocab_size=len(tokenizer))


def thought_with(inside: list[int], fluency: float = 0.5) -> Thought:
    return Thought.of([*inside, ID["/think"], 30, ID["end"]], fluency)


def test_components_are_what_they_say(model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    prompt = [ID["user"], 20, 21, 22, ID["assistant"]]
    thoughts = [thought_with([22, 20, 21], 0.25), thought_with([50, 51]), thought_with([])]
    raw = coherence_components(model, tokenizer, [prompt] * 3, thoughts)
    assert raw["relevance"][0] == pytest.approx(1.0, abs=1e-5)
    assert raw["semantic"][0] == pytest.approx(1.0, abs=1e-5)
    assert raw["fluency"].tolist() == [0.25, 0.5, 0.5]
    unit = torch.nn.functional.normalize(model.embedding_weight().detach(), dim=-1)
    cosines = (unit[[50, 51]] @ unit[[20, 21, 22]].T).amax(1).clamp(min=0)
    assert raw["relevance"][1] == pytest.approx(float(cosines.mean()), abs=1e-6)
    means = torch.nn.functional.cosine_similarity(unit[[50, 51]].mean(0), unit[[20, 21, 22]].mean(0), dim=0)
    assert raw["semantic"][1] == pytest.approx(float((1 + means) / 2), abs=1e-6)
    assert raw["semantic"][2] == raw["relevance"][2] == 0.0
    assert raw["logical"].tolist() == [0.0] * 3  # no problem that the checker knows


def test_role_tokens_do_not_make_a_prompt_relevant(
    model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    asked = [[ID["user"], 20, ID["assistant"]], [ID["teacher"], ID["user"], 20, ID["assistant"]]]
    raw = coherence_components(model, tokenizer, asked, [thought_with([40, 41])] * 2)
    assert raw["relevance"][0] == raw["relevance"][1]
    assert raw["semantic"][0] == raw["semantic"][1]


def test_a_thought_is_logical_if_it_holds_and_its_answer_is_its_own(tokenizer: PreTrainedTokenizerFast) -> None:
    item = ITEMS[0]
    prompt, right = prompt_of(tokenizer, item), item.thought()
    assert last_question(tokenizer, prompt) == item.prompt
    assert logical_thought(tokenizer, prompt, thought_of(tokenizer, right, item.answer))
    assert not logical_thought(tokenizer, prompt, thought_of(tokenizer, right, item.answer + "0"))
    wrong = right[:-1] + str((int(right[-1]) + 1) % 10)
    assert not logical_thought(tokenizer, prompt, thought_of(tokenizer, wrong, item.answer))
    assert not logical_thought(tokenizer, prompt_of(tokenizer, ITEMS[1]), thought_of(tokenizer, right, item.answer))
    open_thought = Thought.of(thought_of(tokenizer, right, item.answer).inside, 0.5)
    assert not logical_thought(tokenizer, prompt, open_thought)


def test_the_question_is_the_users_last(tokenizer: PreTrainedTokenizerFast) -> None:
    turns = [("system", "s"), ("user", "first"), ("assistant", "a"), ("user", "second one")]
    messages = [{"role": role, "content": text} for role, text in turns]
    for thinking in (False, True):
        prompt = render(tokenizer, messages, generation_prompt=True, thinking=thinking)[0]
        assert last_question(tokenizer, prompt) == "second one"
    assert last_question(tokenizer, tokenize_text(tokenizer, "nobody asks")) == ""


def test_mismatched_thoughts_belong_to_no_prompt(
    model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    prompts = [prompt_of(tokenizer, item) for item in ITEMS]
    own = [thought_of(tokenizer, item.thought(), item.answer) for item in ITEMS]
    asked, thoughts = mismatched_thoughts(model, tokenizer, prompts, own, seed=3)
    assert asked == prompts * 2
    assert sorted(t.inside for t in thoughts[:6]) == sorted(t.inside for t in own)
    for prompt, item, mine, other, changed in zip(prompts, ITEMS, own, thoughts[:6], thoughts[6:], strict=True):
        assert mine.inside != other.inside
        assert sum(a != b for a, b in zip(mine.inside, changed.inside, strict=True)) == 1
        assert not reasoning_gym_accepts_answer(item, tokenizer.decode(changed.answer[:-1]))
        assert not logical_thought(tokenizer, prompt, changed)
        with torch.no_grad():
            ids = torch.tensor([[*prompt, ID["think"], *changed.inside, ID["/think"]]])
            likely = torch.log_softmax(model(ids).logits[0, :-1], -1).gather(1, ids[0, 1:, None])[len(prompt) :]
        assert changed.fluency == pytest.approx(float(likely.mean().exp()), rel=1e-4)


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


def test_what_equals_the_mismatched_is_not_above_them() -> None:
    """No mismatched thought is logical: one that is stands above all of them, one that is not above none."""
    scores = random_scores(0, 400) | {"logical": np.zeros(400, dtype=np.float32)}
    only = Calibration.fit(scores, {**dict.fromkeys(COMPONENTS, 0.0), "logical": 1.0})
    raw = random_scores(1, 2) | {"logical": np.array([0.0, 1.0], dtype=np.float32)}
    assert only.coherence(raw).tolist() == [0.0, 1.0]


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
