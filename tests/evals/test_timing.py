"""Timing: models read the same prompt in turns, and the larger one takes longer."""

from __future__ import annotations

from forge.data.tokenizer import SPECIAL_TOKENS
from forge.evals.timing import eval_prefill_ms, eval_prefill_speedup, random_eval_prompt
from tests.support.tiny_models import tiny_model


def test_models_read_in_turns() -> None:
    small, large = tiny_model(), tiny_model(vocab_size=60, low_ffn=[20000, 24])
    quick, slow = eval_prefill_ms([small, large], tokens=64, repeats=3)
    assert len(quick) == len(slow) == 3
    assert min(quick) < min(slow)  # the least of them is what other load spoils least
    assert eval_prefill_speedup(large, small) > 1


def test_a_random_prompt_holds_no_role_tokens() -> None:
    ids = random_eval_prompt(20, 200, seed=1)
    assert random_eval_prompt(20, 200, seed=1) == ids != random_eval_prompt(20, 200, seed=2)
    assert set(ids) == set(range(len(SPECIAL_TOKENS), 20))
