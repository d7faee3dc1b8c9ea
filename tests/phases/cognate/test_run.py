"""The three stages of phase 1: what each publishes, records and enters into the ledger."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from safetensors.torch import load, load_file, save_file

from forge.evals.likelihood import likelihood
from forge.interface.paths import SETTLED
from forge.phases.cognate.claims import FOCUS
from forge.phases.cognate.run import run_cognate_branch, run_cognate_branches, run_cognate_trunk
from forge.tools import set_up_tool_workspace
from tests.phases.cognate.test_cognate import held_out, params
from tests.phases.cognate.test_metrics import publish
from tests.support.declared import declared
from tests.support.stub_run import StubRun, random_set
from tests.support.tiny_models import tiny_model, tiny_tokenizer

pytestmark = pytest.mark.long

VOCABULARY = len(tiny_tokenizer())


@pytest.fixture
def run(tmp_path: Path) -> StubRun:
    """A run on random rows, with a trunk and three branches of it."""
    set_up_tool_workspace(tmp_path / "workspace")
    tiny_tokenizer().save_pretrained(str(tmp_path / "tokenizer"))
    held_out(VOCABULARY).save(tmp_path / "test.safetensors")
    for seed, name in enumerate(("train", "val"), start=1):
        random_set(36, VOCABULARY, seed=seed).save(tmp_path / f"{name}.safetensors")
    made = StubRun(tmp_path, **params(parameters_target=120))
    made.evaluation.answer_tokens = 4
    made.models["trunk"] = publish(tmp_path / "trunk", 0, final_loss=3.0, vocab_size=VOCABULARY)
    save_file(tiny_model(seed=9, vocab_size=VOCABULARY).state_dict(), tmp_path / "trunk" / SETTLED)
    for seed, name in enumerate(FOCUS, start=1):
        published = publish(tmp_path / name, seed, final_loss=0.5 * seed, vocab_size=VOCABULARY)
        made.models[f"cognate@{name}"] = published
    return made


def test_the_trunk_is_published_with_its_seed_and_loss(run: StubRun) -> None:
    run_cognate_trunk(run)
    metadata, files = run.published[0]
    assert metadata == {"seed": run.seed, "final_loss": run.headline["final_loss"]}
    trunk, settled = load_file(run.out_dir / "model.safetensors"), load(files[SETTLED])
    assert trunk.keys() == settled.keys()
    assert any(bool((trunk[name] != weight).any()) for name, weight in settled.items())
    assert (run.out_dir / "tokenizer.json").is_file()
    assert {"final_loss", "first_loss", "parameters", "suite/bpb", "suite/accuracy_tools_prompted"} <= set(run.headline)
    assert {"train/tokens", "train/padding_share", "train/clip_fraction"} <= set(run.metrics)


def test_a_branch_is_published_with_what_the_handoff_asks_for(run: StubRun) -> None:
    run.branch = "memory_integration"
    run_cognate_branch(run)
    metadata, _ = run.published[0]
    assert metadata["specialization"] == "memory_integration"
    assert metadata["model_name"] == "TinyTitan-memory_integration"
    assert metadata["final_loss"] == run.headline["final_loss"]
    assert {"seed", "accuracy_no_tools"} <= set(metadata)
    assert run.metrics["size_mb"] * 2**20 == (run.out_dir / "model.safetensors").stat().st_size
    assert [claim.control for claim in run.claims] == ["the trunk trained on alike", "always 3 steps"]
    settled, rows = tiny_model(seed=9, vocab_size=VOCABULARY), run.split("test")
    control = likelihood(settled, rows, rows.where("recall")).mean_loss
    assert run.claims[0].control_value == pytest.approx(control.mean())
    series = {name for _, point in run.logged for name in point}
    assert {name.removeprefix("model_2/") for name in declared("cognate", "model_2")} <= series | set(run.metrics)
    trunk = run.models["trunk"].model
    assert trunk.config.memory_capacity == 12  # its own: the branch is a copy


def test_the_branch_with_the_lowest_validation_loss_stands_for_the_phase(
    run: StubRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forge.phases.cognate.run.SAMPLE", 12)
    run.params = SimpleNamespace(**params(branches=dict.fromkeys(FOCUS), parameters_target=120))
    run_cognate_branches(run)
    branches, val = run.load_branches("cognate"), run.split("val").sample(12, run.seed)
    assert len(val) == 12 < len(run.split("val"))
    losses = {name: likelihood(branch.model, val).perplexity for name, branch in branches.items()}
    best = min(losses, key=losses.__getitem__)
    assert losses[best] < min(loss for name, loss in losses.items() if name != best)
    ((scores, directory, seconds),) = run.rows_of_ledger
    assert directory == branches[best].directory
    assert scores.suite.headline().items() <= run.headline.items()
    assert seconds == run.recorded_seconds("trunk", "cognate") + run.seconds == run.headline["phase/duration_seconds"]
    assert len(run.claims) == 6
    assert declared("cognate", "config", "phase") <= set(run.metrics)
    assert 5 <= len(run.headline) <= 12
    assert not run.published
