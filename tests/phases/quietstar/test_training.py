"""Training with thoughts: what is read, the loss and its parts, REINFORCE, interruption, memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forge.data.dataset import KINDS, EncodedSet
from forge.data.render import ID
from forge.errors import ForgeError, Interrupted
from forge.model import TinyTitanForCausalLM
from forge.phases.quietstar.batches import ThoughtBatch, quietstar_batch_source, spread_quietstar_examples
from forge.phases.quietstar.params import Params
from forge.phases.quietstar.training import (
    check_thought_memory,
    prepare_quietstar_tokens,
    quietstar_leave_one_out,
    thought_loss,
    train_thoughts,
)
from forge.thinking.coherence import coherence_components
from forge.thinking.gate import ThoughtGate
from forge.thinking.likelihood import thinker_answer_log_likelihood
from forge.thinking.rows import thinker_batch_without_thoughts
from forge.thinking.sampling import sample_thoughts, thought_sampling_generator
from forge.train import language_loss, memory
from forge.train.losses import LossFn
from tests.support.stub_run import StubRun, random_set
from tests.support.tiny_models import tiny_model
from tests.support.toy_thoughts import thought_params

SEED = 4
REPLAY = {"tooled": 1.0}


def loss_of(gate: ThoughtGate, **changes: float) -> LossFn:
    return thought_loss(gate, language_loss(), thought_params(**changes), SEED)


def batch_of(data: EncodedSet, step: int, **changes: int) -> ThoughtBatch:
    return quietstar_batch_source(data, REPLAY, thought_params(**{"steps": 3, **changes}), SEED)(step)


def stub(folder: Path, params: Params) -> StubRun:
    run = StubRun(folder, SEED)
    run.params = params  # type: ignore[assignment]
    return run


def test_leave_one_out_is_the_mean_of_the_others() -> None:
    reward = torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]])
    wanted = [[r - (sum(row) - r) / 2 for r in row] for row in reward.tolist()]
    torch.testing.assert_close(quietstar_leave_one_out(reward), torch.tensor(wanted))


def test_source_is_decided_by_the_seed_and_thinks_about_direct_rows_only(data: EncodedSet) -> None:
    shares = {"direct": 0.0, "tooled": 1.0}
    one, two = (quietstar_batch_source(data, shares, thought_params(steps=10), SEED) for _ in range(2))
    direct = {tuple(data.row(int(i))[0].tolist()) for i in data.where("direct")}
    seen = []
    for step in range(10):
        batch, again = one(step), two(9 - step)
        assert batch.step == step
        seen += [(*p, *a) for p, a in zip(batch.prompts, batch.answers, strict=True)]
        assert all(prompt[-1] == ID["assistant"] for prompt in batch.prompts)
        assert set(data.kind[batch.replay.index]) == {KINDS.index("tooled")}
        assert again.prompts == one(9 - step).prompts
    assert set(seen) == direct  # 40 rows in 10 steps of 4: every one once
    assert len(seen) == 40
    with pytest.raises(ForgeError, match="direct"):
        quietstar_batch_source(data.subset(data.where("tooled")), shares, thought_params(steps=2), SEED)


def test_a_batch_splits_into_thinking_micro_batches(data: EncodedSet, model: TinyTitanForCausalLM) -> None:
    batch = batch_of(data, 2, replay_tokens=400)
    parts = batch.split(2)
    assert [part.prompts for part in parts] == [batch.prompts[:2], batch.prompts[2:]]  # type: ignore[attr-defined]
    assert sum(part.count for part in parts) == batch.count
    replayed = np.concatenate([part.replay.index for part in parts])  # type: ignore[attr-defined]
    assert replayed.tolist() == batch.replay.index.tolist()
    seeds = {part.step for part in batch.split(99)}  # type: ignore[attr-defined]
    assert len(seeds) == min(len(batch.ids), len(batch.replay.ids)) > 1
    for part in parts:
        loss, _ = loss_of(ThoughtGate(32))(model, part)
        assert bool(torch.isfinite(loss))


def test_spread_covers_the_set(data: EncodedSet) -> None:
    assert spread_quietstar_examples(data, 10_000).tolist() == list(range(len(data)))
    few = spread_quietstar_examples(data, 5, "direct")
    assert len(few) == 5
    assert set(few) <= set(data.where("direct"))
    assert few[-1] == data.where("direct")[-1]
    with pytest.raises(ForgeError, match="persona"):
        spread_quietstar_examples(data, 5, "persona")


def test_loss_is_the_sum_of_its_parts_and_reward_is_the_gain_in_likelihood(
    model: TinyTitanForCausalLM, data: EncodedSet
) -> None:
    gate = ThoughtGate(32)
    torch.nn.init.normal_(gate.outer.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    model.config.halt_threshold = 1.0  # likelihoods halt as decoding does; training takes every step
    batch = batch_of(data, 2)
    loss, metrics = loss_of(gate)(model, batch)
    thoughts = sample_thoughts(model, batch.prompts, 3, 3, thought_sampling_generator(SEED, 2))

    def likelihood(insides: list[list[int]]) -> np.ndarray:
        return thinker_answer_log_likelihood(model, batch.prompts, batch.answers, gate, insides)

    off = thinker_answer_log_likelihood(model, batch.prompts, batch.answers)
    gain = np.stack([likelihood(thoughts[:, i].tolist()) - off for i in range(3)], axis=1)
    assert metrics["reward"] == pytest.approx(float(gain.mean()), abs=1e-4)
    count = batch.count
    assert metrics["loss_thought"] == pytest.approx(-float((gain.mean(1) + off).sum()) / count, abs=1e-4)
    pause = likelihood([[ID["pause"]] * 3] * 4)
    assert metrics["loss_pause"] == pytest.approx(-float(pause.sum()) / count, abs=1e-4)
    without, _ = loss_of(gate, policy_weight=0.0)(model, batch)
    scaled, _ = loss_of(gate, policy_weight=1.0)(model, batch)
    wanted = 10 * (loss - without).item()
    assert (scaled - without).item() == pytest.approx(wanted, rel=0.2)
    with pytest.raises(TypeError):
        loss_of(gate)(model, thinker_batch_without_thoughts([[3, 4]], [[20, 1]]))


def test_reinforce_makes_the_better_thought_likelier(
    model: TinyTitanForCausalLM, data: EncodedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = ThoughtGate(32)
    batch = batch_of(data, 0)
    batch = replace(batch, prompts=batch.prompts[:1] * 4, answers=batch.answers[:1] * 4)
    better, worse = [20, 21, 22], [30, 31, 32]
    fixed = torch.tensor([[better, worse, worse]] * 4)
    monkeypatch.setattr("forge.phases.quietstar.training.sample_thoughts", lambda *_: fixed)
    advantage = torch.tensor([[1.0, -0.5, -0.5]] * 4)
    monkeypatch.setattr("forge.phases.quietstar.training.quietstar_leave_one_out", lambda reward: advantage)
    plain = thinker_batch_without_thoughts(batch.prompts, batch.answers)
    batch = replace(batch, ids=plain.ids, select=plain.select, targets=plain.targets, valid=plain.valid)

    def fluency(inside: list[int]) -> float:
        return float(coherence_components(model, batch.prompts[:1], [inside], [[1]])["fluency"][0])

    before = fluency(better) / fluency(worse)
    only_policy = loss_of(gate, policy_weight=1000.0)
    for _ in range(3):
        loss, _ = only_policy(model, batch)
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 1e-6 * parameter.grad
    assert fluency(better) / fluency(worse) > before


def test_thought_tokens_start_as_the_assistants(model: TinyTitanForCausalLM) -> None:
    prepare_quietstar_tokens(model)
    for name in ("think", "/think", "pause"):
        assert torch.equal(model.embed.weight[ID[name]], model.embed.weight[ID["assistant"]])
    assert not torch.equal(model.embed.weight[ID["call"]], model.embed.weight[ID["assistant"]])


def test_an_interrupted_training_ends_with_the_same_bytes(
    model: TinyTitanForCausalLM, data: EncodedSet, tmp_path: Path
) -> None:
    start = {name: value.clone() for name, value in model.state_dict().items()}
    whole, _ = train_thoughts(stub(tmp_path / "a", thought_params()), model, data)
    wanted = {name: value.clone() for name, value in model.state_dict().items()}
    assert "think_gate.inner.weight" not in wanted
    assert not torch.equal(whole.outer.weight, torch.zeros_like(whole.outer.weight))  # the gate is trained
    assert float(whole.reward_count) == 4
    model.load_state_dict(start)
    run = stub(tmp_path / "b", thought_params())
    run.stop_at = 2
    with pytest.raises(Interrupted):
        train_thoughts(run, model, data)
    assert not hasattr(model, "think_gate")
    model.load_state_dict(start)
    torch.manual_seed(123)
    resumed, _ = train_thoughts(stub(tmp_path / "b", thought_params()), model, data)
    for name, value in model.state_dict().items():
        assert torch.equal(value, wanted[name]), name
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


def test_thoughts_that_cannot_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suggestion names the phase's own dial."""
    data, params = random_set(), thought_params(thoughts=8, thought_tokens=12, batch=1024)
    model = tiny_model(low_heads=[2], low_ffn=[24], high_heads=[2], high_ffn=[24])
    monkeypatch.setattr(memory, "available_training_bytes", lambda device: memory.RESERVE + 2**20)
    with pytest.raises(ForgeError, match=r"divide quietstar.batch by \d+ in params.yaml"):
        check_thought_memory(model, data, params)
