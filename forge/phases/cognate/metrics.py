"""What phase 1 measures of its branches, one by one and together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor

from forge.data.dataset import EncodedSet
from forge.evals.likelihood import likelihood
from forge.evals.measure import mean
from forge.files import read_json
from forge.interface.run import PhaseRun, Published
from forge.model import TinyTitanForCausalLM
from forge.phases.cognate.params import Branch, Params
from forge.train import gather_batch

SAMPLE = 256  # examples behind a branch's metrics, and the choice of the best
READ = 64  # examples whose memory is looked at
MAX_LOSS = 3.0  # target of the phase, nats per token
MIB = 2**20


def cognate_branch_metrics(
    run: PhaseRun[Params], branch: Branch, model: TinyTitanForCausalLM, train: EncodedSet, val: EncodedSet
) -> dict[str, float]:
    """A trained branch: loss on what it read, steps it takes, how much of its memory is in use.

    ``epoch/loss``: nats per token on a sample of the training rows of its mixture, weights as they are at the end;
    ``act/avg_halting_steps``: recurrence steps per token with halting, on validation rows.
    """
    kinds = [kind for kind, share in branch.mix.model_dump().items() if share > 0]
    read = likelihood(model, train.sample(SAMPLE, run.seed, *kinds))
    held_out = val.sample(SAMPLE, run.seed)
    steps = likelihood(model, held_out)
    return {
        "epoch/loss": float(read.nll.sum() / read.tokens.sum()),
        "act/avg_halting_steps": float((steps.steps * steps.tokens).sum() / steps.tokens.sum()),
        "memory/usage": cognate_memory_usage(model, held_out.sample(READ, run.seed)),
        "parameters": model.num_parameters(),
    }


@torch.no_grad()
def cognate_memory_usage(model: TinyTitanForCausalLM, data: EncodedSet) -> float:
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


def cognate_phase_metrics(params: Params, trunk: Published, branches: Sequence[Published]) -> dict[str, float]:
    """Phase 1 as a whole, from the published models; losses are those at the end of each branch's training."""
    config = branches[0].model.config
    losses = [float(read_json(branch.directory / "metadata.json")["metrics"]["final_loss"]) for branch in branches]
    sizes = [(branch.directory / "model.safetensors").stat().st_size for branch in branches]
    return {
        "config/num_models": len(params.branches),
        "config/hidden_size": config.hidden_size,
        "config/num_layers": len(config.low_heads) + len(config.high_heads),
        "config/parameters_target": params.parameters_target,
        "phase/num_models_created": len(branches),
        "phase/total_parameters": sum(branch.model.num_parameters() for branch in branches),
        "phase/avg_final_loss": mean(losses),
        "phase/min_final_loss": min(losses),
        "phase/max_final_loss": max(losses),
        "phase/total_size_mb": sum(sizes) / MIB,
        "phase/success": max(losses) < MAX_LOSS,
        "phase/diversity_score": cognate_branch_diversity(
            trunk.model.state_dict(), [branch.model.state_dict() for branch in branches]
        ),
    }


def cognate_branch_diversity(trunk: Mapping[str, Tensor], branches: Sequence[Mapping[str, Tensor]]) -> float:
    """1 minus the cosine of what two branches added to the trunk, mean over pairs: 0 for branches
    that moved alike, 1 for unrelated ways, up to 2."""
    task_vectors = [
        torch.cat([(branch[name] - weight).double().flatten() for name, weight in trunk.items()]) for branch in branches
    ]
    cosines = [float(torch.nn.functional.cosine_similarity(a, b, dim=0)) for a, b in combinations(task_vectors, 2)]
    return 1.0 - mean(cosines)
