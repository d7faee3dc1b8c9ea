"""The control that asks what the branches' tokens would have bought otherwise: one model that reads all of them.

In every published table that shows it, joint training beats merging (Branch-Train-Merge and its successors train apart
because it is cheaper to organise, not because it is better), so the champion is expected to lose against it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from forge.evals.measure import mean
from forge.interface.run import PhaseRun
from forge.model import TinyTitanForCausalLM
from forge.phases.cognate.params import Params as CognateParams
from forge.phases.cognate.training import cognate_settings
from forge.phases.evomerge.params import Params
from forge.train import language_loss, loss_settings, train_on_planned_batches


def train_evomerge_control(run: PhaseRun[Params], trunk: TinyTitanForCausalLM) -> TinyTitanForCausalLM:
    """A copy of ``trunk`` that reads what all branches read, in as many steps as they have together, at their rates."""
    p, model = run.parameters_of(CognateParams), copy.deepcopy(trunk)
    branches = list(p.branches.values())
    settings = cognate_settings(p, len(branches) * p.branch_steps, p.branch_rate)
    price = mean([branch.ponder_cost for branch in branches])
    loss = language_loss(ponder_cost=price, **loss_settings(run.training))
    mix = evomerge_joint_mix(branch.mix.model_dump() for branch in branches)
    train_on_planned_batches(run, model, run.split("train"), mix, loss, settings, p.batch_tokens, name="joint")
    return model


def evomerge_joint_mix(mixes: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of mixtures, each as shares that add up to 1."""
    shares = [{kind: weight / sum(mix.values()) for kind, weight in mix.items()} for mix in mixes]
    return {kind: mean([share.get(kind, 0.0) for share in shares]) for kind in shares[0]}
