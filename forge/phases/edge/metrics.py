"""What phase 7 measures of the model before and after: size, speed, memory and quality."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from forge.errors import ForgeError
from forge.evals.ledger import ledger_deployable_files
from forge.evals.likelihood import likelihood
from forge.evals.measure import Measurement, eval_accuracy_retention
from forge.interface.phase import PACKED
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.edge.fusion import Fusion
from forge.phases.edge.latency import Speed, compare_edge_speed, edge_isolated_ram_mb
from forge.phases.edge.params import Params
from forge.phases.edge.pruning import PruningPlan
from forge.phases.edge.targets import check_edge_targets
from forge.train import TrainResult

HEADLINE = (
    "optimization/pruning_ratio",
    "optimization/max_output_delta",
    "performance/inference_latency_ms",
    "performance/model_size_mb",
    "performance/speedup",
    "performance/throughput_tokens_sec",
    "performance/memory_footprint_mb",
    "quality/tool_success_rate",
    "quality/accuracy_retention",
)


@dataclass(frozen=True)
class Subject:
    """A model, its suite scores, and the directory that holds its deployable files."""

    model: TinyTitanForCausalLM
    suite: Measurement
    directory: Path


@dataclass(frozen=True)
class Deployment:
    """What a model takes and gives on this machine: MB are 10^6 bytes; ``perplexity`` is that of tool dialogues."""

    parameters: int
    size_mb: float
    ram_mb: float
    speed: Speed
    suite: Measurement
    perplexity: float


@dataclass(frozen=True)
class Optimization:
    """What was done to the model. ``output_delta``: the largest difference of a logit that fusion makes;
    ``tool_success``: zero-shot, share in 0..1."""

    plan: PruningPlan
    recovery: TrainResult
    fusion: Fusion
    output_delta: float
    tool_success: float

    def techniques(self) -> list[str]:
        """Those that changed something: weights removed, tokens distilled, projections fused, operators replaced."""
        done = {
            "structured pruning": self.plan.removed_share > 0,
            "distillation": self.recovery.tokens > 0,
            "fusion": self.fusion.fused_layers > 0,
            "operators": self.fusion.optimized_operators > 0,
        }
        return [name for name, applied in done.items() if applied]


def measure_edge_deployments(
    run: PhaseRun[Params],
    tokenizer: PreTrainedTokenizerFast,
    before: Subject,
    after: Subject,
    fused: TinyTitanForCausalLM,
) -> tuple[Deployment, Deployment]:
    """Measure both; ``fused`` is timed in the place of the model that it was made of."""
    repeats, subjects = run.params.latency_repeats, (before, after)
    sizes = [sum(file.stat().st_size for file in ledger_deployable_files(PACKED, s.directory)) / 1e6 for s in subjects]
    speeds = compare_edge_speed(before.model, fused, tokenizer, repeats=repeats, seed=run.seed)
    memory = edge_isolated_ram_mb([subject.directory for subject in subjects])
    test = run.split("test").without_system()
    first, second = (
        Deployment(
            parameters=subject.model.num_parameters(),
            size_mb=size,
            ram_mb=ram,
            speed=speed,
            suite=subject.suite,
            perplexity=likelihood(subject.model, test, test.where("tooled", "tool")).perplexity,
        )
        for subject, size, ram, speed in zip(subjects, sizes, memory, speeds, strict=True)
    )
    return first, second


def edge_metrics(done: Optimization, before: Deployment, after: Deployment) -> dict[str, float | str]:
    """The metrics of phase 7. ForgeError when a number that divides is not positive."""
    slow, fast = before.speed, after.speed
    for name, value in (("size", after.size_mb), ("latency", fast.prefill_p50_ms)):
        if value <= 0:
            raise ForgeError(f"edge: a {name} of {value} was not measured")
    kept = eval_accuracy_retention(before.suite.tools.correct, after.suite.tools.correct)
    targets = check_edge_targets(
        size_mb=after.size_mb,
        latency_ms=fast.prefill_p50_ms,
        tokens_per_s=fast.decode_tokens_per_s,
        ram_mb=after.ram_mb,
        accuracy_retention=kept,
    )
    passed = [target.passed for target in targets.values()]
    return {
        "optimization/pruning_ratio": done.plan.removed_share,
        "optimization/fused_layers": done.fusion.fused_layers,
        "optimization/optimized_operators": done.fusion.optimized_operators,
        "optimization/params_before": before.parameters,
        "optimization/params_after": after.parameters,
        "optimization/max_output_delta": done.output_delta,
        "performance/model_size_mb": after.size_mb,
        "performance/inference_latency_ms": fast.prefill_p50_ms,
        "performance/throughput_tokens_sec": fast.decode_tokens_per_s,
        "performance/memory_footprint_mb": after.ram_mb,
        "performance/model_size_mb_before": before.size_mb,
        "performance/inference_latency_ms_before": slow.prefill_p50_ms,
        "performance/throughput_tokens_sec_before": slow.decode_tokens_per_s,
        "performance/memory_footprint_mb_before": before.ram_mb,
        "performance/latency_p95_ms": fast.prefill_p95_ms,
        "performance/speedup": slow.prefill_p50_ms / fast.prefill_p50_ms,
        "performance/size_reduction": before.size_mb / after.size_mb,
        "quality/accuracy_retention": kept,
        "quality/perplexity": after.perplexity,
        "quality/tool_success_rate": done.tool_success,
        "quality/accuracy_before": before.suite.tools.mean_accuracy,
        "quality/accuracy_after": after.suite.tools.mean_accuracy,
        "quality/perplexity_before": before.perplexity,
        "deployment/device_type": "cpu",
        "deployment/target_met": all(passed),
        "deployment/targets_passed": sum(passed),
        "phase/optimization_techniques_applied": len(done.techniques()),
    }
