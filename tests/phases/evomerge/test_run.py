"""The stage of phase 2: what it publishes, records and enters into the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from forge.config import load_params
from forge.interface.run import Published
from forge.model import save_model
from forge.phases.cognate.params import Params as CognateParams
from forge.phases.cognate.phase import BRANCHES
from forge.phases.evomerge.run import run as run_evomerge
from forge.tools import set_up_tool_workspace
from tests.support.declared import declared
from tests.support.stub_run import ROOT, StubRun, random_set
from tests.support.tiny_models import tiny_model, tiny_tokenizer
from tests.support.toy_merge import SHORT, changed

pytestmark = pytest.mark.long

VOCABULARY = len(tiny_tokenizer())


def publish(folder: Path, seed: int) -> Published:
    """A model near the one of seed 0."""
    model, noise = tiny_model(vocab_size=VOCABULARY), tiny_model(seed=seed, vocab_size=VOCABULARY)
    with torch.no_grad():
        for weight, other in zip(model.parameters(), noise.parameters(), strict=True):
            weight.add_(other, alpha=0.05 if seed else 0.0)
    save_model(model, folder)
    return Published(model, tiny_tokenizer(), folder)


def test_the_champion_is_published_and_held_against_its_controls(tmp_path: Path) -> None:
    set_up_tool_workspace(tmp_path / "workspace")
    for seed, name in enumerate(("train", "val", "test")):
        random_set(36, VOCABULARY, seed=seed).save(tmp_path / f"{name}.safetensors")
    given: dict[str, Any] = dict(changed(SHORT, generations=2, population=4, elites=1, fitness_samples=10))
    run = StubRun(tmp_path, **given)
    run.evaluation.answer_tokens = 4
    cognate = load_params(ROOT / "params.yaml").block("cognate")
    run.blocks[CognateParams] = cognate.model_copy(update={"branch_steps": 2, "batch_tokens": 200})
    run.models["trunk"] = publish(tmp_path / "trunk", 0)
    for seed, name in enumerate(BRANCHES, start=1):
        run.models[f"cognate@{name}"] = publish(tmp_path / name, seed)
    run_evomerge(run)

    metadata, _ = run.published[0]
    assert metadata["best_parent_fitness"] == 1.0, "fitness is counted in best parents"
    # The finalists are judged on more rows than the generations were: the fittest there need not win here.
    assert metadata["fitness"] == run.headline["phase/final_fitness"] <= run.metrics["generation_2/best_fitness"]
    assert metadata["fitness"] >= metadata["best_parent_fitness"]
    assert metadata["merge_technique"] == run.headline["phase/best_merge_technique"]
    assert metadata["parent_parameters"] == tiny_model(vocab_size=VOCABULARY).num_parameters()
    written, trunk = load_file(run.out_dir / "model.safetensors"), load_file(tmp_path / "trunk/model.safetensors")
    assert written.keys() == trunk.keys()
    assert any(bool((written[name] != trunk[name]).any()) for name in trunk)
    best = next(claim.control for claim in run.claims if claim.control.startswith("the best parent ("))
    assert best.removeprefix("the best parent (").removesuffix(")") in BRANCHES
    rivals = ["the uniform average", best, "joint training with the tokens of all branches"]
    assert [claim.control for claim in run.claims] == [*rivals * 2, best, "mean of generation 0"]
    late = {f"generation_{generation}" for generation in range(3, 51)}
    assert {name for name in declared("evomerge") if name.split("/")[0] not in late} <= set(run.metrics)
    ((scores, directory, seconds),) = run.rows_of_ledger
    assert (directory, seconds) == (run.out_dir, None)
    assert scores.suite.headline().items() <= run.headline.items()
    assert all("test loss, geometric mean over skills" in claim.note for claim in run.claims[:3])
    assert {name.split("/")[0] for _, point in run.logged for name in point} == {"fitness", "joint"}
    solvers = (*BRANCHES, "average", "champion")
    combined = {f"combination/{kind}/{name}" for kind in ("recalled_sum", "persona_problem") for name in solvers}
    assert combined <= set(run.metrics)
