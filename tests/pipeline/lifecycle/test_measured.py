"""What a stage measures travels with its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forge.files import atomic_write_text, read_json, write_manifest
from forge.pipeline.lifecycle.stage import stage_lifecycle
from tests.support.stub_run import measured
from tests.support.tiny_models import tiny_model, tiny_tokenizer


@pytest.mark.long
def test_what_a_stage_measured_of_its_model_is_known_to_the_next(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("data/prepared", "data/workspace"):
        atomic_write_text(Path(path) / "f.txt", "x")
        write_manifest(path)
    model, tokenizer, asked = tiny_model(), tiny_tokenizer(), []

    def measure(model: Any, tokenizer: Any, **sizes: Any) -> Any:
        asked.append(sizes["n"])
        return measured([0.0, 1.0], [1.0, 1.0], [1.0, 0.0])

    monkeypatch.setattr("forge.evals.evaluator.measure_eval_scores", measure)
    with stage_lifecycle("trunk") as run:
        found = run.evaluator(tokenizer).measure(model)
        run.save(model, tokenizer)
        run.publish({"final_loss": 0.5})
        run.log(0, **{"train/loss": 1.0})
    with stage_lifecycle("cognate", "reasoning") as run:
        trunk, loaded, _ = run.load("trunk")
        assert run.evaluator(loaded).measure(trunk) == found
        assert len(asked) == 1
        run.evaluator(loaded).measure(tiny_model(seed=1))
        assert len(asked) == 2
        run.log(0, **{"train/loss": 1.0})
        run.save(tiny_model(seed=1), loaded)
        run.publish({"specialization": "reasoning"})
    of_trunk, of_branch = (set(read_json(f"models/{name}/measured.json")) for name in ("trunk", "cognate/reasoning"))
    assert (len(of_trunk), len(of_branch)) == (1, 2), "what was looked up is handed on"
    assert of_trunk < of_branch
