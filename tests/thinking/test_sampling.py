"""What a thought may see, how it is sampled, how it is mixed in."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from forge.data.render import ID
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.model.engine import generate
from forge.model.log_probs import titan_log_probs_from_states
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import (
    ROLE_IDS,
    decided_states_for_thought_gate,
    final_states_for_thought_gate,
    prompt_with_thought,
    slice_prompts_for_thinker,
    thinker_batch_with_thoughts,
    thinker_batch_without_thoughts,
)
from forge.thinking.sampling import NEVER_ANSWERED, answer_thinking, sample_thoughts, thought_sampling_generator

VOCABULARY = 40


@pytest.fixture
def model() -> TinyTitanForCausalLM:
    """A small model with all parts, its outputs scaled up so that what it reads matters."""
    torch.manual_seed(3)
    config = TinyTitanConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        head_dim=8,
        low_heads=[2, 2],
        high_heads=[2],
        low_ffn=[32, 32],
        high_ffn=[32],
        max_steps=2,
        window=16,
        memory=True,
        memory_heads=2,
        memory_head_dim=8,
        memory_chunk=4,
    )
    made = TinyTitanForCausalLM(config).eval()
    with torch.no_grad():
        for block in [*made.low, *made.high]:
            block.attn.o.weight.mul_(100)
            block.ffn.down.weight.mul_(100)
        made.memory.o.weight.mul_(100)
        made.embed.weight.mul_(20)
    return made


def prompts(count: int, seed: int = 0) -> list[list[int]]:
    """Prompts of different lengths that end with <|assistant|>."""
    random = torch.Generator().manual_seed(seed)
    out = []
    for i in range(count):
        words = torch.randint(ROLE_IDS, VOCABULARY, (3 + 2 * i,), generator=random).tolist()
        out.append([ID["user"], *words, ID["assistant"]])
    return out


def thought_likelihood(
    model: TinyTitanForCausalLM, asked: list[list[int]], thoughts: torch.Tensor, answer: list[int]
) -> torch.Tensor:
    """Log-probabilities (b,n,m) of sampled thoughts, each in a row of its own before ``answer``."""
    count, tokens = thoughts.shape[1:]
    repeated = [prompt for prompt in asked for _ in range(count)]
    rows = thinker_batch_with_thoughts(repeated, thoughts.flatten(0, 1).tolist(), [answer] * len(repeated))
    states = final_states_for_thought_gate(model, rows.ids, rows.select[:, :tokens])
    said = titan_log_probs_from_states(states, model.embedding_weight()[ROLE_IDS:], thoughts.flatten(0, 1) - ROLE_IDS)
    return said.view_as(thoughts)


def sampled_likelihood(model: TinyTitanForCausalLM, asked: list[list[int]], thoughts: torch.Tensor) -> torch.Tensor:
    """The same from the cache, as sampling saw it: the given thoughts are forced."""
    drawn = iter(thoughts.flatten(0, 1).T)
    seen: list[torch.Tensor] = []

    def forced(chances: torch.Tensor, _: int, generator: torch.Generator) -> torch.Tensor:
        token = next(drawn)[:, None] - ROLE_IDS
        seen.append(chances.gather(1, token).log())
        return token

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "multinomial", forced)
        sample_thoughts(model, asked, thoughts.shape[1], thoughts.shape[2], torch.Generator())
    return torch.cat(seen, dim=1).view_as(thoughts)


def test_sampling_and_training_see_the_same_distribution(model: TinyTitanForCausalLM) -> None:
    asked = prompts(3)
    thoughts = sample_thoughts(model, asked, 4, 5, thought_sampling_generator(0, 0))
    parallel = thought_likelihood(model, asked, thoughts, [20, ID["end"]])
    torch.testing.assert_close(sampled_likelihood(model, asked, thoughts), parallel, atol=2e-4, rtol=1e-4)


def test_a_thought_does_not_see_what_comes_after_it(model: TinyTitanForCausalLM) -> None:
    asked = prompts(2)
    thoughts = sample_thoughts(model, asked, 2, 4, thought_sampling_generator(0, 1))
    one = thought_likelihood(model, asked, thoughts, [20, ID["end"]])
    other = thought_likelihood(model, asked, thoughts, [33, 34, 35, 36, ID["end"]])
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        rows = thinker_batch_with_thoughts(asked, thoughts[:, 0].tolist(), [[20, 21]] * 2)
        changed = rows.ids.clone()
        changed[0, len(asked[0]) + 2] = ROLE_IDS + 3 if thoughts[0, 0, 1] != ROLE_IDS + 3 else ROLE_IDS + 4
        before, after = (final_states_for_thought_gate(model, ids, rows.select) for ids in (rows.ids, changed))
    torch.testing.assert_close(before[0, :2], after[0, :2], atol=1e-5, rtol=1e-5)
    assert (before[0, 2:] - after[0, 2:]).abs().amax() > 1e-3  # what comes later does see it


def test_thoughts_do_not_see_each_other(model: TinyTitanForCausalLM) -> None:
    asked = prompts(2)
    thoughts = sample_thoughts(model, asked, 3, 5, thought_sampling_generator(0, 2))
    before = sampled_likelihood(model, asked, thoughts)
    changed = thoughts.clone()
    changed[0, 1] = ROLE_IDS + (changed[0, 1] - ROLE_IDS + 1) % (VOCABULARY - ROLE_IDS)
    after = sampled_likelihood(model, asked, changed)
    same = torch.ones(2, 3, dtype=torch.bool)
    same[0, 1] = False
    torch.testing.assert_close(before[same], after[same], atol=1e-6, rtol=1e-6)
    assert (before[0, 1] - after[0, 1]).abs().max() > 1e-3


def test_sampling_depends_on_seed_and_step_alone_and_bans_role_tokens(model: TinyTitanForCausalLM) -> None:
    asked = prompts(2)
    first = sample_thoughts(model, asked, 4, 6, thought_sampling_generator(5, 7))
    torch.manual_seed(99)
    again = sample_thoughts(model, asked, 4, 6, thought_sampling_generator(5, 7))
    assert torch.equal(first, again)
    assert first.shape == (2, 4, 6)
    assert int(first.min()) >= ROLE_IDS
    assert not torch.equal(first, sample_thoughts(model, asked, 4, 6, thought_sampling_generator(5, 8)))
    assert not torch.equal(first, sample_thoughts(model, asked, 4, 6, thought_sampling_generator(6, 7)))


def test_sampled_thoughts_follow_the_models_distribution(model: TinyTitanForCausalLM) -> None:
    asked = prompts(1)
    drawn = sample_thoughts(model, asked, 4000, 1, thought_sampling_generator(0, 3)).flatten()
    with torch.no_grad():
        ids = torch.tensor([[*asked[0], ID["think"]]])
        state = final_states_for_thought_gate(model, ids, torch.tensor([[ids.shape[1] - 1]]))[0, 0]
        wanted = F.softmax(F.linear(state, model.embedding_weight()[ROLE_IDS:]), dim=-1)
    found = torch.bincount(drawn - ROLE_IDS, minlength=VOCABULARY - ROLE_IDS) / len(drawn)
    assert (found - wanted).abs().max() < 0.03


def test_thought_rows_predict_thought_then_answer() -> None:
    batch = thinker_batch_with_thoughts([[3, 20, 4], [3, 4]], [[21, 22], [23, 24]], [[30, 1], [31, 32, 33, 1]])
    assert batch.ids[0, :9].tolist() == [3, 20, 4, ID["think"], 21, 22, ID["/think"], 30, 1]
    assert batch.targets[0][batch.valid[0]].tolist() == [21, 22, 30, 1]
    assert batch.select[0][batch.valid[0]].tolist() == [3, 4, 6, 7]
    assert batch.targets[1][batch.valid[1]].tolist() == [23, 24, 31, 32, 33, 1]
    plain = thinker_batch_without_thoughts([[3, 20, 4]], [[30, 1]])
    assert plain.select.tolist() == [[2, 3]]
    assert plain.targets.tolist() == [[30, 1]]


def test_chunks_cover_everything_once() -> None:
    assert [range(7)[part] for part in slice_prompts_for_thinker(7, 3)] == [range(3), range(3, 6), range(6, 7)]


@pytest.mark.parametrize("start", [0.02, 0.4])
def test_gate_starts_where_it_is_told_and_mixes_linearly(start: float) -> None:
    gate = ThoughtGate(8, seed=1, start=start)
    base, thought = torch.randn(5, 8), torch.randn(5, 8)
    mixed, weight = gate(base, thought)
    torch.testing.assert_close(weight, torch.full((5, 1), start))
    torch.testing.assert_close(mixed, (1 - start) * base + start * thought)
    mixed.sum().backward()
    assert gate.outer.weight.grad is not None
    assert float(gate.outer.weight.grad.abs().sum()) > 0  # closed, but it can learn to open


def test_gate_normalizes_by_a_running_scale_that_checkpoints_keep() -> None:
    gate = ThoughtGate(4)
    advantage = torch.tensor([[3.0, -3.0]])
    torch.testing.assert_close(gate.normalize(advantage), advantage / 3)
    torch.testing.assert_close(gate.normalize(advantage), advantage / 3)
    smaller = gate.normalize(advantage / 10)
    assert 0.05 < float(smaller.abs().max()) < 0.5
    forgetful = ThoughtGate(4, reward_keep=0.0)
    torch.testing.assert_close(forgetful.normalize(advantage), forgetful.normalize(advantage * 10))
    other = ThoughtGate(4)
    other.load_state_dict(gate.state_dict())
    assert torch.equal(other.normalize(advantage), gate.normalize(advantage))


def force(gate: ThoughtGate, weight: float) -> ThoughtGate:
    """The gate with a constant weight of 0 or 1."""
    torch.nn.init.constant_(gate.outer.bias, 1e3 if weight else -1e3)
    return gate


def test_a_closed_gate_answers_as_the_engine_does(model: TinyTitanForCausalLM) -> None:
    asked = prompts(4)
    insides = [[20, 21, 22], [23, 24, 25], [26, 27, 28], [29, 30, 31]]
    plain = [g.ids for g in generate(model, asked, max_new_tokens=6, ban_ids=NEVER_ANSWERED)]
    assert answer_thinking(model, force(ThoughtGate(32), 0), asked, insides, 6) == plain


def test_an_open_gate_answers_as_after_the_thought(model: TinyTitanForCausalLM) -> None:
    asked = prompts(4)
    insides = [[20, 21, 22], [23, 24, 25], [26, 27, 28], [29, 30, 31]]
    wrapped = [prompt_with_thought(prompt, inside) for prompt, inside in zip(asked, insides, strict=True)]
    after = [g.ids for g in generate(model, wrapped, max_new_tokens=6, ban_ids=NEVER_ANSWERED)]
    plain = [g.ids for g in generate(model, asked, max_new_tokens=6, ban_ids=NEVER_ANSWERED)]
    assert answer_thinking(model, force(ThoughtGate(32), 1), asked, insides, 6) == after
    assert after != plain


def test_rows_that_end_early_leave_the_others_alone(model: TinyTitanForCausalLM) -> None:
    asked, gate = prompts(5, seed=2), force(ThoughtGate(32), 1)
    with torch.no_grad():
        model.embed.weight[ID["end"]] *= 3  # some rows end soon
    insides = [[20 + i, 21, 22] for i in range(5)]
    together = answer_thinking(model, gate, asked, insides, 12)
    alone = [answer_thinking(model, gate, [p], [i], 12)[0] for p, i in zip(asked, insides, strict=True)]
    assert together == alone
    assert len({len(row) for row in together}) > 1
    assert all(ID["end"] not in row[:-1] for row in together)


def test_halting_states_equal_full_ones_where_nothing_halts(model: TinyTitanForCausalLM) -> None:
    model.config.halt_threshold = 1.0
    batch = thinker_batch_without_thoughts(prompts(2), [[20, 1], [21, 1]])
    with torch.no_grad():
        torch.testing.assert_close(
            decided_states_for_thought_gate(model, batch.ids, batch.select),
            final_states_for_thought_gate(model, batch.ids, batch.select),
        )
