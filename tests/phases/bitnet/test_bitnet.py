"""Ternary weights: distillation, its loss, the packed file, the long run's probe, the claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from forge.data.dataset import EncodedSet
from forge.data.render import ID
from forge.errors import Interrupted
from forge.evals.likelihood import likelihood
from forge.model import TinyTitanForCausalLM, load_model
from forge.model.packed import PACKED, load_packed, pack_model
from forge.model.quantizers import fake_ternary
from forge.phases.bitnet.claims import gain_claim, retention_claims
from forge.phases.bitnet.finetune import distill, publish_ternary, ternary_model
from forge.phases.bitnet.metrics import packing_delta
from forge.phases.forge import training as longrun
from forge.phases.forge.training import AccuracyProbe, train_long
from forge.train import Batch, distillation_loss, gather_batch, language_loss
from forge.train.losses import HALT_WEIGHT, halting_loss, weighted
from tests.support.stub_run import StubRun, measured, random_set
from tests.support.tiny_models import tiny_model, tiny_tokenizer, tokens


def state(model: TinyTitanForCausalLM) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def same(model: TinyTitanForCausalLM, weights: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def batch_of(data: EncodedSet, rows: int = 6) -> Batch:
    return gather_batch(data, np.arange(rows))


# ---- losses --------------------------------------------------------------------------------------------------


def test_a_model_has_no_distance_from_itself() -> None:
    data, teacher = random_set(), tiny_model()
    student = tiny_model()
    loss, metrics = distillation_loss(teacher, 1.0)(student, batch_of(data))
    assert metrics["kl"] == pytest.approx(0.0, abs=1e-6)
    other, found = distillation_loss(teacher, 1.0)(tiny_model(seed=5), batch_of(data))
    assert found["kl"] > 0.1
    assert float(other.detach()) > float(loss.detach())


def test_gradient_reaches_the_student_alone() -> None:
    teacher, student = tiny_model(), tiny_model(seed=5)
    loss, _ = distillation_loss(teacher, 0.5)(student, batch_of(random_set()))
    loss.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert student.embed.weight.grad is not None
    assert bool(student.embed.weight.grad.any())


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_distillation_loss_by_hand(temperature: float) -> None:
    """One step, no halting head: the formula, and cross-entropy where the teacher weighs nothing."""
    shape: dict[str, Any] = {"max_steps": 1, "halting": False}
    teacher, student = tiny_model(**shape), tiny_model(seed=5, **shape)
    batch = batch_of(random_set())
    with torch.no_grad():
        p, q = (model.predictions(batch.ids, batch.select, batch.valid)[0][0] for model in (teacher, student))
    cross = F.cross_entropy(q, batch.targets[batch.valid])
    log_p, log_q = (F.log_softmax(x / temperature, -1) for x in (p, q))
    kl = (log_p.exp() * (log_p - log_q)).sum(-1).mean() * temperature**2
    loss, metrics = distillation_loss(teacher, 0.3, temperature)(student, batch)
    torch.testing.assert_close(loss.detach(), 0.7 * cross + 0.3 * kl)
    assert metrics["kl"] == pytest.approx(float(kl), rel=1e-4)
    alone, _ = distillation_loss(teacher, 0.0, temperature)(student, batch)
    torch.testing.assert_close(alone.detach(), cross)


def test_without_a_teachers_share_it_is_the_language_loss() -> None:
    student, batch = tiny_model(seed=5), batch_of(random_set())
    distilled, _ = distillation_loss(tiny_model(), 0.0)(student, batch)
    plain, metrics = language_loss(HALT_WEIGHT)(student, batch)
    torch.testing.assert_close(distilled, plain)
    assert metrics["loss"] != metrics["loss_first"]


class Louder(torch.nn.Module):
    """A teacher that wants to call a tool ``by`` more than ``model`` does."""

    def __init__(self, model: TinyTitanForCausalLM, by: float) -> None:
        super().__init__()
        self.model, self.by = model, by

    def predictions(self, *given: Any) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
        raised = F.one_hot(torch.tensor(ID["call"]), 48) * self.by
        return [(logits + raised, halt) for logits, halt in self.model.predictions(*given)]


def test_answers_without_tools_say_nothing_about_calling() -> None:
    data, student = random_set(), tiny_model(seed=5)
    batch = batch_of(data)
    teachers: list[Any] = [Louder(tiny_model(), by) for by in (0.0, 9.0)]

    def losses(flags: list[bool]) -> list[float]:
        marked = np.zeros(len(data), dtype=bool)
        marked[: len(flags)] = flags
        return [float(distillation_loss(t, 1.0, without_call=marked)(student, batch)[0].detach()) for t in teachers]

    quiet, loud = losses([True] * 6)
    assert quiet == pytest.approx(loud, abs=1e-6)
    quiet, loud = losses([False] * 6)
    assert abs(loud - quiet) > 0.1
    # One unmarked row among marked ones still feels it.
    quiet, loud = losses([True] * 5 + [False])
    assert abs(loud - quiet) > 0.01
    # The student's wish to call is not graded there either.
    marked = np.ones(len(data), dtype=bool)
    loss, _ = distillation_loss(teachers[1], 0.5, without_call=marked)(student, batch)
    rows = torch.autograd.grad(loss, student.embed.weight)[0]
    assert not rows[ID["call"]].any()
    assert rows[ID["result"]].any()


def test_halting_targets() -> None:
    halt = torch.tensor([2.0, 2.0, -1.0, -1.0])
    now, end = torch.tensor([True, False, False, True]), torch.tensor([True, False, True, False])
    # Right already, hopeless, worth another step, right now and wrong later.
    wanted = F.binary_cross_entropy_with_logits(halt, torch.tensor([1.0, 1.0, 0.0, 1.0]))
    assert torch.equal(halting_loss(halt, now, end), wanted)
    assert weighted([torch.tensor(3.0), torch.tensor(5.0), torch.tensor(1.0)]) == pytest.approx(2.5)


def test_thinking_has_its_price() -> None:
    model, batch = tiny_model(), batch_of(random_set())
    free, dear = (language_loss(0.0, ponder_cost=cost)(model, batch)[0] for cost in (0.0, 0.5))
    with torch.no_grad():
        halts = [h for _, h in model.predictions(batch.ids, batch.select, batch.valid)][:-1]
    price = sum(float(torch.sigmoid(-halt).mean()) for halt in halts if halt is not None)
    assert float((dear - free).detach()) == pytest.approx(0.5 * price, rel=1e-4)


# ---- phase 4 -------------------------------------------------------------------------------------------------


def test_a_ternary_copy_leaves_the_model_alone() -> None:
    model, ids = tiny_model(), tokens(2, 9)
    before, weights = model(ids).logits, state(model)
    copy = ternary_model(model, 8, 4)
    assert torch.equal(model(ids).logits, before)
    assert (model.config.weight_quant, model.config.act_bits, model.config.embed_bits) == ("none", 0, 0)
    assert same(copy, weights)
    assert not torch.equal(copy(ids).logits, before)
    name, linear = next(iter(copy.core_linears().items()))
    assert torch.equal(linear.effective_weight(), fake_ternary(weights[f"{name}.weight"]))
    assert all(block.act_bits == 8 for block in copy.low)


def test_distilling_trains_the_student_alone(tmp_path: Path) -> None:
    teacher, data = tiny_model(), random_set()
    student = ternary_model(teacher, 8, 8)
    weights = state(teacher)
    run = StubRun(tmp_path, steps=6, lr=0.01, checkpoint_every=3, batch_tokens=120)
    result = distill(run, student, teacher, data, {"direct": 1.0, "tool": 1.0}, kd_weight=0.5, name="quantized")
    assert same(teacher, weights)
    assert not any(torch.equal(v, weights[n]) for n, v in state(student).items() if n.endswith("attn.q.weight"))
    assert (run.checkpoint_dir / "quantized").is_dir()
    assert 0 <= result.padding < 1
    assert "quantized/kl" in run.logged[-1][1]


@pytest.mark.parametrize("embed_bits", [8, 4])
def test_the_packed_file_is_the_model(tmp_path: Path, embed_bits: int) -> None:
    model, ids, path = ternary_model(tiny_model(), 8, embed_bits), tokens(3, 11), tmp_path / "p.safetensors"
    weights = state(model)
    counts = pack_model(model, path)
    assert packing_delta(model, path, ids) == 0.0
    assert same(model, weights)
    loaded = load_packed(path, tiny_model(seed=9, act_bits=8))
    with torch.no_grad():
        assert torch.equal(loaded(ids).logits, model.eval()(ids).logits)
    core = [linear.effective_weight().detach() for linear in model.core_linears().values()]
    zeros, total = sum(int((w == 0).sum()) for w in core), sum(w.numel() for w in core)
    assert counts["sparsity_ratio"] == pytest.approx(zeros / total, abs=1e-6)
    assert counts["layers_compressed"] == len(core)
    assert counts["layers_compressed"] + counts["layers_preserved"] == len(weights)
    assert counts["packed_bytes"] == path.stat().st_size
    assert total / 5 < path.stat().st_size < 4 * total


def test_publishing_writes_latents_and_the_packed_file(tmp_path: Path) -> None:
    run, model, published = StubRun(tmp_path), ternary_model(tiny_model(), 8, 8), []
    run.out_dir = tmp_path / "out"

    def publish(**given: Any) -> Path:
        published.append(given)
        return run.out_dir

    run.publish = publish
    assert publish_ternary(run, model, tiny_tokenizer(), {"note": 1}) == run.out_dir
    assert published == [{"tokenizer": tiny_tokenizer(), "metadata": {"note": 1}}]
    assert same(load_model(run.out_dir), state(model))
    assert packing_delta(model, run.out_dir / PACKED, tokens(2, 8)) == 0.0


def test_a_changed_file_shows_in_the_logits(tmp_path: Path) -> None:
    model, path = ternary_model(tiny_model(), 8, 8), tmp_path / "p.safetensors"
    pack_model(ternary_model(tiny_model(seed=2), 8, 8), path)
    assert packing_delta(model, path, tokens(2, 8)) > 0.01


# ---- phase 5 -------------------------------------------------------------------------------------------------

LONG: dict[str, Any] = {
    "steps": 6,
    "lr": 0.01,
    "checkpoint_every": 3,
    "batch_tokens": 120,
    "eval_every": 2,
    "grokfast_alpha": 0.9,
    "grokfast_lambda": 0.1,
}


def test_the_probe_measures_when_it_is_time_and_survives_a_resume(tmp_path: Path) -> None:
    run, model = StubRun(tmp_path, **{**LONG, "steps": 5}), tiny_model(max_steps=1)
    train, val = random_set(), random_set(seed=1)
    probe = AccuracyProbe(run, model, train, val)
    for step in range(1, 6):
        model.train()
        probe(step, {})
        assert model.training
    assert [p.step for p in probe.points] == [2, 4, 5]
    assert [step for step, _ in run.logged] == [2, 4, 5]
    wanted = likelihood(model, val, val.where("direct", "tooled", "tool")).accuracy
    assert run.logged[-1][1]["val/accuracy"] == probe.points[-1].val_accuracy == wanted
    again = AccuracyProbe(run, model, train, val)
    assert again.points == probe.points
    again(4, {})  # a run that resumed from step 3
    assert [p.step for p in again.points] == [2, 4]
    assert [row["step"] for row in json.loads((run.checkpoint_dir / "probe.json").read_text())] == [2, 4]


def test_the_probe_asks_a_fixed_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longrun, "PROBE_ROWS", 5)
    data, run = random_set(40), StubRun(tmp_path, **LONG)
    first, second = (AccuracyProbe(run, tiny_model(), data, data) for _ in "ab")
    assert [len(sample) for sample in first.sets] == [5, 5]
    assert (first.sets[0].ids == second.sets[0].ids).all()
    assert set(first.sets[0].kind.tolist()) <= {0, 1, 2}


def test_a_long_run_that_was_stopped_ends_like_one_that_was_not(tmp_path: Path) -> None:
    data, val, shares = random_set(40), random_set(seed=1), {"direct": 1.0, "tool": 1.0}
    straight = ternary_model(tiny_model(max_steps=2), 8, 8)
    result, points = train_long(StubRun(tmp_path / "a", **LONG), straight, data, val, shares)
    assert [p.step for p in points] == [2, 4, 6]
    assert result.resumed_from == 0
    run, model = StubRun(tmp_path / "b", **LONG), ternary_model(tiny_model(max_steps=2), 8, 8)
    run.stop_at = 5
    with pytest.raises(Interrupted):
        train_long(run, model, data, val, shares)
    fresh = ternary_model(tiny_model(max_steps=2), 8, 8)
    resumed, later = train_long(run, fresh, data, val, shares)
    assert resumed.resumed_from == 5
    assert same(fresh, state(straight))
    assert later == points


# ---- claims --------------------------------------------------------------------------------------------------


def test_retention_claims(tmp_path: Path) -> None:
    run, test = StubRun(tmp_path), random_set()
    most, none = [1.0] * 19 + [0.0], [0.0] * 20
    models = [tiny_model(), tiny_model(seed=1), tiny_model(seed=2)]
    good, bad = measured(most, most, most), measured(none, none, none)
    claims, metrics = retention_claims(run, test, (models[0], good), (models[1], bad), (models[2], good))
    assert [claim.passed for claim in claims] == [True, True]
    assert metrics["quality/accuracy_retention"] == 1.0
    index = test.where("direct", "tooled", "tool")
    ppl = [likelihood(model, test, index).perplexity for model in models]
    assert metrics["quality/post_finetuning_perplexity"] == ppl[2]
    assert metrics["quality/perplexity_degradation_percent"] == pytest.approx(100 * (ppl[2] / ppl[0] - 1))
    claims, metrics = retention_claims(run, test, (models[0], good), (models[0], bad), (models[2], bad))
    assert [claim.passed for claim in claims] == [False, False]
    assert metrics["quality/accuracy_retention"] == 0.0
    assert metrics["quality/perplexity_recovery_percent"] == 100.0  # rounding had lost nothing


def test_gain_claim(tmp_path: Path) -> None:
    run = StubRun(tmp_path)
    more, less = measured([1.0] * 9, [1.0] * 9), measured([0.0] * 9, [1.0] * 9)
    claim = gain_claim(run, "better", more, less, "before")
    assert (claim.passed, claim.value, claim.control_value, claim.control) == (True, 1.0, 0.5, "before")
    assert not gain_claim(run, "better", less, less, "before").passed
