"""The ablations: generated problems against an oracle, FLOPs against arithmetic, memory or none, the table."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ablations import run as run_stage
from ablations import table as table_stage
from forge.ablation.problems import Chains, Recall
from forge.ablation.table import COLUMNS, ablation_markdown, ablation_seed_interval, summarize_ablation
from forge.ablation.variants import (
    VARIANTS,
    ablation_batch_source,
    ablation_chain_scores,
    ablation_flops_per_step,
    ablation_halting_scores,
    ablation_recall_scores,
    run_variant,
    train_variant_to_budget,
    variant_model,
)
from forge.config import read_params_yaml
from forge.errors import ForgeError
from forge.files import read_json
from forge.model.rollouts import best_titan_recurrence_rollout
from forge.pipeline.dvc.code import write_code_hash_of_module
from tests.support.stub_run import random_set
from tests.support.tiny_models import tiny_model, tokens

pytestmark = pytest.mark.long

torch.set_num_threads(1)
ABLATIONS = Path(run_stage.__file__).resolve().parent
PARAMS = read_params_yaml(ABLATIONS / "params.yaml")
RECALL, CHAINS = Recall(**PARAMS["recall"]["task"]), Chains(**PARAMS["chains"]["task"])


def test_recall_answers_are_the_values_of_the_keys() -> None:
    batch, _ = RECALL.batch(np.random.default_rng(1), 40)
    for ids, select, targets in zip(batch.ids.tolist(), batch.select.tolist(), batch.targets.tolist(), strict=True):
        end = 1 + 2 * RECALL.pairs
        pairs = dict(zip(ids[1:end:2], ids[2:end:2], strict=True))
        assert len(pairs) == RECALL.pairs
        assert [pairs[ids[place]] for place in select] == targets
        assert len({ids[place] for place in select}) == RECALL.questions
        assert not set(targets) & set(ids[end:])  # no answer can be read off
        assert select[0] - (end - 1) == RECALL.distance
        assert max(ids) < RECALL.vocabulary


def test_recall_lies_beyond_what_windows_can_hand_on() -> None:
    shape = PARAMS["recall"]["shape"]
    blocks = len(shape["low_heads"]) + len(shape["high_heads"])
    assert RECALL.distance > shape["window"] * blocks * shape["max_steps"]


@torch.no_grad()
@pytest.mark.parametrize("steps", [1, 2])
def test_without_memory_nothing_comes_through(steps: int) -> None:
    """Attention alone: a changed pair leaves the logits of every question bit-equal; with memory it does not."""
    ids = RECALL.batch(np.random.default_rng(1), 3)[0].ids
    other = ids.clone()
    other[:, 1 : 1 + 2 * RECALL.pairs] = RECALL.batch(np.random.default_rng(2), 3)[0].ids[:, 1 : 1 + 2 * RECALL.pairs]
    shape = {**PARAMS["recall"]["shape"], "vocab_size": RECALL.vocabulary, "halting": False}
    asked = slice(1 + 2 * RECALL.pairs + RECALL.filler, None)
    for memory in (False, True):
        model = tiny_model(**shape, memory=memory)
        same = torch.equal(model(ids, steps=steps).logits[:, asked], model(other, steps=steps).logits[:, asked])
        assert same is not memory


SMALL = {"hidden_size": 48, "head_dim": 24, "low_ffn": [64], "high_ffn": [64], "memory_head_dim": 16}


def test_memory_learns_to_recall_and_no_memory_stays_at_chance() -> None:
    task, found = Recall(keys=8, values=8, pairs=4, filler=34, questions=4), {}
    for variant, gflops in (("memory", 50), ("plain", 10)):
        model = variant_model(variant, {**PARAMS["recall"]["shape"], **SMALL}, task.vocabulary, 0)
        train_variant_to_budget(model, ablation_batch_source(task, 32, 0), gflops * 1e9, PARAMS["training"], variant)
        found[variant] = ablation_recall_scores(model, task, 200, 0)["accuracy"]
    assert found["memory"] >= 0.9
    assert abs(found["plain"] - 1 / task.values) < 0.05


def test_halting_learns_that_longer_chains_need_more_steps() -> None:
    task = Chains(symbols=5, permutations=4, longest=4)
    shape = {**PARAMS["chains"]["shape"], **SMALL, "max_steps": 4}
    model = variant_model("act", shape, task.vocabulary, 0)
    train_variant_to_budget(model, ablation_batch_source(task, 128, 0), 50e9, PARAMS["training"], "act")
    scores = ablation_chain_scores(model, task, 1000, 0)
    assert scores["rank_correlation"] >= 0.3
    assert scores["compute"] < 0.8
    assert scores["accuracy_at_steps"][-1] > scores["chance"] + 0.15


@torch.no_grad()
def test_rollouts_keep_the_state_that_the_head_likes_best() -> None:
    model = tiny_model(dtype=torch.float64)
    ids, select = tokens(3, 9), torch.tensor([[8], [5], [7]])
    trace = model.at(model.prefill(ids, model.embedding_weight()), select)
    plain, steps = model.run_until_halt(trace)
    one, taken = best_titan_recurrence_rollout(model, trace, 1, 0.5, seed=0)
    assert torch.equal(one, plain)
    assert torch.equal(taken, steps)
    many, taken = best_titan_recurrence_rollout(model, trace, 6, 0.5, seed=0)
    assert bool((model.halt_logits(many) >= model.halt_logits(plain)).all())
    assert bool((model.halt_logits(many) > model.halt_logits(plain)).any())
    assert bool((taken >= steps + 5).all())
    assert torch.equal(many, best_titan_recurrence_rollout(model, trace, 6, 0.5, seed=0)[0])
    with pytest.raises(ForgeError, match="halting head"):
        best_titan_recurrence_rollout(tiny_model(halting=False), trace, 2, 0.5, seed=0)


def test_chains_are_permutations_one_after_another() -> None:
    table, s = CHAINS.table, CHAINS.symbols
    assert all(sorted(row) == list(range(s)) for row in table.tolist())
    assert any((table[a][table[b]] != table[b][table[a]]).any() for a in range(3) for b in range(3))
    batch, links = CHAINS.batch(np.random.default_rng(1), 60)
    for ids, target, count in zip(batch.ids.tolist(), batch.targets[:, 0].tolist(), links[:, 0], strict=True):
        start, *chain, equals = [token for token in ids if token]
        value = start - 1
        for token in chain:
            value = table[token - 1 - s, value]
        assert (value + 1, len(chain), equals) == (target, count, CHAINS.vocabulary - 1)
    assert set(np.unique(links)) == set(range(1, CHAINS.longest + 1))
    assert CHAINS.batch(np.random.default_rng(1), 40, longest=2)[1].max() == 2


def test_held_out_chains_are_never_trained_on() -> None:
    def seen(held_out: bool) -> set[tuple[int, ...]]:
        batch, links = CHAINS.batch(np.random.default_rng(3), 3000, longest=3, held_out=held_out)
        return {tuple(ids) for ids, n in zip(batch.ids.tolist(), links[:, 0], strict=True) if n > 1}

    trained, held_out = seen(False), seen(True)
    assert not trained & held_out
    assert len(held_out) > 300
    count = CHAINS.batch(np.random.default_rng(3), 3000, held_out=True)[1]
    assert np.bincount(count[:, 0])[1:].min() > 400  # lengths alike on both sides


def test_streams_are_fresh_and_repeatable_and_grow_longer() -> None:
    source, again = ablation_batch_source(CHAINS, 8, 3), ablation_batch_source(CHAINS, 8, 3)
    assert torch.equal(source(4, 10).ids, again(4, 10).ids)
    assert not torch.equal(source(4, 10).ids, source(5, 10).ids)
    links = [int((source(step, 100).ids[:, 2:-2] > CHAINS.symbols).sum(1).max()) for step in (0, 99)]
    assert links[0] <= 1
    assert links[1] > 3


def test_flops_are_those_of_the_matrix_products() -> None:
    shape = {"hidden_size": 16, "head_dim": 8, "low_heads": [2], "high_heads": [2], "low_ffn": [24], "high_ffn": [24],
             "max_steps": 1, "window": 64}  # fmt: skip
    task = Chains(symbols=3, permutations=4, longest=3)
    model = variant_model("plain", shape, task.vocabulary, 0)
    rows, time = 3, 6
    square, wide, head = 16 * 16, 2 * 16 * 24, task.vocabulary * 16
    # The second block makes keys and values everywhere; the rest of it works where an answer is wanted.
    everywhere, asked = 4 * square + wide + 2 * square, 2 * square + wide + head
    attention = 2 * 16 * rows * (time * time + time)  # scores and values of both blocks
    forward = 2 * (everywhere * rows * time + asked * rows + attention)
    assert ablation_flops_per_step(model, ablation_batch_source(task, rows, 0)) == pytest.approx(3 * forward, rel=0.01)
    assert all(p.grad is None for p in model.parameters())


def test_variants_are_the_parts_they_name() -> None:
    has = {
        name: (m.steps > 1, hasattr(m, "memory"), hasattr(m, "halt"))
        for name in VARIANTS
        for m in [variant_model(name, PARAMS["recall"]["shape"], 60, 0)]
    }
    assert has == {
        "plain": (False, False, False),
        "recurrence": (True, False, False),
        "memory": (False, True, False),
        "act": (True, False, True),
        "all": (True, True, True),
    }
    with pytest.raises(ForgeError, match="no variant 'nothing'"):
        variant_model("nothing", {}, 60, 0)
    assert PARAMS["variants"] == list(VARIANTS)


def test_equal_flops_whatever_a_step_costs() -> None:
    budget, spent = 2e8, {}
    for variant in ("plain", "recurrence"):
        model = variant_model(variant, PARAMS["chains"]["shape"], CHAINS.vocabulary, 0)
        spent[variant] = train_variant_to_budget(
            model, ablation_batch_source(CHAINS, 4, 0), budget, PARAMS["training"], variant
        )
        assert spent[variant]["flops"] == pytest.approx(budget, rel=0.1)
    assert spent["plain"]["steps"] > spent["recurrence"]["steps"]


@torch.no_grad()
def test_halting_scores_by_hand() -> None:
    """A model that halts when told: easy questions after one step, hard ones at the end."""
    model = variant_model("act", PARAMS["chains"]["shape"], CHAINS.vocabulary, 0)
    batch, links = CHAINS.batch(np.random.default_rng(0), 20)
    right = np.zeros((CHAINS.longest, links.size), dtype=bool)
    for step in range(CHAINS.longest):
        right[step] = links.ravel() <= step + 1
    model.halt.weight.zero_()
    model.halt.bias.fill_(20.0)
    scores = ablation_halting_scores(model, batch, right, links.ravel())
    assert scores["compute"] == pytest.approx(1 / CHAINS.longest)
    assert scores["rank_correlation"] == 0.0
    assert scores["auc"] == 0.5  # the same score for all
    assert scores["halt_base_rate"] == pytest.approx(right[:-1].mean())
    model.halt.bias.fill_(-20.0)
    scores = ablation_halting_scores(model, batch, right, links.ravel())
    assert scores["compute"] == 1.0
    assert scores["halting_accuracy"] == ablation_chain_scores(model, CHAINS, 20, -10_000)["accuracy"]


# ---- a whole run, and the table ------------------------------------------------------------------------------


def small_params() -> dict[str, Any]:
    params = json.loads(json.dumps(PARAMS))
    for name in ("recall", "chains", "suite"):
        params[name]["gflops"] = 0.002
        params[name]["shape"] |= {"hidden_size": 16, "head_dim": 8, "low_heads": [2], "low_ffn": [16],
                                  "high_heads": [2], "high_ffn": [16], "memory_head_dim": 8}  # fmt: skip
    params["recall"] |= {"rows": 2, "held_out_rows": 20}
    params["chains"] |= {"rows": 2, "held_out_rows": 20}
    params["suite"] |= {"vocabulary": 48, "plan_steps": 4, "batch_tokens": 150}
    return params


def test_a_run_and_the_table_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random_set(24).save(tmp_path / "train.safetensors")
    random_set(24).save(tmp_path / "test.safetensors")
    runs = [run_variant(v, seed, small_params(), tmp_path) for v in ("plain", "all") for seed in (0, 1)]
    assert len(runs[0]["chains"]["accuracy_at_steps"]) == 1
    assert len(runs[2]["chains"]["accuracy_at_steps"]) == CHAINS.longest
    again = run_variant("all", 1, small_params(), tmp_path)
    for name in ("recall", "chains", "suite"):
        first, second = ({k: v for k, v in r[name].items() if k != "seconds"} for r in (runs[3], again))
        assert first == second
    monkeypatch.setattr(table_stage, "RESULTS", tmp_path / "results")
    (tmp_path / "results" / "runs").mkdir(parents=True)
    (tmp_path / "params.yaml").write_text("variants: [plain, all]\nseeds: [0, 1]\n", encoding="utf-8")
    for run in runs:
        file = tmp_path / "results" / "runs" / f"{run['variant']}-{run['seed']}.json"
        file.write_text(json.dumps(run), encoding="utf-8")
    table_stage.main()
    drawn = [(tmp_path / "results" / name).read_bytes() for name in ("table.json", "table.md", "table.svg")]
    table_stage.main()
    assert drawn == [(tmp_path / "results" / n).read_bytes() for n in ("table.json", "table.md", "table.svg")]
    assert b"<svg" in drawn[2]


def test_the_table_pairs_by_seed() -> None:
    def run(variant: str, seed: int, recall: float) -> dict[str, Any]:
        return {"variant": variant, "seed": seed, "suite": {"loss": 1.0, "tooled_exact": 0.5},
                "recall": {"accuracy": recall}, "chains": {"accuracy": 0.5}}  # fmt: skip

    runs = [run("plain", s, 0.1 * s) for s in (0, 1, 2)] + [run("memory", s, 0.1 * s + 0.5) for s in (2, 0, 1)]
    summary = summarize_ablation(runs)
    cell = summary["memory"]["recall"]
    assert cell["mean"] == pytest.approx(0.6)
    assert cell["half_width"] == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-5)
    assert cell["minus_plain"] == pytest.approx(0.5)
    assert cell["minus_plain_half_width"] == pytest.approx(0.0, abs=1e-9)
    lines = ablation_markdown(summary).splitlines()
    assert len(lines) == 4
    assert lines[3].startswith("| memory | 1.000 ± 0.000 | 0.500 ± 0.000 | 0.600 ± 0.248 |")
    assert lines[3].count("|") == len(COLUMNS) + 2
    assert ablation_seed_interval([1.0]) == (1.0, math.inf)


@pytest.mark.parametrize("name", ["ablations", "curve"])
def test_dvc_knows_all_code_that_a_run_uses(name: str, tmp_path: Path) -> None:
    root = ABLATIONS.parent
    deps = read_params_yaml(root / name / "dvc.yaml")["stages"]["run" if name == "ablations" else "point"]["deps"]
    assert "code.json" in deps
    command = read_params_yaml(root / name / "dvc.yaml")["stages"]["code"]["cmd"].split(" exec ")[1].split()
    assert command[:3] == ["python", "-m", "forge.pipeline.dvc.code"]
    write_code_hash_of_module(command[3], tmp_path / "code.json", root)
    assert command[4] == f"{name}/code.json"
    reached = read_json(tmp_path / "code.json")
    used = {"forge/train/loop.py", "forge/model/titan.py", "forge/data/dataset.py"}
    used |= {"forge/ablation/variants.py"} if name == "ablations" else {"forge/curve/points.py"}
    assert used <= reached.keys()
