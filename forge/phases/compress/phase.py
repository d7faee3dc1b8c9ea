"""Phase 8, final compression: the whole agent in one file."""

from __future__ import annotations

from forge.interface.phase import Contract, Phase, Rule, declare_single_stage

PHASE = Phase(
    "compress",
    "squeeze it into one file",
    stages=declare_single_stage(
        "compress",
        "squeeze it into one file",
        inputs=("edge", "baking", "trunk"),
        publishes="phase 8, the one-file agent",
        own_tools=True,
        free_questions=True,
    ),
    contract=Contract(
        source="edge",
        target="compress",
        rules=(
            Rule(key="performance/inference_latency_ms", op=">", bound=0, source="results"),
            Rule(key="performance/model_size_mb", op="<=", bound_from="max_size_mb", source="results"),
            Rule(key="tool_accuracy_retention", op=">=", bound_from="min_accuracy_retention"),
        ),
    ),
    deployed=("agent.forge",),
)
