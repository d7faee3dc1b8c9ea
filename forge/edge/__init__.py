"""Phase 7: make the model small and fast for the device it runs on, and measure both."""

from __future__ import annotations

from forge.edge.fuse import Fusion, fuse, fusion_of, max_output_delta
from forge.edge.importance import Importance, taylor_importance
from forge.edge.latency import Speed, compare_speed, isolated_ram_mb
from forge.edge.metrics import Quality, Target, check_targets, edge_metrics, retention
from forge.edge.prune import PruningPlan, core_parameters, plan_pruning, prune_model

__all__ = [
    "Fusion",
    "Importance",
    "PruningPlan",
    "Quality",
    "Speed",
    "Target",
    "check_targets",
    "compare_speed",
    "core_parameters",
    "edge_metrics",
    "fuse",
    "fusion_of",
    "isolated_ram_mb",
    "max_output_delta",
    "plan_pruning",
    "prune_model",
    "retention",
    "taylor_importance",
]
