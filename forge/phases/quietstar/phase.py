"""Phase 3, Quiet-STaR: thoughts before the answer."""

from __future__ import annotations

from forge.interface.phase import FULL_PRECISION, Contract, Phase, Rule, declare_present_values, declare_single_stage

PHASE = Phase(
    "quietstar",
    "teach it to think before it answers",
    stages=declare_single_stage(
        "quietstar",
        "teach it to think before it answers",
        inputs=("evomerge",),
        publishes="phase 3, with thoughts",
    ),
    contract=Contract(
        source="evomerge",
        target="quietstar",
        parameters_as_parents=True,
        rules=(
            *declare_present_values("merge_technique"),
            Rule(key="fitness", op=">=", than="best_parent_fitness", margin_from="fitness_margin"),
        ),
    ),
    deployed=FULL_PRECISION,
)
