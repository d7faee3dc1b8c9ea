"""What phase 3 measures beside its claims: how many thoughts are coherent, and accuracy with and without them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forge.phases.quietstar.evaluation import Evaluation
from forge.thinking.coherence import COMPONENTS
from forge.thinking.thinker import Thoughts

COMPONENT_METRICS = ("semantic_similarity", "logical_consistency", "relevance_score", "fluency_score")


def quietstar_step_metrics(parts: Sequence[Thoughts], threshold: float) -> dict[str, float]:
    """The nine ``step/`` metrics: thoughts per part, then means over all thoughts of the parts."""
    coherence = np.concatenate([part.coherence.ravel() for part in parts])
    valid = coherence >= threshold
    raw = {
        name: float(np.concatenate([part.raw[component].ravel() for part in parts]).mean())
        for name, component in zip(COMPONENT_METRICS, COMPONENTS, strict=True)
    }
    values = {
        "thoughts_generated": len(coherence) / len(parts),
        "thoughts_valid": float(valid.sum()) / len(parts),
        "validity_rate": float(valid.mean()),
        "avg_coherence": float(coherence.mean()),
        **raw,
        "processing_time_ms": 1000 * sum(part.seconds for part in parts) / len(coherence),
    }
    return {f"step/{name}": value for name, value in values.items()}


def quietstar_phase_metrics(evaluation: Evaluation, threshold: float) -> dict[str, float]:
    """The ``phase/`` metrics but the duration, which the stage's lifecycle adds. Accuracies are shares."""
    coherence = evaluation.coherence
    valid = coherence >= threshold
    on, off = float(evaluation.correct["on"].mean()), float(evaluation.correct["off"].mean())
    return {
        "phase/total_thoughts_generated": float(coherence.size),
        "phase/total_thoughts_valid": float(valid.sum()),
        "phase/overall_validity_rate": float(valid.mean()),
        "phase/avg_coherence": float(coherence.mean()),
        "phase/accuracy_with_thoughts": on,
        "phase/accuracy_without_thoughts": off,
        "phase/accuracy_improvement": on - off,
    }
