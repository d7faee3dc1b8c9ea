"""Phase 2, EvoMerge: one model out of three, by evolution."""

from __future__ import annotations

from forge.interface.phase import EVALUATION, FULL_PRECISION, Contract, Phase, Rule, Stage, declare_present_values
from forge.phases.cognate.phase import SHAPE, TRAINING

# All but `backend`, which says where merges are evaluated and cannot change a byte of the result.
_OWN = tuple(
    f"evomerge.{key}"
    for key in (
        "archive",
        "category_rate",
        "checkpoint_every",
        "cma_sigma",
        "crossover_rate",
        "diversity_threshold",
        "elites",
        "extrapolated",
        "finalist_samples",
        "fitness",
        "gene_rate",
        "gram_batches",
        "grouping",
        "mutation_sigma",
        "patience",
        "reseed",
        "search",
        "tournament",
    )
)
# Its control reads what all branches read, with phase 1's settings.
_CONTROL = (*TRAINING, "cognate.branch_rate", "cognate.branches", SHAPE)

PHASE = Phase(
    "evomerge",
    "evolve one model out of three",
    stages=(
        Stage(
            "evomerge",
            "evolve one model out of three",
            "evomerge",
            ("seed", *_OWN, "scales.{scale}.evomerge", "scales.{scale}.contracts.evomerge", *_CONTROL, *EVALUATION),
            inputs=("cognate", "trunk"),
            publishes="phase 2, the champion of the evolution",
            curve="fitness/best",
            average=None,
            closes=True,
        ),
    ),
    contract=Contract(
        source="cognate",
        target="evomerge",
        models=3,
        same_shapes=True,
        same_tokenizer=True,
        same_parents=True,
        parameters_near_target=True,
        rules=(*declare_present_values("specialization", "seed"), Rule(key="final_loss", op="finite")),
    ),
    deployed=FULL_PRECISION,
)
