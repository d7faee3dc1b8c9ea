"""Training with thoughts, coherence, the evaluation, and what the phase decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from forge.data.dataset import KINDS, EncodedSet, build_set
from forge.data.render import ID, encode, render
from forge.data.tasks import draw
from forge.data.tokenizer import train_tokenizer
from forge.errors import ForgeError, Interrupted
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.phases.quietstar import method as phase_module
from forge.phases.quietstar.evaluation import (
    MAIN,
    Evaluation,
    answer_likelihood,
    correlation_claim,
    evaluate_thoughts,
    phase_metrics,
    stand_ins,
    step_metrics,
    suite_problems,
    thought_claims,
)
from forge.phases.quietstar.method import decide, note_decision, quiet_star, spread, thoughts_help, train_thoughts
from forge.phases.quietstar.training import (
    ThoughtSettings,
    leave_one_out,
    prepare_thought_tokens,
    step_generator,
    thought_loss,
    thought_source,
)
from forge.thinking.coherence import COMPONENTS, components
from forge.thinking.gate import ThoughtGate
from forge.thinking.rows import ROLE_IDS, base_batch
from forge.thinking.sampling import answer_thinking, sample_thoughts
from forge.thinking.thinker import FILE, Thinker, Thoughts, calibrate, draft_answers, load_thinker
from tests.support.declared import declared

WEIGHTS = {"semantic": 0.3, "logical": 0.3, "relevance": 0.25, "fluency": 0.15}
FAMILIES = ("gcd", "spell_backward")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    items = [item for name in FAMILIES for item in draw(name, 0, 40, "train")]
    return train_tokenizer([item.prompt + item.answer for item in items], 320, [])


def encoded(tokenizer: Any, split: str, n: int) -> EncodedSet:
    """Direct rows of two families and as many 'tooled' ones."""
    rows, kinds = [], []
    for name in FAMILIES:
        for item in draw(name, 0, 2 * n, split):
            turns = [{"role": "user", "content": item.prompt}, {"role": "assistant", "content": item.answer}]
            rows.append(render(tokenizer, turns))
            kinds.append(KINDS.index("direct" if len(kinds) % 2 else "tooled"))
    return build_set(rows, kinds, [0] * len(rows), [0.5] * len(rows))


@pytest.fixture(scope="module")
def data(tokenizer: Any) -> EncodedSet:
    return encoded(tokenizer, "train", 20)


@pytest.fixture
def model(tokenizer: Any) -> TinyTitanForCausalLM:
    torch.manual_seed(0)
    config = TinyTitanConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        head_dim=16,
        low_heads=[2],
        high_heads=[2],
        low_ffn=[32],
        high_ffn=[32],
        memory_head_dim=8,
        memory_chunk=16,
    )
    return TinyTitanForCausalLM(config).eval()


class FakeRun:
    """What training needs of a stage."""

    def __init__(self, folder: Path, stop_after: int | None = None) -> None:
        self.seed, self.checkpoint_dir, self.points, self.steps = 4, folder, [], 0
        self.stop_after = stop_after

    @property
    def stop_requested(self) -> bool:
        return self.stop_after is not None and self.steps >= self.stop_after

    def log(self, step: int, **metrics: Any) -> None:
        self.points.append((step, metrics))

    def progress(self, step: int, total: int, note: str = "") -> None:
        self.steps += 1


def params(**changes: Any) -> SimpleNamespace:
    """A toy block of parameters."""
    dump = lambda values: SimpleNamespace(model_dump=lambda: dict(values))  # noqa: E731
    base = {
        "steps": 4,
        "thoughts": 3,
        "thought_tokens": 3,
        "batch": 4,
        "replay_tokens": 64,
        "lr": 0.01,
        "policy_weight": 0.1,
        "alone_weight": 0.5,
        "validation_rows": 6,
        "checkpoint_every": 2,
        "coherence_threshold": 0.7,
        "on_fail": "continue",
        "thought_weights": dump(WEIGHTS),
    }
    return SimpleNamespace(**(base | changes))


SETTINGS = ThoughtSettings(3, 3, 4, 64, 0.1, 0.5, 4)
EVALUATION = SimpleNamespace(suite_n=1, seed=7, bootstrap=200)


# ---- training ---------------------------------------------------------------------------------------------


def test_leave_one_out_is_the_mean_of_the_others() -> None:
    reward = torch.tensor([[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]])
    wanted = [[r - (sum(row) - r) / 2 for r in row] for row in reward.tolist()]
    torch.testing.assert_close(leave_one_out(reward), torch.tensor(wanted))


def test_source_is_decided_by_the_seed_and_thinks_about_direct_rows_only(data: EncodedSet) -> None:
    shares = {"direct": 0.0, "tooled": 1.0}
    one, two = (thought_source(data, shares, 10, SETTINGS) for _ in range(2))
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
        thought_source(data.subset(data.where("tooled")), shares, 2, SETTINGS)


def test_a_batch_splits_into_thinking_micro_batches(data: EncodedSet, model: TinyTitanForCausalLM) -> None:
    batch = thought_source(data, {"tooled": 1.0}, 3, replace(SETTINGS, replay_tokens=400))(2)
    parts = batch.split(2)
    assert [part.prompts for part in parts] == [batch.prompts[:2], batch.prompts[2:]]  # type: ignore[attr-defined]
    assert sum(part.count for part in parts) == batch.count
    replayed = np.concatenate([part.replay.index for part in parts])  # type: ignore[attr-defined]
    assert replayed.tolist() == batch.replay.index.tolist()
    seeds = {part.step for part in batch.split(99)}  # type: ignore[attr-defined]
    assert len(seeds) == min(len(batch.ids), len(batch.replay.ids)) > 1
    for part in parts:
        loss, _ = thought_loss(ThoughtGate(32), SETTINGS)(model, part)
        assert bool(torch.isfinite(loss))


def test_loss_is_the_sum_of_its_parts_and_reward_is_the_gain_in_likelihood(
    model: TinyTitanForCausalLM, data: EncodedSet
) -> None:
    gate = ThoughtGate(32)
    torch.nn.init.normal_(gate.outer.weight, std=0.1, generator=torch.Generator().manual_seed(1))
    model.config.halt_threshold = 1.0  # likelihoods halt as decoding does; training takes every step
    batch = thought_source(data, {"tooled": 1.0}, 3, SETTINGS)(2)
    loss, metrics = thought_loss(gate, SETTINGS)(model, batch)
    thoughts = sample_thoughts(model, batch.prompts, 3, 3, step_generator(SETTINGS.seed, 2))
    off = answer_likelihood(model, None, batch.prompts, None, batch.answers)
    gain = np.stack(
        [answer_likelihood(model, gate, batch.prompts, thoughts[:, i].tolist(), batch.answers) - off for i in range(3)],
        axis=1,
    )
    assert metrics["reward"] == pytest.approx(float(gain.mean()), abs=1e-4)
    count = batch.count
    assert metrics["loss_thought"] == pytest.approx(-float((gain.mean(1) + off).sum()) / count, abs=1e-4)
    pause = answer_likelihood(model, gate, batch.prompts, [[ID["pause"]] * 3] * 4, batch.answers)
    assert metrics["loss_pause"] == pytest.approx(-float(pause.sum()) / count, abs=1e-4)
    without, _ = thought_loss(gate, replace(SETTINGS, policy_weight=0.0))(model, batch)
    scaled, _ = thought_loss(gate, replace(SETTINGS, policy_weight=1.0))(model, batch)
    wanted = 10 * (loss - without).item()
    assert (scaled - without).item() == pytest.approx(wanted, rel=0.2)
    with pytest.raises(TypeError):
        thought_loss(gate, SETTINGS)(model, base_batch([[3, 4]], [[20, 1]]))


def test_reinforce_makes_the_better_thought_likelier(
    model: TinyTitanForCausalLM, data: EncodedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = ThoughtGate(32)
    batch = thought_source(data, {"tooled": 1.0}, 3, SETTINGS)(0)
    batch = replace(batch, prompts=batch.prompts[:1] * 4, answers=batch.answers[:1] * 4)
    better, worse, tokens = [20, 21, 22], [30, 31, 32], SETTINGS.tokens
    fixed = torch.tensor([[better, worse, worse]] * 4)
    monkeypatch.setattr("forge.phases.quietstar.training.sample_thoughts", lambda *_: fixed)
    advantage = torch.tensor([[1.0, -0.5, -0.5]] * 4)
    monkeypatch.setattr("forge.phases.quietstar.training.leave_one_out", lambda reward: advantage)
    plain = base_batch(batch.prompts, batch.answers)
    batch = replace(batch, ids=plain.ids, select=plain.select, targets=plain.targets, valid=plain.valid)

    def fluency(inside: list[int]) -> float:
        return float(components(model, batch.prompts[:1], [inside], [[1]])["fluency"][0])

    assert tokens == len(better)
    before = fluency(better) / fluency(worse)
    only_policy = thought_loss(gate, replace(SETTINGS, policy_weight=1000.0))
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
    prepare_thought_tokens(model)
    for name in ("think", "/think", "pause"):
        assert torch.equal(model.embed.weight[ID[name]], model.embed.weight[ID["assistant"]])
    assert not torch.equal(model.embed.weight[ID["call"]], model.embed.weight[ID["assistant"]])


def test_an_interrupted_training_ends_with_the_same_bytes(
    model: TinyTitanForCausalLM, data: EncodedSet, tmp_path: Path
) -> None:
    start = {name: value.clone() for name, value in model.state_dict().items()}
    whole, _ = train_thoughts(FakeRun(tmp_path / "a"), params(), model, data)
    wanted = {name: value.clone() for name, value in model.state_dict().items()}
    assert "think_gate.inner.weight" not in wanted
    assert not torch.equal(whole.outer.weight, torch.zeros_like(whole.outer.weight))  # the gate is trained
    assert float(whole.reward_count) == 4
    model.load_state_dict(start)
    with pytest.raises(Interrupted):
        train_thoughts(FakeRun(tmp_path / "b", stop_after=2), params(), model, data)
    assert not hasattr(model, "think_gate")
    model.load_state_dict(start)
    torch.manual_seed(123)
    resumed, _ = train_thoughts(FakeRun(tmp_path / "b"), params(), model, data)
    for name, value in model.state_dict().items():
        assert torch.equal(value, wanted[name]), name
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


# ---- thinker -----------------------------------------------------------------------------------------------


@pytest.fixture
def thinker(model: TinyTitanForCausalLM) -> Thinker:
    prompts = [[ID["user"], 20 + i, 30 + i, ID["assistant"]] for i in range(5)]
    gate = ThoughtGate(32, seed=2)
    return calibrate(model, gate, prompts, WEIGHTS, thoughts=2, tokens=3, threshold=0.7, max_new_tokens=4, seed=0)


def test_thinker_survives_its_file(thinker: Thinker, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(thinker.to_bytes())
    loaded = load_thinker(tmp_path)
    assert loaded is not None
    assert (loaded.thoughts, loaded.tokens, loaded.threshold) == (2, 3, 0.7)
    assert loaded.calibration.weights == WEIGHTS
    assert np.array_equal(loaded.calibration.reference, thinker.calibration.reference)
    for name, value in thinker.gate.state_dict().items():
        assert torch.equal(loaded.gate.state_dict()[name], value)
    assert loaded.to_bytes() == thinker.to_bytes()
    (tmp_path / FILE).write_bytes(thinker.to_bytes()[:-7])
    with pytest.raises(ForgeError, match=FILE):
        load_thinker(tmp_path)
    assert load_thinker(tmp_path / "none") is None


def test_only_thoughts_above_the_threshold_enter(model: TinyTitanForCausalLM, thinker: Thinker) -> None:
    prompts = [[ID["user"], 50 + i, ID["assistant"]] for i in range(4)]
    torch.nn.init.constant_(thinker.gate.outer.bias, 1e3)
    drafts = draft_answers(model, prompts, 4)
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
    """One thought a prompt that repeats its first word, and passes."""
    count = len(prompts)
    ids = torch.tensor([[[prompt[1]] * 3] for prompt in prompts])
    ones = np.ones((count, 1), dtype=np.float32)
    return Thoughts(ids, {}, ones, np.zeros(count, dtype=np.int64), np.ones(count, dtype=bool), 0.0)


def test_calibration_needs_another_prompt(model: TinyTitanForCausalLM) -> None:
    with pytest.raises(ForgeError, match="at least 2"):
        calibrate(
            model, ThoughtGate(32), [[3, 20, 4]], WEIGHTS, thoughts=2, tokens=2, threshold=0.7, max_new_tokens=2, seed=0
        )


# ---- evaluation --------------------------------------------------------------------------------------------


@pytest.fixture
def two_families(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forge.phases.quietstar.evaluation.suite_tasks", lambda: list(FAMILIES))


@pytest.mark.usefixtures("two_families")
def test_controls_stand_where_thoughts_do(
    model: TinyTitanForCausalLM, tokenizer: Any, thinker: Thinker, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = suite_problems(tokenizer, 3, 7, "test")
    assert [p.item for p in problems[:3]] == list(draw("gcd", 7, 3, "test"))
    assert problems[0].answer == [*encode(tokenizer, problems[0].item.answer), ID["end"]]
    asked: list[tuple[list[Any], list[Any]]] = []

    def oracle(_: Any, gate: Any, prompts: list[Any], insides: list[Any], limit: int) -> list[list[int]]:
        asked.append((prompts, insides))
        known = {tuple(p.prompt): p.answer for p in problems}
        return [known[tuple(p)] if len(asked) == 1 else [ID["end"]] for p in prompts]

    monkeypatch.setattr("forge.phases.quietstar.evaluation.answer_thinking", oracle)
    monkeypatch.setattr("forge.phases.quietstar.evaluation.PROMPTS_AT_ONCE", 4)
    points: list[int] = []
    thinker = replace(thinker, threshold=0.95)
    found = evaluate_thoughts(
        model, tokenizer, thinker, problems, max_new_tokens=4, seed=1, log=lambda index, **series: points.append(index)
    )
    assert points == [0, 1]
    where = found.passed
    assert 0 < where.sum() < len(where)  # otherwise this test says nothing
    thoughtful = [problem.prompt for problem, w in zip(problems, where, strict=True) if w]
    assert [prompts for prompts, _ in asked] == [thoughtful] * 3
    assert found.correct["on"].tolist() == where.astype(float).tolist()
    assert found.correct["pause"].sum() == found.correct["off"].sum() == 0
    on, pause, shuffled = (insides for _, insides in asked)
    assert pause == [[ID["pause"]] * 3] * int(where.sum())
    assert all(a != b for a, b in zip(on, shuffled, strict=True))
    for name in ("on", "pause", "shuffled"):
        gap = found.log_likelihood[name] != found.log_likelihood["off"]
        assert not gap[~where].any()
        assert gap[where].all()


@pytest.mark.usefixtures("two_families")
def test_true_answers_do_not_reach_the_thoughts(model: TinyTitanForCausalLM, tokenizer: Any, thinker: Thinker) -> None:
    problems = suite_problems(tokenizer, 2, 7, "test")
    swapped = [replace(p, answer=[40, 41, ID["end"]]) for p in problems]
    one, two = (evaluate_thoughts(model, tokenizer, thinker, p, max_new_tokens=3, seed=1) for p in (problems, swapped))
    assert np.array_equal(one.coherence, two.coherence)
    assert np.array_equal(one.correct["on"], two.correct["on"])
    assert not np.array_equal(one.log_likelihood["off"], two.log_likelihood["off"])


def test_stand_ins_use_thoughts_of_others() -> None:
    chosen = [[20 + i, 30 + i] for i in range(6)]
    made = stand_ins(chosen, seed=3)
    assert made["on"] == chosen
    assert sorted(made["shuffled"]) == sorted(chosen)
    assert all(a != b for a, b in zip(made["shuffled"], chosen, strict=True))


def evaluation(on: float, pause: float, n: int = 200) -> Evaluation:
    """Right with these probabilities; likelihoods accordingly; off and shuffled at 0.2."""
    rng = np.random.default_rng(0)
    luck = rng.random(n)
    correct = {
        name: (luck < share).astype(float)
        for name, share in (("off", 0.2), ("on", on), ("pause", pause), ("shuffled", 0.2))
    }
    noise = rng.normal(size=n)
    likely = {name: noise + 2 * values for name, values in correct.items()}
    coherence = np.stack([0.3 + 0.5 * correct["on"], rng.random(n) * 0.3], axis=1).astype(np.float32)
    raw = dict.fromkeys(COMPONENTS, coherence)
    ids, best = torch.full((n, 2, 1), ROLE_IDS), coherence.max(axis=1)
    thoughts = Thoughts(ids, raw, coherence, coherence.argmax(axis=1), best >= 0.7, 2.0)
    return Evaluation(correct, likely, [thoughts])


def test_claims_tell_help_from_theatre() -> None:
    good = thought_claims(evaluation(0.6, 0.2), n_boot=300, seed=0)
    assert len(good) == 7
    assert all(claim.passed for claim in good)
    assert thoughts_help(good)
    theatre = thought_claims(evaluation(0.6, 0.6), n_boot=300, seed=0)  # pause tokens do as well
    assert next(claim for claim in theatre if claim.claim == MAIN).passed
    assert not thoughts_help(theatre)
    nothing = thought_claims(evaluation(0.2, 0.2), n_boot=300, seed=0)
    assert not any(claim.passed for claim in nothing[:6])
    assert not thoughts_help(nothing)


def test_correlation_is_measured_or_not_there() -> None:
    rng = np.random.default_rng(1)
    x = rng.random(100)
    right = (x > 0.5).astype(float)
    claim = correlation_claim(x, right, 200, 0)
    assert claim is not None
    assert claim.passed
    assert claim.value == pytest.approx(float(np.corrcoef(x, right)[0, 1]))
    inverse = correlation_claim(-x, right, 200, 0)
    assert inverse is not None
    assert not inverse.passed
    assert correlation_claim(x, np.zeros(100), 200, 0) is None
    assert correlation_claim(np.ones(100), right, 200, 0) is None


def test_metrics_are_counted_over_all_thoughts() -> None:
    found = evaluation(0.5, 0.2)
    valid = int((found.coherence >= 0.7).sum())
    values = phase_metrics(found, 0.7) | step_metrics(found.thoughts, 0.7)
    assert set(values) == declared("quietstar")
    assert values["phase/total_thoughts_generated"] == values["step/thoughts_generated"] == 400
    assert values["phase/total_thoughts_valid"] == valid
    assert values["phase/overall_validity_rate"] == pytest.approx(valid / 400)
    assert values["phase/accuracy_improvement"] == pytest.approx(
        found.correct["on"].mean() - found.correct["off"].mean()
    )
    assert values["step/processing_time_ms"] == pytest.approx(5.0)
    assert found.seconds == 2.0


# ---- the phase ---------------------------------------------------------------------------------------------


def test_decision_follows_claims_then_validation() -> None:
    good = thought_claims(evaluation(0.6, 0.2), n_boot=300, seed=0)
    bad = thought_claims(evaluation(0.2, 0.2), n_boot=300, seed=0)
    assert decide("stop", good, 1.0, 2.0) == "trained"
    assert decide("continue", bad, 1.0, 0.9) == "trained"
    assert decide("continue", bad, 1.0, 1.1) == "input"
    with pytest.raises(ForgeError, match=r"do not help \(exact match 0\..*on_fail is stop"):
        decide("stop", bad, 1.0, 0.9)
    noted = note_decision(bad, "input", 1.0, 1.1)
    assert "handed on: the input model, thoughts off" in noted[0].note
    assert [claim.note for claim in noted[1:]] == [claim.note for claim in bad[1:]]


def test_spread_covers_the_set(data: EncodedSet) -> None:
    assert spread(data, 10_000).tolist() == list(range(len(data)))
    few = spread(data, 5, "direct")
    assert len(few) == 5
    assert set(few) <= set(data.where("direct"))
    assert few[-1] == data.where("direct")[-1]
    with pytest.raises(ForgeError, match="persona"):
        spread(data, 5, "persona")


@pytest.mark.usefixtures("two_families")
def test_phase_hands_on_the_input_bit_for_bit_where_training_did_not_help(
    model: TinyTitanForCausalLM,
    tokenizer: Any,
    data: EncodedSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rising = iter([1.0, 2.0])
    monkeypatch.setattr(phase_module, "validation_loss", lambda *_: next(rising))
    monkeypatch.setattr(phase_module, "thoughts_help", lambda claims: False)
    outcome = quiet_star(FakeRun(tmp_path), params(), EVALUATION, model, tokenizer, data, data)
    assert outcome.thinker is None
    assert outcome.facts["kept"] == "input"
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.usefixtures("two_families")
def test_phase_end_to_end_is_reproducible_and_measures_everything(
    model: TinyTitanForCausalLM,
    tokenizer: Any,
    data: EncodedSet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(phase_module, "thoughts_help", lambda claims: True)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    run = FakeRun(tmp_path / "a")
    first = quiet_star(run, params(), EVALUATION, model, tokenizer, data, data)
    trained = {name: value.clone() for name, value in model.state_dict().items()}
    assert any(not torch.equal(trained[name], start[name]) for name in start)
    assert first.thinker is not None
    assert first.facts["thoughts_enabled"] is True
    assert set(first.facts) >= {"coherence_score", "validity_rate", "anti_theater"}
    assert not any("time" in key or "seconds" in key for key in first.facts)
    assert set(first.metrics) == declared("quietstar")
    assert all(np.isfinite(value) for value in [*first.metrics.values(), *first.headline.values()])
    logged = {name for _, point in run.points for name in point}
    assert {"train/loss", "train/reward", "train/gate", "step/validity_rate"} <= logged
    assert first.headline["val/loss_after"] < first.headline["val/loss_before"]
    model.load_state_dict(start)
    second = quiet_star(FakeRun(tmp_path / "b"), params(), EVALUATION, model, tokenizer, data, data)
    assert second.facts == first.facts
    assert second.thinker is not None
    assert second.thinker.to_bytes() == first.thinker.to_bytes()
    assert all(torch.equal(value, trained[name]) for name, value in model.state_dict().items())
