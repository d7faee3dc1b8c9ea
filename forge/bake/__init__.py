"""Phase 6, baking: tools and personas from the prompt into the weights."""

from forge.bake.bake import bake
from forge.bake.lora import LowRank, add_lora, merge_lora
from forge.bake.trajectories import Trajectories, bare_view, sample_trajectories, without_prompt

__all__ = [
    "LowRank",
    "Trajectories",
    "add_lora",
    "bake",
    "bare_view",
    "merge_lora",
    "sample_trajectories",
    "without_prompt",
]
