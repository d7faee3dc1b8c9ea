"""Phase 4, BitNet: ternary weights."""

from __future__ import annotations

from forge.interface.phase import PACKED, Contract, Phase, Rule, declare_present_values, declare_single_stage

PHASE = Phase(
    "bitnet",
    "make its weights ternary",
    stages=declare_single_stage(
        "bitnet", "make its weights ternary", inputs=("quietstar",), publishes="phase 4, ternary"
    ),
    contract=Contract(
        source="quietstar",
        target="bitnet",
        rules=(
            *declare_present_values("thoughts_enabled", "anti_theater"),
            Rule(key="coherence_score", op=">=", bound=0.0),
            Rule(key="coherence_score", op="<=", bound=1.0),
            Rule(key="validity_rate", op=">=", bound_from="min_validity_rate"),
        ),
    ),
    deployed=PACKED,
)
