"""Phase 6 as a whole: the prompt taken away, what is claimed, recorded and published."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from forge.data.build import tokenize_data_rows
from forge.data.personas import PERSONA_PROMPTS, PERSONAS
from forge.data.render import ID, tokenize_text
from forge.data.views import dataset_without_prompts
from forge.evals.persona import PersonaScore
from forge.evals.tool_use import ToolScore
from forge.model import load_model
from forge.model.packed import PACKED, load_packed
from forge.phases.baking.claims import baking_claims
from forge.phases.baking.prompt_baking import bake
from forge.phases.baking.run import run as run_baking
from forge.phases.baking.trajectories import BAKED_KINDS, Trajectories
from forge.tools import TOOL_NAMES
from tests.support.declared import declared
from tests.support.stub_run import StubRun, conversations, measured, smoke_params
from tests.support.tiny_models import tiny_model, tiny_tokenizer, tokens

pytestmark = pytest.mark.long


def test_baking_changes_the_core_alone_and_leaves_the_teacher(tmp_path: Path) -> None:
    teacher = tiny_model(vocab_size=320, weight_quant="ternary", act_bits=8)
    before = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    run = StubRun(tmp_path, **smoke_params("baking", lora_rank=2, steps=4, lr=0.02, checkpoint_every=2))
    rows = [row for row in conversations() if row["kind"] in BAKED_KINDS]
    made = Trajectories(
        tokenize_data_rows(tiny_tokenizer(), rows), dataset_without_prompts(tiny_tokenizer(), rows), 1.0, []
    )
    model, half, result = bake(run, teacher, tiny_tokenizer(), made)
    assert result.tokens > 0
    assert max(point["train/learning_rate"] for _, point in run.logged) <= run.params.lr
    assert not model.training
    assert all(torch.equal(teacher.state_dict()[name], weight) for name, weight in before.items())
    assert set(model.state_dict()) == set(half.state_dict()) == set(before)
    wanted = before.copy()
    wanted["embed.weight"] = before["embed.weight"].clone()
    for name, prompt in PERSONA_PROMPTS.items():
        wanted["embed.weight"][ID[name]] = before["embed.weight"][tokenize_text(tiny_tokenizer(), prompt)].mean(0)
    core = {f"{name}.weight" for name in teacher.core_linears()}
    for name, weight in wanted.items():
        full, part = model.state_dict()[name], half.state_dict()[name]
        assert torch.equal(full, weight) == (name not in core)
        torch.testing.assert_close(part - weight, (full - weight) / 2, atol=1e-6, rtol=0)


def test_baking_claims_follow_the_scores(tmp_path: Path) -> None:
    many, none = [1.0] * 20, [0.0] * 20
    tools = {
        name: ToolScore({}, sum(c) / 20, 0.0, 0.0, c)
        for name, c in {"baked": many, "unbaked": none, "prompted": many, "half": none}.items()
    }
    personas = {
        name: PersonaScore({}, 0.0, 0.0, 0.0, 1.0, [], both_correct=c)
        for name, c in {"baked": many, "none": none}.items()
    }
    run = StubRun(tmp_path)
    good = baking_claims(run, tools, personas, measured(many, none), measured(many, many), none)
    assert [claim.passed for claim in good] == [True] * 8
    assert len({claim.claim for claim in good}) == 8
    half = tools | {"baked": tools["half"]}
    worse = baking_claims(run, half, personas, measured(many, many), measured(none, many), none)
    assert [claim.passed for claim in worse] == [False, False, False, False, True, False, False, False]
    assert worse[6].note == "forgotten: 100.0 points"
    thoughtless = baking_claims(
        run, tools, personas, measured(many, none, thoughts=many), measured(many, many, thoughts=none), none
    )
    assert [claim.claim for claim in thoughtless if not claim.passed] == [
        "thoughts are not forgotten (within 5 points)"
    ]


def test_the_phase_publishes_latents_and_the_packed_file(tmp_path: Path) -> None:
    run = StubRun(tmp_path, **smoke_params("baking", answer_tokens=12))
    teacher = tiny_model(vocab_size=320, max_steps=1, weight_quant="ternary", act_bits=8, embed_bits=8)
    run.prepare("forge", teacher)
    run_baking(run)
    model, ids = load_model(run.out_dir), tokens(2, 8)
    with torch.no_grad():
        assert not torch.equal(model(ids).logits, teacher(ids).logits)
        assert torch.equal(load_packed(run.out_dir / PACKED, model)(ids).logits, model(ids).logits)
    ((facts, files),) = run.published
    assert not files
    assert (facts["tools"], facts["personas"]) == (sorted(TOOL_NAMES), sorted(PERSONAS))
    for name in ("tool_success_rate", "persona_consistency", "forgetting_percent"):
        assert facts[name] == run.headline[name]
    assert declared("baking") <= set(run.metrics) | {name for _, point in run.logged for name in point}
    ((scores, folder, _),) = run.rows_of_ledger
    assert scores.tools is not None
    assert scores.questions is not None
    assert scores.tools.final == run.headline["tool_final_rate"]
    assert scores.questions.headline().items() <= run.headline.items()
    after = scores.suite
    assert folder == run.out_dir
    assert after.prompted is None
    assert facts["accuracy_tools"] == run.headline["suite/accuracy_tools"] == after.tools.mean_accuracy
    assert len(run.claims) == 8
