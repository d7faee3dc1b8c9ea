"""What a thought may see, how it is sampled, how it is mixed in."""

from __future__ import annotations

import pytest
import torch

from forge.data.render import ID
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.model.engine import generate
from forge.thinking.gate import ThoughtGate
from forge.thinking.likelihood import log_likelihood_with_gate, thought_continuation_likelihood
from forge.thinking.rows import (
    ROLE_IDS,
    batch_of_thought_continuations,
    prompt_with_open_thought,
    prompt_with_thought,
    slice_prompts_for_thinker,
)
from forge.thinking.sampling import (
    NEVER_ANSWERED,
    Thought,
    answer_after_thoughts,
    answer_thinking,
    thought_sampling_seed,
    write_thoughts,
)

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


def test_a_thought_is_taken_apart() -> None:
    whole = Thought.of([20, 21, ID["/think"], 30, ID["end"]], 0.5)
    assert (whole.inside, whole.answer, whole.closed) == ([20, 21], [30, ID["end"]], True)
    for ids in ([20, 21], [20, 21, ID["end"]]):
        cut = Thought.of(ids, 0.5)
        assert (cut.inside, cut.answer, cut.closed) == ([20, 21], [], False)


def test_thoughts_end_themselves_and_fluency_is_their_likelihood(model: TinyTitanForCausalLM) -> None:
    asked = prompts(3)
    written = write_thoughts(model, asked, thoughts=20, tokens=6, answer_tokens=3, temperature=20.0, seed=1)
    assert [len(row) for row in written] == [20] * 3
    flat = [(prompt, thought) for prompt, row in zip(asked, written, strict=True) for thought in row]
    assert {thought.closed for _, thought in flat} == {True, False}
    assert len({len(thought.inside) for _, thought in flat}) > 2
    assert all(
        len(thought.ids) <= 6 + 1 + 3 and min(thought.inside, default=ROLE_IDS) >= ROLE_IDS for _, thought in flat
    )
    closed = [(prompt, thought) for prompt, thought in flat if thought.closed]
    contexts = [prompt_with_open_thought(prompt) for prompt, _ in closed]
    insides = [[*thought.inside, ID["/think"]] for _, thought in closed]
    banned = _share_of_banned(model, contexts, insides)
    likely = torch.from_numpy(thought_continuation_likelihood(model, contexts, insides)) - banned
    lengths = torch.tensor([len(inside) for inside in insides])
    found = torch.tensor([thought.fluency for _, thought in closed]).double()
    torch.testing.assert_close(found, (likely / lengths).exp(), rtol=1e-3, atol=1e-4)


def _share_of_banned(model: TinyTitanForCausalLM, contexts: list[list[int]], insides: list[list[int]]) -> torch.Tensor:
    """What role tokens that no thought may hold take of the likelihood, nats over a whole thought."""
    out = []
    allowed = [ID["end"], ID["/think"], *range(ROLE_IDS, VOCABULARY)]
    for context, inside in zip(contexts, insides, strict=True):
        with torch.no_grad():
            chances = torch.log_softmax(model(torch.tensor([[*context, *inside]])).logits[0], -1)
        out.append(chances[len(context) - 1 : -1, allowed].logsumexp(-1).sum().double())
    return torch.stack(out)


def test_sampling_depends_on_the_seed_alone(model: TinyTitanForCausalLM) -> None:
    asked = prompts(2)

    def sampled(seed: int) -> list[list[Thought]]:
        return write_thoughts(model, asked, thoughts=4, tokens=6, answer_tokens=2, temperature=1.0, seed=seed)

    first = sampled(thought_sampling_seed(5, 7))
    torch.manual_seed(99)
    assert sampled(thought_sampling_seed(5, 7)) == first
    assert len({tuple(thought.ids) for thought in first[0]}) > 1
    assert sampled(thought_sampling_seed(5, 8)) != first
    assert sampled(thought_sampling_seed(6, 7)) != first


def test_a_row_is_a_context_and_what_goes_on_from_it() -> None:
    thought = [prompt_with_thought([3, 20, 4], [21, 22]), prompt_with_thought([3, 4, ID["think"]], [23])]
    assert thought == [[3, 20, 4, ID["think"], 21, 22, ID["/think"]], [3, 4, ID["think"], 23, ID["/think"]]]
    batch = batch_of_thought_continuations(thought, [[30, 1], [31, 32, 1]])
    assert batch.targets[0][batch.valid[0]].tolist() == [30, 1]
    assert batch.select[0][batch.valid[0]].tolist() == [6, 7]
    assert batch.targets[1][batch.valid[1]].tolist() == [31, 32, 1]


def test_a_likelihood_does_not_depend_on_other_rows(model: TinyTitanForCausalLM) -> None:
    asked, answers = prompts(4), [[20, 1], [21, 22, 23, 1], [1], [24, 25, 1]]
    together = thought_continuation_likelihood(model, asked, answers)
    alone = [thought_continuation_likelihood(model, [p], [a])[0] for p, a in zip(asked, answers, strict=True)]
    assert together == pytest.approx(alone, abs=1e-4)
    assert len(set(together)) == 4


@pytest.mark.parametrize("weight", [0, 1])
def test_a_gate_mixes_likelihoods_of_both_states(model: TinyTitanForCausalLM, weight: int) -> None:
    asked, answers = prompts(3), [[20, 1], [21, 22, 23, 1], [1]]
    thought = [prompt_with_thought(prompt, [30 + i]) for i, prompt in enumerate(asked)]
    mixed = log_likelihood_with_gate(model, force(ThoughtGate(32), weight), asked, thought, answers)
    wanted = thought_continuation_likelihood(model, thought if weight else asked, answers)
    assert mixed == pytest.approx(wanted, abs=1e-4)


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
    insides = [[20, 21, 22], [23, 24], [26, 27, 28, 29], [29]]
    plain = [g.ids for g in generate(model, asked, max_new_tokens=6, ban_ids=NEVER_ANSWERED)]
    assert answer_thinking(model, force(ThoughtGate(32), 0), asked, insides, 6) == plain


def test_an_open_gate_answers_as_after_the_thought(model: TinyTitanForCausalLM) -> None:
    asked = prompts(4)
    insides = [[20, 21, 22], [23, 24], [26, 27, 28, 29], [29]]
    after = answer_after_thoughts(model, asked, insides, 6)
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
