"""Baking: adapters, the model's own trajectories, the prompt taken away, the claims."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from forge.data.build import Row, encode_rows
from forge.data.dialogues import PERSONA_PROMPTS
from forge.data.render import ID, encode
from forge.data.views import bare_view, without_prompt
from forge.errors import Interrupted
from forge.evals.persona import PersonaScore
from forge.evals.tool_use import ToolScore
from forge.model import TinyTitanForCausalLM
from forge.model.engine import Generation
from forge.phases.baking import trajectories as module
from forge.phases.baking.claims import baking_claims, forgetting_percent, persona_score, probes, tool_score
from forge.phases.baking.lora import add_lora, merge_lora
from forge.phases.baking.prompt_baking import bake
from forge.phases.baking.trajectories import sample_trajectories
from forge.tools import TOOL_NAMES, Toolbox, build_workspace
from forge.train import TrainSettings, gather_batch, language_loss, train
from tests.support.stub_run import StubRun, conversation, conversations, measured, random_set, watch_lengths
from tests.support.tiny_models import tiny_model, tiny_tokenizer, tokens

MODES = pytest.mark.parametrize("mode", ["none", "ternary"])


def logits(model: TinyTitanForCausalLM) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(tokens(3, 9)).logits


def adapted(mode: str) -> TinyTitanForCausalLM:
    """A model whose adapters have learned something."""
    model = tiny_model(weight_quant=mode)
    add_lora(model, 4, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for linear in model.core_linears().values():
            assert linear.delta is not None
            linear.delta.b.copy_(0.1 * torch.randn(linear.delta.b.shape, generator=generator))
    return model


# ---- adapters ------------------------------------------------------------------------------------------------


@MODES
def test_an_adapted_model_starts_as_the_base_model(mode: str) -> None:
    base, model = tiny_model(weight_quant=mode), tiny_model(weight_quant=mode)
    add_lora(model, 4, seed=1)
    assert torch.equal(logits(model), logits(base))
    again = tiny_model()
    add_lora(again, 4, seed=1)
    first, second = (next(iter(m.core_linears().values())).delta.a for m in (model, again))
    assert torch.equal(first, second)


@MODES
def test_merging_gives_the_adapted_model_at_full_strength_and_the_base_at_none(mode: str) -> None:
    base, model = tiny_model(weight_quant=mode), adapted(mode)
    wanted = logits(model)
    assert not torch.equal(wanted, logits(base))
    nothing, half = copy.deepcopy(model), copy.deepcopy(model)
    merge_lora(model)
    assert torch.equal(logits(model), wanted)
    assert all(linear.delta is None for linear in model.core_linears().values())
    assert set(model.state_dict()) == set(base.state_dict())
    merge_lora(nothing, 0.0)
    assert torch.equal(logits(nothing), logits(base))
    merge_lora(half, 0.5)
    for name, weight in base.state_dict().items():
        middle = (weight + model.state_dict()[name]) / 2
        torch.testing.assert_close(half.state_dict()[name], middle, atol=1e-6, rtol=0)
    assert all(parameter.requires_grad for parameter in half.parameters())


def test_only_the_adapters_train() -> None:
    model, base = tiny_model(weight_quant="ternary"), tiny_model()
    add_lora(model, 4, seed=1)
    data = random_set()
    batch = gather_batch(data, data.where("direct"))
    train(model, lambda step: batch, language_loss(), TrainSettings(2, adam_lr=0.05))
    trained = model.state_dict()
    assert all(torch.equal(trained[name], weight) for name, weight in base.state_dict().items())
    moved = [bool(trained[name].any()) for name in trained if name.endswith("delta.b")]
    assert len(moved) == len(base.core_linears())
    assert sum(moved) > len(moved) / 2


# ---- trajectories --------------------------------------------------------------------------------------------


class Answers:
    """Stands in for generation: what each prompt's row is answered with, by the number in its question."""

    def __init__(self, spoil: dict[int, Any]) -> None:
        self.spoil = spoil
        self.prompts: list[list[int]] = []

    def __call__(self, model: Any, prompts: list[list[int]], **options: Any) -> list[Generation]:
        self.prompts += prompts
        tokenizer = options["tokenizer"]
        return [self.answer(tokenizer.decode(prompt)) for prompt in prompts]

    def answer(self, prompt: str) -> Generation:
        number = int(prompt.split("What is ")[1].split(" +")[0])
        right = str(number + 30)
        if PERSONA_PROMPTS["teacher"] in prompt:
            made = Generation(text=f"own words {number}", finished=True)
        else:
            made = Generation(calls=[(f"calculator 30+{number}", right)], text=right, finished=True)
        for key, value in self.spoil.get(number, {}).items():
            setattr(made, key, value)
        return made


def sample(
    monkeypatch: pytest.MonkeyPatch, rows: list[Row], spoil: dict[int, Any]
) -> tuple[module.Trajectories, Answers]:
    answers = Answers(spoil)
    monkeypatch.setattr(module, "generate", answers)
    with Toolbox() as toolbox:
        made = sample_trajectories(tiny_model(), tiny_tokenizer(), rows, toolbox, count=100, temperature=0.5, seed=1)
    return made, answers


def texts(data: Any) -> list[str]:
    return [tiny_tokenizer().decode(data.row(i)[0]) for i in range(len(data))]


def tool_rows(n: int) -> list[Row]:
    return [conversation("tooled", 40 + i) for i in range(n)]


def test_a_trajectory_is_kept_only_if_its_one_call_gave_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil = {
        40: {"finished": False},
        41: {"text": "72"},
        42: {"calls": []},
        43: {"calls": [("calculator 43+30", "73"), ("calculator 43+30", "73")]},
        44: {"calls": [("calculator 44*30", "1320")]},
    }
    rows = [*tool_rows(12), *(conversation("direct", 90 + i) for i in range(8))]
    made, answers = sample(monkeypatch, rows, spoil)
    assert len(answers.prompts) == 12
    assert made.kept == 7 / 12
    kept = [text for text in texts(made.bare) if "calculator" in text]
    assert {int(text.split("What is ")[1].split(" ")[0]) for text in kept} == set(range(45, 52))
    # The model's own call, not the reference's.
    assert all("<|call|>calculator 30+" in text for text in kept)
    assert made.without_call.sum() == len(made.bare) - 7 == 3
    assert not made.without_call[:7].any()
    assert made.callers == ["calculator"] * 7 + [None] * 3


def test_a_persona_is_kept_if_it_ended_without_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil = {21: {"finished": False}, 22: {"calls": [("calculator 1", "1")]}, 23: {"text": ""}}
    rows = [*tool_rows(6), *(conversation("persona", 20 + i) for i in range(6)), conversation("direct", 99)]
    made, _ = sample(monkeypatch, rows, spoil)
    own = [text for text in texts(made.bare) if "own words" in text]
    assert len(own) == 3
    assert all(text.startswith("<|teacher|><|user|>") for text in own)
    assert not any(PERSONA_PROMPTS["teacher"] in text for text in texts(made.bare))
    assert made.kept == 1.0


def test_references_fill_in_where_too_few_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    spoil = {40 + i: {"finished": False} for i in range(7)}
    made, _ = sample(monkeypatch, [*tool_rows(12), conversation("direct", 99)], spoil)
    assert made.kept == 5 / 12
    calls = [text for text in texts(made.bare) if "<|call|>" in text]
    assert len(calls) == 12
    assert sum("calculator 30+" in text for text in calls) == 5


def test_a_model_that_knows_nothing_learns_from_references(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_NEW_TOKENS", 8)
    with Toolbox() as toolbox:
        model = tiny_model(vocab_size=320, max_steps=1)
        rows = conversations(4)
        first, second = (
            sample_trajectories(model, tiny_tokenizer(), rows, toolbox, count=8, temperature=0.7, seed=1) for _ in "ab"
        )
    assert first.kept == 0.0
    assert sum("<|call|>" in text for text in texts(first.prompted)) == 6
    assert (first.prompted.ids == second.prompted.ids).all()


def test_sampling_stops_between_batches_and_goes_on_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 5)
    rows = [*tool_rows(12), conversation("direct", 99)]

    def sampled(run: StubRun) -> tuple[module.Trajectories, int]:
        with Toolbox() as toolbox:
            made = sample_trajectories(
                tiny_model(), tiny_tokenizer(), rows, toolbox, count=100, temperature=0.5, seed=1, run=run
            )
        return made, len(answers.prompts)

    answers = Answers({})
    monkeypatch.setattr(module, "generate", answers)
    whole, asked = sampled(StubRun(tmp_path / "whole"))
    assert asked == 12
    answers.prompts.clear()
    run = StubRun(tmp_path / "stopped")
    run.stop_at = 10
    with pytest.raises(Interrupted, match="step 10 of 12"):
        sampled(run)
    assert len(answers.prompts) == 10
    resumed, asked = sampled(run)
    assert asked == 12, "only the last two are asked"
    assert texts(resumed.bare) == texts(whole.bare)
    assert resumed.kept == whole.kept


def test_prompted_and_bare_sets_supervise_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = sample(monkeypatch, conversations(), {})
    assert len(made.prompted) == len(made.bare)
    for i in range(len(made.bare)):
        with_prompt, bare = (data.row(i) for data in (made.prompted, made.bare))
        supervised = [ids[mask.astype(bool)].tolist() for ids, mask in (with_prompt, bare)]
        assert supervised[0] == supervised[1]
        assert ID["system"] not in bare[0]
        assert (ID["system"] in with_prompt[0]) == (not made.without_call[i])
    assert (made.prompted.kind == made.bare.kind).all()
    batches = [gather_batch(data, made.bare.where("persona", "tool")) for data in (made.prompted, made.bare)]
    assert torch.equal(batches[0].valid, batches[1].valid)
    targets = [batch.targets[batch.valid] for batch in batches]
    assert torch.equal(*targets)


def test_without_prompt_and_the_bare_view() -> None:
    rows = conversations(2)
    assert [m["role"] for m in without_prompt(conversation("tool", 1))] == ["user", "call", "result", "assistant"]
    assert without_prompt(conversation("persona", 1))[0] == {"role": "persona", "content": "teacher"}
    assert without_prompt(conversation("direct", 1)) == conversation("direct", 1)["messages"]
    row = conversation("tool", 5)
    without_prompt(row)[0]["content"] = "changed"
    assert row == conversation("tool", 5)
    bare, whole = bare_view(tiny_tokenizer(), rows), encode_rows(tiny_tokenizer(), rows)
    assert ID["system"] not in bare.ids
    assert ID["system"] in whole.ids
    assert (bare.row(10)[0] == whole.row(10)[0]).all()  # plain text has no prompt to lose
    assert (bare.kind == whole.kind).all()


# ---- baking --------------------------------------------------------------------------------------------------


def test_baking_changes_the_core_alone_and_leaves_the_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = sample(monkeypatch, conversations(), {})
    teacher = tiny_model(vocab_size=320, weight_quant="ternary", act_bits=8)
    before = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    run = StubRun(tmp_path, lora_rank=2, steps=4, lr=0.02, checkpoint_every=2, half_bake=0.5, batch_tokens=256)
    model, half, result = bake(run, teacher, tiny_tokenizer(), made)
    assert result.tokens > 0
    assert not model.training
    assert all(torch.equal(teacher.state_dict()[name], weight) for name, weight in before.items())
    assert set(model.state_dict()) == set(half.state_dict()) == set(before)
    wanted = before.copy()
    wanted["embed.weight"] = before["embed.weight"].clone()
    for name, prompt in PERSONA_PROMPTS.items():
        wanted["embed.weight"][ID[name]] = before["embed.weight"][encode(tiny_tokenizer(), prompt)].mean(0)
    core = {f"{name}.weight" for name in teacher.core_linears()}
    for name, weight in wanted.items():
        full, part = model.state_dict()[name], half.state_dict()[name]
        assert torch.equal(full, weight) == (name not in core)
        torch.testing.assert_close(part - weight, (full - weight) / 2, atol=1e-6, rtol=0)


# ---- claims --------------------------------------------------------------------------------------------------


def write_rows(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_probes_take_each_tool_and_each_persona(tmp_path: Path) -> None:
    tools = [{**conversation("tool", i), "task": name} for name in TOOL_NAMES for i in range(3)]
    personas = [{**conversation("persona", i), "task": name} for name in PERSONA_PROMPTS for i in range(3)]
    write_rows(tmp_path / "test.jsonl", [*tools, conversation("direct", 1), *personas])
    write_rows(tmp_path / "train.jsonl", [conversation("persona", 4), conversation("tool", 4)])
    run = StubRun(tmp_path)
    run.evaluation.tool_n = 2
    asked = probes(run)
    assert [row["task"] for row in asked.tools] == [name for name in TOOL_NAMES for _ in range(2)]
    assert [row["task"] for row in asked.personas] == list(PERSONA_PROMPTS)
    assert [row["kind"] for row in asked.persona_train] == ["persona"]


def test_probes_are_asked_of_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_workspace(tmp_path / "workspace")
    lengths = watch_lengths(monkeypatch)
    run, model = StubRun(tmp_path), tiny_model(vocab_size=320, max_steps=1)
    personas = [{**conversation("persona", 5), "task": name} for name in PERSONA_PROMPTS]
    for name, row in zip(PERSONA_PROMPTS, personas, strict=True):
        row["messages"][-1] = {"role": "assistant", "content": f"{name} speaks"}
    write_rows(tmp_path / "test.jsonl", [*(conversation("tool", i) for i in range(2)), *personas])
    write_rows(tmp_path / "train.jsonl", personas)
    asked = probes(run)
    score = tool_score(run, model, tiny_tokenizer(), asked)
    assert len(score.correct) == 1
    found = persona_score(run, model, tiny_tokenizer(), asked, handles=True)
    assert len(found.correct) == len(PERSONA_PROMPTS)
    assert found.ceiling == 1.0
    assert lengths == [run.evaluation.answer_tokens] * 2


def test_baking_claims_follow_the_figures(tmp_path: Path) -> None:
    many, none = [1.0] * 20, [0.0] * 20
    tools = {
        name: ToolScore({}, sum(c) / 20, 0.0, 0.0, c)
        for name, c in {"baked": many, "unbaked": none, "prompted": many, "half": none}.items()
    }
    personas = {name: PersonaScore({}, 0.0, 0.0, 0.0, 1.0, c) for name, c in {"baked": many, "none": none}.items()}
    run = StubRun(tmp_path)
    good = baking_claims(run, tools, personas, measured(many, none), measured(many, many))
    assert [claim.passed for claim in good] == [True] * 6
    assert len({claim.claim for claim in good}) == 6
    worse = baking_claims(run, tools | {"baked": tools["half"]}, personas, measured(many, many), measured(none, many))
    assert [claim.passed for claim in worse] == [False, False, False, True, False, False]
    assert worse[4].note == "forgotten: 100.0 points"
    assert forgetting_percent(measured([1.0, 1.0], many), measured([1.0, 0.0], many)) == 50.0
    assert forgetting_percent(measured([1.0, 0.0], many), measured([1.0, 1.0], many)) == 0.0
    assert forgetting_percent(measured(none, many), measured(none, many)) == 0.0
