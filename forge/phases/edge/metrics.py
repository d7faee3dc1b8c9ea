"""Everything that phase 7 measures of the model before and after, gathered into its 28 metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from forge.data.dataset import EncodedSet
from forge.evals.ledger import deployable_files
from forge.evals.likelihood import likelihood
from forge.evals.measure import Measurement
from forge.model import TinyTitanForCausalLM
from forge.phases.baking.claims import probes, tool_score
from forge.phases.edge.fuse import Fusion, fuse, fusion_of, max_output_delta
from forge.phases.edge.latency import compare_speed, isolated_ram_mb
from forge.phases.edge.prune import PruningPlan
from forge.phases.edge.quality import Quality, check_targets, edge_metrics, retention
from forge.train import TrainResult, gather_batch

HEADLINE = (
    "optimization/pruning_ratio",
    "optimization/max_output_delta",
    "performance/inference_latency_ms",
    "performance/speedup",
    "performance/throughput_tokens_sec",
    "performance/memory_footprint_mb",
    "quality/tool_success_rate",
    "quality/accuracy_retention",
)
Subject = tuple[TinyTitanForCausalLM, Measurement, Path]


def phase_metrics(
    run: Any,
    tokenizer: PreTrainedTokenizerFast,
    plan: PruningPlan,
    recovery: TrainResult,
    before: Subject,
    after: Subject,
) -> dict[str, Any]:
    """The metrics of ``before`` and ``after`` (model, suite scores, directory with the deployable files)."""
    test = EncodedSet.load(run.data_dir / "test.safetensors").without_system()
    fused = fuse(after[0])
    delta = max_output_delta(after[0], fused, gather_batch(test, torch.arange(16).numpy()).ids)
    sizes = [
        sum(f.stat().st_size for f in deployable_files(phase, subject[2])) / 1e6
        for phase, subject in (("baking", before), ("edge", after))
    ]
    speed = compare_speed(before[0], fused, tokenizer, repeats=run.params.latency_repeats, seed=run.seed)
    ram = isolated_ram_mb([before[2], after[2]])
    asked, index = probes(run), test.where("tooled", "tool")
    old, new = (
        Quality(
            score.tools.mean_accuracy,
            likelihood(model, test, index).perplexity,
            tool_score(run, model, tokenizer, asked).success,
        )
        for model, score, _ in (before, after)
    )
    targets = check_targets(
        size_mb=sizes[1],
        latency_ms=speed[1].prefill_p50_ms,
        tokens_per_s=speed[1].decode_tokens_per_s,
        ram_mb=ram[1],
        accuracy_retention=retention(old, new),
    )
    return edge_metrics(
        plan=plan,
        fusion=fusion_of(fused),
        max_output_delta=delta,
        size_mb=(sizes[0], sizes[1]),
        speed=speed,
        parameters=(before[0].num_parameters(), after[0].num_parameters()),
        ram_mb=(ram[0], ram[1]),
        quality=(old, new),
        targets=targets,
        device="cpu",
        techniques=techniques_applied(plan, recovery, fusion_of(fused)),
        seconds=run.seconds,
    )


def techniques_applied(plan: PruningPlan, recovery: TrainResult, fusion: Fusion) -> list[str]:
    """The optimizations that changed something: weights removed, tokens distilled, projections fused, operators
    replaced."""
    done = {
        "structured pruning": plan.removed_share > 0,
        "distillation": recovery.tokens > 0,
        "fusion": fusion.fused_layers > 0,
        "operators": fusion.optimized_operators > 0,
    }
    return [name for name, applied in done.items() if applied]
