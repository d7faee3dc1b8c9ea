"""What phase 3 measures beside its claims: how many thoughts are coherent, and accuracy with and without them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forge.phases.quietstar.evaluation import CONTROLS, Evaluation
from forge.thinking.coherence import COMPONENTS
from forge.thinking.thinker import Thoughts

COMPONENT_METRICS = ("semantic_similarity", "logical_consistency", "relevance_score", "fluency_score")


def quietstar_step_metrics(parts: Sequence[Thoughts]) -> dict[str, float]:
    """The nine ``step/`` metrics: thoughts per part, then means over all thoughts of the parts."""
    coherence = np.concatenate([part.coherence.ravel() for part in parts])
    valid = np.concatenate([part.valid.ravel() for part in parts])
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


def quietstar_phase_metrics(evaluation: Evaluation) -> dict[str, float]:
    """The ``phase/`` metrics but the duration, which the stage's lifecycle adds. Accuracies are shares."""
    coherence, valid = evaluation.coherence, evaluation.valid
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


def quietstar_extra_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Accuracies of the other ways to answer, mean length of a sampled thought (tokens), and the share of tampered
    thoughts that the answer follows, where any could be tampered with."""
    ways = ("one", "majority", *CONTROLS)
    lengths = [len(thought.inside) for part in evaluation.thoughts for row in part.written for thought in row]
    followed = evaluation.tampering.followed
    return {
        **{f"test/accuracy_{way}": float(evaluation.correct[way].mean()) for way in ways},
        "test/thought_tokens": float(np.mean(lengths)),
        **({"test/tampering_followed": float(followed.mean())} if len(followed) else {}),
    }
