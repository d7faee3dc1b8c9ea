"""The loop: losses by hand, accumulation, resuming bit for bit, damaged checkpoints, divergence, and
learning."""

from __future__ import annotations

import functools
import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from forge.data.dataset import EncodedSet, build_set
from forge.data.render import ID
from forge.errors import Interrupted
from forge.model import TinyTitanConfig, TinyTitanForCausalLM
from forge.train import (
    Batch,
    Trainer,
    TrainResult,
    TrainSettings,
    collate,
    distillation_loss,
    gather_batch,
    language_loss,
    load_checkpoint,
    save_checkpoint,
    train,
)
from forge.train import progress as progress_module
from forge.train.fit import plan_curriculum_batches, train_on_planned_batches
from forge.train.losses import weighted_step_loss
from tests.support.tiny_models import tiny_model, tokens

pytestmark = pytest.mark.long

torch.set_num_threads(1)
EARLY_WEIGHT = 0.5  # the default of the losses
SMALL: dict[str, Any] = {
    "low_heads": [2],
    "low_ffn": [24],
    "high_heads": [2],
    "high_ffn": [24],
    "max_steps": 2,
}


def _batch(seed: int = 0, rows: int = 4, lengths: tuple[int, ...] = (9, 12, 7, 12)) -> Batch:
    """The last third of every row is supervised; rows differ in length, so that shares of tokens differ
    too."""
    made = []
    for row in range(rows):
        ids = tokens(1, lengths[row % len(lengths)], seed=100 * seed + row)[0].numpy()
        mask = np.zeros(len(ids), dtype=np.uint8)
        mask[-(len(ids) // 3) - row :] = 1
        made.append((ids, mask))
    return collate(made, np.arange(rows))


# ---- losses
# ------------------------------------------------------------------------------------------------------


def test_language_loss_by_hand() -> None:
    model, batch = tiny_model(dtype=torch.float64), _batch()
    total, metrics = language_loss(halt_weight=0.3, ponder_cost=0.2)(model, batch)
    cross, halting = [], torch.zeros((), dtype=torch.float64)
    places = [
        (r, int(p), int(t))
        for r in range(4)
        for p, t, ok in zip(batch.select[r], batch.targets[r], batch.valid[r], strict=True)
        if ok
    ]
    truth = torch.tensor([t for _, _, t in places])
    by_step = []
    for steps in (1, 2, 3):
        logits = model(batch.ids, steps=steps).logits
        chosen = torch.stack([logits[r, p] for r, p, _ in places])
        by_step.append(chosen)
        cross.append(-chosen.log_softmax(-1)[range(len(places)), truth].mean())
    wrong_at_last = by_step[2].argmax(-1) != truth
    outputs = model.predictions(batch.ids, batch.select, batch.valid)
    for step in (0, 1):
        halt = outputs[step][1]
        assert halt is not None
        wanted = ((by_step[step].argmax(-1) == truth) | wrong_at_last).double()
        p = torch.sigmoid(halt)
        halting = halting - 0.3 * (wanted * p.log() + (1 - wanted) * (1 - p).log()).mean() + 0.2 * (1 - p).mean()
    expected = (EARLY_WEIGHT * (cross[0] + cross[1]) + cross[2]) / (2 * EARLY_WEIGHT + 1) + halting
    torch.testing.assert_close(total, expected)
    assert metrics["loss"] == pytest.approx(cross[2].item())
    assert metrics["loss_first"] == pytest.approx(cross[0].item())
    assert metrics["accuracy"] == pytest.approx(1 - wrong_at_last.double().mean().item())


@pytest.mark.parametrize("changes", [{"architecture": "plain"}, {"max_steps": 1}, {"halting": False}])
def test_language_loss_without_anything_to_halt(changes: dict[str, Any]) -> None:
    model, batch = tiny_model(**changes), _batch()
    total, metrics = language_loss(halt_weight=5.0, ponder_cost=5.0)(model, batch)
    outputs = model.predictions(batch.ids, batch.select, batch.valid)
    cross = [torch.nn.functional.cross_entropy(x, batch.targets[batch.valid]) for x, _ in outputs]
    torch.testing.assert_close(total, weighted_step_loss(cross, EARLY_WEIGHT))
    assert metrics["loss"] == pytest.approx(cross[-1].item())


def test_the_halting_head_receives_gradient_and_learns_its_target() -> None:
    model, batch = tiny_model(), _batch()
    loss = language_loss(halt_weight=1.0)
    loss(model, batch)[0].backward()
    assert model.halt.weight.grad.abs().sum().item() > 0
    assert model.halt.bias.grad.abs().sum().item() > 0
    means = {}
    for cost in (0.0, 20.0):
        torch.manual_seed(0)
        model = tiny_model()
        train(model, lambda step: batch, language_loss(halt_weight=0.1, ponder_cost=cost), TrainSettings(15))
        with torch.no_grad():
            means[cost] = torch.sigmoid(model.predictions(batch.ids, batch.select, batch.valid)[0][1]).mean().item()
    assert means[20.0] > means[0.0]


def test_weights_of_the_steps() -> None:
    one, two = torch.tensor(3.0), torch.tensor(6.0)
    assert weighted_step_loss([two], EARLY_WEIGHT).item() == 6.0
    assert weighted_step_loss([one, two], EARLY_WEIGHT).item() == pytest.approx(
        (EARLY_WEIGHT * 3 + 6) / (EARLY_WEIGHT + 1)
    )


def test_distillation_pulls_to_the_teacher() -> None:
    teacher, student, batch = tiny_model(1, **SMALL), tiny_model(2, **SMALL), _batch()
    pure, metrics = distillation_loss(teacher, 1.0, temperature=2.0)(student, batch)
    with torch.no_grad():
        goal = (teacher.predictions(batch.ids, batch.select, batch.valid)[-1][0] / 2.0).softmax(-1)
        last = (student.predictions(batch.ids, batch.select, batch.valid)[-1][0] / 2.0).log_softmax(-1)
    kl = (goal * (goal.log() - last)).sum(-1).mean() * 4.0
    assert metrics["kl"] == pytest.approx(kl.item(), rel=1e-4)
    assert pure.item() > 0.1
    _, own = distillation_loss(teacher, 1.0)(teacher, batch)
    assert own["kl"] == pytest.approx(0.0, abs=1e-6)
    nothing, _ = distillation_loss(teacher, 0.0)(student, batch)
    plain, _ = language_loss(halt_weight=0.1)(student, batch)
    torch.testing.assert_close(nothing, plain)
    before = metrics["kl"]
    train(
        student,
        lambda step: batch,
        distillation_loss(teacher, 1.0, 2.0),
        TrainSettings(25, checkpoint_every=99),
    )
    assert distillation_loss(teacher, 1.0, 2.0)(student, batch)[1]["kl"] < 0.3 * before
    assert all(p.grad is None for p in teacher.parameters())


def test_distillation_sees_a_prompted_batch_and_no_call_token() -> None:
    """The teacher may see a prompt in front of the same answer; rows without a call ignore the call token."""
    teacher, student, batch = tiny_model(1, **SMALL), tiny_model(2, **SMALL), _batch()
    prompt = tokens(1, 3, seed=8).expand(4, 3)
    prompted = replace(batch, ids=torch.cat((prompt, batch.ids), dim=1), select=batch.select + 3)
    given: list[Batch] = []

    def teacher_batch(seen: Batch) -> Batch:
        given.append(seen)
        return prompted

    flags = np.array([True, False, False, True])
    loss = distillation_loss(teacher, 0.5, teacher_batch=teacher_batch, without_call=flags)
    _, metrics = loss(student, batch)
    assert given[0] is batch
    with torch.no_grad():
        goal = teacher.predictions(prompted.ids, prompted.select, prompted.valid)[-1][0]
        last = student.predictions(batch.ids, batch.select, batch.valid)[-1][0]
    rows = torch.tensor([r for r in range(4) for _ in range(int(batch.valid[r].sum()))])
    kl, cross = [], []
    for place, row in enumerate(rows.tolist()):
        columns = [i for i in range(48) if not (flags[row] and i == ID["call"])]
        p, q = goal[place, columns].log_softmax(-1), last[place, columns].log_softmax(-1)
        kl.append((p.exp() * (p - q)).sum().item())
        cross.append(-q[columns.index(int(batch.targets[batch.valid][place]))].item())
    assert metrics["kl"] == pytest.approx(np.mean(kl), rel=1e-4)
    assert metrics["loss"] == pytest.approx(np.mean(cross), rel=1e-4)


# ---- the loop
# ----------------------------------------------------------------------------------------------------


def _gradients(accumulate: int, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    model = tiny_model(dtype=torch.float64)
    trainer = Trainer(model, language_loss(0.1, 0.05), TrainSettings(1, accumulate=accumulate, clip=1e9))
    found: dict[str, torch.Tensor] = {}

    def keep(muon_lr: float, adam_lr: float) -> None:
        found.update({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})

    monkeypatch.setattr(trainer.optimizer, "step", keep)
    return found, trainer.update(0, _batch())


def test_accumulated_gradients_are_those_of_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, metrics = _gradients(1, monkeypatch)
    for parts in (2, 3, 4):
        summed, other = _gradients(parts, monkeypatch)
        assert summed.keys() == whole.keys()
        for name, gradient in whole.items():
            torch.testing.assert_close(summed[name], gradient, atol=1e-8, rtol=1e-5)
        for name in ("loss", "accuracy", "gradient_norm"):
            assert other[name] == pytest.approx(metrics[name], rel=1e-6)


def _run(folder: Path | None, model: TinyTitanForCausalLM, **options: Any) -> TrainResult:
    changes = options.pop("settings", {})
    settings = TrainSettings(12, checkpoint_every=4, grokfast_lambda=0.5, weight_decay=0.01, **changes)
    return train(model, lambda step: _batch(step), language_loss(), settings, checkpoint_dir=folder, **options)


def _stop_at(step: int) -> Callable[[], bool]:
    calls = iter(range(1, 1000))
    return lambda: next(calls) >= step


def _same(a: TinyTitanForCausalLM, b: TinyTitanForCausalLM) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def _without_time(result: TrainResult, **changes: Any) -> TrainResult:
    return replace(result, seconds=0.0, **changes)


@pytest.mark.parametrize("at", [1, 8])
def test_an_interrupted_run_ends_with_the_bytes_of_an_uninterrupted_one(tmp_path: Path, at: int) -> None:
    straight = tiny_model(**SMALL)
    expected = _run(None, straight)
    with pytest.raises(Interrupted) as caught:
        _run(tmp_path, tiny_model(**SMALL), stop=_stop_at(at))
    assert (caught.value.step, caught.value.total) == (at, 12)
    resumed = tiny_model(seed=77, **SMALL)  # whatever the new process starts from
    result = _run(tmp_path, resumed)
    assert _same(resumed, straight)
    assert result.resumed_from == at
    assert _without_time(result) == _without_time(expected, resumed_from=at)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000008", "step-00000012"]
    again = tiny_model(seed=78, **SMALL)  # a finished run is finished
    assert _run(tmp_path, again).resumed_from == 12
    assert _same(again, straight)


def test_random_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    def noisy(model: TinyTitanForCausalLM, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        total, metrics = language_loss()(model, batch)
        return total * (0.5 + torch.rand(())), metrics

    settings = TrainSettings(6, grokfast_lambda=0.5)
    ends = []
    for folder, stop in ((None, 9), (tmp_path, 3)):
        torch.manual_seed(0)
        model = tiny_model(**SMALL)
        if folder is not None:
            with pytest.raises(Interrupted):
                train(model, _batch, noisy, settings, checkpoint_dir=folder, stop=_stop_at(stop))
            torch.manual_seed(99)
        train(model, _batch, noisy, settings, checkpoint_dir=folder)
        ends.append(model)
    assert _same(*ends)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TinyTitanForCausalLM]:
    """Checkpoints of a run that stopped at step 8, and the model of one that did not."""
    folder, straight = tmp_path_factory.mktemp("stopped"), tiny_model(**SMALL)
    with pytest.raises(Interrupted):
        _run(folder, tiny_model(**SMALL), stop=_stop_at(8))
    _run(None, straight)
    return folder, straight


@pytest.mark.parametrize("damage", ["truncate", "flip", "no manifest", "delete"])
def test_a_damaged_checkpoint_gives_way_to_the_older(
    stopped: tuple[Path, TinyTitanForCausalLM], tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder, straight = stopped
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    newest = tmp_path / "step-00000008"
    state = newest / "state.safetensors"
    blob = bytearray(state.read_bytes())
    if damage == "truncate":
        state.write_bytes(blob[: len(blob) // 2])
    elif damage == "flip":
        blob[-9] ^= 1
        state.write_bytes(blob)
    elif damage == "no manifest":
        (newest / "manifest.json").unlink()
    else:
        state.unlink()
    resumed = tiny_model(seed=5, **SMALL)
    assert _run(tmp_path, resumed).resumed_from == 4
    assert "step-00000008 is damaged" in caplog.text
    assert _same(resumed, straight)


def test_checkpoints_hold_what_was_given_and_two_stay(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    for step in (3, 20, 100):
        save_checkpoint(tmp_path, step, {"a": torch.full((2,), float(step)), "b": torch.tensor(step)}, {"x": 1 / 3})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000020", "step-00000100"]
    loaded = load_checkpoint(tmp_path)
    assert loaded is not None
    tensors, scalars = loaded
    assert tensors["a"].tolist() == [100.0, 100.0]
    assert int(tensors["b"]) == 100
    assert scalars == {"x": 1 / 3}


def _copy_batch(step: int) -> Batch:
    """a b c SEP a b c: the copy is supervised."""
    random = np.random.default_rng(step)
    rows = []
    for _ in range(16):
        word = random.integers(4, 12, size=3)
        rows.append((np.concatenate((word, [3], word)), np.array([0] * 4 + [1] * 3)))
    return collate(rows, np.arange(16))


def test_loss_goes_down_on_a_copy_task() -> None:
    torch.manual_seed(0)
    small = {"hidden_size": 32, "low_heads": [2], "low_ffn": [64], "high_heads": [2], "high_ffn": [64]}
    model = TinyTitanForCausalLM(TinyTitanConfig(vocab_size=12, **small))
    logged: list[tuple[int, dict[str, float]]] = []
    settings = TrainSettings(60, muon_lr=0.03, adam_lr=0.01, log_every=25)
    result = train(
        model,
        _copy_batch,
        language_loss(),
        settings,
        log=lambda step, **metrics: logged.append((step, metrics)),
    )
    assert result.first_loss > 2.0
    last = language_loss()(model, _copy_batch(1000))[1]
    assert last["loss"] < 0.5 * result.first_loss
    assert last["accuracy"] > 0.5
    assert [step for step, _ in logged] == [25, 50, 60]
    assert logged[-1][1]["tokens_seen"] == result.tokens == 60 * 16 * 7
    assert logged[-1][1]["loss_avg_100"] == result.final_loss
    assert not model.training
    assert 0.0 <= result.clip_fraction <= 1.0


def test_average_loss_is_exact_at_first() -> None:
    losses: list[float] = []
    result = train(
        tiny_model(**SMALL),
        lambda step: _batch(step),
        language_loss(),
        TrainSettings(9),
        on_step=lambda step, metrics: losses.append(metrics["loss"]),
    )
    assert result.final_loss == pytest.approx(np.mean(losses))
    assert result.first_loss == losses[0]


def test_gradients_are_clipped_and_counted() -> None:
    norms: list[float] = []
    result = train(
        tiny_model(**SMALL),
        lambda step: _batch(step),
        language_loss(),
        TrainSettings(4, clip=1e-3),
        on_step=lambda step, metrics: norms.append(metrics["gradient_norm"]),
    )
    assert result.clip_fraction == 1.0
    assert min(norms) > 1e-3  # the norm before clipping is what is reported


# ---- progress
# ----------------------------------------------------------------------------------------------------


def test_progress_without_a_terminal_is_a_few_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Interrupted):
        _run(tmp_path, tiny_model(**SMALL), stop=_stop_at(4), name="toy")
    capsys.readouterr()
    _run(tmp_path, tiny_model(**SMALL), name="toy")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "toy: resuming at step 4 of 12"
    assert lines[-1].startswith("toy: step 12/12  loss ")
    assert "tokens/s" in lines[-1]
    assert len(lines) <= 7


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = functools.partial(Console, file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(progress_module, "Console", terminal)
    _run(None, tiny_model(**SMALL), name="toy")
    assert "12/12" in screen.getvalue()
    assert "tokens/s" in screen.getvalue()


# ---- fit
# ---------------------------------------------------------------------------------------------------------


class Run:
    """What fit asks of a stage."""

    seed = 3

    def __init__(self, folder: Path) -> None:
        self.checkpoint_dir, self.stop_requested = folder, False
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.shown: list[tuple[int, int]] = []

    def log(self, step: int, **metrics: Any) -> None:
        self.logged.append((step, metrics))

    def progress(self, step: int, total: int, note: str = "") -> None:
        assert note.startswith("loss ")
        self.shown.append((step, total))
        self.stop_requested = step == 3


def _set() -> EncodedSet:
    rows = [(tokens(1, 8 + i % 5, seed=i)[0].numpy(), np.array([0] * 5 + [1] * (3 + i % 5))) for i in range(60)]
    return build_set(rows, [0] * 60, [0] * 60, np.linspace(0, 1, 60))


def test_fit_resumes_and_reports(tmp_path: Path) -> None:
    settings, data = TrainSettings(8, checkpoint_every=100, log_every=4), _set()
    run = Run(tmp_path)
    model = tiny_model(**SMALL)
    with pytest.raises(Interrupted):
        train_on_planned_batches(run, model, data, {"direct": 1.0}, language_loss(), settings, 80, name="toy")
    assert (tmp_path / "toy").is_dir()
    seen: list[int] = []
    result = train_on_planned_batches(
        run,
        model,
        data,
        {"direct": 1.0},
        language_loss(),
        settings,
        80,
        name="toy",
        on_step=lambda step, metrics: seen.append(step),
    )
    assert result.resumed_from == 3
    assert seen == [4, 5, 6, 7, 8]
    assert run.shown == [(step, 8) for step in range(1, 9)]
    assert [step for step, _ in run.logged] == [4, 8]
    assert "toy/loss" in run.logged[0][1]
    straight = tiny_model(**SMALL)
    plan = plan_curriculum_batches(data, {"direct": 1.0}, 8, 80, 3, ((1.0, 1.0),))
    train(straight, lambda step: gather_batch(data, plan[step]), language_loss(), settings)
    assert _same(model, straight)
    assert 0.0 <= result.padding < 0.5


def test_a_curriculum_goes_from_easy_to_all() -> None:
    data = _set()
    plan = plan_curriculum_batches(data, {"direct": 1.0}, 10, 80, 0, ((0.25, 0.2), (0.35, 0.5), (0.4, 1.0)))
    hardest = [float(data.difficulty[index].max()) for index in plan]
    assert len(plan) == 10
    assert max(hardest[:2]) <= 0.2
    assert max(hardest[:5]) <= 0.5
    assert max(hardest) > 0.5
    assert len(plan_curriculum_batches(data, {"direct": 1.0}, 1, 80, 0, ((0.5, 0.2), (0.5, 1.0)))) == 1
