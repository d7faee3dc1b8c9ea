"""Phase 7 reads rows of declared tools, measures their calls and hands on what these need."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.data.dataset import KINDS
from forge.model.packed import pack_model
from forge.phases.edge import metrics
from forge.phases.edge import run as module
from tests.support.own_tools import declare_own_tools
from tests.support.stub_run import StubRun, smoke_params
from tests.support.tiny_models import tiny_model, tiny_tokenizer

pytestmark = pytest.mark.long


def test_the_phase_with_declared_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, source = StubRun(tmp_path, **smoke_params("edge", steps=2, latency_repeats=1)), tmp_path / "baking"
    model = tiny_model(vocab_size=len(tiny_tokenizer()), weight_quant="ternary", act_bits=8, embed_bits=8)
    run.evaluation.answer_tokens = 4
    run.prepare("baking", model)
    tiny_tokenizer().save_pretrained(str(source))
    pack_model(model, source / metrics.PACKED[0])
    run.own_tools = declare_own_tools(tmp_path / "own")
    monkeypatch.setattr(metrics, "edge_isolated_ram_mb", lambda directories: [400.0, 300.0])
    read: list[set[str]] = []
    recover = module.recover_by_distillation

    def watched(run: object, student: object, teacher: object, data: object) -> object:
        read.append({KINDS[kind] for kind in data.kind})  # type: ignore[attr-defined]
        return recover(run, student, teacher, data)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "recover_by_distillation", watched)
    module.run(run)  # type: ignore[arg-type]
    assert "own_tool" in read[0]
    ((facts, _),) = run.published
    assert {"call_confidence", "declared_tools", "declared_personas"} < set(facts)
    assert "own_tools/call_right" in run.headline
    assert len(run.claims) == 3
