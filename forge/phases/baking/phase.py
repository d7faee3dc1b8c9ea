"""Phase 6, baking: tools and personas move from the prompt into the weights."""

from __future__ import annotations

from forge.interface.phase import PACKED, Contract, Phase, Rule, declare_present_values, declare_single_stage

PHASE = Phase(
    "baking",
    "bake tools and personas into the weights",
    stages=declare_single_stage(
        "baking",
        "bake tools and personas into the weights",
        inputs=("forge",),
        publishes="phase 6, with tools and personas",
        own_tools=True,
        free_questions=True,
    ),
    contract=Contract(
        source="forge",
        target="baking",
        ternary=True,
        rules=(
            *declare_present_values("grokking_detected", "grokfast_lambda"),
            Rule(key="perplexity", op="finite"),
            Rule(
                key="validation_accuracy",
                op=">=",
                than="initial_validation_accuracy",
                margin_from="max_accuracy_drop",
            ),
        ),
    ),
    deployed=PACKED,
)
