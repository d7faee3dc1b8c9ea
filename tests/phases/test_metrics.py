"""Every phase records what the catalog declares for it, and the metrics are what they say."""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from forge.data.build import Row, encode_rows
from forge.data.dialogues import PERSONA_PROMPTS
from forge.errors import Interrupted
from forge.evals.likelihood import likelihood
from forge.evals.persona import PersonaScore
from forge.evals.tool_use import ToolScore
from forge.files import atomic_write_json
from forge.model import save_model
from forge.model.packed import PACKED, pack_model
from forge.phases.baking.curve import ToolCurve, tool_iterations
from forge.phases.baking.lora import add_lora, merge_lora
from forge.phases.baking.metrics import baking_metrics, half_strength, persona_divergence
from forge.phases.baking.trajectories import Trajectories
from forge.phases.bitnet.finetune import ternary_model
from forge.phases.bitnet.metrics import forge_metrics, modular_comparison, packed_performance, ternary_success
from forge.phases.cognate.metrics import branch_metrics, diversity, memory_usage, phase_metrics
from forge.phases.evomerge.evolve import evolve
from forge.phases.evomerge.fitness import Fitness, Measured
from forge.phases.evomerge.method import EvolveSettings, Merged, evolution_metrics
from forge.phases.evomerge.metrics import change_bytes, delta_compression, generation_metrics
from forge.phases.forge.grokking import detect_grokking
from forge.phases.forge.modular import CONTROLS
from forge.phases.forge.training import train_long
from forge.tools import TOOL_NAMES, build_workspace
from forge.train import MIX
from tests.phases.baking.test_baking import write_rows
from tests.phases.cognate.test_cognate import params as cognate_params
from tests.support.declared import declared
from tests.support.stub_run import StubRun, conversation, random_set, watch_lengths
from tests.support.tiny_models import tiny_model, tiny_tokenizer

DATA, VAL = random_set(36), random_set(24, seed=1)


def series(run: StubRun) -> set[str]:
    return {name for _, point in run.logged for name in point}


def finite(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) or math.isfinite(value) for value in values)


# ---- 1 cognate -----------------------------------------------------------------------------------------------


def test_a_branch_records_its_metrics(tmp_path: Path) -> None:
    from forge.phases.cognate.training import train_branch

    run, model = StubRun(tmp_path, **cognate_params()), tiny_model()
    train_branch(run, model, DATA)
    metrics = branch_metrics(run, model, DATA, VAL)
    wanted = {name.removeprefix("model_2/") for name in declared("cognate", "model_2")}
    assert wanted - series(run) - set(metrics) == {"size_mb"}  # known once the model is published
    assert finite(metrics.values())
    read = likelihood(model, DATA, DATA.where("direct"))
    assert metrics["epoch/loss"] == pytest.approx(read.nll.sum() / read.tokens.sum())
    steps = likelihood(model, VAL)
    assert metrics["act/avg_halting_steps"] == pytest.approx((steps.steps * steps.tokens).sum() / steps.tokens.sum())
    assert 1 <= metrics["act/avg_halting_steps"] <= 3


def test_memory_in_use_is_a_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    used = memory_usage(model, VAL)
    assert 1 / 6 < used < 1
    one_row = memory_usage(model, VAL.sample(1, 0))
    assert 1 / 6 <= one_row <= 1
    real = model.read

    def with_matrix(matrix: torch.Tensor) -> float:
        def read(*given: Any, **more: Any) -> Any:
            trace = real(*given, **more)
            trace.memory.matrix = matrix
            return trace

        monkeypatch.setattr(model, "read", read)
        return memory_usage(model, VAL)

    assert with_matrix(torch.eye(6).repeat(2, 1, 1, 1)) == pytest.approx(1.0)
    assert with_matrix(torch.ones(2, 1, 6, 6)) == pytest.approx(1 / 6, rel=1e-4)
    assert with_matrix(torch.zeros(2, 1, 6, 6)) == 0.0
    assert memory_usage(tiny_model(memory=False), VAL) == 0.0


def test_padding_does_not_fill_the_memory() -> None:
    model, short = tiny_model(), VAL.subset(VAL.lengths.argsort()[:1])
    mixed = VAL.subset(VAL.lengths.argsort()[[0, -1]])
    pair = [memory_usage(model, VAL.subset(VAL.lengths.argsort()[[i]])) for i in (0, -1)]
    assert memory_usage(model, mixed) == pytest.approx(sum(pair) / 2, rel=1e-4)
    assert memory_usage(model, short) == pytest.approx(pair[0])


def test_diversity_by_hand() -> None:
    trunk, right, up = ({"w": torch.tensor(v)} for v in ([1.0, 1.0], [3.0, 1.0], [1.0, 2.0]))
    left = {"w": torch.tensor([0.0, 1.0])}
    assert diversity(trunk, [right, right]) == pytest.approx(0.0)
    assert diversity(trunk, [right, up]) == pytest.approx(1.0)
    assert diversity(trunk, [right, left]) == pytest.approx(2.0)
    assert diversity(trunk, [right, up, left]) == pytest.approx(4 / 3)


def test_phase_1_as_a_whole(tmp_path: Path) -> None:
    save_model(tiny_model(), tmp_path / "trunk")
    branches = {name: tmp_path / name for name in ("a", "b", "c")}
    for seed, path in enumerate(branches.values()):
        save_model(tiny_model(seed=seed + 1), path)
        facts = {"parameters": 100 + seed, "metrics": {"final_loss": 1.0 + seed}}
        atomic_write_json(path / "metadata.json", facts)
    run: Any = SimpleNamespace(recorded_seconds=lambda *phases: 7.0 if phases == ("trunk", "cognate") else 0.0)
    cognate = SimpleNamespace(branches=dict.fromkeys(branches), parameters_target=120)
    run.all_params = SimpleNamespace(phase={"cognate": cognate}.__getitem__)
    found = phase_metrics(run, tmp_path / "trunk", branches)
    assert set(found) - {"phase/duration_seconds"} == declared("cognate", "config", "phase")
    assert found["phase/duration_seconds"] == 7.0
    assert (found["phase/total_parameters"], found["phase/num_models_created"]) == (303, 3)
    losses = [found[f"phase/{name}_final_loss"] for name in ("min", "avg", "max")]
    assert losses == [1.0, 2.0, 3.0]
    assert not found["phase/success"]  # 3.0 is not below 3.0
    assert (found["config/hidden_size"], found["config/num_layers"]) == (24, 4)
    assert found["phase/total_size_mb"] * 2**20 == sum(
        (path / "model.safetensors").stat().st_size for path in branches.values()
    )
    # All three moved away from the trunk, each to its own place: two such ways share half of their square.
    assert found["phase/diversity_score"] == pytest.approx(0.5, abs=0.1)


# ---- 2 evomerge ----------------------------------------------------------------------------------------------


def test_an_evolution_records_every_generation(tmp_path: Path) -> None:
    trunk = dict(tiny_model().state_dict())
    parents = [{n: w + 0.05 * tiny_model(seed=s).state_dict()[n] for n, w in trunk.items()} for s in (1, 2, 3)]

    def evaluate(model: Any) -> Fitness:
        return Fitness(1.0 + float(model["embed.weight"].mean()), Measured(1.0, 1.0, 1.0, 1.0))

    result = evolve(trunk, parents, evaluate, EvolveSettings(generations=2, population=4, elites=1), seed=1)
    merged = Merged(parents[0], parents[0], 0, 1.0, result, {"a~b": 0.0}, 1)
    values, headline = evolution_metrics(merged)
    compression = {"phase/compression_ratio": delta_compression(trunk, parents, merged.champion)}
    found = {**values, **headline, **generation_metrics(result), **compression}
    late = {f"generation_{g}" for g in range(3, 51)}
    wanted = {name for name in declared("evomerge") if name.split("/")[0] not in late}
    assert wanted <= set(found)
    assert not any(name.split("/")[0] in late for name in found)
    assert finite(found[name] for name in wanted)
    assert found["generation_2/best_fitness"] == found["phase/final_fitness"] >= found["generation_0/best_fitness"]
    assert found["phase/fitness_improvement"] == pytest.approx(
        found["phase/final_fitness"] - found["phase/initial_fitness"]
    )
    assert found["phase/fitness_improvement_percent"] == pytest.approx(
        100 * found["phase/fitness_improvement"] / found["phase/initial_fitness"]
    )
    assert len({found[f"generation_{g}/diversity_score"] for g in range(3)}) > 1


def test_compression_sees_what_was_dropped_and_what_cancels() -> None:
    base = {"w": torch.zeros(64, 64), "v": torch.zeros(10)}
    noise = [torch.randn(64, 64, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    parents = [{"w": w, "v": torch.ones(10)} for w in noise]
    sparse = {"w": noise[0] * (noise[0].abs() > 1.5), "v": torch.ones(10)}
    average = {"w": sum(noise) / 3, "v": torch.ones(10)}
    assert delta_compression(base, parents, parents[0]) == pytest.approx(3.0, rel=0.02)
    assert delta_compression(base, parents, average) > 3.2
    assert delta_compression(base, parents, sparse) > 6
    assert delta_compression(base, parents, base) > 100
    by_hand = bytes([2, 254]) + bytes(8)
    assert change_bytes({"w": torch.zeros(10)}, {"w": torch.tensor([0.9, -1.1] + [0.0] * 8)}, 0.5) == len(
        zlib.compress(by_hand, 1)
    )


# ---- 4 bitnet ------------------------------------------------------------------------------------------------


def test_the_packed_model_is_weighed_and_timed(tmp_path: Path) -> None:
    teacher = tiny_model()
    student = ternary_model(teacher, 8, 8)
    counts = pack_model(student, tmp_path / PACKED)
    found = packed_performance(teacher, student, tmp_path / PACKED)
    assert set(found) == declared("bitnet", "performance") - {"performance/calibration_time_seconds"}
    assert counts["seconds"] > 0
    assert found["performance/inference_speedup"] > 0
    full = sum(w.numel() * 4 for w in teacher.state_dict().values())
    packed = sum(w.numel() * w.element_size() for w in load_file(tmp_path / PACKED).values())
    assert found["performance/memory_reduction"] == full / packed
    assert packed < counts["packed_bytes"]


def test_phase_4_succeeds_only_if_every_target_is_met() -> None:
    good = {
        "compression/compression_ratio": 9.0,
        "quality/accuracy_retention": 0.95,
        "quality/perplexity_degradation_percent": 5.0,
        "quality/perplexity_recovery_percent": 70.0,
    }
    assert ternary_success(good)
    for name, bad in zip(good, (8.0, 0.9, 10.0, 60.0), strict=True):
        assert not ternary_success(good | {name: bad})


# ---- 5 forge -------------------------------------------------------------------------------------------------

LONG: dict[str, Any] = {
    "steps": 6,
    "lr": 0.01,
    "checkpoint_every": 3,
    "batch_tokens": 120,
    "eval_every": 2,
    "grokfast_alpha": 0.9,
    "grokfast_lambda": 0.1,
    "modular_steps": 20,
    "modular_seeds": 2,
}


def test_the_long_run_records_its_metrics(tmp_path: Path) -> None:
    run, model = StubRun(tmp_path, **LONG), ternary_model(tiny_model(max_steps=1), 8, 8)
    result, points = train_long(run, model, DATA, VAL, MIX)
    final, verdict = likelihood(model, VAL), detect_grokking(points)
    metrics = forge_metrics(result, points, verdict, final, DATA)
    modular, claims = modular_comparison(run)
    measured_by_the_stage = {"phase/final_accuracy", "phase/success"}
    assert declared("forge") - series(run) - set(metrics) - set(modular) == measured_by_the_stage
    assert finite([*metrics.values(), *modular.values()])
    last = {name: value for _, point in run.logged for name, value in point.items()}
    assert finite(last.values())
    assert last["train/step"] == metrics["phase/total_steps"] == 6
    assert last["train/perplexity"] == pytest.approx(math.exp(last["train/loss"]))
    assert last["grokfast/raw_grad_norm"] == last["train/raw_grad_norm"]
    assert metrics["val/loss"] == pytest.approx(math.log(final.perplexity))
    assert metrics["val/best_accuracy"] == max(point.val_accuracy for point in points)
    read = result.tokens * (1 - result.padding)
    assert metrics["train/epoch"] == pytest.approx(read / DATA.lengths.sum())
    assert [claim.control for claim in claims] == [arm.name for arm in CONTROLS]
    assert len({claim.claim for claim in claims}) == 3
    assert all("cut off at 20 steps: 2 runs with Grokfast, 2 of the control" in claim.note for claim in claims)
    assert not any(claim.passed for claim in claims)
    assert modular["phase/grokfast_speedup"] == 1.0
    assert modular["modular/censored_runs"] == 8


def test_without_the_filter_its_norms_are_not_made_up(tmp_path: Path) -> None:
    run, model = StubRun(tmp_path, **{**LONG, "grokfast_lambda": 0.0}), tiny_model(max_steps=1)
    train_long(run, model, DATA, VAL, MIX)
    assert not series(run) & declared("forge", "grokfast")


def test_the_race_of_grokfast_can_be_interrupted(tmp_path: Path) -> None:
    run = StubRun(tmp_path, **LONG)
    run.stop_requested = True
    with pytest.raises(Interrupted):
        modular_comparison(run)


# ---- 6 baking ------------------------------------------------------------------------------------------------


def tool_scores(**success: float) -> dict[str, ToolScore]:
    return {
        name: ToolScore({tool: {"success": share} for tool in TOOL_NAMES}, share, 0.0, 0.0, [])
        for name, share in success.items()
    }


def persona_scores(consistency: float) -> dict[str, PersonaScore]:
    row = {"consistency": consistency, "preferred": 0.75}
    score = PersonaScore(dict.fromkeys(PERSONA_PROMPTS, row), consistency, 0.0, 0.75, 1.0, [])
    return {"baked": score, "none": score}


def persona_rows() -> list[Row]:
    rows: list[Row] = []
    for number, (name, prompt) in enumerate(PERSONA_PROMPTS.items()):
        row = {**conversation("persona", number), "task": name}
        rows.append({**row, "messages": [{"role": "system", "content": prompt}, *row["messages"][1:]]})
    return rows


def trajectories() -> Trajectories:
    rows = [*(conversation("tool", i) for i in range(8)), *(conversation("direct", i) for i in range(4))]
    data = encode_rows(tiny_tokenizer(), rows)
    return Trajectories(data, data, 1.0, ["calculator"] * 6 + ["search"] * 2 + [None] * 4)


def test_baking_records_its_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_workspace(tmp_path / "workspace")
    lengths = watch_lengths(monkeypatch)
    model = tiny_model(vocab_size=320, max_steps=1)
    rows = [{**conversation("tool", i), "task": name} for i, name in enumerate(TOOL_NAMES)]
    for row, call in zip(rows, _calls(), strict=True):
        row["messages"] = [row["messages"][1], {"role": "call", "content": call}, *row["messages"][3:]]
    write_rows(tmp_path / "val.jsonl", rows)
    run = StubRun(tmp_path, steps=4, eval_every=3, batch_tokens=200)
    curve = ToolCurve(run, tiny_tokenizer())
    on_step = curve.watch(model)
    for step in (1, 2, 3, 4):
        model.train()
        on_step(step, {})
        assert model.training
    assert [step for step, _ in run.logged] == [3, 4]
    assert lengths == [run.evaluation.answer_tokens] * 2
    half = copy.deepcopy(model)
    metrics = {
        **curve.metrics(),
        **tool_iterations(run, trajectories()),
        **baking_metrics(tool_scores(baked=0.8, prompted=0.8, unbaked=0.1, half=0.4), persona_scores(0.9), 2.0),
        **persona_divergence(model, half, tiny_tokenizer(), persona_rows()),
        **half_strength(model, half, half),
    }
    assert declared("baking") <= set(metrics)
    assert finite(metrics.values())
    assert metrics["tool_search/convergence_step"] == 3  # never anything: there from the start
    resumed = ToolCurve(run, tiny_tokenizer())
    assert resumed.metrics() == curve.metrics()


def _calls() -> list[str]:
    known = {"calculator": "calculator 1+1", "code_executor": "code_executor print(2)", "search": "search moon"}
    return [known.get(name, f"{name} x") for name in TOOL_NAMES]


def test_a_tool_has_arrived_when_it_stays() -> None:
    curve = object.__new__(ToolCurve)
    rates = {"search": [0.1, 0.9, 0.5, 0.88, 0.9], "calculator": [0.9, 0.95, 1.0, 0.97, 0.96]}
    points = [{"step": 10 * (i + 1), "success": {name: series[i] for name, series in rates.items()}} for i in range(5)]
    curve.file = SimpleNamespace(points=points)  # type: ignore[assignment]
    found = curve.metrics()
    assert found["tool_search/convergence_step"] == 40
    assert found["tool_calculator/convergence_step"] == 20
    assert found["tool_search/success_rate"] == 0.9
    assert found["phase/avg_tool_success_rate"] == pytest.approx(0.93)


def test_iterations_count_batches_with_the_tool(tmp_path: Path) -> None:
    run = StubRun(tmp_path, steps=40, batch_tokens=40)
    found = tool_iterations(run, trajectories())
    assert found["tool_file_reader/baking_iterations"] == 0
    assert 0 < found["tool_search/baking_iterations"] < found["tool_calculator/baking_iterations"] < 40


def test_baking_figures_by_hand() -> None:
    scores = tool_scores(baked=0.8, prompted=0.8, unbaked=0.1, half=0.4)
    good = baking_metrics(scores, persona_scores(0.9), 2.0)
    assert (good["phase/tools_baked"], good["phase/personas_baked"], good["phase/success"]) == (5, 4, False)
    assert good["phase/prompted_success_rate"] == 0.8
    assert good["persona_teacher/trait_adherence"] == 0.75
    assert baking_metrics(tool_scores(baked=0.95, prompted=0.8, unbaked=0, half=0), persona_scores(0.9), 2.0)[
        "phase/success"
    ]
    assert not baking_metrics(tool_scores(baked=0.95, prompted=0.8, unbaked=0, half=0), persona_scores(0.9), 5.0)[
        "phase/success"
    ]
    nothing = baking_metrics(tool_scores(baked=0.0, prompted=0.0, unbaked=0, half=0), persona_scores(0.5), 0.0)
    assert (nothing["phase/tools_baked"], nothing["phase/personas_baked"]) == (0, 0)


def test_divergence_is_nothing_from_oneself_without_a_prompt() -> None:
    model = tiny_model(vocab_size=320)
    bare = [{**row, "messages": row["messages"][1:]} for row in persona_rows()]
    for row in bare:
        row["messages"] = [{"role": "persona", "content": row["task"]}, *row["messages"]]
    same = persona_divergence(model, model, tiny_tokenizer(), [{**r, "kind": "direct"} for r in bare])
    assert set(same) == {f"persona_{name}/baking_kl" for name in PERSONA_PROMPTS}
    assert all(value == pytest.approx(0.0, abs=1e-6) for value in same.values())
    prompted = persona_divergence(model, model, tiny_tokenizer(), persona_rows())
    assert all(value > 0.01 for value in prompted.values())


def test_half_strength_is_measured_on_the_weights() -> None:
    base, full = tiny_model(), tiny_model()
    add_lora(full, 2, seed=1)
    with torch.no_grad():
        for linear in full.core_linears().values():
            assert linear.delta is not None
            linear.delta.b.fill_(0.1)
    part = copy.deepcopy(full)
    merge_lora(full)
    merge_lora(part, 0.3)
    assert half_strength(base, part, full)["phase/half_bake_strength"] == pytest.approx(0.3, rel=1e-4)
