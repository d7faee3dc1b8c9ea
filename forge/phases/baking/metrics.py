"""The metrics of phase 6: each tool, each persona, and the phase as a whole."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from forge.data.build import Row, tokenize_data_rows
from forge.data.views import dataset_without_prompts
from forge.evals.measure import Measurement
from forge.evals.persona import PersonaScore
from forge.evals.tool_use import ToolScore
from forge.model import TinyTitanForCausalLM, names_of_core_model_weights
from forge.phases.baking.prompt_baking import baking_teacher_batches
from forge.train import distillation_loss, gather_batch

# Targets of the phase: shares, the second of answers with style and facts, and percent of accuracy forgotten.
MIN_TOOL_SUCCESS, MIN_PERSONA, MAX_FORGETTING = 0.9, 0.8, 5.0
KEPT = 0.9  # a tool is baked when it keeps this share of the prompted teacher's success


def baking_metrics(
    tools: Mapping[str, ToolScore], personas: Mapping[str, PersonaScore], forgetting: float
) -> dict[str, float]:
    """Success by tool, consistency and adherence by persona, the controls' success rates, whether targets were met.

    ``tools``: baked, half, unbaked, prompted; ``personas``: baked, none; ``forgetting`` in percent.
    """
    baked, prompted = tools["baked"], tools["prompted"]
    metrics = {f"tool_{name}/zero_shot_success_rate": row["success"] for name, row in baked.tools.items()}
    for name, row in personas["baked"].personas.items():
        metrics[f"persona_{name}/consistency_score"] = row["consistency"]
        metrics[f"persona_{name}/trait_adherence"] = row["preferred"]
    metrics |= {f"phase/{name}_success_rate": tools[name].success for name in ("prompted", "unbaked", "half")}
    persona = personas["baked"]
    met = baked.success > MIN_TOOL_SUCCESS and persona.both > MIN_PERSONA and forgetting < MAX_FORGETTING
    taught = {name: row["success"] for name, row in prompted.tools.items()}
    return metrics | {
        "phase/tools_baked": sum(
            row["success"] > 0 and row["success"] >= KEPT * taught[name] for name, row in baked.tools.items()
        ),
        "phase/personas_baked": sum(row["both"] > MIN_PERSONA for row in persona.personas.values()),
        "phase/zero_shot_success_rate": baked.success,
        "phase/avg_persona_consistency": persona.consistency,
        "phase/forgetting_percent": forgetting,
        "phase/success": met,
    }


@torch.no_grad()
def baked_persona_divergence(
    teacher: TinyTitanForCausalLM,
    model: TinyTitanForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: list[Row],
) -> dict[str, float]:
    """``persona_<name>/baking_kl``: KL in nats per token from the teacher with the persona's prompt to the model with
    its handle alone, on held-out answers of that persona."""
    metrics = {}
    for name in sorted({row["task"] for row in rows}):
        own = [row for row in rows if row["task"] == name]
        bare = dataset_without_prompts(tokenizer, own)
        loss = distillation_loss(
            teacher.eval(), 1.0, teacher_batch=baking_teacher_batches(tokenize_data_rows(tokenizer, own))
        )
        everything = gather_batch(bare, np.arange(len(bare)))
        metrics[f"persona_{name}/baking_kl"] = loss(model.eval(), everything)[1]["kl"]
    return metrics


def half_strength(
    base: TinyTitanForCausalLM, half: TinyTitanForCausalLM, full: TinyTitanForCausalLM
) -> dict[str, float]:
    """How far the half-baked control's core went, as a share of the whole way."""
    start = base.state_dict()

    def way(model: TinyTitanForCausalLM) -> Tensor:
        weights = model.state_dict()
        moved: Tensor = torch.stack(
            [(weights[name] - start[name]).norm() for name in names_of_core_model_weights(base)]
        ).norm()
        return moved

    return {"phase/half_bake_strength": float(way(half) / way(full).clamp(min=1e-20))}


def baking_forgetting_percent(before: Measurement, after: Measurement) -> float:
    """Points of accuracy by thoughts, without tools, that were lost, at least 0; not relative to what was there."""
    return max(0.0, 100 * (before.thoughts.mean_accuracy - after.thoughts.mean_accuracy))
