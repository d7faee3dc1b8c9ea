"""What phase 4 measures beside its claims: the packed file, speed and memory, quality before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from forge.data.dataset import EncodedSet
from forge.evals.likelihood import likelihood
from forge.evals.measure import Measurement, eval_accuracy_retention, mean, solved
from forge.evals.timing import eval_prefill_speedup
from forge.model import TinyTitanForCausalLM
from forge.model.packed import load_packed, model_packing_counts

# Targets of phase 4: times smaller, share of the accuracy, rise of perplexity and recovery in percent.
MIN_RATIO, MIN_RETENTION, MAX_RISE, MIN_RECOVERY = 8.0, 0.9, 10.0, 60.0


@dataclass(frozen=True)
class Ternary:
    """A model before and after; ``source``: directory of the first, ``packed``: file of the second."""

    teacher: TinyTitanForCausalLM
    student: TinyTitanForCausalLM
    source: Path
    packed: Path


def bitnet_packed_metrics(made: Ternary, probe: torch.Tensor) -> dict[str, float]:
    """Bytes of the packed file, what is in it, what it costs to run, and how far its logits are from those of the
    model that it was made of (on ``probe``, ids of shape (batch, tokens))."""
    counts = model_packing_counts(made.student)
    original, size = (made.source / "model.safetensors").stat().st_size, made.packed.stat().st_size
    unpacked = load_packed(made.packed, made.student)
    return {
        "compression/compression_ratio": original / size,
        "compression/compressed_size_mb": size / 2**20,
        "compression/original_size_mb": original / 2**20,
        "compression/layers_compressed": counts.compressed,
        "compression/layers_preserved": counts.preserved,
        "compression/sparsity_ratio": counts.zeros,
        "performance/calibration_time_seconds": counts.seconds,
        "performance/inference_speedup": eval_prefill_speedup(made.teacher, unpacked),
        "performance/memory_reduction": _bitnet_teacher_bytes(made.teacher) / _bitnet_packed_bytes(made.packed),
        "packed_logit_delta": _bitnet_logit_delta(made.student, unpacked, probe),
    }


def _bitnet_teacher_bytes(model: TinyTitanForCausalLM) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


def _bitnet_packed_bytes(path: Path) -> int:
    with safe_open(path, framework="pt") as file:
        tensors = (file.get_tensor(name) for name in file.keys())  # noqa: SIM118
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@torch.no_grad()
def _bitnet_logit_delta(model: TinyTitanForCausalLM, unpacked: TinyTitanForCausalLM, ids: torch.Tensor) -> float:
    return float((model(ids).logits - unpacked(ids).logits).abs().max())


def bitnet_quality_metrics(
    test: EncodedSet,
    models: tuple[TinyTitanForCausalLM, TinyTitanForCausalLM, TinyTitanForCausalLM],
    measured: tuple[Measurement, Measurement],
) -> dict[str, float]:
    """Accuracy and perplexity of full precision, rounded and trained ``models``; ``measured``: the first and last."""
    index = test.where("direct", "tooled", "tool", "worked")
    full, rounded, trained = (likelihood(model, test, index).perplexity for model in models)
    before, after = (solved(measurement) for measurement in measured)
    lost = rounded - full
    return {
        "quality/pre_accuracy": mean(before),
        "quality/post_accuracy": mean(after),
        "quality/accuracy_retention": eval_accuracy_retention(before, after),
        "quality/pre_compression_perplexity": full,
        "quality/post_compression_perplexity": rounded,
        "quality/post_finetuning_perplexity": trained,
        "quality/perplexity_degradation_percent": 100 * (trained / full - 1),
        "quality/perplexity_recovery_percent": 100 * (rounded - trained) / lost if lost > 0 else 100.0,
    }


def reaches_bitnet_targets(metrics: dict[str, float]) -> bool:
    """Whether phase 4 met all of its targets."""
    return (
        metrics["compression/compression_ratio"] > MIN_RATIO
        and metrics["quality/accuracy_retention"] > MIN_RETENTION
        and metrics["quality/perplexity_degradation_percent"] < MAX_RISE
        and metrics["quality/perplexity_recovery_percent"] > MIN_RECOVERY
    )
