"""Phase 7, edge: pruned, fused and timed."""

from __future__ import annotations

from forge.interface.phase import PACKED, Contract, Phase, Rule, declare_single_stage

PHASE = Phase(
    "edge",
    "prune, fuse and time it",
    stages=declare_single_stage(
        "edge",
        "prune, fuse and time it",
        inputs=("baking",),
        publishes="phase 7, pruned",
        own_tools=True,
        free_questions=True,
    ),
    contract=Contract(
        source="baking",
        target="edge",
        ternary=True,
        rules=(
            Rule(key="tools", op="count", bound=5),
            Rule(key="personas", op="count", bound=4),
            Rule(key="tool_success_rate", op=">=", bound_from="min_tool_success"),
            Rule(key="persona_consistency", op=">=", bound_from="min_persona_consistency"),
            Rule(key="forgetting_percent", op="<=", bound_from="max_forgetting_percent"),
        ),
    ),
    deployed=PACKED,
)
