"""Training on own thoughts: what is read, the loss and its parts, both methods, interruption, memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from forge.data.dataset import KINDS, EncodedSet
from forge.data.render import ID
from forge.errors import ForgeError, Interrupted
from forge.model import TinyTitanForCausalLM
from forge.phases.quietstar import training
from forge.phases.quietstar.batches import ThoughtBatch, quietstar_batch_source
from forge.phases.quietstar.params import Params
from forge.phases.quietstar.problems import Problem
from forge.phases.quietstar.training import (
    Method,
    check_quietstar_memory,
    own_thought_loss,
    prepare_quietstar_tokens,
    quietstar_leave_one_out,
    train_on_own_thoughts,
)
from forge.thinking.gate import ThoughtGate
from forge.thinking.likelihood import thought_continuation_likelihood
from forge.thinking.rows import batch_of_thought_continuations, prompt_with_open_thought, prompt_with_thought
from forge.thinking.sampling import Thought, thought_sampling_seed, write_thoughts
from forge.train import language_loss, memory
from forge.train.losses import LossFn
from tests.support.stub_run import StubRun
from tests.support.toy_thoughts import thought_of, thought_params

SEED = 4
REPLAY = {"worked": 1.0}


def loss_of(tokenizer: Any, gate: ThoughtGate, method: Method = "reinforce", **changes: float) -> LossFn:
    return own_thought_loss(gate, language_loss(), tokenizer, thought_params(**changes), method, SEED, 0.5)


@pytest.fixture
def batch(problems: list[Problem], data: EncodedSet) -> ThoughtBatch:
    return quietstar_batch_source(problems, data, REPLAY, thought_params(replay_tokens=600), SEED)(2)


def stub(folder: Path, params: Params) -> StubRun:
    run = StubRun(folder, SEED)
    run.params = params  # type: ignore[assignment]
    return run


def test_leave_one_out_is_the_mean_of_the_others() -> None:
    reward = torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]])
    wanted = [[r - (sum(row) - r) / 2 for r in row] for row in reward.tolist()]
    torch.testing.assert_close(quietstar_leave_one_out(reward), torch.tensor(wanted))


def test_source_is_decided_by_the_seed_and_thinks_about_every_problem(
    problems: list[Problem], data: EncodedSet
) -> None:
    one, two = (quietstar_batch_source(problems, data, REPLAY, thought_params(batch=2), SEED) for _ in range(2))
    seen = []
    for step in range(4):
        found = one(step)
        assert found.step == step
        assert found.problems == two(step).problems
        assert set(data.kind[found.replay.index]) == {KINDS.index("worked")}
        assert found.targets[found.valid].tolist() == [token for p in found.problems for token in p.answer]
        seen += [p.item.prompt for p in found.problems]
    assert len(set(seen[:6])) == 6  # each once before any is thought about again
    with pytest.raises(ForgeError, match="persona"):
        quietstar_batch_source(problems, data, {"persona": 1.0}, thought_params(), SEED)


def test_a_batch_splits_into_thinking_micro_batches(
    batch: ThoughtBatch, model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    parts = batch.split(2)
    assert [part.problems for part in parts] == [batch.problems[:2], batch.problems[2:]]  # type: ignore[attr-defined]
    assert sum(part.count for part in parts) == batch.count
    assert len({part.step for part in parts}) == 2  # type: ignore[attr-defined]
    for part in parts:
        loss, _ = loss_of(tokenizer, ThoughtGate(32))(model, part)
        assert bool(torch.isfinite(loss))


def test_metrics_say_what_was_sampled(
    model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, batch: ThoughtBatch
) -> None:
    gate = ThoughtGate(32, start=0.3)
    loss, metrics = loss_of(tokenizer, gate, gain_weight=0.5)(model, batch)
    assert bool(torch.isfinite(loss))
    size = {"tokens": 6, "answer_tokens": 4, "temperature": 1.0}
    seed = thought_sampling_seed(SEED, 2)
    rows = write_thoughts(model, [p.prompt for p in batch.problems], thoughts=3, seed=seed, **size)  # type: ignore[arg-type]
    gains = []
    for problem, row in zip(batch.problems, rows, strict=True):
        contexts = [prompt_with_thought(problem.prompt, thought.inside) for thought in row]
        with_thought = thought_continuation_likelihood(model, contexts, [problem.written] * 3)
        without = thought_continuation_likelihood(model, [problem.prompt], [problem.written])
        gains.append((with_thought - without) / len(problem.written))
    assert metrics["likelihood_gain"] == pytest.approx(float(np.mean(gains)), abs=1e-4)
    assert metrics["reward"] == pytest.approx(metrics["right"] + 0.5 * metrics["likelihood_gain"], abs=1e-5)
    assert metrics["ended"] == np.mean([thought.closed for row in rows for thought in row])
    assert metrics["gate"] == pytest.approx(0.3, abs=1e-5)
    assert 0 < metrics["entropy"] < np.log(len(tokenizer))
    with pytest.raises(TypeError):
        loss_of(tokenizer, gate)(model, batch_of_thought_continuations([[3, 4]], [[20, 1]]))


def scripted(tokenizer: Any, problems: list[Problem]) -> list[list[Thought]]:
    """For each problem its true thought and answer, and two wrong ones."""
    return [
        [
            thought_of(tokenizer, p.item.thought(), p.item.answer),
            thought_of(tokenizer, "00", "0"),
            thought_of(tokenizer, "1", "00"),
        ]
        for p in problems
    ]


@pytest.mark.parametrize("method", ["star", "reinforce"])
def test_both_methods_make_right_thoughts_likelier(
    method: Method,
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    batch: ThoughtBatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = scripted(tokenizer, batch.problems)
    monkeypatch.setattr(training, "write_thoughts", lambda *_, **__: written)
    gate = ThoughtGate(32)
    contexts = [prompt_with_open_thought(p.prompt) for p in batch.problems]

    def likely(place: int) -> float:
        return float(thought_continuation_likelihood(model, contexts, [row[place].ids for row in written]).mean())

    before = [likely(place) for place in range(3)]
    own = loss_of(tokenizer, gate, method, policy_weight=1000.0, gain_weight=0.0, entropy_floor=0.0)
    for _ in range(3):
        loss, metrics = own(model, batch)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 1e-5 * parameter.grad
    assert metrics["right"] == pytest.approx(1 / 3)
    assert metrics["mixed_groups"] == 1.0
    right, *wrong = (likely(place) - was for place, was in enumerate(before))
    assert right > max(0.0, *wrong)
    if method == "reinforce":
        assert max(wrong) < 0


def test_star_learns_nothing_from_wrong_thoughts(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    batch: ThoughtBatch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = [[thought_of(tokenizer, "00", "0")] * 3 for _ in batch.problems]
    monkeypatch.setattr(training, "write_thoughts", lambda *_, **__: wrong)
    losses = {}
    for weight in (0.0, 1.0):
        loss, metrics = loss_of(tokenizer, ThoughtGate(32), "star", policy_weight=weight)(model, batch)
        losses[weight] = loss.item()
    assert metrics["own"] == 0.0
    assert "entropy" not in metrics
    assert losses[0.0] == losses[1.0]


def test_entropy_below_its_floor_is_asked_for(
    model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, batch: ThoughtBatch
) -> None:
    losses = {}
    for floor in (0.0, 100.0):
        loss, metrics = loss_of(tokenizer, ThoughtGate(32), entropy_floor=floor, policy_weight=2.0)(model, batch)
        losses[floor] = loss.item()
    assert losses[100.0] - losses[0.0] == pytest.approx(2.0 * (100.0 - metrics["entropy"]), abs=1e-3)


def test_the_gate_alone_is_moved_by_its_loss(
    model: TinyTitanForCausalLM, tokenizer: PreTrainedTokenizerFast, batch: ThoughtBatch
) -> None:
    gate, flat = ThoughtGate(32), [row[0] for row in scripted(tokenizer, batch.problems)]
    gain, loss, opened = training._gains(model, gate, batch.problems, flat)
    assert gain.shape == (4,)
    assert opened == pytest.approx(0.02, abs=1e-5)
    loss.backward()
    assert gate.outer.weight.grad is not None
    assert all(parameter.grad is None for parameter in model.parameters())


def test_pause_starts_as_the_assistant(model: TinyTitanForCausalLM) -> None:
    before = model.embed.weight.clone()
    prepare_quietstar_tokens(model)
    assert torch.equal(model.embed.weight[ID["pause"]], model.embed.weight[ID["assistant"]])
    assert torch.equal(model.embed.weight[ID["think"]], before[ID["think"]])


def test_an_interrupted_training_ends_with_the_same_bytes(
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    problems: list[Problem],
    data: EncodedSet,
    tmp_path: Path,
) -> None:
    start = {name: value.clone() for name, value in model.state_dict().items()}

    def trained(folder: str, stop_at: int = -1) -> tuple[dict[str, torch.Tensor], ThoughtGate]:
        model.load_state_dict(start)
        run = stub(tmp_path / folder, thought_params())
        run.stop_at = stop_at
        gate, _ = train_on_own_thoughts(run, model, tokenizer, problems, data, "reinforce")
        return {name: value.clone() for name, value in model.state_dict().items()}, gate

    wanted, whole = trained("a")
    assert "think_gate.inner.weight" not in wanted
    assert not torch.equal(whole.outer.weight, torch.zeros_like(whole.outer.weight))  # the gate is trained
    assert float(whole.reward_count) == 4
    with pytest.raises(Interrupted):
        trained("b", stop_at=2)
    assert not hasattr(model, "think_gate")
    torch.manual_seed(123)
    found, resumed = trained("b")
    for name, value in found.items():
        assert torch.equal(value, wanted[name]), name
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


def test_thoughts_that_cannot_fit_are_refused(
    model: TinyTitanForCausalLM, problems: list[Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suggestion names the phase's own dial."""
    monkeypatch.setattr(memory, "available_training_bytes", lambda device: memory.RESERVE + 2**20)
    long = [replace(p, prompt=p.prompt * 3) for p in problems]
    with pytest.raises(ForgeError, match=r"divide quietstar.batch by \d+ in params.yaml"):
        check_quietstar_memory(model, long, thought_params(thoughts=8, thought_tokens=12, batch=1024))
