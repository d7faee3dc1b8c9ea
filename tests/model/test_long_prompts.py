"""Long prompts are read in pieces: the same answers, in memory that grows with their length and not its square."""

from __future__ import annotations

import resource

import pytest
import torch
import torch.nn.functional as F

from forge.errors import ForgeError
from forge.model import titan
from forge.model.engine import MAX_CONTEXT, generate
from tests.support.tiny_models import tiny_model, tokens

VARIANTS = {
    "titan": {},
    "window": {"window": 6},
    "window wider than a piece": {"window": 13},
    "no memory": {"memory": False},
    "no shift": {"token_shift": False},
    "plain": {"architecture": "plain", "window": 5},
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("piece", [7, 8])
@torch.no_grad()
def test_pieces_give_what_one_pass_gives(name: str, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(dtype=torch.float64, **VARIANTS[name])  # type: ignore[arg-type]
    table, lengths = model.embedding_weight(), torch.tensor([29, 3, 16, 8])
    ids, more = tokens(4, 29), tokens(4, 3, seed=5)

    def read() -> list[torch.Tensor]:
        """Hidden states at the ends of the prompts and at three tokens after them."""
        cache = model.empty_cache(4, 32)
        trace = model.prefill_prompts(ids, table, lengths, cache)
        seen = [model.run_until_halt(trace)[0]]
        for column in more.T:
            seen.append(model.run_until_halt(model.prefill(column[:, None], table, None, cache))[0])
        assert cache.lengths.tolist() == (lengths + 3).tolist()
        return seen

    whole = read()
    monkeypatch.setattr(titan, "PIECE", piece)
    for expected, found in zip(whole, read(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)


def test_a_prompt_as_short_as_a_piece_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So evaluations, whose prompts are shorter, keep every bit."""
    model, calls = tiny_model(), []
    prefill = model.prefill
    monkeypatch.setattr(model, "prefill", lambda ids, *rest: calls.append(ids.shape[1]) or prefill(ids, *rest))
    generate(model, [[20] * titan.PIECE, [21] * 3], max_new_tokens=1)
    assert calls[0] == titan.PIECE
    calls.clear()
    generate(model, [[20] * (titan.PIECE + 1)], max_new_tokens=1)
    assert calls[:2] == [titan.PIECE, 1]


def test_memory_grows_with_the_length_of_a_prompt_not_its_square() -> None:
    """Attention over all pairs of twelve thousand tokens would take 576 MB for its bias alone."""
    model = tiny_model(max_steps=1)
    generate(model, [[20] * 2000], max_new_tokens=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    generate(model, [tokens(1, 12_000)[0].tolist()], max_new_tokens=2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize(("prompt", "answer"), [(MAX_CONTEXT, 1), (2, MAX_CONTEXT), (2, 10**9)])
def test_more_than_can_be_kept_is_refused_in_one_line(prompt: int, answer: int) -> None:
    with pytest.raises(ForgeError, match="tokens and an answer of up to"):
        generate(tiny_model(), [[20] * prompt], max_new_tokens=answer)


@torch.no_grad()
def test_rows_of_one_length_go_on_with_several_tokens() -> None:
    model, ids = tiny_model(dtype=torch.float64, window=6), tokens(2, 20)
    table, cache = model.embedding_weight(), model.empty_cache(2, 20)
    parts = [model.prefill(ids[:, a:b], table, None, cache) for a, b in ((0, 9), (9, 10), (10, 20))]
    high = torch.cat([model.run_until_halt(part)[0] for part in parts], dim=1)
    torch.testing.assert_close(F.linear(high, table), model(ids).logits, atol=1e-9, rtol=0)
