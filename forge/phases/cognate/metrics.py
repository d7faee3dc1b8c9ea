"""What phase 1 measures of its branches, one by one and together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from forge.data.dataset import EncodedSet
from forge.evals.likelihood import likelihood
from forge.files import read_json
from forge.model.titan import TinyTitanForCausalLM
from forge.train.batches import gather_batch

SAMPLE = 256  # examples behind a branch's metrics
READ = 64  # examples whose memory is looked at
MAX_LOSS = 3.0  # target of the phase, nats per token
MIB = 2**20


def branch_metrics(run: Any, model: TinyTitanForCausalLM, train: EncodedSet, val: EncodedSet) -> dict[str, float]:
    """A trained branch: loss on what it read, steps it takes, how much of its memory is in use.

    ``epoch/loss``: nats per token on a sample of the training rows of its mixture, weights as they are at the end;
    ``act/avg_halting_steps``: recurrence steps a token with halting, on validation rows.
    """
    mix = run.params.branches[run.branch].mix.model_dump()
    read = likelihood(model, train.sample(SAMPLE, run.seed, *[kind for kind, share in mix.items() if share > 0]))
    held_out = val.sample(SAMPLE, run.seed)
    steps = likelihood(model, held_out)
    return {
        "epoch/loss": float(read.nll.sum() / read.tokens.sum()),
        "act/avg_halting_steps": float((steps.steps * steps.tokens).sum() / steps.tokens.sum()),
        "memory/usage": memory_usage(model, held_out.sample(READ, run.seed)),
        "parameters": model.num_parameters(),
    }


@torch.no_grad()
def memory_usage(model: TinyTitanForCausalLM, data: EncodedSet) -> float:
    """Share (0..1) of the memory's dimensions in use after reading ``data``'s rows, mean over rows and heads.

    A head's matrix M (m,m) holds about (sum of s)^2 / (sum of s^2) independent associations, s its singular values
    (the participation ratio); divided by m. 0 for a model without memory.
    """
    batch = gather_batch(data, torch.arange(len(data)).numpy())
    trace = model.prefill(batch.ids, model.embedding_weight(), torch.from_numpy(data.lengths))
    if trace.memory is None:
        return 0.0
    values = torch.linalg.svdvals(trace.memory.matrix)
    rank = values.sum(-1).square() / values.square().sum(-1).clamp(min=1e-20)
    return float((rank / values.shape[-1]).mean())


def phase_metrics(run: Any, trunk: Path, branches: Mapping[str, Path]) -> dict[str, Any]:
    """Phase 1 as a whole, from the published branches."""
    facts = [read_json(path / "metadata.json") for path in branches.values()]
    config = read_json(next(iter(branches.values())) / "config.json")
    losses = [float(found["metrics"]["final_loss"]) for found in facts]
    sizes = [(path / "model.safetensors").stat().st_size / MIB for path in branches.values()]
    return {
        "config/num_models": len(run.all_params.phase("cognate").branches),
        "config/hidden_size": config["hidden_size"],
        "config/num_layers": len(config["low_heads"]) + len(config["high_heads"]),
        "config/parameters_target": run.all_params.phase("cognate").parameters_target,
        "phase/num_models_created": len(facts),
        "phase/total_parameters": sum(int(found["parameters"]) for found in facts),
        "phase/avg_final_loss": sum(losses) / len(losses),
        "phase/min_final_loss": min(losses),
        "phase/max_final_loss": max(losses),
        "phase/total_size_mb": sum(sizes),
        "phase/duration_seconds": run.recorded_seconds("trunk", "cognate"),
        "phase/success": max(losses) < MAX_LOSS,
        "phase/diversity_score": diversity(
            load_file(trunk / "model.safetensors"),
            [load_file(path / "model.safetensors") for path in branches.values()],
        ),
    }


def diversity(trunk: Mapping[str, Tensor], branches: Sequence[Mapping[str, Tensor]]) -> float:
    """1 minus the cosine of what two branches added to the trunk, mean over pairs: 0 for branches
    that moved alike, 1 for unrelated ways, up to 2."""
    task_vectors = [
        torch.cat([(branch[name] - weight).double().flatten() for name, weight in trunk.items()]) for branch in branches
    ]
    cosines = [float(torch.nn.functional.cosine_similarity(a, b, dim=0)) for a, b in combinations(task_vectors, 2)]
    return 1.0 - sum(cosines) / len(cosines)
