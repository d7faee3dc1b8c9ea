"""Phase 5, Forge: the long training loop on the ternary model."""

from __future__ import annotations

from forge.interface.phase import PACKED, Contract, Phase, Rule, declare_single_stage

PHASE = Phase(
    "forge",
    "train the ternary model for long",
    stages=declare_single_stage(
        "forge", "train the ternary model for long", inputs=("bitnet",), publishes="phase 5, trained for long"
    ),
    contract=Contract(
        source="bitnet",
        target="forge",
        ternary=True,
        rules=(
            Rule(key="packed_bytes", op=">", bound=0),
            Rule(key="compression_ratio", op=">=", bound_from="min_compression_ratio"),
            Rule(key="accuracy_retention", op=">=", bound_from="min_accuracy_retention"),
        ),
    ),
    deployed=PACKED,
)
