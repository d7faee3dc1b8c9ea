"""The targets of the deployment and the 28 metrics of the phase, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forge.errors import ForgeError
from forge.phases.edge.fuse import Fusion
from forge.phases.edge.latency import Speed
from forge.phases.edge.prune import PruningPlan

MAX_SIZE_MB = 20.0
MAX_LATENCY_MS = 50.0
MIN_TOKENS_PER_S = 100.0
MAX_RAM_MB = 500.0
MIN_RETENTION = 0.9


@dataclass(frozen=True)
class Target:
    """One bound of the deployment and the figure held against it; being at the bound is not enough."""

    value: float
    bound: float
    at_most: bool

    @property
    def passed(self) -> bool:
        """On the right side of the bound; a figure that is not a number passes nothing."""
        return self.value < self.bound if self.at_most else self.value > self.bound


@dataclass(frozen=True)
class Quality:
    """Scores of one model: suite accuracy and tool success in 0..1, perplexity on held-out text."""

    accuracy: float
    perplexity: float
    tool_success_rate: float


def retention(before: Quality, after: Quality) -> float:
    """Accuracy kept: after / before. A model that had none keeps all it had: 1."""
    return after.accuracy / before.accuracy if before.accuracy > 0 else 1.0


def check_targets(
    *, size_mb: float, latency_ms: float, tokens_per_s: float, ram_mb: float, accuracy_retention: float
) -> dict[str, Target]:
    """Hold measured metrics against the phase's targets; MB are 10^6 bytes, latency is the median of 512
    tokens."""
    return {
        "size_mb": Target(size_mb, MAX_SIZE_MB, True),
        "latency_ms": Target(latency_ms, MAX_LATENCY_MS, True),
        "tokens_per_s": Target(tokens_per_s, MIN_TOKENS_PER_S, False),
        "ram_mb": Target(ram_mb, MAX_RAM_MB, True),
        "accuracy_retention": Target(accuracy_retention, MIN_RETENTION, False),
    }


def edge_metrics(
    *,
    plan: PruningPlan,
    fusion: Fusion,
    max_output_delta: float,
    parameters: tuple[int, int],
    size_mb: tuple[float, float],
    speed: tuple[Speed, Speed],
    ram_mb: tuple[float, float],
    quality: tuple[Quality, Quality],
    targets: Mapping[str, Target],
    device: str,
    techniques: Sequence[str],
    seconds: float,
) -> dict[str, Any]:
    """The 28 metrics of phase 7; every pair is (before, after), MB are 10^6 bytes.

    ``parameters`` counts all weights, ``plan`` the core's. ``techniques`` names what was applied; the metric
    is their number. ForgeError when a figure that divides is not positive.
    """
    for name, value in (("size", size_mb[1]), ("latency", speed[1].prefill_p50_ms)):
        if value <= 0:
            raise ForgeError(f"edge: a {name} of {value} was not measured")
    (slow, fast), (old, new) = speed, quality
    return {
        "optimization/pruning_ratio": plan.removed_share,
        "optimization/fused_layers": fusion.fused_layers,
        "optimization/optimized_operators": fusion.optimized_operators,
        "optimization/params_before": parameters[0],
        "optimization/params_after": parameters[1],
        "optimization/max_output_delta": max_output_delta,
        "performance/model_size_mb": size_mb[1],
        "performance/inference_latency_ms": fast.prefill_p50_ms,
        "performance/throughput_tokens_sec": fast.decode_tokens_per_s,
        "performance/memory_footprint_mb": ram_mb[1],
        "performance/model_size_mb_before": size_mb[0],
        "performance/inference_latency_ms_before": slow.prefill_p50_ms,
        "performance/throughput_tokens_sec_before": slow.decode_tokens_per_s,
        "performance/memory_footprint_mb_before": ram_mb[0],
        "performance/latency_p95_ms": fast.prefill_p95_ms,
        "performance/speedup": slow.prefill_p50_ms / fast.prefill_p50_ms,
        "performance/size_reduction": size_mb[0] / size_mb[1],
        "quality/accuracy_retention": retention(old, new),
        "quality/perplexity": new.perplexity,
        "quality/tool_success_rate": new.tool_success_rate,
        "quality/accuracy_before": old.accuracy,
        "quality/accuracy_after": new.accuracy,
        "quality/perplexity_before": old.perplexity,
        "deployment/device_type": device,
        "deployment/target_met": all(target.passed for target in targets.values()),
        "deployment/targets_passed": sum(target.passed for target in targets.values()),
        "phase/optimization_techniques_applied": len(techniques),
        "phase/duration_seconds": seconds,
    }
