"""Phase 1, Cognate: a trunk, and three branches that specialize."""

from __future__ import annotations

from forge.interface.phase import EVALUATION, FULL_PRECISION, Phase, Stage

BRANCHES = ("reasoning", "memory_integration", "adaptive_computation")
# What the trunk's and the branches' training have in common; phase 2's control trains with it as well.
TRAINING = (
    *(
        f"cognate.{key}"
        for key in (
            "adam_lr",
            "checkpoint_every",
            "clip",
            "decay_fraction",
            "end_rate",
            "muon_lr",
            "warmup_fraction",
            "weight_decay",
        )
    ),
    *(f"training.{key}" for key in ("early_weight", "further_steps", "halt_weight", "sampled_outputs")),
)
SHAPE = "scales.{scale}.cognate"
# The trunk is made with room for the largest memory that a branch asks for.
CAPACITIES = tuple(f"cognate.branches.{branch}.memory_capacity" for branch in BRANCHES)

PHASE = Phase(
    "cognate",
    "train a trunk and three branches of it",
    stages=(
        Stage(
            "trunk",
            "train the trunk that the branches share",
            "cognate",
            ("seed", *TRAINING, "cognate.branch_rate", "cognate.trunk_mix", *CAPACITIES, SHAPE, *EVALUATION),
            publishes="phase 1, the trunk that the branches share",
            function="run_cognate_trunk",
        ),
        Stage(
            "cognate",
            "train a branch that specializes",
            "cognate",
            ("seed", *TRAINING, "cognate.branch_rate", "cognate.branches.{branch}", SHAPE, *EVALUATION),
            inputs=("trunk",),
            branches=BRANCHES,
            publishes="phase 1, the branch that {branch}",
            titles=("reasons", "remembers", "weighs its steps"),
            function="run_cognate_branch",
        ),
        Stage(
            "branches",
            "measure the branches against each other",
            "cognate",
            ("seed", "cognate.branches", SHAPE, *EVALUATION),
            inputs=("cognate", "trunk"),
            curve=None,
            closes=True,
            results="cognate",
            function="run_cognate_branches",
        ),
    ),
    deployed=FULL_PRECISION,
    weight_copies=7 * 4 + 3 * 2,  # with checkpoints of a narrow trunk and of the loop that settles it, and its weights
)
